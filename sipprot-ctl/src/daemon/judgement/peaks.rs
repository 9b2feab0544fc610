//! How much trusted sources send, from the kernel's counts, for their ceilings; and how many phones they
//! have, for what phones fetch.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use sipprot_common::source::SourceKey;
use tracing::debug;

use crate::daemon::core::Core;
use crate::datapath::monotonic_ns;

/// Looked at in one second: each is a system call.
const TURN_MAX: usize = 2048;
/// A rate is an average over no less than this.
const PERIOD: Duration = Duration::from_secs(10);

/// Looks at every trusted source in turn.
#[derive(Default)]
pub struct Peaks {
    waiting: VecDeque<SourceKey>,
    round_ns: u64,
    last: HashMap<SourceKey, Count>,
}

#[derive(Clone, Copy)]
struct Count {
    packets: u64,
    at_ns: u64,
}

impl Peaks {
    /// Those whose turn it is.
    fn next(&mut self, now_ns: u64, trusted: impl Iterator<Item = SourceKey>) -> Vec<SourceKey> {
        let period_ns = PERIOD.as_nanos() as u64;
        if self.waiting.is_empty() && now_ns.saturating_sub(self.round_ns) >= period_ns {
            self.round_ns = now_ns;
            self.waiting = trusted.collect();
            let mut last = std::mem::take(&mut self.last);
            let known = self.waiting.iter().filter_map(|it| Some((*it, last.remove(it)?)));
            self.last = known.collect();
        }
        let turn = self.waiting.len().min(TURN_MAX);
        self.waiting.drain(..turn).collect()
    }

    /// Packets a second since the last look; none at the first.
    fn rate(&mut self, source: SourceKey, packets: u64, at_ns: u64) -> Option<u32> {
        let before = self.last.insert(source, Count { packets, at_ns })?;
        // The kernel may have given the source's counts up and begun anew.
        let sent = packets.checked_sub(before.packets).unwrap_or(packets);
        let milliseconds = at_ns.saturating_sub(before.at_ns) / 1_000_000;
        let rate = sent.saturating_mul(1000).checked_div(milliseconds)?;
        Some(u32::try_from(rate).unwrap_or(u32::MAX))
    }
}

impl Core {
    /// What the kernel is told: 0 where the policy's ceiling holds.
    pub(in crate::daemon) fn kernel_rate(&self, source: SourceKey) -> u32 {
        let rate = self.engine.ceiling(source, self.clock.time_now());
        if rate == self.config.ceilings.trusted_rate { 0 } else { rate }
    }

    pub(in crate::daemon) fn look_at_peaks(&mut self) {
        let now_ns = monotonic_ns();
        for source in self.peaks.next(now_ns, self.engine.trusted()) {
            let phones = self.engine.phones(source, self.clock.time_now());
            self.kernel.carry("counting phones", |datapath| datapath.set_phones(source, phones));
            let counts = self.kernel.with(|datapath| datapath.source_counts(source));
            let Ok(Some(counts)) = counts else { continue };
            if let Some(rate) = self.peaks.rate(source, counts.sip, now_ns) {
                self.note_rate(source, rate);
            }
        }
    }

    fn note_rate(&mut self, source: SourceKey, rate: u32) {
        if !self.engine.note_rate(source, rate, self.clock.time_now()) {
            return;
        }
        let ceiling = self.kernel_rate(source);
        debug!("the ceiling of {} is {ceiling} packets/s", source.network().0);
        self.persisted.dirty = true;
        self.kernel.carry("lifting a ceiling", |datapath| match datapath.is_trusted(source)? {
            true => datapath.trust(source, ceiling),
            false => Ok(false),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn rates_are_averages_between_looks() {
        let mut peaks = Peaks::default();
        let source = SourceKey(7);
        assert_eq!(peaks.rate(source, 5_000, 10 * SECOND), None, "nothing to compare with");
        assert_eq!(peaks.rate(source, 5_400, 20 * SECOND), Some(40));
        assert_eq!(peaks.rate(source, 300, 30 * SECOND), Some(30), "counted anew");
        assert_eq!(peaks.rate(source, 301, 30 * SECOND), None, "no time has gone by");
    }

    #[test]
    fn many_sources_take_turns() {
        let all = || (0..5000).map(SourceKey);
        let mut peaks = Peaks::default();
        let mut turn = |second: u64| peaks.next(second * SECOND, all()).len();
        assert_eq!([10, 11, 12, 13, 20].map(&mut turn), [2048, 2048, 904, 0, 2048]);
    }

    #[test]
    fn who_is_no_longer_trusted_is_forgotten() {
        let mut peaks = Peaks::default();
        peaks.rate(SourceKey(1), 1, SECOND);
        peaks.rate(SourceKey(2), 1, SECOND);
        peaks.next(20 * SECOND, std::iter::once(SourceKey(2)));
        assert_eq!(peaks.last.keys().copied().collect::<Vec<_>>(), [SourceKey(2)]);
    }
}
