//! From reason to action, and the one place where a packet is counted.

use sipprot_common::abi::{Config, Policy};
use sipprot_common::policy::{self, Action};
use sipprot_common::reason::Reason;

use crate::maps;
use crate::packet::slot;
use crate::work::Work;

/// What a packet is judged by.
pub struct Judge {
    pub config: &'static Config,
    pub policy: &'static Policy,
    /// Of the policy.
    pub index: u32,
}

impl Judge {
    /// Does the policy drop for this reason? A protection that only observes notes the first reason
    /// for which it would have, and the packet goes on.
    #[inline(always)]
    pub fn drops(&self, work: &mut Work, reason: Reason) -> bool {
        match policy::action(self.policy.mode, self.policy.observe, reason) {
            Action::Drop => true,
            Action::Observe => {
                observe(work, reason);
                false
            }
            Action::Pass => false,
        }
    }
}

/// Notes why the packet would have been dropped; the first reason counts.
#[inline(always)]
pub fn observe(work: &mut Work, reason: Reason) {
    if work.facts.observed == 0 {
        work.facts.observed = reason as u32;
    }
}

/// Counts the packet, once, by the reason with which it leaves.
#[inline(always)]
pub fn count(policy: u32, observed: u32, reason: Reason) {
    let Some(counters) = maps::counters(policy) else { return };
    *slot(&mut counters.packets, reason as u64) += 1;
    if observed != 0 {
        *slot(&mut counters.observed, observed as u64) += 1;
    }
}
