//! What the rules remember, as records of the store: trust, and what escalation counts.
//!
//! Keeps what was last written, so that only differences are written again.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use ipnetwork::IpNetwork;
use sipprot_common::source::SourceKey;

use crate::config::Scope;
use crate::daemon::clock::{time, timestamp};
use crate::daemon::core::Core;
use crate::daemon::plan::scope::rules_scope;
use crate::rules::{
    AcceptedState, Account, BlockState, EndpointId, Peak, PortState, RecordState, RuleId, State,
    SuspectState, Time, Trust, TrustState,
};
use crate::store::{
    BlockKind, BlockRecord, Change, SourceStanding, SuspectRecord, TrustKey, TrustKind, TrustRecord,
};

/// A peer that is seen all the time is written this often: trust is remembered for days.
const TRUST_WRITTEN_EVERY: Duration = Duration::from_secs(3600);

#[derive(Default)]
pub struct Persisted {
    trust: HashMap<TrustKey, TrustRecord>,
    standings: HashMap<IpNetwork, SourceStanding>,
    /// Something was decided since the last comparison.
    pub dirty: bool,
}

impl Persisted {
    /// A peer that was just trusted, or is still.
    pub fn trusted(&mut self, trust: &Trust, now: Time) -> Vec<Change> {
        let peer = record(trust.source_ip, kind(trust.kind), None, trust.since, now);
        let account = trust.account.as_ref().map(|account| {
            record(trust.source_ip, TrustKind::Registration, Some(account), trust.since, now)
        });
        // The ports are written with the next comparison.
        self.dirty = true;
        let known = std::iter::once(peer).chain(account).map(|record| {
            let known = self.trust.get(&record.key());
            let peak = known.map_or(record.peak, |known| known.peak);
            let ports = known.map(|known| known.ports.clone()).unwrap_or_default();
            TrustRecord { ports, peak, ..record }
        });
        let records: Vec<_> = known.collect();
        records.into_iter().map(|record| self.put(record)).collect()
    }

    pub fn distrusted(&mut self, source: SourceKey) -> Vec<Change> {
        let keys: Vec<TrustKey> = self
            .trust
            .keys()
            .filter(|key| SourceKey::from(key.address) == source)
            .cloned()
            .collect();
        keys.into_iter()
            .map(|key| {
                self.trust.remove(&key);
                Change::RemoveTrust(key)
            })
            .collect()
    }

    /// What there is of one source.
    pub fn trust_of(source: SourceKey, state: &State) -> Vec<TrustRecord> {
        state.trust.iter().filter(|it| it.source == source).flat_map(trust_records).collect()
    }

    fn put(&mut self, record: TrustRecord) -> Change {
        self.trust.insert(record.key(), record.clone());
        Change::PutTrust(record)
    }

    pub fn put_standing(&mut self, standing: SourceStanding) {
        self.standings.insert(standing.source, standing);
    }

    /// What differs from what was written.
    pub fn differences(&mut self, state: &State) -> Vec<Change> {
        let mut changes = Vec::new();
        for record in state.trust.iter().flat_map(trust_records) {
            let known = self.trust.get(&record.key());
            let stale = known.is_none_or(|known| {
                let age = record.last_seen.duration_since(known.last_seen);
                age.unsigned_abs() >= TRUST_WRITTEN_EVERY
                    || record.ports != known.ports
                    || record.peak != known.peak
            });
            if stale {
                changes.push(self.put(record));
            }
        }
        let mut gone: HashMap<IpNetwork, SourceStanding> = std::mem::take(&mut self.standings);
        for record in &state.records {
            let standing = standing_of(record);
            if gone.remove(&standing.source).as_ref() != Some(&standing) {
                changes.push(Change::PutStanding(standing.clone()));
            }
            self.standings.insert(standing.source, standing);
        }
        changes.extend(gone.into_keys().map(Change::RemoveStanding));
        changes
    }

    /// What the rules are to take up.
    pub fn load(
        &mut self,
        trust: Vec<TrustRecord>,
        standings: Vec<SourceStanding>,
        blocks: &[BlockRecord],
        policy: impl Fn(Option<&str>) -> Option<u32>,
    ) -> State {
        let mut peers: HashMap<IpAddr, TrustState> = HashMap::new();
        for record in trust {
            take_up(&mut peers, &record);
            self.trust.insert(record.key(), record);
        }
        let mut records: HashMap<IpNetwork, RecordState> = HashMap::new();
        for standing in standings {
            records.insert(standing.source, record_of(&standing));
            self.standings.insert(standing.source, standing);
        }
        // To the rules a source isn't blocked by what a tenant's log led to, nor by the loss of a service.
        let by_tenant = |block: &BlockRecord| {
            let line = block.evidence.as_ref().and_then(|evidence| evidence.last.line.as_ref());
            block.endpoint_only && line.is_some()
        };
        let dynamic = |block: &&BlockRecord| {
            let sip = !matches!(block.scope, Scope::Ssh | Scope::Http);
            block.kind == BlockKind::Dynamic && sip && !by_tenant(block)
        };
        for block in blocks.iter().filter(dynamic) {
            let Some(rule) = RuleId::named(&block.rule) else { continue };
            let record = records.entry(block.source).or_insert_with(|| blank(block.source));
            let state = BlockState {
                rule,
                scope: rules_scope(block.scope),
                start: time(block.started_at),
                until: time(block.expires_at),
                duration: Duration::from_secs(block.duration_s),
                counted: Some(time(block.started_at)),
            };
            match policy(block.key().endpoint.as_deref()).map(u16::try_from) {
                Some(Ok(0)) => record.block = Some(state),
                Some(Ok(endpoint)) => record.endpoint_blocks.push((EndpointId(endpoint), state)),
                _ => {}
            }
        }
        State { trust: peers.into_values().collect(), records: records.into_values().collect() }
    }
}

const fn kind(kind: crate::rules::TrustKind) -> TrustKind {
    match kind {
        crate::rules::TrustKind::Registered => TrustKind::Registration,
        crate::rules::TrustKind::Trunk => TrustKind::Trunk,
    }
}

fn record(
    address: IpAddr,
    kind: TrustKind,
    account: Option<&Account>,
    since: Time,
    last: Time,
) -> TrustRecord {
    TrustRecord {
        address,
        kind,
        endpoint: None,
        account: account.map(ToString::to_string),
        since: timestamp(since),
        last_seen: timestamp(last),
        no_new_trust_until: None,
        ports: Vec::new(),
        peak: Peak::default(),
    }
}

/// The peer itself, and each account that was accepted from it.
fn trust_records(peer: &TrustState) -> Vec<TrustRecord> {
    let own = record(peer.source_ip, kind(peer.kind), None, peer.since, peer.last);
    let own = TrustRecord { ports: ports_of(peer, None), peak: peer.peak, ..own };
    let accounts = peer.accounts.iter().map(|accepted| {
        let account = Some(&accepted.account);
        let kind = TrustKind::Registration;
        let record = record(peer.source_ip, kind, account, peer.since, accepted.last);
        TrustRecord { ports: ports_of(peer, account), ..record }
    });
    std::iter::once(own).chain(accounts).collect()
}

fn ports_of(peer: &TrustState, account: Option<&Account>) -> Vec<u16> {
    let own = peer.ports.iter().filter(|port| port.account.as_ref() == account);
    let mut ports: Vec<u16> = own.map(|port| port.port).collect();
    ports.sort_unstable();
    ports
}

fn take_up(peers: &mut HashMap<IpAddr, TrustState>, record: &TrustRecord) {
    let (since, last) = (time(record.since), time(record.last_seen));
    let peer = peers.entry(record.address).or_insert_with(|| TrustState {
        source: SourceKey::from(record.address),
        source_ip: record.address,
        kind: crate::rules::TrustKind::Registered,
        since,
        last,
        peak: Peak::default(),
        endpoints: Vec::new(),
        accounts: Vec::new(),
        ports: Vec::new(),
    });
    peer.since = peer.since.min(since);
    peer.last = peer.last.max(last);
    if record.account.is_none() {
        peer.peak = record.peak;
    }
    let account = record.account.as_deref().map(Account::from);
    let used = |port: &u16| PortState { port: *port, account: account.clone(), last };
    peer.ports.extend(record.ports.iter().map(used));
    match account {
        Some(account) => {
            peer.accounts.push(AcceptedState { account, last });
        }
        None if record.kind == TrustKind::Trunk => peer.kind = crate::rules::TrustKind::Trunk,
        None => {}
    }
}

fn standing_of(record: &RecordState) -> SourceStanding {
    SourceStanding {
        source: Core::network_of(record.source),
        blocks: record.blocks.iter().copied().map(timestamp).collect(),
        containments: record.containments.iter().copied().map(timestamp).collect(),
        login_at: record.login.map(timestamp),
        grace_until: record.grace_until.map(timestamp),
        distrusted_until: record.distrusted_until.map(timestamp),
        suspects: record.suspects.iter().map(suspect_record).collect(),
    }
}

fn blank(source: IpNetwork) -> RecordState {
    RecordState {
        source: SourceKey::from(source.ip()),
        blocks: Vec::new(),
        block: None,
        endpoint_blocks: Vec::new(),
        login: None,
        grace_until: None,
        distrusted_until: None,
        suspects: Vec::new(),
        containments: Vec::new(),
    }
}

fn record_of(standing: &SourceStanding) -> RecordState {
    RecordState {
        blocks: standing.blocks.iter().copied().map(time).collect(),
        containments: standing.containments.iter().copied().map(time).collect(),
        login: standing.login_at.map(time),
        grace_until: standing.grace_until.map(time),
        distrusted_until: standing.distrusted_until.map(time),
        suspects: standing.suspects.iter().map(suspect_state).collect(),
        ..blank(standing.source)
    }
}

fn suspect_record(suspect: &SuspectState) -> SuspectRecord {
    let SuspectState { account, until } = suspect;
    SuspectRecord { account: account.to_string(), no_new_trust_until: timestamp(*until) }
}

fn suspect_state(suspect: &SuspectRecord) -> SuspectState {
    let account = Account::from(suspect.account.as_str());
    SuspectState { account, until: time(suspect.no_new_trust_until) }
}

impl Core {
    /// What escalation remembers of a source, to be written with what was just decided.
    pub(in crate::daemon) fn standing(&mut self, source: SourceKey) -> SourceStanding {
        let record = self.engine.record(source, self.clock.time_now());
        let standing = standing_of(&record.unwrap_or_else(|| blank(Self::network_of(source))));
        self.persisted.put_standing(standing.clone());
        standing
    }

    /// Writes what the rules remember now and the store doesn't.
    pub(in crate::daemon) fn write_memory(&mut self) {
        self.persisted.dirty = false;
        let changes = self.persisted.differences(&self.engine.state());
        self.journal.write(changes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let source_ip: IpAddr = "203.0.113.7".parse().unwrap();
        let mut peak = Peak::default();
        peak.note(150, Time::from_secs(40));
        let accepted =
            |name: &str| AcceptedState { account: Account::from(name), last: Time::from_secs(50) };
        State {
            trust: vec![TrustState {
                source: SourceKey::from(source_ip),
                source_ip,
                kind: crate::rules::TrustKind::Trunk,
                since: Time::from_secs(10),
                last: Time::from_secs(50),
                peak,
                endpoints: Vec::new(),
                accounts: vec![accepted("100@pbx"), accepted("101@pbx")],
                ports: vec![
                    PortState { port: 5060, account: None, last: Time::from_secs(50) },
                    PortState {
                        port: 5061,
                        account: Some(Account::from("101@pbx")),
                        last: Time::from_secs(50),
                    },
                ],
            }],
            records: vec![RecordState {
                blocks: vec![Time::from_secs(20), Time::from_secs(30)],
                login: Some(Time::from_secs(3)),
                grace_until: Some(Time::from_secs(4000)),
                distrusted_until: Some(Time::from_secs(5000)),
                suspects: vec![SuspectState {
                    account: Account::from("100@pbx"),
                    until: Time::from_secs(6000),
                }],
                containments: vec![Time::from_secs(5)],
                ..blank("198.51.100.9/32".parse().unwrap())
            }],
        }
    }

    #[test]
    fn state_survives_the_store() {
        let changes = Persisted::default().differences(&state());
        let (mut trust, mut standings) = (Vec::new(), Vec::new());
        for change in changes {
            match change {
                Change::PutTrust(record) => trust.push(record),
                Change::PutStanding(standing) => standings.push(standing),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((trust.len(), standings.len()), (3, 1));
        let mut persisted = Persisted::default();
        assert_eq!(persisted.load(trust, standings, &[], |_| None), state());
        assert!(persisted.differences(&state()).is_empty());
    }

    #[test]
    fn only_differences_are_written() {
        let mut persisted = Persisted::default();
        persisted.differences(&state());
        let mut later = state();
        later.trust[0].last = Time::from_secs(60);
        assert!(persisted.differences(&later).is_empty(), "seen again within the hour");
        later.trust[0].last = Time::from_secs(3700);
        assert_eq!(persisted.differences(&later).len(), 1);
        later.records.clear();
        let changes = persisted.differences(&later);
        assert!(matches!(changes.as_slice(), [Change::RemoveStanding(_)]), "{changes:?}");
        let changes = persisted.distrusted(later.trust[0].source);
        assert_eq!(changes.len(), 3);
    }
}
