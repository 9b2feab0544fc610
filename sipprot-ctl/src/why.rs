//! What there is to say of one address: the verdict, the rule, the evidence, the past.
//!
//! Pure: facts in, the answer out. Where the facts come from it must not know, nor how the answer
//! is laid out for people; its sentences are made here so that every reader has the same ones.

mod past;
mod sentence;
#[cfg(test)]
mod tests;

pub use sentence::{rule_words, span, window_words};

use crate::api::{
    AlertView, BlockKind, BlockView, Check, Entry, EvidenceView, List, TrustView, Verdict, Why,
    WindowView, WouldView,
};

/// Rows of the history that are told.
pub const PAST_MAX: usize = 50;

/// What is known of an address.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Unix seconds.
    pub now: i64,
    pub check: Check,
    /// In force, the gravest first.
    pub blocks: Vec<BlockView>,
    pub hold_until: Option<i64>,
    pub trust: Option<TrustView>,
    pub windows: Vec<WindowView>,
    pub failures: Option<EvidenceView>,
    /// Where its country is not let in.
    pub shut_out_at: Vec<String>,
    /// The host only observes.
    pub observed: bool,
    /// The rules only judge.
    pub learning: bool,
    /// What enforcing would have done, while the host learns or since it did.
    pub would: Vec<WouldView>,
    /// What was told of it, the newest first.
    pub alerts: Vec<AlertView>,
    /// The history's rows, the newest first; one more than [`PAST_MAX`] if there are more.
    pub past: Vec<BlockView>,
}

pub fn tell(facts: Facts) -> Why {
    let verdict = facts.verdict();
    let mut sentence = sentence::of(&facts, verdict);
    if facts.observed {
        sentence += "; the host only observes, so nothing is dropped";
    }
    if facts.learning && !facts.observed {
        sentence += "; the host learns, so the rules drop nothing";
    }
    let (timeline, timeline_cut) = past::timeline(&facts);
    let escalation = facts.escalation().filter(|_| verdict == Verdict::Denied).cloned();
    Why {
        address: facts.check.address,
        verdict,
        sentence,
        ends_at: facts.ends_at(verdict),
        undo: facts.undo(verdict),
        escalation,
        timeline,
        timeline_cut,
        source: facts.check.source,
        blocks: facts.blocks,
        entries: facts.check.entries,
        trust: facts.trust,
        peers: facts.check.peers,
        never_blocked: facts.check.never_blocked,
        windows: facts.windows,
        failures: facts.failures,
        drops: facts.check.drops,
        blocks_counted: facts.check.blocks_counted,
        block_threshold: facts.check.block_threshold,
        grace_until: facts.check.grace_until,
        country: facts.check.country,
        country_name: facts.check.country_name,
        observed: facts.observed || facts.learning,
        alerts: facts.alerts,
        would: facts.would,
    }
}

impl Facts {
    /// In the order in which a packet meets them.
    fn verdict(&self) -> Verdict {
        let check = &self.check;
        let everywhere = |entry: &&Entry| entry.endpoint.is_none();
        let allowed = self.entries(List::Allow).any(|entry| everywhere(&entry));
        let in_order = [
            (allowed, Verdict::Allowed),
            (check.denied, Verdict::Denied),
            (check.blocked, Verdict::Blocked),
            (check.contained, Verdict::Contained),
            (check.held, Verdict::Held),
            (!self.shut_out_at.is_empty(), Verdict::Country),
            (self.block(BlockKind::Quarantine).is_some(), Verdict::Quarantined),
            (!check.quarantined_ports.is_empty(), Verdict::Quarantined),
            (check.trusted, Verdict::Trusted),
        ];
        let first = in_order.into_iter().find(|(holds, _)| *holds);
        first.map_or(Verdict::Nothing, |(_, verdict)| verdict)
    }

    fn entries(&self, list: List) -> impl Iterator<Item = &Entry> {
        self.check.entries.iter().filter(move |entry| entry.list == list)
    }

    fn block(&self, kind: BlockKind) -> Option<&BlockView> {
        self.blocks.iter().find(|block| block.kind == kind && !block.refused)
    }

    /// What led to the denylist, unless that was lifted.
    fn escalation(&self) -> Option<&BlockView> {
        self.past.iter().find(|row| row.escalated).filter(|row| row.lifted_at.is_none())
    }

    fn ends_at(&self, verdict: Verdict) -> Option<i64> {
        let end = |kind| self.block(kind).map(|block| block.expires_at);
        match verdict {
            Verdict::Allowed => self.entries(List::Allow).find_map(|entry| entry.expires_at),
            Verdict::Denied => {
                let ends: Option<Vec<i64>> =
                    self.entries(List::Deny).map(|entry| entry.expires_at).collect();
                ends?.into_iter().max()
            }
            Verdict::Blocked => end(BlockKind::Dynamic),
            Verdict::Contained => end(BlockKind::Containment),
            Verdict::Held => self.hold_until,
            Verdict::Quarantined => end(BlockKind::Quarantine),
            Verdict::Country | Verdict::Trusted | Verdict::Nothing => None,
        }
    }

    fn undo(&self, verdict: Verdict) -> Option<String> {
        let address = self.check.address;
        let unblock = format!("sipprot unblock {address}");
        let commands: Vec<String> = match verdict {
            Verdict::Allowed => self
                .entries(List::Allow)
                .map(|entry| format!("sipprot allow remove {}", entry.ip))
                .collect(),
            // Nobody takes an address off a list that others keep.
            Verdict::Denied if self.entries(List::Deny).any(is_others) => {
                vec![format!("sipprot allow add {address}")]
            }
            Verdict::Denied => {
                let wider = |entry: &&Entry| entry.ip != self.check.source;
                let removals = self.entries(List::Deny).filter(wider);
                let own = self.entries(List::Deny).any(|entry| !wider(&entry));
                removals
                    .map(|entry| format!("sipprot deny remove {}", entry.ip))
                    .chain((own || !self.blocks.is_empty()).then_some(unblock))
                    .collect()
            }
            Verdict::Blocked | Verdict::Contained | Verdict::Held | Verdict::Quarantined => {
                vec![unblock]
            }
            Verdict::Country => vec![format!("sipprot allow add {address}")],
            Verdict::Trusted => return self.distrust(),
            Verdict::Nothing => Vec::new(),
        };
        (!commands.is_empty()).then(|| commands.join(" && "))
    }

    fn distrust(&self) -> Option<String> {
        let configured = self.check.peers.iter().find_map(|peer| peer.configured_in.as_ref());
        if let Some(place) = configured {
            return Some(format!("take it out of 'peers' at {place}, then: sipprot reload"));
        }
        let peers = self.check.peers.iter();
        let removals = peers
            .map(|peer| format!("sipprot peer remove {}", crate::report::address(peer.network)));
        let learned = self.trust.as_ref();
        let revoke = learned.map(|_| format!("sipprot trust revoke {}", self.check.address));
        let commands: Vec<String> = removals.chain(revoke).collect();
        (!commands.is_empty()).then(|| commands.join(" && "))
    }
}

fn is_others(entry: &Entry) -> bool {
    matches!(entry.origin.as_str(), "feed" | "fleet")
}
