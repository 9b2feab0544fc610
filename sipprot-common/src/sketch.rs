//! Who was seen lately, in little room: what stands before the exact map of sources.
//!
//! Two rows of times, indexed by two seeded hashes of the source. A source was seen lately if both
//! of its cells were written within the last minute; cells are never swept, since a time that is too
//! old says so itself. It errs only towards "seen", which lets a newcomer in a little early and
//! costs a look-up: nobody is punished for it.
//!
//! Only what the ceilings let pass is noted, so a flood of any width writes no more than they allow.

use crate::abi::SOURCES_MAX;
use crate::ceiling;
use crate::hash;

/// Cells of a row.
pub const COLUMNS: usize = 1 << 17;
/// Nanoseconds, as a power of two, that a cell can tell apart: 4.3 s.
const TICK_BITS: u32 = 32;
/// Ticks for which a source counts as seen: at least 64 s, which is more than a hold, and more than a
/// window counts for after the last attempt in it.
const TICKS: u16 = 16;

/// How many newcomers without a proof enter the exact map: a second, and at once.
const NEWCOMERS: (u32, u32) = (256, 32_768);
/// A window counts for two minutes at most. Those who enter unproven in that time are less than half
/// of the map, so it never gives up what still counts.
const _: () = assert!(NEWCOMERS.1 + 120 * NEWCOMERS.0 < SOURCES_MAX / 2);

/// The cells of both rows.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Sketch {
    pub rows: [[u16; COLUMNS]; 2],
}

impl Sketch {
    pub const EMPTY: Self = Self { rows: [[0; COLUMNS]; 2] };
}

/// The columns of a source, one in each row.
#[inline(always)]
pub const fn columns(seed: u32, key: u64) -> (u64, u64) {
    let hash = hash::finish(hash::fold(seed as u64, key));
    (hash & (COLUMNS as u64 - 1), (hash >> 32) & (COLUMNS as u64 - 1))
}

/// What is written into a cell.
#[inline(always)]
pub const fn tick(now_ns: u64) -> u16 {
    (now_ns >> TICK_BITS) as u16
}

#[inline(always)]
pub const fn is_recent(cell: u16, now: u16) -> bool {
    now.wrapping_sub(cell) < TICKS
}

/// May a newcomer without a proof enter the exact map? While there is plenty of room everybody may;
/// then only who was seen before. Takes and gives the bucket of all newcomers, as [`ceiling::take`].
#[inline(always)]
pub const fn admit(bucket_ns: u64, now_ns: u64, seen: bool) -> Option<u64> {
    const TIMES: (u64, u64) = ceiling::times(NEWCOMERS.0, NEWCOMERS.1);
    let burst_ns = if seen { TIMES.1 } else { TIMES.1 / 2 };
    ceiling::take(bucket_ns, now_ns, TIMES.0, burst_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn seen(sketch: &Sketch, key: u64, now_ns: u64) -> bool {
        let (first, second) = columns(7, key);
        is_recent(sketch.rows[0][first as usize], tick(now_ns))
            && is_recent(sketch.rows[1][second as usize], tick(now_ns))
    }

    fn note(sketch: &mut Sketch, key: u64, now_ns: u64) {
        let (first, second) = columns(7, key);
        sketch.rows[0][first as usize] = tick(now_ns);
        sketch.rows[1][second as usize] = tick(now_ns);
    }

    #[test]
    fn remembers_a_minute_and_forgets_after_it() {
        let mut sketch = Box::new(Sketch::EMPTY);
        for start_s in (1_000..1_010).chain([281_470, 281_474, 281_478]) {
            let start_ns = start_s * SECOND_NS;
            note(&mut sketch, start_s, start_ns);
            for (after_s, wanted) in [(0, true), (60, true), (64, true), (70, false), (3600, false)]
            {
                let now_ns = start_ns + after_s * SECOND_NS;
                assert_eq!(seen(&sketch, start_s, now_ns), wanted, "{start_s} after {after_s} s");
            }
        }
    }

    /// What one flooded endpoint lets through in a minute, 300 a second, hides nobody.
    #[test]
    fn strangers_are_taken_for_known_ones_rarely() {
        let mut sketch = Box::new(Sketch::EMPTY);
        let now_ns = 1_000 * SECOND_NS;
        (0..20_000).for_each(|key| note(&mut sketch, key, now_ns));
        let mistaken = (1_000_000..1_100_000).filter(|&key| seen(&sketch, key, now_ns)).count();
        assert!(mistaken < 4_000, "{mistaken} of 100,000");
        assert!((0..20_000).all(|key| seen(&sketch, key, now_ns)));
    }

    #[test]
    fn a_crowd_of_strangers_leaves_room_for_who_comes_again() {
        let now_ns = 1_000 * SECOND_NS;
        let mut bucket_ns = 0;
        let mut enter = |count: u32, seen: bool, now_ns: u64| {
            let entered = (0..count).filter(|_| match admit(bucket_ns, now_ns, seen) {
                Some(next_ns) => {
                    bucket_ns = next_ns;
                    true
                }
                None => false,
            });
            entered.count()
        };
        assert_eq!(enter(1_000_000, false, now_ns), 16_384);
        assert_eq!(enter(1_000_000, true, now_ns), 16_384);
        assert_eq!(enter(1_000, true, now_ns + SECOND_NS), 256);
        assert_eq!(enter(1_000, false, now_ns + SECOND_NS), 0);
        assert_eq!(enter(1_000, false, now_ns + 200 * SECOND_NS), 1_000);
    }
}
