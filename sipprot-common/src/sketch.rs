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

/// Cells of a page, the value of the map.
pub const CELLS: usize = 1 << 12;
/// Pages of both rows, which follow each other.
pub const PAGES: u32 = 2 << (ROW_BITS - CELLS.trailing_zeros());
/// Cells of a row, as a power of two.
const ROW_BITS: u32 = 17;
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

/// Some cells of a row.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    pub cells: [u16; CELLS],
}

impl Page {
    pub const EMPTY: Self = Self { cells: [0; CELLS] };
}

/// Where the two cells of a source are: a page and a cell in it. The cell is still to be wrapped.
#[inline(always)]
pub const fn places(seed: u32, key: u64) -> [(u32, u64); 2] {
    let hash = hash::finish(hash::fold(seed as u64, key));
    let (first, second) = (hash as u32, (hash >> 32) as u32);
    let page = PAGES / 2 - 1;
    // The upper bits say the page, the lower ones the cell.
    [
        ((first >> 24) & page, (first & 0xffff) as u64),
        (PAGES / 2 + ((second >> 24) & page), (second & 0xffff) as u64),
    ]
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

    struct Pages(Vec<Page>);

    impl Pages {
        fn new() -> Self {
            Self(vec![Page::EMPTY; PAGES as usize])
        }

        fn seen(&self, key: u64, now_ns: u64) -> bool {
            places(7, key).into_iter().all(|(page, cell)| {
                let cell = self.0[page as usize].cells[cell as usize % CELLS];
                is_recent(cell, tick(now_ns))
            })
        }

        fn see(&mut self, key: u64, now_ns: u64) {
            for (page, cell) in places(7, key) {
                self.0[page as usize].cells[cell as usize % CELLS] = tick(now_ns);
            }
        }
    }

    #[test]
    fn remembers_a_minute_and_forgets_after_it() {
        let mut sketch = Pages::new();
        for start_s in (1_000..1_010).chain([281_470, 281_474, 281_478]) {
            let start_ns = start_s * SECOND_NS;
            sketch.see(start_s, start_ns);
            for (after_s, wanted) in [(0, true), (60, true), (64, true), (70, false), (3600, false)]
            {
                let now_ns = start_ns + after_s * SECOND_NS;
                assert_eq!(sketch.seen(start_s, now_ns), wanted, "{start_s} after {after_s} s");
            }
        }
    }

    /// What one flooded endpoint lets through in a minute, 300 a second, hides nobody.
    #[test]
    fn strangers_are_taken_for_known_ones_rarely() {
        let mut sketch = Pages::new();
        let now_ns = 1_000 * SECOND_NS;
        (0..20_000).for_each(|key| sketch.see(key, now_ns));
        let mistaken = (1_000_000..1_100_000).filter(|&key| sketch.seen(key, now_ns)).count();
        assert!(mistaken < 4_000, "{mistaken} of 100,000");
        assert!((0..20_000).all(|key| sketch.seen(key, now_ns)));
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
