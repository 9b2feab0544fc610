//! Whether there is far more of something than usual. Pure: counts in, with `now`; a surge out.

/// Minutes over which the usual is averaged: a day.
const MEMORY: f64 = 1440.0;
const MINUTE: i64 = 60;

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Rate {
    /// The one that is counted; none before the first.
    minute: Option<i64>,
    count: u64,
    usual: f64,
    minutes: f64,
    /// Told of in this minute.
    told: bool,
}

impl Rate {
    /// So many more. A surge is found before its minute is over: how many there are in it, and usually.
    pub fn add(&mut self, count: u64, least: u32, factor: u32, now: i64) -> Option<(u64, u64)> {
        self.turn(now.div_euclid(MINUTE));
        self.count += count;
        let usual = self.usual;
        let many = self.count >= u64::from(least) && self.count as f64 >= usual * f64::from(factor);
        if !many || self.told {
            return None;
        }
        self.told = true;
        Some((self.count, usual.round() as u64))
    }

    /// What a minute had becomes part of the usual, and so does every minute without any.
    fn turn(&mut self, minute: i64) {
        let before = *self.minute.get_or_insert(minute);
        if minute == before {
            return;
        }
        let passed = minute.saturating_sub(before).clamp(1, 100_000) as f64;
        self.minutes = (self.minutes + 1.0).min(MEMORY);
        self.usual += (self.count as f64 - self.usual) / self.minutes;
        // Minutes in which nobody was heard of.
        let quiet = passed - 1.0;
        self.minutes = (self.minutes + quiet).min(MEMORY);
        self.usual *= (1.0 - 1.0 / self.minutes).powf(quiet);
        (self.minute, self.count, self.told) = (Some(minute), 0, false);
    }
}
