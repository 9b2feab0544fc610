//! Tables of observations and the decisions they must lead to.
//!
//! An [`Act`] is a request with its answer, or what the kernel did; a [`Scene`] plays acts at given
//! milliseconds and writes every decision down as one line, so that a test reads as a story.

mod consequences;
mod floods;
mod guesses;
mod logged;
mod outcomes;
mod peers;
mod rules;
mod scenarios;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sipprot_common::reason::Reason;
use sipprot_common::source::SourceKey;

use super::Engine;
use crate::rules::{
    Account, AlertKind, Carrier, Case, Challenge, Credentials, Decision, Direction, EndpointId,
    KernelDrop, LogLine, Logged, Method, Observation, OwnRules, Proof, Request, Response, Settings,
    Speaker, Time, Told, Transport,
};

pub(in crate::rules) const START: Time = Time::from_secs(1_700_000_000);
pub(in crate::rules) const SECOND: u64 = 1000;
pub(in crate::rules) const MINUTE: u64 = 60 * SECOND;
pub(in crate::rules) const HOUR: u64 = 60 * MINUTE;
pub(in crate::rules) const DAY: u64 = 24 * HOUR;

pub(in crate::rules) const EVE: &str = "198.51.100.66:5060";
pub(in crate::rules) const OFFICE: &str = "203.0.113.7:5060";
pub(in crate::rules) const TRUNK: &str = "198.51.100.200:5060";
pub(in crate::rules) const PBX: &str = "192.0.2.11:5060";

#[derive(Clone, Copy, PartialEq, Debug)]
pub(in crate::rules) enum Brings {
    Nothing,
    Empty,
    Response,
    OtherRealm,
    /// Byte for byte what was sent before.
    Same,
    /// Whatever it brings is behind what was captured.
    Unseen,
}

#[derive(Clone)]
pub(in crate::rules) enum Act {
    Call(Call),
    Kernel(Reason, &'static str, u32, Proof),
    Log(Told, Speaker, Carrier, &'static str),
    Tick,
}

/// A request and the answer to it.
#[derive(Clone)]
pub(in crate::rules) struct Call {
    method: Method,
    direction: Direction,
    source: SocketAddr,
    destination: SocketAddr,
    endpoint: u16,
    account: Account,
    username: Option<String>,
    brings: Brings,
    proof: Proof,
    status: Option<u16>,
    stale: bool,
    answer_to: Option<SocketAddr>,
    /// Repeats Call-ID, CSeq and branch of all others with this name.
    name: Option<&'static str>,
}

pub(in crate::rules) fn call(method: Method, source: &str, account: &str) -> Call {
    Call {
        method,
        direction: Direction::Inbound,
        source: source.parse().unwrap(),
        destination: PBX.parse().unwrap(),
        endpoint: 1,
        account: Account::new(account, "pbx"),
        username: None,
        brings: Brings::Nothing,
        proof: Proof::None,
        status: None,
        stale: false,
        answer_to: None,
        name: None,
    }
}

pub(in crate::rules) fn register(source: &str, account: &str) -> Call {
    call(Method::Register, source, account)
}

pub(in crate::rules) fn invite(source: &str, account: &str) -> Call {
    call(Method::Invite, source, account)
}

pub(in crate::rules) fn options(source: &str) -> Call {
    call(Method::Options, source, "anyone")
}

/// A wrong or right password, on a nonce that was sent to this source alone.
pub(in crate::rules) fn guess(source: &str, account: &str) -> Call {
    register(source, account).brings(Brings::Response).by(Proof::Nonce)
}

/// A password that anyone may have sent in the source's name.
pub(in crate::rules) fn forged(source: &str, account: &str) -> Call {
    guess(source, account).by(Proof::None)
}

/// A phone that has its password right.
pub(in crate::rules) fn accepted(source: &str, account: &str) -> Act {
    guess(source, account).gets(200)
}

impl Call {
    pub(in crate::rules) fn brings(self, brings: Brings) -> Self {
        Self { brings, ..self }
    }

    pub(in crate::rules) fn by(self, proof: Proof) -> Self {
        Self { proof, ..self }
    }

    pub(in crate::rules) fn user(self, name: &str) -> Self {
        Self { username: Some(name.to_owned()), ..self }
    }

    pub(in crate::rules) fn to(self, destination: &str, endpoint: u16) -> Self {
        Self { destination: destination.parse().unwrap(), endpoint, ..self }
    }

    /// Sent by an endpoint to the world.
    pub(in crate::rules) fn outbound(self) -> Self {
        let (source, destination) = (self.destination, self.source);
        Self { direction: Direction::Outbound, source, destination, ..self }
    }

    pub(in crate::rules) fn stale(self) -> Self {
        Self { stale: true, ..self }
    }

    pub(in crate::rules) fn answered_at(self, address: &str) -> Self {
        Self { answer_to: Some(address.parse().unwrap()), ..self }
    }

    pub(in crate::rules) fn named(self, name: &'static str) -> Self {
        Self { name: Some(name), ..self }
    }

    pub(in crate::rules) fn gets(self, status: u16) -> Act {
        Act::Call(Self { status: Some(status), ..self })
    }

    pub(in crate::rules) fn gets_nothing(self) -> Act {
        Act::Call(self)
    }
}

pub(in crate::rules) struct Scene {
    pub(in crate::rules) engine: Engine,
    serial: u64,
    pub(in crate::rules) lines: Vec<String>,
}

impl Scene {
    pub(in crate::rules) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(in crate::rules) fn with(settings: Settings) -> Self {
        Self { engine: Engine::new(settings), serial: 0, lines: Vec::new() }
    }

    pub(in crate::rules) fn play(&mut self, millisecond: u64, act: &Act) {
        let at = time(millisecond);
        match act {
            Act::Tick => self.observe(Observation::Tick { at }),
            Act::Kernel(reason, source, count, proof) => {
                self.observe(Observation::KernelDrop(KernelDrop {
                    at,
                    source: source.parse().unwrap(),
                    destination: PBX.parse().unwrap(),
                    endpoint: EndpointId(1),
                    reason: *reason,
                    user_agent: Some("scanner".into()),
                    count: *count,
                    proof: *proof,
                }));
            }
            Act::Log(told, speaker, carrier, source) => {
                let endpoint = match speaker {
                    Speaker::Tenant(endpoint) => *endpoint,
                    Speaker::Host | Speaker::Watched => EndpointId(0),
                };
                self.observe(Observation::Logged(Logged {
                    at,
                    told: *told,
                    source: source.parse().unwrap(),
                    destination: PBX.parse().unwrap(),
                    endpoint,
                    carrier: *carrier,
                    method: None,
                    status: None,
                    account: Some(Account::from("100@pbx")),
                    times: 1,
                    line: Arc::new(LogLine { speaker: *speaker, text: "a line".to_owned() }),
                }));
            }
            Act::Call(call) => {
                self.serial += 1;
                self.observe(call.request(at, self.serial));
                if let Some(status) = call.status {
                    self.observe(call.response(at.after(MILLI), self.serial, status));
                }
            }
        }
    }

    /// The same act `count` times, `gap` milliseconds apart, beginning at `start`.
    pub(in crate::rules) fn repeat(&mut self, start: u64, gap: u64, count: u64, act: &Act) {
        (0..count).for_each(|number| self.play(start + number * gap, act));
    }

    pub(in crate::rules) fn observe(&mut self, observation: Observation) {
        let decisions = self.engine.observe(&observation);
        self.lines.extend(decisions.iter().map(line));
    }

    /// Every decision since the last call must be one of these lines, in this order.
    pub(in crate::rules) fn expect(&mut self, name: &str, expected: &[&str]) {
        assert_eq!(self.lines, expected, "{name}");
        self.lines.clear();
    }

    /// What is due by then.
    pub(in crate::rules) fn tick(&mut self, millisecond: u64) {
        self.play(millisecond, &Act::Tick);
    }
}

pub(in crate::rules) const MILLI: Duration = Duration::from_millis(1);

pub(in crate::rules) fn time(millisecond: u64) -> Time {
    START.after(Duration::from_millis(millisecond))
}

pub(in crate::rules) fn key(source: &str) -> SourceKey {
    SourceKey::from(source.parse::<SocketAddr>().unwrap().ip())
}

impl Call {
    fn transport(&self) -> Transport {
        if self.proof == Proof::Tcp { Transport::Tcp } else { Transport::Udp }
    }

    pub(in crate::rules) fn ids(&self, serial: u64) -> (String, u32, String) {
        match self.name {
            Some(name) => (name.to_owned(), 2, name.to_owned()),
            None => (format!("call-{serial}"), serial as u32, format!("z9hG4bK{serial}")),
        }
    }

    pub(in crate::rules) fn request(&self, at: Time, serial: u64) -> Observation {
        let (call_id, cseq, branch) = self.ids(serial);
        let response_hash = if self.brings == Brings::Same { 0 } else { serial };
        let username = self.username.clone().unwrap_or_else(|| self.account.user().to_owned());
        let realm = if self.brings == Brings::OtherRealm { "elsewhere" } else { "pbx" };
        let seen = !matches!(self.brings, Brings::Nothing | Brings::Unseen);
        let credentials = seen.then(|| Credentials {
            username,
            realm: realm.to_owned(),
            nonce_hash: 1,
            response_hash,
            response_empty: self.brings == Brings::Empty,
        });
        Observation::Request(Request {
            at,
            direction: self.direction,
            source: self.source,
            destination: self.destination,
            endpoint: EndpointId(self.endpoint),
            transport: self.transport(),
            method: self.method,
            call_id,
            cseq,
            branch,
            account: self.account.clone(),
            credentials,
            cut: self.brings == Brings::Unseen,
            user_agent: Some("phone".into()),
            proof: self.proof,
        })
    }

    pub(in crate::rules) fn response(&self, at: Time, serial: u64, status: u16) -> Observation {
        let (call_id, cseq, branch) = self.ids(serial);
        let challenge = matches!(status, 401 | 407)
            .then(|| Challenge { realm: "pbx".to_owned(), stale: self.stale });
        Observation::Response(Response {
            at,
            direction: match self.direction {
                Direction::Inbound => Direction::Outbound,
                Direction::Outbound => Direction::Inbound,
            },
            source: self.destination,
            destination: self.answer_to.unwrap_or(self.source),
            endpoint: EndpointId(self.endpoint),
            transport: self.transport(),
            status,
            cseq,
            method: self.method,
            call_id,
            branch,
            challenge,
        })
    }
}

/// One line for one decision.
pub(in crate::rules) fn line(decision: &Decision) -> String {
    match decision {
        Decision::Block(block) => {
            let (ip, signature) = (block.case.source_ip, block.case.signature());
            if !block.scope.covers_sip() {
                return format!("block {ip} {signature} {:?}", block.scope);
            }
            if block.count == 0 {
                return format!("block for {}: {ip} {signature}", block.case.endpoint.0);
            }
            let at = alone(block.host_wide, &block.case);
            format!("block {at}{ip} {signature} {}/{}", block.count, block.threshold)
        }
        Decision::Deny(deny) => {
            let (ip, signature) = (deny.case.source_ip, deny.case.signature());
            let days = deny.expires_in.map(|span| format!(" {} days", span.as_secs() / 86_400));
            let at = alone(deny.host_wide, &deny.case);
            format!("deny {at}{ip} {signature} {}{}", deny.count, days.unwrap_or_default())
        }
        Decision::Contain(contain) => {
            let (ip, signature) = (contain.case.source_ip, contain.case.signature());
            format!("contain {ip} {signature} {}s", contain.duration.as_secs())
        }
        Decision::Quarantine(quarantine) => {
            let ip = quarantine.case.source_ip;
            format!("quarantine {ip}:{} {}", quarantine.port, quarantine.account)
        }
        Decision::Trust(trust) => {
            let renewed = if trust.renewed { " again" } else { "" };
            format!("trust {} {:?}{renewed}", trust.source_ip, trust.kind)
        }
        Decision::Distrust(distrust) => {
            format!("distrust {} {:?}", distrust.source.network().0, distrust.reason)
        }
        Decision::Release(release) => {
            format!("release {} {:?}", release.source.network().0, release.reason)
        }
        Decision::Remember(source) => format!("remember {}", source.network().0),
        Decision::Alert(alert) => format!("alert {} {}", alert.source_ip, alert_line(&alert.kind)),
    }
}

fn alone(host_wide: bool, case: &Case) -> String {
    if host_wide { String::new() } else { format!("at {}: ", case.endpoint.0) }
}

pub(in crate::rules) fn alert_line(kind: &AlertKind) -> String {
    match kind {
        AlertKind::StalePassword { accounts } => {
            let names: Vec<_> = accounts.iter().map(Account::user).collect();
            format!("stale password {}", names.join(" "))
        }
        AlertKind::PossibleBreakIn { account, failures, sources } => {
            format!("possible break-in {} {failures} {sources}", account.user())
        }
        AlertKind::AccountUnderAttack { account, sources } => {
            format!("under attack {} {sources}", account.user())
        }
        other => format!("{other:?}"),
    }
}

/// An engine that trusts the office, where 100 to 104 were accepted, each through its own port.
fn with_office() -> Scene {
    let mut scene = Scene::new();
    for phone in 0..5 {
        scene.play(phone, &accepted(&desk(phone), &format!("10{phone}")));
    }
    scene.expect("the office", &["trust 203.0.113.7 Registered"]);
    scene
}

/// The address of the office's phone number `phone`.
fn desk(phone: u64) -> String {
    format!("203.0.113.7:{}", 5060 + phone)
}
