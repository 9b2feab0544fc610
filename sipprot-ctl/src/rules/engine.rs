//! The judgement itself: observations in, decisions out.
//!
//! It does no I/O, reads no clock, and keeps a bounded amount of everything. This file holds what
//! it remembers and what others may ask of it; `pairing` makes outcomes of packets, `judge` counts
//! failures against rules, `sentence` turns a broken rule into decisions.

mod acceptance;
mod judge;
mod kernel;
mod logged;
mod memory;
mod pairing;
mod sentence;
#[cfg(test)]
pub(super) mod tests;

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use sipprot_common::source::{Address, SourceKey};

use super::account::Account;
use super::decision::{Alert, AlertKind, Decision, Distrust, DistrustReason};
use super::learn::Learning;
use super::ledger::{Target, Tenancy, Told};
use super::nat::Nat;
use super::observation::{EndpointId, Logged, Observation};
use super::record::Record;
use super::settings::Settings;
use super::source::Source;
use super::table::{Queue, Table};
use super::time::{HOUR, MINUTE, Time};
use super::transaction::{Transaction, Transactions};
use super::trust::Peers;
use logged::Echo;

/// Requests in flight; a request without its response is never a failure.
const REQUESTS_MAX: usize = 32_768;
/// 64*T1 (RFC 3261 17.1.2.2) and a little, for retransmissions at the end of it.
const REQUEST_LIFETIME: Duration = Duration::from_secs(40);
/// Longer than timer C (RFC 3261 16.6), which must be more than three minutes; what rings waits
/// longer still.
const INVITE_LIFETIME: Duration = Duration::from_secs(200);
const CHALLENGES_MAX: usize = 32_768;
const PROBES_MAX: usize = 32_768;
const HEARD_MAX: usize = 16_384;
const ECHOES_MAX: usize = 16_384;
/// Accounts at sources.
const TENANCIES_MAX: usize = 65_536;
const TENANCY_BYTES: usize = 208;
/// Sources with failures.
const SOURCES_MAX: usize = 32_768;
const SOURCE_BYTES: usize = 1024;
/// Sources with a record of blocks or containments.
const RECORDS_MAX: usize = 65_536;
/// Accounts under attack.
const TARGETS_MAX: usize = 16_384;
const TOLD_MAX: usize = 16_384;

/// A challenge that waits for its answer.
struct Challenged {
    request: Transaction,
    status: u16,
    realm: Option<u64>,
}

pub struct Engine {
    settings: Settings,
    /// Keyed at random: what is hashed is attackers' text.
    seed: RandomState,
    now: Time,
    swept: Time,
    requests: Transactions,
    invites: Transactions,
    challenges: Queue<Challenged>,
    /// Failures that logs tell of and the wire may show, too.
    heard: Queue<Logged>,
    /// Failures on the wire that logs have not told of yet, by source.
    echoes: Table<SourceKey, Echo>,
    /// Numbers of probing requests that may stay without an answer.
    probes: Queue<u64>,
    tenancies: Table<u64, Tenancy>,
    sources: Table<SourceKey, Source>,
    records: Table<SourceKey, Record>,
    targets: Table<u64, Target>,
    peers: Peers,
    nat: Nat,
    told: Table<u64, Told>,
    /// While there is one, consequences are its own.
    learning: Option<Learning>,
    /// An account was accepted that was not known at its source.
    new_accounts: bool,
}

impl Engine {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            seed: RandomState::new(),
            now: Time(0),
            swept: Time(0),
            requests: Transactions::new(REQUEST_LIFETIME, REQUESTS_MAX),
            invites: Transactions::new(INVITE_LIFETIME, REQUESTS_MAX),
            challenges: Queue::new(CHALLENGES_MAX),
            heard: Queue::new(HEARD_MAX),
            echoes: Table::new(ECHOES_MAX),
            probes: Queue::new(PROBES_MAX),
            tenancies: Table::of_bytes(TENANCIES_MAX, TENANCY_BYTES),
            sources: Table::of_bytes(SOURCES_MAX, SOURCE_BYTES),
            records: Table::new(RECORDS_MAX),
            targets: Table::new(TARGETS_MAX),
            peers: Peers::new(),
            nat: Nat::default(),
            told: Table::new(TOLD_MAX),
            learning: None,
            new_accounts: false,
        }
    }

    /// New settings; nothing that was seen is forgotten.
    pub fn apply(&mut self, settings: Settings) {
        self.settings = settings;
    }

    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn observe(&mut self, observation: &Observation) -> Vec<Decision> {
        let mut decisions = Vec::new();
        self.observe_into(observation, &mut decisions);
        decisions
    }

    /// The same, without allocating when there is nothing to decide. What became due in the
    /// meantime is decided first.
    pub fn observe_into(&mut self, observation: &Observation, decisions: &mut Vec<Decision>) {
        // Events arrive only nearly in order: time never runs backwards.
        self.now = self.now.max(observation.at());
        self.due(decisions);
        match observation {
            Observation::Request(request) => self.request(request),
            Observation::Response(response) => self.response(response, decisions),
            Observation::KernelDrop(drop) => self.kernel_drop(drop, decisions),
            Observation::Logged(logged) => self.logged(logged, decisions),
            Observation::Tick { .. } => {}
        }
        if self.now.since(self.swept) >= MINUTE {
            self.swept = self.now;
            self.sweep(decisions);
        }
        if let Some(learning) = &mut self.learning {
            if let Observation::KernelDrop(drop) = observation {
                learning.kernel_drop(drop);
            }
            decisions.retain(|decision| !learning.takes(decision));
        }
    }

    /// From now on it is only judged: whatever cuts somebody off goes to `learning`.
    pub fn learn(&mut self, learning: Learning) {
        self.learning = Some(learning);
    }

    pub const fn learning(&self) -> Option<&Learning> {
        self.learning.as_ref()
    }

    pub const fn learning_mut(&mut self) -> Option<&mut Learning> {
        self.learning.as_mut()
    }

    /// Ends learning. What was only judged in it is not held against anyone.
    pub fn end_learning(&mut self) -> Option<Learning> {
        let learning = self.learning.take()?;
        for record in self.records.values_mut() {
            record.forget_since(learning.started);
        }
        for source in self.sources.values_mut() {
            source.windows.clear();
        }
        Some(learning)
    }

    fn sweep(&mut self, decisions: &mut Vec<Decision>) {
        let at = self.now;
        self.requests.expire(at);
        self.invites.expire(at);
        for source in self.peers.expire(at, self.settings.trust_time) {
            let reason = DistrustReason::Expired;
            decisions.push(Decision::Distrust(Distrust { source, at, reason }));
        }
        if let Some(source_ip) = self.nat.settle(at)
            && self.settings.spare_world_behind_nat
        {
            let endpoint = EndpointId::default();
            self.alert(AlertKind::WorldBehindNat, source_ip, endpoint, at, decisions);
        }
    }

    /// A manual unblock (or removal from the denylist): clears the windows and gives the
    /// grace of the settings, in which the source is only observed. Lifting it in the kernel is the caller's.
    pub fn unblock(&mut self, source: SourceKey, now: Time) {
        if let Some(source) = self.sources.get_mut(source) {
            source.windows.clear();
        }
        self.records.entry(source, Record::default).unblock(now, &self.settings);
    }

    /// A manual unblock was a mistake.
    pub fn end_grace(&mut self, source: SourceKey) {
        self.records.entry(source, Record::default).grace_until = None;
    }

    /// Trust that was taken away was so by mistake.
    pub fn end_distrust(&mut self, source: SourceKey) {
        self.records.entry(source, Record::default).distrusted_until = None;
    }

    /// Takes trust away, and gives none for a day.
    pub fn revoke_trust(&mut self, source: SourceKey, now: Time) -> Option<Decision> {
        let record = self.records.entry(source, Record::default);
        record.distrust(now);
        let reason = DistrustReason::Revoked;
        let known = self.peers.forget(source);
        known.then_some(Decision::Distrust(Distrust { source, at: now, reason }))
    }

    /// Most SIP comes from this one private or gateway address: no rule acts on it.
    pub fn gateway(&self) -> Option<SourceKey> {
        self.nat.spared().filter(|_| self.settings.spare_world_behind_nat)
    }

    /// Learned, or configured.
    pub fn is_trusted(&self, source: IpAddr) -> bool {
        let address = Address::from(source);
        self.peers.trusts(address.key(), self.now, self.settings.trust_time)
            || self.settings.is_peer(address.to_ip())
    }

    /// Where a learned peer showed itself in this run.
    pub fn endpoints_of(&self, source: SourceKey) -> &[EndpointId] {
        self.peers.endpoints(source)
    }

    /// Packets a second that a source may send while it is trusted: its own by the operator's word, or
    /// twenty times its peak.
    pub fn ceiling(&self, source: SourceKey, now: Time) -> u32 {
        let (source_ip, _) = source.network();
        let least = self.settings.trusted_rate;
        let learned = || self.peers.peak(source).ceiling(least, now);
        self.settings.peer_rate(source_ip).unwrap_or_else(learned)
    }

    /// A source sent so many SIP packets a second lately, as the kernel counts them. What is over
    /// its ceiling teaches nothing. True if the ceiling is another one now.
    pub fn note_rate(&mut self, source: SourceKey, rate: u32, at: Time) -> bool {
        let before = self.ceiling(source, at);
        if rate <= before {
            self.peers.note_rate(source, rate, at);
        }
        self.ceiling(source, at) != before
    }

    /// Phones that were registered from a source within a week: after a power cut all of them come
    /// back at once.
    pub fn phones(&self, source: SourceKey, now: Time) -> u32 {
        self.peers.phones(source, now)
    }

    /// Endpoints have other numbers from now on.
    pub fn forget_endpoints(&mut self) {
        self.peers.forget_endpoints();
    }

    /// Sources with learned trust.
    pub fn trusted(&self) -> impl Iterator<Item = SourceKey> {
        self.peers.sources()
    }

    fn hash(&self, value: impl Hash) -> u64 {
        self.seed.hash_one(value)
    }

    fn tenancy_key(&self, source: SourceKey, account: &Account) -> u64 {
        self.hash((source, account))
    }

    /// The same alert comes at most once an hour.
    fn alert(
        &mut self,
        kind: AlertKind,
        source_ip: IpAddr,
        endpoint: EndpointId,
        at: Time,
        decisions: &mut Vec<Decision>,
    ) {
        let source = SourceKey::from(source_ip);
        let name = std::mem::discriminant(&kind);
        let news = match &kind {
            AlertKind::StalePassword { accounts } => {
                // Each account is remembered: no short-circuit here.
                accounts.iter().filter(|account| self.is_news((name, source, account), at)).count()
                    > 0
            }
            AlertKind::PossibleBreakIn { account, .. } => self.is_news((name, source, account), at),
            AlertKind::AccountUnderAttack { account, .. } => self.is_news((name, account), at),
            AlertKind::Spared { rule }
            | AlertKind::Watched { rule }
            | AlertKind::ServiceCut { rule } => self.is_news((name, source, rule), at),
            AlertKind::KnownPeerBlocked | AlertKind::WorldBehindNat | AlertKind::TrustFull => {
                self.is_news((name, source), at)
            }
        };
        if news {
            decisions.push(Decision::Alert(Alert { kind, at, source, source_ip, endpoint }));
        }
    }

    /// Whether something was not told within the hour; if so, it is now.
    fn is_news(&mut self, what: impl Hash, at: Time) -> bool {
        let key = self.seed.hash_one(what);
        let told = self.told.entry(key, || Told(Time(0)));
        let news = told.0 == Time(0) || at.since(told.0) >= HOUR;
        if news {
            told.0 = at;
        }
        news
    }
}
