//! The kernel's clocks, all CLOCK_MONOTONIC.

use aya_ebpf::helpers::generated::{bpf_ktime_get_coarse_ns, bpf_ktime_get_ns};

/// To the tick: cheap, and enough for expiry and rates.
#[inline(always)]
pub fn coarse_ns() -> u64 {
    // SAFETY: the helper takes nothing and reads a clock.
    unsafe { bpf_ktime_get_coarse_ns() }
}

/// To the nanosecond, for events: the controller measures its reaction from it.
#[inline(always)]
pub fn precise_ns() -> u64 {
    // SAFETY: as above.
    unsafe { bpf_ktime_get_ns() }
}
