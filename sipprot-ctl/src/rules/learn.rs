//! What enforcing would have done while nothing is enforced, and who turned out to be a customer.
//!
//! The engine judges as ever and gives its consequences to [`Learning`] in place of the caller. What
//! follows for the operator is the [`Proposal`]; words, files and the kernel are others' affair.

mod proposal;
mod row;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sipprot_common::reason::Reason;
use sipprot_common::source::{Address, SourceKey};

use super::account::Account;
use super::decision::{AlertKind, Case, Decision, Evidence, Sighting};
use super::observation::{EndpointId, KernelDrop};
use super::rule::RuleId;
use super::source::Failure;
use super::table::Table;
use super::time::Time;
use super::window::Slot;

pub use proposal::{LimitProposal, PeerKind, PeerProposal, Proposal};
pub use row::{Cause, EndpointPeak, Seen, Would, WouldBe};
pub use tally::Occurrence;

/// Consequences that are told one by one.
const WOULD_MAX: usize = 8192;
/// Sources with failures or acceptances.
const SOURCES_MAX: usize = 16_384;
/// Accounts of one source that are named.
const ACCOUNTS_MAX: usize = 16;

/// What survives a restart.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Learned {
    Would(Would),
    Seen(Seen),
    Endpoint(EndpointId, EndpointPeak),
}

pub struct Learning {
    pub started: Time,
    would: Table<(SourceKey, WouldBe, Cause), Would>,
    sources: Table<SourceKey, Seen>,
    endpoints: BTreeMap<EndpointId, EndpointPeak>,
}

impl Learning {
    pub fn new(started: Time) -> Self {
        Self {
            started,
            would: Table::new(WOULD_MAX),
            sources: Table::new(SOURCES_MAX),
            endpoints: BTreeMap::new(),
        }
    }

    pub fn restore(started: Time, learned: impl IntoIterator<Item = Learned>) -> Self {
        let mut learning = Self::new(started);
        for row in learned {
            match row {
                Learned::Would(would) => {
                    let (key, fresh) = (would.key(), would.clone());
                    *learning.would.entry(key, || fresh) = would;
                }
                Learned::Seen(seen) => {
                    let (source, fresh) = (SourceKey::from(seen.source_ip), seen.clone());
                    *learning.sources.entry(source, || fresh) = seen;
                }
                Learned::Endpoint(endpoint, peak) => _ = learning.endpoints.insert(endpoint, peak),
            }
        }
        learning
    }

    /// What was learned or changed since then.
    pub fn since(&self, then: Time) -> Vec<Learned> {
        let would = self.would.iter().filter(|(_, row)| row.last >= then);
        let seen = self.sources.iter().filter(|(_, row)| row.last >= then && row.matters());
        let endpoints = self.endpoints.iter().map(|(id, peak)| Learned::Endpoint(*id, *peak));
        would
            .map(|(_, row)| Learned::Would(row.clone()))
            .chain(seen.map(|(_, row)| Learned::Seen(row.clone())))
            .chain(endpoints)
            .collect()
    }

    /// Consequences that found no room to be told.
    pub const fn left_out(&self) -> u64 {
        self.would.dropped()
    }

    pub fn would(&self) -> impl Iterator<Item = &Would> {
        self.would.iter().map(|(_, row)| row)
    }

    pub fn would_of(&self, source: SourceKey) -> impl Iterator<Item = &Would> {
        self.would().filter(move |row| row.source() == source)
    }

    pub fn seen(&self, source: SourceKey) -> Option<&Seen> {
        self.sources.get(source)
    }

    pub fn endpoints(&self) -> impl Iterator<Item = (EndpointId, EndpointPeak)> {
        self.endpoints.iter().map(|(id, peak)| (*id, *peak))
    }

    /// Whether a decision is kept here instead of being carried out.
    pub(super) fn takes(&mut self, decision: &Decision) -> bool {
        let (case, what, port, known_peer) = match decision {
            Decision::Block(block) => (&block.case, WouldBe::Blocked, None, block.known_peer),
            Decision::Deny(deny) => (&deny.case, WouldBe::Denied, None, deny.known_peer),
            Decision::Contain(contain) => (&contain.case, WouldBe::Contained, None, false),
            Decision::Quarantine(it) => (&it.case, WouldBe::Quarantined, Some(it.port), true),
            Decision::Alert(alert) => return alert.kind == AlertKind::KnownPeerBlocked,
            Decision::Trust(_)
            | Decision::Distrust(_)
            | Decision::Release(_)
            | Decision::Remember(_) => return false,
        };
        self.keep(of_case(case, what, port, known_peer));
        true
    }

    /// What the kernel would have dropped by itself.
    pub(super) fn kernel_drop(&mut self, drop: &KernelDrop) {
        let (what, cause) = match drop.reason {
            Reason::UserAgent => (WouldBe::Dropped, Cause::Rule(RuleId::UserAgent)),
            Reason::SourceCeiling => (WouldBe::Dropped, Cause::Ceiling),
            Reason::Held | Reason::TcpBudget => {
                (WouldBe::Held, Cause::Rule(RuleId::KernelAttempts))
            }
            _ => return,
        };
        let sighting = Sighting {
            at: drop.at,
            port: drop.source.port(),
            method: None,
            status: None,
            account: None,
            user_agent: drop.user_agent.as_deref().map(str::to_owned),
            proof: drop.proof,
            line: None,
        };
        self.keep(Would {
            source_ip: Address::from(drop.source.ip()).to_ip(),
            what,
            cause,
            port: None,
            endpoint: drop.endpoint,
            victim: drop.destination.ip(),
            proven: drop.proof.is_proven(),
            known_peer: false,
            count: drop.count.max(1).into(),
            first: drop.at,
            last: drop.at,
            evidence: Evidence::of(sighting, drop.count.max(1)),
        });
    }

    fn keep(&mut self, row: Would) {
        let fresh = Would { count: 0, ..row.clone() };
        let known = self.would.entry(row.key(), || fresh);
        *known = Would {
            count: known.count.saturating_add(row.count),
            first: known.first.min(row.first),
            last: known.last.max(row.last),
            known_peer: known.known_peer || row.known_peer,
            proven: known.proven || row.proven,
            ..row
        };
    }

    /// A failure counts by a rule.
    pub(super) fn counted(&mut self, failure: &Failure, slot: Slot, occurrence: Occurrence) {
        let seen = self.source(failure.address().to_ip(), failure.at);
        let count = seen.tallies.add(slot, occurrence);
        match seen.reached.iter_mut().find(|(rule, _)| *rule == slot.rule) {
            Some((_, most)) => *most = count.max(*most),
            None => seen.reached.push((slot.rule, count)),
        }
    }

    /// A password was right.
    pub(super) fn accepted(
        &mut self,
        source_ip: IpAddr,
        account: &Account,
        suspect: bool,
        at: Time,
    ) {
        let seen = self.source(source_ip, at);
        if suspect {
            // Who was at home here before has only mistyped.
            seen.suspect |= seen.accounts.is_empty();
        } else if seen.accounts.len() < ACCOUNTS_MAX && !seen.accounts.contains(account) {
            seen.accounts.push(account.clone());
        }
    }

    /// A call was accepted without a password.
    pub(super) fn called(&mut self, source_ip: IpAddr, at: Time) {
        let seen = self.source(source_ip, at);
        seen.calls = seen.calls.saturating_add(1);
    }

    /// It answered an endpoint's own request.
    pub(super) fn trunk(&mut self, source_ip: IpAddr, at: Time) {
        // A PBX asks its phones the same.
        let seen = self.source(source_ip, at);
        seen.trunk |= seen.accounts.is_empty();
    }

    /// So many requests a second to an endpoint, and so many packets that enforcing had dropped.
    pub fn note_endpoint(&mut self, endpoint: EndpointId, requests: u32, drops: u64) {
        let peak = self.endpoints.entry(endpoint).or_default();
        peak.requests = peak.requests.max(requests);
        peak.drops = peak.drops.saturating_add(drops);
    }

    fn source(&mut self, source_ip: IpAddr, at: Time) -> &mut Seen {
        let source = SourceKey::from(source_ip);
        let seen = self.sources.entry(source, || Seen::new(source_ip));
        seen.last = seen.last.max(at);
        seen
    }
}

fn of_case(case: &Case, what: WouldBe, port: Option<u16>, known_peer: bool) -> Would {
    Would {
        source_ip: case.source_ip,
        what,
        cause: Cause::Rule(case.rule),
        port,
        endpoint: case.endpoint,
        victim: case.victim,
        proven: case.proven,
        known_peer,
        count: 1,
        first: case.evidence_at,
        last: case.evidence_at,
        evidence: case.evidence.clone(),
    }
}
