//! Learned peers: who showed lately that it belongs here, and the source ports it did so through.
//!
//! Trust is a promise: a full table refuses newcomers, it never forgets a peer for another.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use sipprot_common::source::SourceKey;

use super::account::Account;
use super::decision::{Trust, TrustKind};
use super::observation::EndpointId;
use super::peak::Peak;
use super::state::{PortState, TrustState};
use super::table::{Table, Warmth};
use super::time::{DAY, HOUR, Time};

const PEERS_MAX: usize = 65_536;
/// Trusted sources whose ports are known.
const PORT_TABLES_MAX: usize = 65_536;
const PORTS_PER_SOURCE_MAX: usize = 4096;
/// Ports of all of them.
const PORTS_MAX: usize = 131_072;
/// How long the use of a port is remembered.
const PORT_MEMORY: Duration = Duration::from_secs(7 * 86_400);
/// A longer trust is told anew this often.
const TOLD_EVERY: Duration = HOUR;

/// Of one peer; an office that registers at more is at all of them.
const ENDPOINTS_MAX: usize = 8;

struct Peer {
    source_ip: IpAddr,
    kind: TrustKind,
    since: Time,
    last: Time,
    told: Time,
    peak: Peak,
    /// Where it showed itself lately.
    endpoints: Vec<EndpointId>,
}

#[derive(PartialEq, Eq, Debug)]
pub enum Grant {
    /// Trusted before, and told so lately.
    Known,
    Told(Trust),
    Full,
}

pub struct Peers {
    peers: HashMap<SourceKey, Peer>,
    ports: Table<SourceKey, Ports>,
    /// Ports of all sources, counted anew once a minute.
    ports_known: usize,
    refused: u64,
}

impl Peers {
    pub fn new() -> Self {
        let ports = Table::new(PORT_TABLES_MAX);
        Self { peers: HashMap::new(), ports, ports_known: 0, refused: 0 }
    }

    pub fn trusts(&self, source: SourceKey, now: Time, span: Duration) -> bool {
        self.peers.get(&source).is_some_and(|peer| now.since(peer.last) < span)
    }

    /// What there is about a peer: kind, since when, and when it last showed itself.
    pub fn get(&self, source: SourceKey) -> Option<(TrustKind, Time, Time)> {
        self.peers.get(&source).map(|peer| (peer.kind, peer.since, peer.last))
    }

    pub fn endpoints(&self, source: SourceKey) -> &[EndpointId] {
        self.peers.get(&source).map_or(&[], |peer| &peer.endpoints)
    }

    pub fn grant(
        &mut self,
        source_ip: IpAddr,
        kind: TrustKind,
        (account, endpoint): (Option<&Account>, EndpointId),
        at: Time,
        span: Duration,
    ) -> Grant {
        let source = SourceKey::from(source_ip);
        let renewed = self.trusts(source, at, span);
        if !renewed && self.peers.len() >= PEERS_MAX && !self.peers.contains_key(&source) {
            self.refused += 1;
            return Grant::Full;
        }
        let peer = self.peers.entry(source).or_insert_with(|| Peer {
            source_ip,
            kind,
            since: at,
            last: at,
            told: Time(0),
            peak: Peak::default(),
            endpoints: Vec::new(),
        });
        if !peer.endpoints.contains(&endpoint) && peer.endpoints.len() < ENDPOINTS_MAX {
            peer.endpoints.push(endpoint);
        }
        if !renewed {
            peer.since = at;
            peer.kind = kind;
        }
        peer.last = peer.last.max(at);
        if renewed && at.since(peer.told) < TOLD_EVERY {
            return Grant::Known;
        }
        peer.told = at;
        Grant::Told(Trust {
            source,
            source_ip: peer.source_ip,
            kind: peer.kind,
            account: account.cloned(),
            since: peer.since,
            until: peer.last.after(span),
            renewed,
        })
    }

    /// What is known of a peer's busiest times.
    pub fn peak(&self, source: SourceKey) -> Peak {
        self.peers.get(&source).map(|peer| peer.peak).unwrap_or_default()
    }

    /// A peer sent so many packets a second lately.
    pub fn note_rate(&mut self, source: SourceKey, rate: u32, at: Time) {
        if let Some(peer) = self.peers.get_mut(&source) {
            peer.peak.note(rate, at);
        }
    }

    /// Endpoints have other numbers from now on.
    pub fn forget_endpoints(&mut self) {
        self.peers.values_mut().for_each(|peer| peer.endpoints.clear());
    }

    pub fn sources(&self) -> impl Iterator<Item = SourceKey> {
        self.peers.keys().copied()
    }

    pub fn forget(&mut self, source: SourceKey) -> bool {
        self.peers.remove(&source).is_some()
    }

    /// Forgets those that showed nothing for `span`, and names them.
    pub fn expire(&mut self, now: Time, span: Duration) -> Vec<SourceKey> {
        let stale = |peer: &Peer| now.since(peer.last) >= span;
        let expired: Vec<_> =
            self.peers.iter().filter(|(_, peer)| stale(peer)).map(|(key, _)| *key).collect();
        for source in &expired {
            self.peers.remove(source);
        }
        self.ports_known = self.ports.iter().map(|(_, ports)| ports.by_port.len()).sum();
        expired
    }

    /// A trusted source used this port with success: for one account, or (none) for many.
    pub fn used_port(&mut self, source: SourceKey, port: u16, account: Option<&Account>, at: Time) {
        let ports = self.ports.entry(source, Ports::default);
        let before = ports.by_port.len();
        ports.used(port, account, at, self.ports_known < PORTS_MAX);
        self.ports_known += ports.by_port.len().saturating_sub(before);
    }

    /// A trunk answered on this port. That says nothing where an account is known to use it: a PBX
    /// asks its phones the same.
    pub fn trunk_port(&mut self, source: SourceKey, port: u16, at: Time) {
        if self.ports.get(source).is_none_or(|ports| !ports.by_port.contains_key(&port)) {
            self.used_port(source, port, None, at);
        }
    }

    /// Whether no other account was accepted through this port.
    pub fn only_by(&self, source: SourceKey, port: u16, account: &Account, now: Time) -> bool {
        self.ports.get(source).is_none_or(|ports| ports.only_by(port, account, now))
    }

    /// Whether this account, or several, were accepted through this port.
    pub fn used_by(&self, source: SourceKey, port: u16, account: &Account, now: Time) -> bool {
        let used = self.ports.get(source).and_then(|ports| ports.by_port.get(&port));
        used.is_some_and(|used| {
            let own = used.account.as_ref().is_none_or(|by| by == account);
            own && now.since(used.last) < PORT_MEMORY
        })
    }

    /// Distinct accounts that were accepted lately; a port with several counts for one.
    pub fn phones(&self, source: SourceKey, now: Time) -> u32 {
        let used = self.ports.get(source).into_iter().flat_map(|ports| ports.by_port.values());
        let lately = used.filter(|used| now.since(used.last) < PORT_MEMORY);
        let (mut accounts, mut shared) = (HashSet::new(), 0);
        for used in lately {
            match &used.account {
                Some(account) => {
                    accounts.insert(account);
                }
                None => shared += 1,
            }
        }
        u32::try_from(accounts.len() + shared).unwrap_or(u32::MAX)
    }

    pub fn len(&self) -> usize {
        self.peers.len()
    }

    pub const fn refused(&self) -> u64 {
        self.refused
    }

    pub fn state(&self) -> Vec<TrustState> {
        let of = |(source, peer): (&SourceKey, &Peer)| TrustState {
            source: *source,
            source_ip: peer.source_ip,
            kind: peer.kind,
            since: peer.since,
            last: peer.last,
            peak: peer.peak,
            endpoints: peer.endpoints.clone(),
            accounts: Vec::new(),
            ports: self.ports.get(*source).map(Ports::state).unwrap_or_default(),
        };
        self.peers.iter().map(of).collect()
    }

    pub fn restore(&mut self, state: &TrustState) {
        let TrustState { source, source_ip, kind, since, last, peak, .. } = *state;
        if self.peers.len() >= PEERS_MAX {
            self.refused += 1;
            return;
        }
        let endpoints = Vec::new();
        self.peers
            .insert(source, Peer { source_ip, kind, since, last, told: last, peak, endpoints });
        for port in &state.ports {
            self.used_port(source, port.port, port.account.as_ref(), port.last);
        }
    }
}

struct PortUse {
    account: Option<Account>,
    last: Time,
}

#[derive(Default)]
struct Ports {
    by_port: HashMap<u16, PortUse>,
    /// There was no room for all: an unknown port may be anyone's.
    full: bool,
    last: Time,
}

impl Ports {
    fn used(&mut self, port: u16, account: Option<&Account>, at: Time, room: bool) {
        self.last = at;
        if let Some(before) = self.by_port.get_mut(&port) {
            let other = before.account.as_ref() != account;
            if at.since(before.last) >= PORT_MEMORY {
                before.account = account.cloned();
            } else if other {
                before.account = None;
            }
            before.last = at;
            return;
        }
        if self.by_port.len() >= PORTS_PER_SOURCE_MAX {
            // Behind a NAT ports change daily: make room by what hasn't been used since yesterday.
            self.by_port.retain(|_, other| at.since(other.last) < DAY);
            self.full = true;
        }
        self.full |= !room;
        if room && self.by_port.len() < PORTS_PER_SOURCE_MAX {
            self.by_port.insert(port, PortUse { account: account.cloned(), last: at });
        }
    }

    fn only_by(&self, port: u16, account: &Account, now: Time) -> bool {
        match self.by_port.get(&port) {
            None => !self.full,
            Some(other) if now.since(other.last) >= PORT_MEMORY => true,
            Some(other) => other.account.as_ref() == Some(account),
        }
    }

    fn state(&self) -> Vec<PortState> {
        let of = |(port, used): (&u16, &PortUse)| PortState {
            port: *port,
            account: used.account.clone(),
            last: used.last,
        };
        self.by_port.iter().map(of).collect()
    }
}

impl Warmth for Ports {
    fn warmth(&self) -> (u8, Time) {
        (0, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_sole_until_another_account_uses_it() {
        let (ann, bob) = (Account::from("ann@pbx"), Account::from("bob@pbx"));
        let source = SourceKey(7);
        let now = Time::from_secs(1_000_000);
        let mut peers = Peers::new();
        assert!(peers.only_by(source, 5060, &ann, now), "nobody was accepted through it");
        peers.used_port(source, 5060, Some(&ann), now);
        assert!(peers.only_by(source, 5060, &ann, now) && !peers.only_by(source, 5060, &bob, now));
        peers.used_port(source, 5060, Some(&bob), now);
        assert!(!peers.only_by(source, 5060, &ann, now) && !peers.only_by(source, 5060, &bob, now));
        let later = now.after(PORT_MEMORY);
        assert!(peers.only_by(source, 5060, &ann, later));
        peers.used_port(source, 5070, None, now);
        assert!(!peers.only_by(source, 5070, &ann, now), "a trunk's port");
    }

    #[test]
    fn phones_are_accounts_whatever_ports_their_nat_gave_them() {
        let (ann, bob) = (Account::from("ann@pbx"), Account::from("bob@pbx"));
        let (source, now) = (SourceKey(7), Time::from_secs(10_000_000));
        let mut peers = Peers::new();
        assert_eq!(peers.phones(source, now), 0);
        for (port, account) in
            [(1024, Some(&ann)), (1025, Some(&ann)), (1026, Some(&bob)), (5060, None)]
        {
            peers.used_port(source, port, account, now);
        }
        assert_eq!(peers.phones(source, now), 3);
        assert_eq!(peers.phones(source, now.after(PORT_MEMORY)), 0);
    }

    #[test]
    fn with_too_many_ports_an_unknown_one_may_be_anyones() {
        let mut peers = Peers::new();
        let ann = Account::from("ann@pbx");
        for port in 0..=PORTS_PER_SOURCE_MAX as u16 {
            peers.used_port(SourceKey(7), port, Some(&ann), Time::from_secs(1));
        }
        assert!(!peers.only_by(SourceKey(7), 60_000, &ann, Time::from_secs(1)));
    }
}
