//! How many failures a source had by a rule within its window, without end: the windows of the rules
//! themselves stop at their limits.

use std::time::Duration;

use super::super::time::Time;
use super::super::window::Slot;

/// Of one source: rules, accounts and endpoints.
const TALLIES_MAX: usize = 32;
/// Distinct things that are told apart.
const TAGS_MAX: usize = 256;

/// Something that counts.
#[derive(Clone, Copy, Debug)]
pub struct Occurrence {
    pub at: Time,
    pub count: u32,
    /// Only different ones count, if there is one.
    pub tag: Option<u64>,
    pub window: Duration,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tallies(Vec<(Slot, Tally)>);

impl Tallies {
    /// Adds, and says how many there were within the window.
    pub fn add(&mut self, slot: Slot, occurrence: Occurrence) -> u32 {
        let known = self.0.iter().position(|(other, _)| *other == slot);
        let place = known.unwrap_or_else(|| {
            if self.0.len() >= TALLIES_MAX {
                let coldest = (0..self.0.len()).min_by_key(|place| self.0[*place].1.last);
                self.0.swap_remove(coldest.unwrap_or(0));
            }
            self.0.push((slot, Tally::default()));
            self.0.len() - 1
        });
        self.0[place].1.add(occurrence)
    }
}

/// Counts of this window's length and of the one before. What slides is taken from the one before in
/// proportion, so that it needs no memory of each.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Tally {
    start: Time,
    now: u32,
    before: u32,
    tags: Vec<u64>,
    last: Time,
}

impl Tally {
    fn add(&mut self, occurrence: Occurrence) -> u32 {
        let Occurrence { at, count, tag, window } = occurrence;
        self.last = at;
        let age = at.since(self.start);
        if age >= window {
            self.before = if age < window * 2 && tag.is_none() { self.now } else { 0 };
            self.now = 0;
            self.tags.clear();
            self.start = if age < window * 2 { self.start.after(window) } else { at };
        }
        match tag {
            Some(tag) if self.tags.contains(&tag) || self.tags.len() >= TAGS_MAX => {}
            Some(tag) => {
                self.tags.push(tag);
                self.now = self.now.saturating_add(1);
            }
            None => self.now = self.now.saturating_add(count),
        }
        let left = window.saturating_sub(at.since(self.start));
        let share = u64::from(self.before) * left.as_millis() as u64 / window.as_millis() as u64;
        self.now.saturating_add(share as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::RuleId;

    /// Occurrences as (second, tag), and how many are within a minute of the last.
    fn check(occurrences: &[(u64, Option<u64>)], expected: u32) {
        let slot = Slot { rule: RuleId::Register, scope: 0 };
        let mut tallies = Tallies::default();
        let mut last = 0;
        for &(second, tag) in occurrences {
            let (at, window) = (Time::from_secs(1_000_000 + second), Duration::from_secs(60));
            last = tallies.add(slot, Occurrence { at, count: 1, tag, window });
        }
        assert_eq!(last, expected, "{occurrences:?}");
    }

    #[test]
    fn counts_slide_with_the_window() {
        check(&[(0, None)], 1);
        check(&[(0, None); 50], 50);
        check(&[(0, None), (10, None), (70, None)], 1 + 1);
        check(&[(0, None), (30, None), (59, None), (90, None)], 1 + 1);
        check(&[(0, None), (1, None), (200, None)], 1);
    }

    #[test]
    fn different_ones_count_once() {
        check(&[(0, Some(1)), (1, Some(1)), (2, Some(2))], 2);
        check(&[(0, Some(1)), (61, Some(2))], 1);
    }

    #[test]
    fn slots_are_bounded() {
        let mut tallies = Tallies::default();
        for scope in 0..100 {
            let at = Time::from_secs(scope);
            let window = Duration::from_secs(60);
            tallies.add(
                Slot { rule: RuleId::RegisterHour, scope },
                Occurrence { at, count: 1, tag: None, window },
            );
        }
        assert_eq!(tallies.0.len(), TALLIES_MAX);
    }
}
