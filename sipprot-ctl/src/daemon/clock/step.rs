//! The wall clock was set, or the host slept. Blocks, trust and counts last as long as they would have; what
//! ends at a time of day ends at that of the new clock.

use std::sync::atomic::Ordering;

use jiff::SignedDuration;
use tracing::warn;

use super::{Clock, moved, signed_nanoseconds};
use crate::config::format_duration;
use crate::daemon::core::Core;
use crate::store::Change;

/// Less is no step: reading two clocks takes some of it.
const LEAST: SignedDuration = SignedDuration::from_millis(500);
/// A clock that was set ahead by more may be wrong now.
const DOUBTFUL: SignedDuration = SignedDuration::from_hours(24);

/// What happened to the wall clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// Ahead, or back.
    set: SignedDuration,
    /// The kernel's clock stood still meanwhile.
    slept: SignedDuration,
}

impl Step {
    pub(super) fn between(before: Clock, after: Clock) -> Option<Self> {
        let went =
            |from: u64, to: u64| SignedDuration::from_nanos(to.wrapping_sub(from).cast_signed());
        let slept = went(before.slept_ns, after.slept_ns);
        let set = went(before.zero.0, after.zero.0).saturating_sub(slept);
        let big = |it: SignedDuration| if it.abs() < LEAST { SignedDuration::ZERO } else { it };
        let step = Self { set: big(set), slept: big(slept) };
        (!step.set.is_zero() || !step.slept.is_zero()).then_some(step)
    }

    pub(super) fn is_doubtful(self) -> bool {
        self.set > DOUBTFUL
    }
}

impl Core {
    /// Once a second.
    pub(in crate::daemon) fn look_at_clock(&mut self) {
        let Some(Step { set, slept }) = self.clock.measure() else { return };
        if !set.is_zero() {
            let by = format_duration(set.unsigned_abs());
            let way = if set.is_negative() { "back" } else { "ahead" };
            warn!(
                "the clock was set {way} by {by}: blocks and trust last as long as they would have"
            );
            self.follow(set);
        }
        if !slept.is_zero() {
            let slept = format_duration(slept.unsigned_abs());
            warn!("the host slept for {slept}: blocks end when they would have");
            self.put_ends_again();
        }
        // Entries with an end have it in the kernel's time.
        if !self.expiring.is_empty() || self.guard.pending.is_some() {
            self.lists_stale.store(true, Ordering::Relaxed);
        }
    }

    /// The kernel's ends are right: those of the books move, and so does whatever else waits.
    fn follow(&mut self, by: SignedDuration) {
        self.ledger.clock_was_set(by);
        self.write_renewals();
        self.engine.clock_was_set(signed_nanoseconds(by));
        self.write_memory();
        let mut changes: Vec<Change> = self.lessons.clock_was_set(by).into_iter().collect();
        if let Some(pending) = &mut self.guard.pending {
            pending.until = moved(pending.until, by);
            changes.push(Change::PutPending(pending.clone()));
        }
        self.journal.write(changes);
        self.feeds.iter_mut().for_each(|feed| feed.clock_was_set(by));
        self.geo_update.make_due();
    }

    /// The books are right.
    fn put_ends_again(&mut self) {
        let blocks: Vec<_> = self.ledger.blocks().cloned().collect();
        blocks.into_iter().for_each(|record| self.put_back(record));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn small_steps_add_up_and_sleep_is_no_setting() {
        let (now, no_sleep) = (Clock::now(), Duration::ZERO);
        let ms = SignedDuration::from_millis;
        let (still, hour) = (SignedDuration::ZERO, Duration::from_hours(1));
        let step = |set, slept| Some(Step { set, slept });
        let slept = SignedDuration::from_hours(1);
        for (set, sleeps, expected) in [
            (still, no_sleep, None),
            (ms(499), no_sleep, None),
            (ms(-499), no_sleep, None),
            (ms(500), no_sleep, step(ms(500), still)),
            (ms(-90_000), no_sleep, step(ms(-90_000), still)),
            (still, hour, step(still, slept)),
            (ms(100), hour, step(still, slept)),
            (ms(5000), hour, step(ms(5000), slept)),
        ] {
            assert_eq!(Step::between(now.before(set, sleeps), now), expected, "{set} {sleeps:?}");
        }
        let mut clock = now.before(ms(300), no_sleep);
        assert_eq!(clock.measure(), None);
        clock = clock.before(ms(300), no_sleep);
        assert!(clock.measure().is_some_and(|it| it.set > ms(550)), "two of them");
        assert_eq!(clock.measure(), None);
    }

    #[test]
    fn a_clock_that_leaps_ahead_makes_nothing_old() {
        let mut clock = Clock::now().before(SignedDuration::from_hours(23), Duration::ZERO);
        let old = |clock: &Clock| clock.old_before(Duration::from_hours(1)).as_second();
        assert!(old(&clock) > 0);
        assert!(clock.measure().is_some() && old(&clock) > 0, "not far ahead");
        clock = clock.before(SignedDuration::from_hours(25), Duration::ZERO);
        assert!(clock.measure().is_some());
        assert_eq!(old(&clock), 0);
        clock = clock.before(SignedDuration::from_hours(-25), Duration::ZERO);
        assert!(clock.measure().is_some() && old(&clock) > 0, "it is right again");
        assert_eq!(old(&Clock::now()), 0, "for an hour after a start");
    }
}
