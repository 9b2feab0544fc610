//! Ceilings and counts per source, shared by all CPUs where a limit hangs on them.

use core::arch::asm;

use sipprot_common::abi::{BUCKET_PROVEN, Policy, Source, SourceCounts, Trust};
use sipprot_common::ceiling;

use crate::maps;
use crate::packet::slot;

/// Tries to get a bucket's word in before another CPU; a packet that loses them all passes.
const TRIES: usize = 2;

/// Atomic addition; gives the value before.
#[inline(always)]
pub fn fetch_add(place: &mut u32, amount: u32) -> u32 {
    let mut value = amount;
    // SAFETY: place is a valid word; the instruction is the kernel's own atomic.
    unsafe {
        asm!("{v} = atomic_fetch_add((u32 *)({p} + 0), {v})", v = inout(wreg) value,
            p = in(reg) place, options(nostack))
    };
    value
}

/// Puts `new` into `place` if it still holds `old`.
#[inline(always)]
pub fn compare_exchange(place: &mut u64, old: u64, new: u64) -> bool {
    let mut found = old;
    // SAFETY: place is a valid word; the instruction compares with and answers in r0.
    unsafe {
        asm!("r0 = cmpxchg_64({p} + 0, r0, {n})", inout("r0") found, p = in(reg) place,
            n = in(reg) new, options(nostack))
    };
    found == old
}

/// Takes one packet from a bucket that CPUs share; false when it is over the rate.
#[inline(always)]
pub fn take(bucket: &mut u64, now_ns: u64, interval_ns: u64, burst_ns: u64) -> bool {
    for _ in 0..TRIES {
        let old = *bucket;
        let Some(new) = ceiling::take(old, now_ns, interval_ns, burst_ns) else { return false };
        if compare_exchange(bucket, old, new) {
            return true;
        }
    }
    true
}

const SECOND_NS: u64 = 1_000_000_000;

/// Is a packet over the ceiling of its trusted source?
#[inline(always)]
pub fn over_trusted(trust: &mut Trust, policy: &Policy, now_ns: u64) -> bool {
    let own_ns = if trust.rate == 0 { 0 } else { SECOND_NS / trust.rate as u64 };
    let interval_ns = if trust.rate == 0 { policy.trusted_interval_ns } else { own_ns };
    !take(&mut trust.ceiling_ns, now_ns, interval_ns, policy.trusted_burst_ns)
}

/// Is a packet over the ceiling of its untrusted source? What echoes the source's own nonce has a
/// share of its own, which nobody can use up by forging.
#[inline(always)]
pub fn over_source(source: &mut Source, policy: &Policy, own_nonce: bool, now_ns: u64) -> bool {
    let bucket = slot(&mut source.ceilings_ns, own_nonce as u64);
    !take(bucket, now_ns, policy.source_interval_ns, policy.source_burst_ns)
}

/// Is a packet over the ceiling of all untrusted sources of the endpoint? What is proven has a share
/// of its own here, too.
#[inline(always)]
pub fn over_endpoint(policy: &Policy, index: u32, proven: bool, now_ns: u64) -> bool {
    let share = if proven { BUCKET_PROVEN } else { 0 };
    let Some(bucket) = maps::bucket(index + share) else { return false };
    !take(bucket, now_ns, policy.endpoint_interval_ns, policy.endpoint_burst_ns)
}

/// Would a packet that proves nothing be over that ceiling?
#[inline(always)]
pub fn is_endpoint_full(policy: &Policy, index: u32, now_ns: u64) -> bool {
    let Some(bucket) = maps::bucket(index) else { return false };
    ceiling::take(*bucket, now_ns, policy.endpoint_interval_ns, policy.endpoint_burst_ns).is_none()
}

/// What one SIP packet adds to its source's counts.
#[derive(Clone, Copy, Default)]
pub struct Seen {
    pub register: bool,
    pub credentials: u32,
    pub dropped: bool,
}

/// Counts a SIP packet of a source in the per-CPU map.
#[inline(always)]
pub fn count(source: u64, seen: Seen, now_ns: u64) {
    let fresh = SourceCounts {
        sip: 1,
        registers: seen.register as u64,
        credentialed: seen.credentials as u64,
        dropped: seen.dropped as u64,
        last_ns: now_ns,
    };
    let Some(counts) = maps::source_counts(source) else {
        maps::add_source_counts(source, &fresh);
        return;
    };
    counts.sip += fresh.sip;
    counts.registers += fresh.registers;
    counts.credentialed += fresh.credentialed;
    counts.dropped += fresh.dropped;
    counts.last_ns = now_ns;
}
