//! Three clocks in step: the kernel's (monotonic nanoseconds), the rules' and the store's.
//!
//! The wall clock may be set while we run, and goes on while the host sleeps and the kernel's stands still: so the
//! distance is measured again and again; within one batch of events it stays the same. `step` has what
//! follows when it changed.

pub(super) mod step;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::{SignedDuration, Timestamp};

use super::plan::nanoseconds;
use crate::datapath::{boottime_ns, monotonic_precise_ns};
use crate::rules::Time;
use step::Step;

#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Wall time at the kernel clock's zero.
    zero: Time,
    /// How long the host has slept since it booted.
    slept_ns: u64,
    /// Until then, in kernel time, it may be years ahead, and nothing is old.
    doubtful_until_ns: u64,
}

/// Reading two clocks takes no longer, unless something comes between.
const READ_NS: u64 = 1_000_000;
const READ_TRIES: usize = 10;
/// A host that just came up, or whose clock was set far ahead, may have a wrong one that is put right in a while.
const DOUBT_LASTS: Duration = Duration::from_hours(1);

impl Clock {
    pub fn now() -> Self {
        let (mut clock, mut took_ns) = Self::read();
        for _ in 1..READ_TRIES {
            if took_ns <= READ_NS {
                break;
            }
            (clock, took_ns) = Self::read();
        }
        clock
    }

    fn read() -> (Self, u64) {
        let before_ns = monotonic_precise_ns();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let booted_ns = boottime_ns();
        let took_ns = monotonic_precise_ns() - before_ns;
        let clock = Self {
            zero: Time(nanoseconds(wall).saturating_sub(before_ns)),
            slept_ns: booted_ns.saturating_sub(before_ns),
            doubtful_until_ns: before_ns.saturating_add(nanoseconds(DOUBT_LASTS)),
        };
        (clock, took_ns)
    }

    /// Measures again: what it was so far comes with what has happened to it.
    pub fn measure(&mut self) -> Option<Step> {
        let before = std::mem::replace(self, Self::now());
        let step = Step::between(before, *self);
        match &step {
            // Small steps add up until they are one.
            None => *self = before,
            Some(step) if step.is_doubtful() => {}
            Some(_) => self.doubtful_until_ns = before.doubtful_until_ns,
        }
        step
    }

    /// Before when what is kept for so long is old.
    pub fn old_before(&self, keep_for: Duration) -> Timestamp {
        match monotonic_precise_ns() < self.doubtful_until_ns {
            true => Timestamp::UNIX_EPOCH,
            false => timestamp(self.time_now().before(keep_for)),
        }
    }

    pub fn time_now(&self) -> Time {
        self.to_time(monotonic_precise_ns())
    }

    pub fn to_time(self, kernel_ns: u64) -> Time {
        Time(self.zero.0.saturating_add(kernel_ns))
    }

    /// Never 0, which stands for "never" in list entries; times before the boot become 1.
    pub fn to_kernel(self, time: Time) -> u64 {
        time.0.saturating_sub(self.zero.0).max(1)
    }

    pub fn timestamp_now(&self) -> Timestamp {
        timestamp(self.time_now())
    }

    pub fn kernel_timestamp(self, kernel_ns: u64) -> Timestamp {
        timestamp(self.to_time(kernel_ns))
    }

    pub fn to_kernel_from(self, timestamp: Timestamp) -> u64 {
        self.to_kernel(time(timestamp))
    }

    pub fn zero(self) -> Timestamp {
        timestamp(self.zero)
    }
}

/// Times past what a timestamp can hold are the last that it can.
pub fn timestamp(time: Time) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(time.0)).unwrap_or(Timestamp::MAX)
}

/// Times before 1970 are 1970.
pub fn time(timestamp: Timestamp) -> Time {
    Time(u64::try_from(timestamp.as_nanosecond().max(0)).unwrap_or(u64::MAX))
}

/// As the rules are told how far the clock was set.
pub fn signed_nanoseconds(by: SignedDuration) -> i64 {
    let end = if by.is_negative() { i64::MIN } else { i64::MAX };
    i64::try_from(by.as_nanos()).unwrap_or(end)
}

/// As much later or earlier.
pub fn moved(timestamp: Timestamp, by: SignedDuration) -> Timestamp {
    let last = if by.is_negative() { Timestamp::MIN } else { Timestamp::MAX };
    timestamp.checked_add(by).unwrap_or(last)
}

pub fn after(timestamp: Timestamp, span: Duration) -> Timestamp {
    let later = time(timestamp).after(span);
    self::timestamp(later)
}

/// Of this boot: kernel times of another mean nothing.
pub fn boot_id() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

#[cfg(test)]
impl Clock {
    /// As it was measured before it was set ahead by so much, or the host slept so long.
    pub fn before(self, set: SignedDuration, slept: Duration) -> Self {
        let zero = timestamp(self.zero);
        let slept_ns = nanoseconds(slept);
        Self {
            zero: Time(time(moved(zero, -set)).0 - slept_ns),
            slept_ns: self.slept_ns.wrapping_sub(slept_ns),
            doubtful_until_ns: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let clock = Clock { zero: Time(1_000), slept_ns: 0, doubtful_until_ns: 0 };
        assert_eq!(clock.to_time(5), Time(1_005));
        assert_eq!(clock.to_kernel(Time(1_005)), 5);
        assert_eq!(clock.to_kernel(Time(7)), 1);
        assert_eq!(time(timestamp(Time(1_005))), Time(1_005));
        assert_eq!(time(Timestamp::MIN), Time(0));
        assert!(Clock::now().time_now().0 > 1_600_000_000 * 1_000_000_000);
    }
}
