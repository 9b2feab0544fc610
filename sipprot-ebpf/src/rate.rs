//! Ceilings and counts per source, shared by all CPUs where a limit hangs on them.

use core::arch::asm;

use sipprot_common::abi::{Policy, SourceCounts};
use sipprot_common::ceiling;
use sipprot_common::reason::Reason;

use crate::maps;

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

/// Who sends, for the ceilings.
pub enum Sender<'a> {
    /// Its bucket, and its own rate in packets a second; 0 = the policy's.
    Trusted(&'a mut u64, u32),
    Untrusted(&'a mut u64),
}

const SECOND_NS: u64 = 1_000_000_000;

/// Is a SIP packet over its source's ceiling, or over that of all untrusted sources of the endpoint?
#[inline(always)]
pub fn over_ceiling(sender: Sender, policy: &Policy, index: u32, now_ns: u64) -> Option<Reason> {
    let (bucket, interval_ns, burst_ns, untrusted) = match sender {
        Sender::Trusted(bucket, rate) => {
            let own_ns = if rate == 0 { 0 } else { SECOND_NS / rate as u64 };
            let interval_ns = if rate == 0 { policy.trusted_interval_ns } else { own_ns };
            (bucket, interval_ns, policy.trusted_burst_ns, false)
        }
        Sender::Untrusted(bucket) => {
            (bucket, policy.source_interval_ns, policy.source_burst_ns, true)
        }
    };
    if !take(bucket, now_ns, interval_ns, burst_ns) {
        return Some(Reason::SourceCeiling);
    }
    if untrusted
        && let Some(bucket) = maps::endpoint_bucket(index)
        && !take(bucket, now_ns, policy.endpoint_interval_ns, policy.endpoint_burst_ns)
    {
        return Some(Reason::EndpointCeiling);
    }
    None
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
