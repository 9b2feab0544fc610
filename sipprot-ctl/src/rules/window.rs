//! Sliding windows: exact, bounded by the limit of their rule, with what is proven counted beside
//! the whole. Forged failures fill the whole but never touch the proven count.

use std::time::Duration;

use super::rule::RuleId;
use super::time::Time;

/// Windows of one source over all rules, accounts and endpoints. A source under its minute limit
/// cannot touch so many that it washes out one that nears its hourly limit.
const WINDOWS_PER_SOURCE_MAX: usize = 256;

/// The last marks, as many as the limit needs.
#[derive(Default)]
pub struct Marks(Vec<(Time, u64)>);

impl Marks {
    /// One more occurrence.
    pub fn add(&mut self, at: Time, window: Duration, limit: usize) {
        self.push(at, 0, window, limit);
    }

    /// One more, unless the same was there: then it is as new.
    pub fn add_distinct(&mut self, at: Time, tag: u64, window: Duration, limit: usize) {
        self.0.retain(|(_, other)| *other != tag);
        self.push(at, tag, window, limit);
    }

    fn push(&mut self, at: Time, tag: u64, window: Duration, limit: usize) {
        let stays = |(place, (oldest, _)): (usize, &(Time, u64))| {
            self.0.len() - place < limit && at.since(*oldest) < window
        };
        let stale = self.0.iter().enumerate().position(stays).unwrap_or(self.0.len());
        self.0.drain(..stale);
        grow(&mut self.0);
        self.0.push((at, tag));
    }

    pub const fn heap(&self) -> usize {
        self.0.capacity() * size_of::<(Time, u64)>()
    }

    fn in_window(&self, now: Time, window: Duration) -> impl Iterator<Item = Time> {
        self.0.iter().map(|(at, _)| *at).filter(move |at| now.since(*at) < window)
    }

    pub fn count(&self, now: Time, window: Duration) -> u32 {
        self.in_window(now, window).count() as u32
    }

    pub fn first(&self, now: Time, window: Duration) -> Option<Time> {
        self.in_window(now, window).min()
    }

    pub fn clear(&mut self) {
        self.0 = Vec::new();
    }
}

/// Room for one more, and at first no more than that: nearly all sources of a forged flood are
/// seen once.
fn grow<T>(entries: &mut Vec<T>) {
    if entries.len() == entries.capacity() {
        entries.reserve_exact((entries.len() / 2).max(1));
    }
}

/// What to add to a window.
#[derive(Clone, Copy)]
pub struct Mark {
    pub at: Time,
    pub proven: bool,
    pub count: u32,
    /// Only different tags count, if there is one.
    pub tag: Option<u64>,
}

#[derive(Default)]
pub struct Window {
    pub all: Marks,
    pub proven: Marks,
    last: Time,
}

impl Window {
    pub fn add(&mut self, mark: Mark, window: Duration, limit: u32) {
        self.last = mark.at;
        for _ in 0..mark.count.min(limit) {
            Self::add_to(&mut self.all, mark, window, limit);
            if mark.proven {
                Self::add_to(&mut self.proven, mark, window, limit);
            }
        }
    }

    fn add_to(marks: &mut Marks, mark: Mark, window: Duration, limit: u32) {
        match mark.tag {
            Some(tag) => marks.add_distinct(mark.at, tag, window, limit as usize),
            None => marks.add(mark.at, window, limit as usize),
        }
    }

    /// Whether the limit is reached, and if so whether by proven marks alone.
    pub fn reached(&self, now: Time, window: Duration, limit: u32) -> Option<bool> {
        if self.proven.count(now, window) >= limit {
            return Some(true);
        }
        (self.all.count(now, window) >= limit).then_some(false)
    }
}

/// Which window: of which rule, and of which account or endpoint where the rule keeps them apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    pub rule: RuleId,
    pub scope: u64,
}

/// All windows of one source.
#[derive(Default)]
pub struct Windows(Vec<(Slot, Window)>);

impl Windows {
    pub fn get(&self, slot: Slot) -> Option<&Window> {
        self.0.iter().find(|(other, _)| *other == slot).map(|(_, window)| window)
    }

    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut Window> {
        self.0.iter_mut().find(|(other, _)| *other == slot).map(|(_, window)| window)
    }

    pub fn entry(&mut self, slot: Slot) -> &mut Window {
        let place = match self.0.iter().position(|(other, _)| *other == slot) {
            Some(place) => place,
            None => self.make(slot),
        };
        &mut self.0[place].1
    }

    fn make(&mut self, slot: Slot) -> usize {
        if self.0.len() >= WINDOWS_PER_SOURCE_MAX {
            self.forget_coldest();
        }
        grow(&mut self.0);
        self.0.push((slot, Window::default()));
        self.0.len() - 1
    }

    fn forget_coldest(&mut self) {
        let coldest = (0..self.0.len()).min_by_key(|place| self.0[*place].1.last);
        self.0.swap_remove(coldest.unwrap_or(0));
    }

    /// With their scopes.
    pub fn of_rule(&self, rule: RuleId) -> impl Iterator<Item = (u64, &Window)> {
        let own = self.0.iter().filter(move |(slot, _)| slot.rule == rule);
        own.map(|(slot, window)| (slot.scope, window))
    }

    pub fn clear(&mut self) {
        self.0 = Vec::new();
    }

    pub fn heap(&self) -> usize {
        let marks = self.0.iter().map(|(_, window)| window.all.heap() + window.proven.heap());
        self.0.capacity() * size_of::<(Slot, Window)>() + marks.sum::<usize>()
    }

    /// Gives up what was touched longest ago, until no more than so many bytes are kept.
    pub fn fit(&mut self, bytes: usize) {
        while self.heap() > bytes && self.0.len() > 1 {
            self.forget_coldest();
            self.0.shrink_to_fit();
        }
    }

    /// All begin anew, but for what was proven.
    pub fn forget_unproven(&mut self) {
        self.0.iter_mut().for_each(|(_, window)| window.all.clear());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn check(limit: u32, marks: &[(u64, bool)], now: u64, expected: Option<bool>) {
        let mut window = Window::default();
        for &(seconds, proven) in marks {
            let mark = Mark { at: Time::from_secs(seconds), proven, count: 1, tag: None };
            window.add(mark, MINUTE, limit);
        }
        assert_eq!(window.reached(Time::from_secs(now), MINUTE, limit), expected, "{marks:?}");
    }

    #[test]
    fn a_limit_is_reached_within_the_window_only() {
        check(3, &[(100, true), (110, true)], 110, None);
        check(3, &[(100, true), (110, true), (159, true)], 159, Some(true));
        check(3, &[(100, true), (110, true), (160, true)], 160, None);
    }

    #[test]
    fn forged_marks_neither_prove_nor_wash_out_proof() {
        check(3, &[(1, true), (2, false), (3, true)], 3, Some(false));
        let washed = [(1, true), (2, false), (3, false), (4, false), (5, true), (6, true)];
        check(3, &washed, 6, Some(true));
    }

    #[test]
    fn distinct_ones_count_once() {
        let mut marks = Marks::default();
        for (at, tag) in [(1, 7), (2, 7), (3, 8), (50, 7)] {
            marks.add_distinct(Time::from_secs(at), tag, MINUTE, 5);
        }
        assert_eq!(marks.count(Time::from_secs(50), MINUTE), 2);
        assert_eq!(marks.count(Time::from_secs(63), MINUTE), 1, "7 was renewed, 8 is too old");
    }

    #[test]
    fn windows_of_a_source_are_bounded() {
        let mut windows = Windows::default();
        for scope in 0..1000 {
            windows.entry(Slot { rule: RuleId::RegisterHour, scope }).last = Time(scope);
        }
        assert_eq!(windows.0.len(), WINDOWS_PER_SOURCE_MAX);
        assert!(windows.get(Slot { rule: RuleId::RegisterHour, scope: 999 }).is_some());
        assert!(windows.get(Slot { rule: RuleId::RegisterHour, scope: 0 }).is_none());
    }
}
