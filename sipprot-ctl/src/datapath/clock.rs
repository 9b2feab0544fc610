//! Wall time and the kernel clock of the map entries, one into the other.
//!
//! The datapath reads CLOCK_MONOTONIC_COARSE. Wall time may be set at any moment, so a `Clock` is
//! taken afresh for each piece of work and not kept.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How the two clocks stood to each other at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    now_ns: u64,
    wall_ns: u128,
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel fills the struct; the clocks asked for exist since Linux 2.6.32.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// What the datapath's clock shows, to within a tick of the kernel.
pub fn monotonic_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC_COARSE)
}

/// The same clock between its ticks: for measuring how long something took.
pub fn monotonic_precise_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// The same clock, but it went on while the host slept.
pub fn boottime_ns() -> u64 {
    read(libc::CLOCK_BOOTTIME)
}

impl Clock {
    pub fn now() -> Self {
        Self::new(monotonic_precise_ns(), SystemTime::now())
    }

    /// From a reading of both, for tests and replays.
    pub fn new(now_ns: u64, wall: SystemTime) -> Self {
        let wall = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { now_ns, wall_ns: wall.as_nanos() }
    }

    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// What a map's time is in wall time; times before 1970 are cut there.
    pub fn to_wall(&self, monotonic_ns: u64) -> SystemTime {
        let wall_ns = (self.wall_ns + monotonic_ns as u128).saturating_sub(self.now_ns as u128);
        let seconds = (wall_ns / 1_000_000_000) as u64;
        UNIX_EPOCH + Duration::new(seconds, (wall_ns % 1_000_000_000) as u32)
    }

    /// What a wall time is in a map. Never 0, which means "never" in list entries; times before the
    /// boot become 1.
    pub fn to_monotonic(&self, wall: SystemTime) -> u64 {
        let wall_ns = wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let monotonic = (self.now_ns as u128 + wall_ns).saturating_sub(self.wall_ns);
        u64::try_from(monotonic).unwrap_or(u64::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        let wall = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let clock = Clock::new(5_000_000_000, wall);
        let check = |wall: SystemTime, monotonic_ns: u64| {
            assert_eq!(clock.to_monotonic(wall), monotonic_ns);
            assert_eq!(clock.to_wall(monotonic_ns), wall);
        };
        check(wall, 5_000_000_000);
        check(wall + Duration::from_millis(1500), 6_500_000_000);
        check(wall - Duration::from_secs(4), 1_000_000_000);
    }

    #[test]
    fn before_the_boot_is_past_but_never_zero() {
        let clock = Clock::new(5, UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        assert_eq!(clock.to_monotonic(UNIX_EPOCH), 1);
        assert!(monotonic_ns() > 0);
    }
}
