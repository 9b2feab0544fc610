//! What the kernel did by itself: as failures, and as containments and blocks that go on.

use sipprot_common::reason::Reason;

use super::Engine;
use super::sentence::{case, evidence};
use crate::rules::decision::{Contain, Decision, Release, ReleaseReason, Scope};
use crate::rules::observation::KernelDrop;
use crate::rules::record::Record;
use crate::rules::rule::{RuleId, Signal};
use crate::rules::source::Failure;
use crate::rules::time::MINUTE;

impl Engine {
    pub(super) fn kernel_drop(&mut self, drop: &KernelDrop, decisions: &mut Vec<Decision>) {
        let signals: &[Signal] = match drop.reason {
            Reason::UserAgent => &[Signal::ListedAgent],
            Reason::NotSip => &[Signal::NotSip],
            _ => &[],
        };
        let failure = Failure {
            at: drop.at,
            source: drop.source,
            destination: drop.destination,
            endpoint: drop.endpoint,
            method: None,
            status: None,
            account: None,
            user_agent: drop.user_agent.clone(),
            proof: drop.proof,
            count: drop.count.max(1),
            signals,
            line: None,
        };
        match drop.reason {
            Reason::UserAgent | Reason::NotSip => self.fail(failure, decisions),
            // A hold is the kernel's own line and ends by itself: in its grace a source isn't blocked,
            // but may not guess without end either.
            Reason::Held | Reason::TcpBudget => {
                self.kernel_stopped(&failure, false, decisions);
            }
            Reason::Contained => self.kernel_contained(&failure, decisions),
            Reason::Blocked => self.kernel_renewed(&failure, decisions),
            _ => self.note_known(failure),
        }
    }

    fn note_known(&mut self, failure: Failure) {
        if self.sources.get(failure.key()).is_some() {
            self.note(failure);
        }
    }

    /// The kernel stopped a source by itself. False if it must not: then it is released.
    fn kernel_stopped(
        &mut self,
        failure: &Failure,
        in_grace: bool,
        decisions: &mut Vec<Decision>,
    ) -> bool {
        let (source, at) = (failure.key(), failure.at);
        let source_ip = failure.address().to_ip();
        self.note(failure.clone());
        if !self.is_trusted(source_ip) && !self.is_spared(source_ip) && !in_grace {
            return true;
        }
        let reason = ReleaseReason::Spared;
        decisions.push(Decision::Release(Release { source, at, reason }));
        false
    }

    /// The kernel began a containment, or dropped packets by one.
    fn kernel_contained(&mut self, failure: &Failure, decisions: &mut Vec<Decision>) {
        let (source, at) = (failure.key(), failure.at);
        let in_grace = self.has_grace(source, at);
        let endpoint = failure.endpoint;
        if !self.kernel_stopped(failure, in_grace, decisions)
            || self.is_blocked(source, endpoint, Scope::Sip, at)
        {
            return;
        }
        let known = self.sources.get(source);
        let evidence = evidence(known, failure, |note| at.since(note.at) < MINUTE);
        let case = case(failure, RuleId::KernelAttempts, false, evidence);
        let record = self.records.entry(source, Record::default);
        if record.contained_until(at).is_none() {
            self.contain(case, true, decisions);
        } else if let Some((duration, level)) = record.renew_containment(at, failure.count) {
            decisions.push(Decision::Contain(Contain { case, duration, level }));
        }
    }

    /// The kernel renewed a block, for a real attack.
    fn kernel_renewed(&mut self, failure: &Failure, decisions: &mut Vec<Decision>) {
        let (source, at) = (failure.key(), failure.at);
        self.note_known(failure.clone());
        let record = self.records.get(source);
        let blocks = record.into_iter().flat_map(|record| record.blocks_at(failure.endpoint, at));
        let Some(block) = blocks.max_by_key(|block| block.counted.is_some()) else { return };
        let rule = block.rule;
        let evidence = evidence(self.sources.get(source), failure, |_| true);
        self.attack_goes_on(case(failure, rule, failure.proof.is_proven(), evidence), decisions);
    }
}
