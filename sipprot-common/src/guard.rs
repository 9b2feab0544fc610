//! The services beside SIP that are guarded, and who has asked something of them lately.
//!
//! Each source has a bucket for each service. The buckets lie in small sets, found by a seeded hash; a
//! set that is full gives up the bucket that owes least, and so never one at its limit while a
//! forged packet's is beside it. That is all that forged sources can do to each other.

use crate::ceiling;
use crate::hash;

/// As the ports of a policy name it. The numbers are part of the ABI.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Service {
    Ssh = 1,
    Http = 2,
    Tftp = 3,
}

impl Service {
    pub const ALL: [Service; 3] = [Self::Ssh, Self::Http, Self::Tftp];

    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Ssh),
            2 => Some(Self::Http),
            3 => Some(Self::Tftp),
            _ => None,
        }
    }

    /// The scope of a block that stops this service alone.
    #[inline(always)]
    pub const fn scope(self) -> u8 {
        1 << self as u8
    }

    /// TFTP is spoken over UDP, the others over TCP.
    #[inline(always)]
    pub const fn is_udp(self) -> bool {
        matches!(self, Self::Tftp)
    }
}

/// Of what the guards stop only samples are told: so many a second and at once, so that a flood has a
/// name in the journal.
pub const EVENT_TIMES: (u64, u64) = ceiling::times(20, 50);

/// Buckets of a set.
pub const WAYS: usize = 4;

/// Sources whose hashes are alike in their last bits.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuardSet {
    /// Hash of source and service; 0 where there is none.
    pub tags: [u64; WAYS],
    /// As [`crate::ceiling::take`].
    pub buckets_ns: [u64; WAYS],
}

impl GuardSet {
    pub const EMPTY: Self = Self { tags: [0; WAYS], buckets_ns: [0; WAYS] };

    /// The bucket of a tag, [`WAYS`] if it has none.
    #[inline(always)]
    pub fn find(&self, tag: u64) -> usize {
        let mut way = 0;
        while way < WAYS {
            if self.tags[way] == tag {
                return way;
            }
            way += 1;
        }
        WAYS
    }

    /// The bucket that owes least.
    #[inline(always)]
    pub fn coldest(&self) -> usize {
        let buckets = &self.buckets_ns;
        let left = (buckets[1] < buckets[0]) as usize;
        let right = 2 + (buckets[3] < buckets[2]) as usize;
        if buckets[right & 3] < buckets[left & 3] { right } else { left }
    }
}

/// By whom and of what something is asked. Its last bits say the set. `policy` is 0 but for endpoints
/// that count apart.
#[inline(always)]
pub const fn tag(seed: u64, source: u64, service: u32, policy: u32) -> u64 {
    let asked = (policy as u64) << 8 | service as u64;
    hash::finish(hash::fold(hash::fold(seed, source), asked))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::GUARD_SETS;

    const SECOND_NS: u64 = 1_000_000_000;

    /// The sets, as the kernel goes about them.
    struct Guarded(Vec<GuardSet>);

    impl Guarded {
        fn passes(&mut self, source: u64, now_ns: u64) -> bool {
            let (interval_ns, burst_ns) = ceiling::times_a_minute(10, 20);
            let tag = tag(7, source, Service::Ssh as u32, 0);
            let set = &mut self.0[(tag % GUARD_SETS as u64) as usize];
            let way = set.find(tag);
            if way == WAYS {
                let way = set.coldest();
                (set.tags[way], set.buckets_ns[way]) = (tag, now_ns + interval_ns);
                return true;
            }
            let taken = ceiling::take(set.buckets_ns[way], now_ns, interval_ns, burst_ns);
            set.buckets_ns[way] = taken.unwrap_or(set.buckets_ns[way]);
            taken.is_some()
        }
    }

    #[test]
    fn forged_sources_wash_nobody_out() {
        let mut guarded = Guarded(vec![GuardSet::EMPTY; GUARD_SETS as usize]);
        let now_ns = 1_000 * SECOND_NS;
        let attackers = 0..100;
        let tries = |guarded: &mut Guarded, times: usize, now_ns| -> usize {
            let all = attackers.clone().flat_map(|source| std::iter::repeat_n(source, times));
            all.filter(|source| guarded.passes(*source, now_ns)).count()
        };
        assert_eq!(tries(&mut guarded, 50, now_ns), 100 * 20);
        for forged in 1_000..1_001_000 {
            assert!(guarded.passes(forged, now_ns), "a newcomer");
        }
        assert_eq!(tries(&mut guarded, 50, now_ns), 0);
        assert_eq!(tries(&mut guarded, 50, now_ns + 61 * SECOND_NS), 100 * 10);
    }

    #[test]
    fn the_coldest_is_given_up() {
        for coldest in 0..WAYS {
            let mut set = GuardSet { buckets_ns: [5, 6, 7, 8], ..GuardSet::EMPTY };
            set.buckets_ns[coldest] = 1;
            assert_eq!(set.coldest(), coldest);
        }
    }

    #[test]
    fn numbers_round_trip() {
        for service in Service::ALL {
            assert_eq!(Service::from_number(service as u8), Some(service));
        }
        assert_eq!((Service::from_number(0), Service::from_number(4)), (None, None));
    }
}
