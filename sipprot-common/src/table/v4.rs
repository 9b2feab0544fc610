//! IPv4: four bits for each /24, one before them, and a cuckoo table of single hosts.

use super::Word;
use super::cuckoo::Places;
use crate::hash::fold;

const WORDS: usize = 1 << 20;
const ANY_WORDS: usize = WORDS / 4;
const BUCKETS: usize = 1 << 19;
const BUCKET_BITS: u32 = BUCKETS.trailing_zeros();
/// Words of a bucket; each holds two addresses.
const WIDTH: usize = 2;

/// Four bits for each /24 of IPv4, and one that says whether any of them is set. Nearly no source of a
/// flood needs more than that one, and a quarter of the memory stays in caches.
#[repr(C)]
pub struct Networks {
    any: [Word; ANY_WORDS],
    words: [Word; WORDS],
}

impl Networks {
    /// The bits of an address's /24; `zero` is one that the verifier doesn't know.
    #[inline(always)]
    pub fn look(&self, address: u32, zero: u64) -> u32 {
        let any = self.any[(address >> 14) as usize].get();
        if any >> ((address >> 8) & 63) & 1 == 0 {
            return zero as u32 & 15;
        }
        let word = self.words[(address >> 12) as usize].get();
        (word >> Self::shift(address)) as u32 & 15
    }

    pub fn get(&self, address: u32) -> u32 {
        self.look(address, 0)
    }

    #[inline(always)]
    const fn shift(address: u32) -> u32 {
        ((address >> 8) & 15) * 4
    }

    /// The first address of every /24 that has one of these bits.
    pub fn each(&self, bits: u32, mut visit: impl FnMut(u32)) {
        for (index, word) in (0..).zip(&self.words) {
            let word = word.get();
            if word == 0 {
                continue;
            }
            for place in 0..16u32 {
                if (word >> (place * 4)) as u32 & bits & 15 != 0 {
                    visit(index << 12 | place << 8);
                }
            }
        }
    }

    /// Changes the bits of every /24 from `first` to `last`, both included.
    pub fn change(&self, first: u32, last: u32, clear: u32, set: u32) {
        const EACH: u64 = 0x1111_1111_1111_1111;
        for index in first >> 12..=last >> 12 {
            let from = if index == first >> 12 { Self::shift(first) } else { 0 };
            let to = if index == last >> 12 { Self::shift(last) + 4 } else { 64 };
            let span = (u64::MAX << from) & (u64::MAX >> (64 - to));
            let word = &self.words[index as usize];
            let (clear, set) = ((EACH * u64::from(clear)) & span, (EACH * u64::from(set)) & span);
            let changed = word.get() & !clear | set;
            if changed != word.get() {
                word.set(changed);
                let (any, shift) = (&self.any[(index >> 2) as usize], (index & 3) * 16);
                any.set(any.get() & !(0xffff << shift) | any_of_each(changed) << shift);
            }
        }
    }
}

/// A bit for each four of a word: 1 if any of them is set.
const fn any_of_each(word: u64) -> u64 {
    let pairs = word | word >> 1;
    let mut bits = (pairs | pairs >> 2) & 0x1111_1111_1111_1111;
    bits = (bits | bits >> 3) & 0x0303_0303_0303_0303;
    bits = (bits | bits >> 6) & 0x000f_000f_000f_000f;
    bits = (bits | bits >> 12) & 0x0000_00ff_0000_00ff;
    (bits | bits >> 24) & 0xffff
}

/// Single hosts: each may lie in either of two buckets of four.
#[repr(C)]
pub struct Hosts {
    buckets: [[Word; WIDTH]; BUCKETS],
}

impl Hosts {
    pub const CAPACITY: usize = BUCKETS * WIDTH * 2;

    #[inline(always)]
    const fn places(address: u32, seed: u64) -> [usize; 2] {
        let hash = fold(seed, address as u64);
        let first = (hash >> (64 - BUCKET_BITS)) as usize;
        [first, (hash as u32 >> (32 - BUCKET_BITS)) as usize]
    }

    #[inline(always)]
    pub fn has(&self, address: u32, seed: u64) -> bool {
        const ONES: u64 = 0x1_0000_0001;
        let both = (address as u64) * ONES;
        let [first, second] = Self::places(address, seed);
        let (first, second) = (&self.buckets[first], &self.buckets[second]);
        let mut hit = 0;
        let mut index = 0;
        while index < WIDTH {
            // A half that is zero borrows into its top bit.
            let (x, y) = (first[index].get() ^ both, second[index].get() ^ both);
            hit |= x.wrapping_sub(ONES) & !x | y.wrapping_sub(ONES) & !y;
            index += 1;
        }
        hit & (ONES << 31) != 0
    }

    /// To a table that is not in force yet; false when there is no room. 0.0.0.0 has none ever: it
    /// stands for an empty place.
    #[must_use]
    pub fn add(&self, address: u32, seed: u64) -> bool {
        address != 0 && Seeded { hosts: self, seed }.put(address.into())
    }

    pub fn each(&self, mut visit: impl FnMut(u32)) {
        for word in self.buckets.iter().flatten() {
            let word = word.get();
            for host in [word as u32, (word >> 32) as u32] {
                if host != 0 {
                    visit(host);
                }
            }
        }
    }

    /// False when it was not there.
    pub fn remove(&self, address: u32, seed: u64) -> bool {
        address != 0 && Seeded { hosts: self, seed }.take(address.into())
    }
}

struct Seeded<'a> {
    hosts: &'a Hosts,
    seed: u64,
}

impl Places for Seeded<'_> {
    const WIDTH: usize = WIDTH * 2;

    fn buckets(&self, address: u64) -> [usize; 2] {
        Hosts::places(address as u32, self.seed)
    }

    fn at(&self, bucket: usize, slot: usize) -> u64 {
        let word = self.hosts.buckets[bucket][slot / 2].get();
        word >> (slot % 2 * 32) & u64::from(u32::MAX)
    }

    fn set(&self, bucket: usize, slot: usize, address: u64) {
        let (word, shift) = (&self.hosts.buckets[bucket][slot / 2], slot % 2 * 32);
        word.set(word.get() & !(u64::from(u32::MAX) << shift) | address << shift);
    }
}
