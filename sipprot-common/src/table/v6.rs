//! IPv6: marks that say whether anything is below a /32, and a cuckoo table of prefixes.
//!
//! Prefixes of four lengths, the rungs, are in the table; others are cut into those or stay in the
//! trie. A mark may be there by chance (a Bloom filter), a listed prefix never is: its whole hash is
//! kept.

use super::cuckoo::Places;
use super::{ASK, GEO, LISTED, Word};
use crate::hash::{finish, fold};

const WIDE_WORDS: usize = 1 << 10;
const PLACE_WORDS: usize = 1 << 15;
const TOP_WORDS: usize = 1 << 16;
const MARK_WORDS: usize = 1 << 19;
const BUCKETS: usize = 1 << 18;
const WIDTH: usize = 4;

/// What a mark stands for; the rungs' own numbers are their lengths.
const TOP: u64 = 1;
const IN_TRIE: u64 = 2;

#[repr(C)]
pub struct Prefixes {
    /// A bit for each /16: the tries have something wide above or in it.
    wide: [Word; WIDE_WORDS],
    /// A bit for each /24 of 2000::/3: some policy may keep its country out.
    places: [Word; PLACE_WORDS],
    /// A mark for each /32 with anything at or below it: all that nearly every source needs, and small
    /// enough to stay in caches.
    tops: [Word; TOP_WORDS],
    marks: [Word; MARK_WORDS],
    buckets: [[Word; WIDTH]; BUCKETS],
}

/// The hash of a prefix, for its mark and its place.
#[inline(always)]
const fn hash(seed: u64, kind: u64, bits: u64) -> u64 {
    fold(fold(seed, kind), bits)
}

impl Prefixes {
    pub const CAPACITY: usize = BUCKETS * WIDTH;

    #[inline(always)]
    pub fn look(&self, high: u64, low: u64, seed: u64, zero: u64) -> u32 {
        let mut asks = self.wide[(high >> 54) as usize].get() >> ((high >> 48) & 63) & 1;
        let place = self.places[(high >> 46) as usize & (PLACE_WORDS - 1)].get();
        // Outside of 2000::/3 nobody has a country, which may be reason enough.
        let geo = place >> ((high >> 40) & 63) & 1 | is_zero((high >> 61) ^ 1) ^ 1;
        let mut hit = zero & 1;
        let top = high >> 32;
        if is_marked(&self.tops, hash(seed, TOP, top)) != 0 {
            asks |= is_marked(&self.marks, hash(seed, IN_TRIE, top));
            let host = hash(seed, 128, high);
            hit |= self.has(hash(seed, 64, high), zero);
            hit |= self.has(hash(seed, 48, high >> 16), zero);
            hit |= self.has(hash(seed, 32, top), zero);
            if is_marked(&self.marks, host) != 0 {
                hit |= self.is_placed(fingerprint(fold(host, low)), zero);
            }
        }
        (asks as u32 * ASK) | (hit as u32 * LISTED) | (geo as u32 * GEO)
    }

    /// 1 or 0, as all that follows: a branch here would be one more way for the verifier.
    #[inline(always)]
    fn has(&self, hash: u64, zero: u64) -> u64 {
        if is_marked(&self.marks, hash) == 0 {
            return zero & 1;
        }
        self.is_placed(fingerprint(hash), zero)
    }

    #[inline(always)]
    fn is_placed(&self, fingerprint: u64, zero: u64) -> u64 {
        let [first, second] = places(fingerprint);
        let (first, second) = (&self.buckets[first], &self.buckets[second]);
        let mut hit = zero & 1;
        let mut index = 0;
        while index < WIDTH {
            hit |= is_zero(first[index].get() ^ fingerprint);
            hit |= is_zero(second[index].get() ^ fingerprint);
            index += 1;
        }
        hit
    }

    /// Adds a prefix whose length is a rung to a table that is not in force yet; false when there is no
    /// room.
    #[must_use]
    pub fn add(&self, high: u64, low: u64, rung: u32, seed: u64) -> bool {
        let (mark, place) = spelled(high, low, rung, seed);
        let added = self.put(place);
        if added {
            set_mark(&self.marks, mark);
            set_mark(&self.tops, hash(seed, TOP, high >> 32));
        }
        added
    }

    /// What stands for a prefix whose length is a rung.
    pub fn spelling(high: u64, low: u64, rung: u32, seed: u64) -> u64 {
        spelled(high, low, rung, seed).1
    }

    /// The spelling of every prefix.
    pub fn each(&self, visit: impl FnMut(u64)) {
        let filled = self.buckets.iter().flatten().map(Word::get).filter(|place| *place != 0);
        filled.for_each(visit);
    }

    /// False when it was not there. The marks stay: they only cost a look.
    pub fn remove(&self, high: u64, low: u64, rung: u32, seed: u64) -> bool {
        self.take(spelled(high, low, rung, seed).1)
    }

    /// Says that the tries know something below this /32.
    pub fn ask_below(&self, high: u64, seed: u64) {
        set_mark(&self.marks, hash(seed, IN_TRIE, high >> 32));
        set_mark(&self.tops, hash(seed, TOP, high >> 32));
    }

    /// Says that the tries know something for these /16s, both included.
    pub fn ask_wide(&self, first: u16, last: u16) {
        for index in first..=last {
            self.wide[usize::from(index >> 6)].add_bits(1 << (index & 63));
        }
    }

    /// Says for the /24s of 2000::/3, from `first` to `last` by their index, whether their country
    /// matters.
    pub fn mark_places(&self, first: u32, last: u32, matters: bool) {
        for index in first >> 6..=last >> 6 {
            let from = if index == first >> 6 { first & 63 } else { 0 };
            let to = if index == last >> 6 { last & 63 } else { 63 };
            let span = (u64::MAX << from) & (u64::MAX >> (63 - to));
            let word = &self.places[index as usize];
            word.set(if matters { word.get() | span } else { word.get() & !span });
        }
    }
}

#[inline(always)]
fn is_marked<const WORDS: usize>(words: &[Word; WORDS], hash: u64) -> u64 {
    let word = words[(hash & (WORDS as u64 - 1)) as usize].get();
    is_zero(!word & mark(hash))
}

fn set_mark<const WORDS: usize>(words: &[Word; WORDS], hash: u64) {
    words[(hash & (WORDS as u64 - 1)) as usize].add_bits(mark(hash));
}

impl Places for Prefixes {
    const WIDTH: usize = WIDTH;

    fn buckets(&self, fingerprint: u64) -> [usize; 2] {
        places(fingerprint)
    }

    fn at(&self, bucket: usize, slot: usize) -> u64 {
        self.buckets[bucket][slot].get()
    }

    fn set(&self, bucket: usize, slot: usize, fingerprint: u64) {
        self.buckets[bucket][slot].set(fingerprint);
    }
}

/// Hash of a prefix's mark, and what is kept in its place.
fn spelled(high: u64, low: u64, rung: u32, seed: u64) -> (u64, u64) {
    if rung == 128 {
        let mark = hash(seed, 128, high);
        return (mark, fingerprint(fold(mark, low)));
    }
    let mark = hash(seed, u64::from(rung), high >> (64 - rung));
    (mark, fingerprint(mark))
}

/// 1 for zero.
#[inline(always)]
const fn is_zero(value: u64) -> u64 {
    ((value | value.wrapping_neg()) >> 63) ^ 1
}

/// Never zero, which stands for an empty place.
#[inline(always)]
const fn fingerprint(hash: u64) -> u64 {
    finish(hash) | 1
}

#[inline(always)]
const fn places(fingerprint: u64) -> [usize; 2] {
    const MASK: u64 = BUCKETS as u64 - 1;
    [((fingerprint >> 13) & MASK) as usize, ((fingerprint >> 40) & MASK) as usize]
}

/// Three bits of a word.
#[inline(always)]
const fn mark(hash: u64) -> u64 {
    1 << ((hash >> 20) & 63) | 1 << ((hash >> 26) & 63) | 1 << ((hash >> 32) & 63)
}
