//! From what was learned to what the operator should do before enforcing.

use std::collections::HashMap;
use std::net::IpAddr;

use super::super::rule::{LIMIT_MAX, RuleId};
use super::super::settings::Settings;
use super::{Cause, Learning, Seen, Would, WouldBe};

/// Fewer accounts may be a single household, which moves.
const OFFICE_ACCOUNTS: usize = 3;
/// Fewer calls without a password say nothing.
const CALLS_MIN: u32 = 3;
/// A customer that failed this many times the limit is no reason for another limit.
const OUTLIER: u32 = 10;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PeerKind {
    /// It answered what an endpoint sent to it.
    Trunk,
    /// Several accounts were accepted from it.
    Office,
    /// Its calls are accepted without a password: a trunk that is known by its address, or an open
    /// PBX. Never taken without being named.
    Caller,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerProposal {
    pub source_ip: IpAddr,
    pub kind: PeerKind,
    pub accounts: usize,
    pub calls: u32,
    /// What enforcing would have done to it, the gravest.
    pub would: Option<WouldBe>,
}

impl PeerProposal {
    /// Taken with all others; else the operator must name it.
    pub fn is_advised(&self) -> bool {
        self.kind != PeerKind::Caller
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LimitProposal {
    pub rule: RuleId,
    pub now: u32,
    pub proposed: u32,
    /// What a customer reached, and who.
    pub reached: u32,
    pub source_ip: IpAddr,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Proposal {
    pub peers: Vec<PeerProposal>,
    pub limits: Vec<LimitProposal>,
}

impl Learning {
    pub fn proposal(&self, settings: &Settings) -> Proposal {
        let mut peers: HashMap<IpAddr, PeerProposal> = HashMap::new();
        let mut limits: Vec<LimitProposal> = Vec::new();
        for (_, seen) in self.sources.iter() {
            let kind = match () {
                () if seen.trunk => PeerKind::Trunk,
                () if seen.accounts.is_empty() && seen.calls >= CALLS_MIN => PeerKind::Caller,
                () => continue,
            };
            peers.insert(seen.source_ip, peer(seen, kind, None));
        }
        for would in self.would().filter(|would| would.is_judged()) {
            let Some(seen) = self.seen(would.source()) else { continue };
            if let Some(known) = peers.get_mut(&seen.source_ip) {
                known.would = Some(known.would.map_or(would.what, |it| it.min(would.what)));
            } else if !seen.is_customer() {
                continue;
            } else if seen.accounts.len() >= OFFICE_ACCOUNTS && !would.known_peer {
                let office = peer(seen, PeerKind::Office, Some(would.what));
                peers.insert(seen.source_ip, office);
            } else if let Some(limit) = limit(seen, would, settings) {
                raise(&mut limits, limit);
            }
        }
        let spared = |ip: IpAddr| settings.is_peer(ip) || settings.is_never_blocked(ip);
        let mut peers: Vec<_> =
            peers.into_values().filter(|peer| !spared(peer.source_ip)).collect();
        peers.sort_by_key(|peer| (peer.kind, peer.source_ip));
        limits.sort_by_key(|limit| limit.rule);
        Proposal { peers, limits }
    }
}

impl Would {
    /// Whether it would have hit the whole source by a judgement that may have been wrong: who bears
    /// a listed agent has said so itself, and a quarantine hits one phone.
    fn is_judged(&self) -> bool {
        self.what != WouldBe::Quarantined && self.cause != Cause::Rule(RuleId::UserAgent)
    }
}

fn peer(seen: &Seen, kind: PeerKind, would: Option<WouldBe>) -> PeerProposal {
    let (accounts, calls) = (seen.accounts.len(), seen.calls);
    PeerProposal { source_ip: seen.source_ip, kind, accounts, calls, would }
}

/// Half as much again as the customer reached.
fn limit(seen: &Seen, would: &Would, settings: &Settings) -> Option<LimitProposal> {
    let Cause::Rule(cause) = would.cause else { return None };
    // The kernel counts up to the same limit.
    let wanted = if cause == RuleId::KernelAttempts { RuleId::Register } else { cause };
    let rule = settings.rules.iter().find(|rule| rule.id == wanted)?;
    // An endpoint's own limit is not the host's to raise.
    if settings.own_limit(wanted, would.endpoint).is_some() {
        return None;
    }
    let (now, reached) = (rule.bounded_limit(), seen.reached(wanted));
    if reached < now || reached > now.saturating_mul(OUTLIER) {
        return None;
    }
    let proposed = reached.saturating_add(reached.div_ceil(2)).min(LIMIT_MAX);
    let source_ip = seen.source_ip;
    (proposed > now).then_some(LimitProposal { rule: wanted, now, proposed, reached, source_ip })
}

fn raise(limits: &mut Vec<LimitProposal>, other: LimitProposal) {
    match limits.iter_mut().find(|known| known.rule == other.rule) {
        Some(known) if known.proposed < other.proposed => *known = other,
        Some(_) => {}
        None => limits.push(other),
    }
}
