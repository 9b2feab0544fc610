//! Three clocks in step: the kernel's (monotonic nanoseconds), the rules' and the store's.
//!
//! The wall clock may be set while we run, so the distance is measured again and again; within one
//! batch of events it stays the same.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

use crate::datapath::monotonic_precise_ns;
use crate::rules::Time;

#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Wall time at the kernel clock's zero.
    zero: Time,
}

impl Clock {
    pub fn now() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall_ns = u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX);
        Self { zero: Time(wall_ns.saturating_sub(monotonic_precise_ns())) }
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
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let clock = Clock { zero: Time(1_000) };
        assert_eq!(clock.to_time(5), Time(1_005));
        assert_eq!(clock.to_kernel(Time(1_005)), 5);
        assert_eq!(clock.to_kernel(Time(7)), 1);
        assert_eq!(time(timestamp(Time(1_005))), Time(1_005));
        assert_eq!(time(Timestamp::MIN), Time(0));
        assert!(Clock::now().time_now().0 > 1_600_000_000 * 1_000_000_000);
    }
}
