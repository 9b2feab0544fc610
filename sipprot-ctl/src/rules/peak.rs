//! How much SIP a trusted source sends when it is busiest, and the ceiling that follows from it.
//!
//! UDP sources can be forged, so a flood in a peer's name must not buy the peer a ceiling under
//! which the next flood fits: a peak at most doubles in a day, and it never lifts the ceiling above
//! ten times what every peer has.

use serde::{Deserialize, Serialize};

use super::time::{DAY, Time};

/// A ceiling is so many times the peak.
const ROOM: u32 = 20;
/// And at most so many times what every peer has.
const LIFT_MAX: u32 = 10;
/// Packets a second that anybody may reach on its first day.
const GROWS_FROM: u32 = 100;

/// Packets a second.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Peak {
    /// Of the days before; loses an eighth on each day that doesn't reach it.
    #[serde(default)]
    before: u32,
    #[serde(default)]
    today: u32,
    /// Number of the day since 1970.
    #[serde(default)]
    day: u64,
}

impl Peak {
    /// What was sent lately on an average.
    pub fn note(&mut self, rate: u32, at: Time) {
        self.turn(at);
        self.today = self.today.max(rate);
    }

    pub fn rate(mut self, now: Time) -> u32 {
        self.turn(now);
        self.before.max(self.grown())
    }

    /// The same when the clock was set.
    pub(super) fn moved(self, by_ns: i64) -> Self {
        let days = by_ns / i64::try_from(DAY.as_nanos()).unwrap_or(i64::MAX);
        Self { day: self.day.saturating_add_signed(days), ..self }
    }

    /// The ceiling that it gives, if every peer has `least`.
    pub fn ceiling(self, least: u32, now: Time) -> u32 {
        let wanted = self.rate(now).saturating_mul(ROOM);
        wanted.clamp(least, least.saturating_mul(LIFT_MAX))
    }

    fn grown(self) -> u32 {
        self.today.min(self.before.max(GROWS_FROM).saturating_mul(2))
    }

    fn turn(&mut self, now: Time) {
        let day = now.as_secs() / DAY.as_secs();
        let days = day.saturating_sub(self.day);
        if days == 0 {
            return;
        }
        self.before = self.grown().max(self.before - self.before.div_ceil(8));
        for _ in 1..days.min(100) {
            self.before -= self.before.div_ceil(8);
        }
        (self.today, self.day) = (0, day);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rates by day, and the peak and ceiling on the evening of the last.
    fn check(rates: &[(u64, u32)], evening: u64, peak: u32, ceiling: u32) {
        let at = |day: u64, hour: u64| Time::from_secs((20_000 + day) * 86_400 + hour * 3600);
        let mut learned = Peak::default();
        rates.iter().for_each(|&(day, rate)| learned.note(rate, at(day, 12)));
        let now = at(evening, 20);
        assert_eq!((learned.rate(now), learned.ceiling(2000, now)), (peak, ceiling), "{rates:?}");
    }

    #[test]
    fn a_ceiling_is_twenty_times_the_peak_within_bounds() {
        check(&[], 0, 0, 2000);
        check(&[(0, 40)], 0, 40, 2000);
        check(&[(0, 40), (0, 150), (0, 3)], 0, 150, 3000);
        check(&[(0, 200), (1, 400), (2, 800), (3, 1600)], 3, 1600, 20_000);
    }

    #[test]
    fn a_peak_at_most_doubles_in_a_day() {
        check(&[(0, 1_000_000)], 0, 200, 4000);
        check(&[(0, 1_000_000), (1, 1_000_000)], 1, 400, 8000);
        check(&[(0, 50), (1, 2000)], 1, 200, 4000);
    }

    #[test]
    fn what_is_not_reached_again_fades() {
        check(&[(0, 160)], 1, 160, 3200);
        check(&[(0, 160)], 2, 140, 2800);
        check(&[(0, 160), (1, 10)], 3, 122, 2440);
        check(&[(0, 160), (1, 160), (2, 160)], 2, 160, 3200);
        check(&[(0, 160)], 400, 0, 2000);
    }
}
