//! The rules over a recorded capture: what would have been done, and why.
//!
//! The same engine as the daemon's, on the capture's own clock, behind a likeness of the kernel
//! ([`kernel`]): what would have been dropped is not shown to the rules, as it would not have been.
//! A TCP segment is judged as the kernel judges it, alone; the rules see whole messages, put
//! together as in the daemon. Nothing is written and no daemon is asked: neither lists nor trust from
//! the store, nor anything of the machine that replays, takes part.

pub mod capture;
mod guess;
mod kernel;
mod memory;
pub mod outcome;
pub mod packet;
mod speech;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use ipnetwork::IpNetwork;
use sipprot_common::abi::{
    EVENT_DROP, EVENT_FLAG_NONCE, EVENT_FLAG_OUTBOUND, EVENT_FLAG_TCP, EVENT_REQUEST,
    EVENT_RESPONSE, EventHeader, PORT_SIP,
};
use sipprot_common::reason::Reason;
use sipprot_common::sip::Method;
use sipprot_common::source::{Address, SourceKey};

use crate::config::{Config, Endpoint, Mode};
use crate::daemon::guard::own::Own;
use crate::daemon::plan::{self, Plan, PlanError};
use crate::message::{
    Connections, Direction, Message, Packet as Event, Reader, Segment, StartLine,
};
use crate::rules::{Decision, Engine, Observation, Time};
use capture::{Capture, CaptureError};
use guess::Guess;
use kernel::{Kernel, Passage, Verdict};
use outcome::{Entry, Happening, Outcome};
use packet::{Packet, Skipped};
use speech::Listener;

const SECOND: Duration = Duration::from_secs(1);
/// Where a capture is silent, so many seconds pass one by one, and the rest at once: nothing waits
/// longer for its time to be up.
const TICKS_MAX: u64 = 64;

#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Capture(#[from] CaptureError),
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// Replays a file. What was read before a fault of the file is replayed; the fault comes with it.
pub fn replay(
    path: &Path,
    config: &Config,
    endpoints: &[IpNetwork],
) -> Result<(Outcome, Option<CaptureError>), ReplayError> {
    run(|| Capture::open(path), config, endpoints)
}

fn run<R: Read>(
    open: impl Fn() -> Result<Capture<R>, CaptureError>,
    config: &Config,
    endpoints: &[IpNetwork],
) -> Result<(Outcome, Option<CaptureError>), ReplayError> {
    let mut config = config.clone();
    add_endpoints(&mut config, endpoints);
    let guessed = config.endpoints.is_empty();
    if guessed {
        let mut capture = open()?;
        let found = guess_endpoints(&mut capture, &config);
        add_endpoints(&mut config, &found);
    }
    let mut capture = open()?;
    let mut replay = Replay::new(&config, guessed)?;
    let fault = loop {
        match capture.next_frame() {
            Ok(Some(frame)) => replay.frame(&frame),
            Ok(None) if replay.outcome.packets.frames == 0 => {
                break Some(CaptureError::NoPackets { name: capture.name().to_owned() });
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    Ok((replay.outcome, fault))
}

/// Each network that no endpoint has becomes one.
fn add_endpoints(config: &mut Config, networks: &[IpNetwork]) {
    for network in networks {
        let known = config.endpoints.iter().any(|endpoint| endpoint.addresses.contains(network));
        if !known {
            let single = network.prefix() == if network.is_ipv4() { 32 } else { 128 };
            let name = if single { network.ip().to_string() } else { network.to_string() };
            let addresses = vec![*network];
            config.endpoints.push(Endpoint { name, addresses, ..Endpoint::default() });
        }
    }
}

/// A fault of the file ends the guessing; the replay itself will tell of it.
fn guess_endpoints<R: Read>(capture: &mut Capture<R>, config: &Config) -> Vec<IpNetwork> {
    let mut guess = Guess::default();
    while let Ok(Some(frame)) = capture.next_frame() {
        if let Ok(packet) = packet::read(&frame) {
            guess.note(&packet, &config.sip.ports);
        }
    }
    let most = crate::config::ENDPOINTS_MAX;
    guess.endpoints().into_iter().take(most).map(IpNetwork::from).collect()
}

/// One capture on its way through kernel and rules.
pub struct Replay {
    engine: Engine,
    kernel: Kernel,
    reader: Reader,
    listener: Listener,
    connections: Connections,
    hasher: RandomState,
    now: Time,
    /// When the rules were last told that time goes by.
    ticked: Time,
    decisions: Vec<Decision>,
    told: HashSet<(SourceKey, &'static str)>,
    outcome: Outcome,
}

impl Replay {
    fn new(config: &Config, guessed: bool) -> Result<Self, PlanError> {
        let mut config = config.clone();
        // What would have been done, also where the operator only observes.
        config.observe.clear();
        let modes = config.endpoints.iter_mut().filter_map(|endpoint| endpoint.mode.as_mut());
        for mode in modes.chain(std::iter::once(&mut config.mode)) {
            if *mode == Mode::Observe {
                *mode = Mode::Enforce;
            }
        }
        let plan = Plan::new(&config, false, false)?;
        let hasher = RandomState::new();
        let seed = hasher.hash_one("the seed of the maps");
        let addresses = config.endpoints.iter().flat_map(|endpoint| &endpoint.addresses);
        let outcome = Outcome {
            endpoints: addresses.map(ToString::to_string).collect(),
            guessed,
            names: plan.names.clone(),
            ..Outcome::default()
        };
        let settings = plan::settings(&config, &Own::default());
        let outcome = Outcome { rules: settings.rules.clone(), ..outcome };
        Ok(Self {
            engine: Engine::new(settings),
            listener: Listener::new(Kernel::user_agents(&plan), seed),
            kernel: Kernel::new(plan),
            reader: Reader::new(seed),
            connections: Connections::default(),
            hasher,
            now: Time(0),
            ticked: Time(0),
            decisions: Vec::new(),
            told: HashSet::new(),
            outcome,
        })
    }

    fn frame(&mut self, frame: &capture::Frame) {
        let counts = &mut self.outcome.packets;
        counts.frames += 1;
        match packet::read(frame) {
            Ok(packet) => self.packet(frame.at, &packet),
            Err(Skipped::Other) => counts.other += 1,
            Err(Skipped::Fragment) => counts.fragments += 1,
            Err(Skipped::Malformed) => counts.malformed += 1,
        }
    }

    fn packet(&mut self, at: Time, packet: &Packet) {
        self.advance(at);
        self.outcome.packets.cut_short += u64::from(packet.missing > 0);
        match self.kernel.endpoint(packet.source) {
            Some(policy) => self.outbound(packet, policy),
            None => self.inbound(packet),
        }
    }

    /// Lets the time pass that the capture shows. It never runs backwards.
    fn advance(&mut self, at: Time) {
        if self.now == Time(0) {
            (self.outcome.first, self.ticked) = (at, at);
        }
        for _ in 0..(at.since(self.ticked).as_secs()).min(TICKS_MAX) {
            self.ticked = self.ticked.after(SECOND);
            self.now = self.now.max(self.ticked);
            self.observe(&Observation::Tick { at: self.now });
        }
        self.now = self.now.max(at);
        if at.since(self.ticked) >= SECOND {
            self.ticked = at;
        }
        self.outcome.last = self.now;
    }

    fn inbound(&mut self, packet: &Packet) {
        let policy = self.kernel.endpoint(packet.destination).unwrap_or(0);
        let port = self.kernel.port_class(policy, packet, packet.destination.port());
        let stream = packet.tcp.is_some();
        let heard = if port == PORT_SIP { packet.payload } else { &[] };
        let passage = Passage {
            now_ns: self.now.0,
            packet,
            policy,
            port,
            trusted: self.engine.is_trusted(packet.source.ip()),
            speech: self.listener.hear(heard, stream),
        };
        let dropped = match self.kernel.judge(&passage) {
            Verdict::Pass => None,
            Verdict::Tell(reason) => {
                self.tell(packet, policy, reason);
                None
            }
            Verdict::Drop(reason) => Some(reason),
            Verdict::DropAndTell(reason) => {
                self.note_stop(packet, policy, reason);
                self.tell(packet, policy, reason);
                Some(reason)
            }
        };
        if let Some(reason) = dropped {
            *self.outcome.dropped.entry(reason.label()).or_default() += 1;
        }
        if dropped.is_some_and(|reason| !is_sent_again(packet, reason)) {
            self.lose(packet);
        } else if port == PORT_SIP {
            self.outcome.packets.sip += 1;
            let flags = if self.kernel.is_established(packet) { EVENT_FLAG_TCP } else { 0 };
            for message in self.messages(packet, false) {
                self.asked(packet, policy, flags, message);
            }
        }
    }

    /// The whole messages that end with this packet.
    fn messages(&mut self, packet: &Packet, outward: bool) -> Vec<Message> {
        let Some((direction, sequence)) = self.place(packet, outward) else {
            return self.reader.read(packet.payload, false);
        };
        let before = self.connections.gaps;
        let segment = Segment { direction, at: self.now, sequence, payload: packet.payload };
        let messages = self.connections.push(&mut self.reader, &segment);
        if packet.missing > 0 {
            let end = sequence.wrapping_add(packet.payload.len() as u32);
            self.connections.lose(direction, end, packet.missing);
        }
        self.outcome.packets.gaps += self.connections.gaps - before;
        messages
    }

    /// A segment that was dropped takes its part of the stream with it.
    fn lose(&mut self, packet: &Packet) {
        if let Some((direction, sequence)) = self.place(packet, false) {
            let length = packet.payload.len() + packet.missing;
            self.connections.lose(direction, sequence, length);
        }
    }

    /// Where a segment stands in its connection.
    fn place(&mut self, packet: &Packet, outward: bool) -> Option<(Direction, u32)> {
        let tcp = packet.tcp?;
        let (endpoint, peer) = flow(packet, outward);
        let (connection, first) = self.kernel.connection(packet, outward).unwrap_or_default();
        let direction = Direction { endpoint, peer, outward, connection };
        Some((direction, tcp.sequence.wrapping_sub(first)))
    }

    /// A message from the world.
    fn asked(&mut self, packet: &Packet, policy: u32, mut flags: u8, message: Message) {
        let source = SourceKey::from(packet.source.ip());
        if let Some(first) = message.credentials.first() {
            if first.nonce.is_some_and(|nonce| self.kernel.is_own_nonce(nonce, source)) {
                flags |= EVENT_FLAG_NONCE;
            }
            if matches!(message.method, Method::Register | Method::Invite) {
                let transaction = self.transaction(&message);
                self.kernel.await_answer(source, transaction);
            }
        }
        self.see(packet, policy, flags, message);
    }

    fn outbound(&mut self, packet: &Packet, policy: u32) {
        if self.kernel.port_class(policy, packet, packet.source.port()) != PORT_SIP {
            return;
        }
        self.outcome.packets.sip += 1;
        self.kernel.note_tcp_sent(packet);
        for message in self.messages(packet, true) {
            self.said(packet, policy, message);
        }
    }

    /// A message of an endpoint.
    fn said(&mut self, packet: &Packet, policy: u32, message: Message) {
        let remote = SourceKey::from(packet.destination.ip());
        match message.start {
            StartLine::Response(200..300) => {
                let transaction = self.transaction(&message);
                self.kernel.accepted(remote, transaction, self.now.0);
            }
            StartLine::Response(401 | 407) => {
                if let Some(nonce) = message.challenges.first().and_then(|first| first.nonce) {
                    self.kernel.gave_nonce(nonce, remote);
                }
            }
            StartLine::Response(_) | StartLine::Request => {}
        }
        self.see(packet, policy, EVENT_FLAG_OUTBOUND, message);
    }

    /// By what an answer finds its request.
    fn transaction(&self, message: &Message) -> u64 {
        let Message { branch, call_id, cseq, method, .. } = message;
        self.hasher.hash_one((branch, call_id, cseq, *method as u8))
    }

    /// Shows a message to the rules, unless the kernel would not.
    fn see(&mut self, packet: &Packet, policy: u32, flags: u8, message: Message) {
        self.outcome.packets.messages += 1;
        let kind = match message.start {
            StartLine::Response(_) => EVENT_RESPONSE,
            StartLine::Request if message.is_telling() => EVENT_REQUEST,
            StartLine::Request => return,
        };
        let header = header(packet, policy, kind, flags);
        let event = Event { header: &header, payload: &[], at: self.now };
        let observation = event.seen(message);
        self.observe(&observation);
    }

    /// Tells the rules what the kernel did with a packet.
    fn tell(&mut self, packet: &Packet, policy: u32, reason: Reason) {
        let messages = match reason {
            Reason::NotSip => Vec::new(),
            _ => self.reader.read(packet.payload, packet.tcp.is_some()),
        };
        let header = header(packet, policy, EVENT_DROP, 0);
        let event = Event { header: &header, payload: &[], at: self.now };
        let observation = event.dropped(reason, messages);
        self.observe(&observation);
    }

    /// What the kernel stopped by itself: a hold each time it begins, anything else once a source.
    fn note_stop(&mut self, packet: &Packet, policy: u32, reason: Reason) {
        let source = SourceKey::from(packet.source.ip());
        let happening = match reason {
            Reason::Held | Reason::TcpBudget => Happening::Hold { reason, policy },
            // Blocks and containments are told by the rules' decisions.
            Reason::Blocked | Reason::Contained => return,
            _ if self.told.insert((source, reason.label())) => {
                let messages = self.reader.read(packet.payload, packet.tcp.is_some());
                let user_agent = messages.into_iter().find_map(|message| message.user_agent);
                Happening::Drop { reason, policy, user_agent }
            }
            _ => return,
        };
        let source_ip = Address::from(packet.source.ip()).to_ip();
        self.outcome.entries.push(Entry { at: self.now, source, source_ip, happening });
    }

    fn observe(&mut self, observation: &Observation) {
        let mut decisions = std::mem::take(&mut self.decisions);
        self.engine.observe_into(observation, &mut decisions);
        for decision in decisions.drain(..) {
            self.kernel.carry_out(&decision, self.now.0);
            self.outcome.add(self.now, decision);
        }
        self.decisions = decisions;
    }
}

/// A ceiling only delays a TCP segment: its sender repeats it until it arrives.
const fn is_sent_again(packet: &Packet, reason: Reason) -> bool {
    packet.tcp.is_some() && matches!(reason, Reason::SourceCeiling | Reason::EndpointCeiling)
}

/// The endpoint's end first.
fn flow(packet: &Packet, outward: bool) -> (SocketAddr, SocketAddr) {
    let (source, destination) = (packet.source, packet.destination);
    if outward { (source, destination) } else { (destination, source) }
}

fn header(packet: &Packet, policy: u32, kind: u8, flags: u8) -> EventHeader {
    let address = |ip: IpAddr| Address::from(ip);
    EventHeader {
        kind,
        flags,
        policy,
        source: address(packet.source.ip()),
        source_port: packet.source.port(),
        destination: address(packet.destination.ip()),
        destination_port: packet.destination.port(),
        protocol: if packet.tcp.is_some() { 6 } else { 17 },
        ..EventHeader::default()
    }
}

/// Packets by why they were dropped.
pub type Dropped = BTreeMap<&'static str, u64>;
