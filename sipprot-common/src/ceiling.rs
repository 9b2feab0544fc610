//! Rates with a burst, as one time value per bucket (the generic cell rate algorithm).
//!
//! A bucket holds the time at which it will be empty again. It needs no refill, and one word is all
//! that two CPUs share.

/// Takes one packet. Returns the bucket's new value, or `None` when the packet is over the rate.
///
/// `interval_ns` is the time that one packet costs, `burst_ns` how far ahead a bucket may run.
/// An interval of 0 means no limit.
#[inline(always)]
pub const fn take(bucket_ns: u64, now_ns: u64, interval_ns: u64, burst_ns: u64) -> Option<u64> {
    let from = if bucket_ns > now_ns { bucket_ns } else { now_ns };
    if from - now_ns > burst_ns {
        return None;
    }
    Some(from + interval_ns)
}

/// The interval and burst times of `rate` packets a second with `burst` at once.
pub const fn times(rate: u32, burst: u32) -> (u64, u64) {
    times_in(SECOND_NS, rate, burst)
}

/// The same for a rate a minute.
pub const fn times_a_minute(rate: u32, burst: u32) -> (u64, u64) {
    times_in(60 * SECOND_NS, rate, burst)
}

const SECOND_NS: u64 = 1_000_000_000;

const fn times_in(period_ns: u64, rate: u32, burst: u32) -> (u64, u64) {
    if rate == 0 {
        return (0, 0);
    }
    let interval_ns = period_ns / rate as u64;
    (interval_ns, interval_ns * burst.saturating_sub(1) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(rate: u32, burst: u32, packets: u32, gap_ns: u64) -> u32 {
        let (interval_ns, burst_ns) = times(rate, burst);
        let (mut bucket, mut now, mut passed) = (0, 1_000_000_000_000, 0);
        for _ in 0..packets {
            if let Some(next) = take(bucket, now, interval_ns, burst_ns) {
                bucket = next;
                passed += 1;
            }
            now += gap_ns;
        }
        passed
    }

    #[test]
    fn burst_then_rate() {
        assert_eq!(taken(100, 200, 10_000, 0), 200);
        // 1,000 packets a second for ten seconds: the burst and ten seconds' worth.
        assert_eq!(taken(100, 200, 10_000, 1_000_000), 200 + 10 * 100 - 1);
        assert_eq!(taken(100, 200, 1_000, 10_000_000), 1_000);
    }

    #[test]
    fn by_the_minute() {
        assert_eq!(times_a_minute(10, 20), (6_000_000_000, 19 * 6_000_000_000));
        assert_eq!(times_a_minute(60, 5), times(1, 5));
    }

    #[test]
    fn no_rate_no_limit() {
        assert_eq!(taken(0, 0, 10_000, 0), 10_000);
    }
}
