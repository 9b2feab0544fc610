//! Packets by policy and reason: the whole counter array, zeroes left out.

use std::collections::BTreeMap;
use std::fmt;

use sipprot_common::reason::Reason;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Count {
    /// What happened.
    Packets,
    /// What would have happened, had the protection not only observed.
    Observed,
}

/// The array is keyed by number: a reason that nobody defined must show too.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Tally(BTreeMap<(u32, Count, u8), u64>);

impl Tally {
    pub fn add(&mut self, policy: u32, count: Count, reason: u8, packets: u64) {
        if packets != 0 {
            *self.0.entry((policy, count, reason)).or_default() += packets;
        }
    }

    pub fn count(&mut self, policy: u32, reason: Reason, observed: Option<Reason>) {
        self.add(policy, Count::Packets, reason as u8, 1);
        if let Some(observed) = observed {
            self.add(policy, Count::Observed, observed as u8, 1);
        }
    }

    /// Packets of all policies and reasons.
    pub fn packets(&self) -> u64 {
        self.0.iter().filter(|((_, count, _), _)| *count == Count::Packets).map(|(_, n)| n).sum()
    }

    /// What came in since `before`.
    pub fn since(&self, before: &Self) -> Self {
        let mut difference = Self::default();
        for (&(policy, count, reason), packets) in &self.0 {
            let earlier = before.0.get(&(policy, count, reason)).copied().unwrap_or(0);
            difference.add(policy, count, reason, packets - earlier);
        }
        difference
    }

    /// The reason of most packets.
    pub fn most(&self) -> Option<Reason> {
        let packets = self.0.iter().filter(|((_, count, _), _)| *count == Count::Packets);
        packets.max_by_key(|(_, n)| **n).and_then(|((.., reason), _)| Reason::from_number(*reason))
    }

    /// The reason of the only packet in this tally.
    pub fn only(&self) -> Option<Reason> {
        let mut packets = self.0.iter().filter(|((_, count, _), _)| *count == Count::Packets);
        match (packets.next(), packets.next()) {
            (Some(((_, _, reason), 1)), None) => Reason::from_number(*reason),
            _ => None,
        }
    }
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut set = f.debug_set();
        for ((policy, count, number), packets) in &self.0 {
            let reason = Reason::from_number(*number).map_or("undefined", Reason::label);
            let would = if *count == Count::Observed { "would be " } else { "" };
            set.entry(&format_args!("policy {policy} {would}{reason} {packets}"));
        }
        set.finish()
    }
}
