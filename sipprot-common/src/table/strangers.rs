//! Sources that are neither blocked nor trusted, by their hashes: nearly all of a flood.
//!
//! A bit that is set says "certainly a stranger", and spares the look-ups of blocks and trust. One that
//! is not set says nothing: all zeroes, the table only costs time. A bit is cleared before its source is
//! blocked or trusted, and set again only when the daemon starts.

use super::Word;
use crate::hash::fold;

#[repr(C)]
pub struct Strangers {
    words: [Word; Self::WORDS],
}

impl Strangers {
    /// With every place for a block or a trusted source taken, one stranger of eleven isn't told.
    pub const WORDS: usize = 1 << 15;

    /// 1 for a stranger, else 0.
    #[inline(always)]
    pub fn has(&self, key: u64, seed: u64) -> u64 {
        let (word, bit) = place(key, seed);
        self.words[word].get() >> bit & 1
    }

    /// Places that stand for somebody.
    #[cfg(not(target_arch = "bpf"))]
    pub fn known(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.get().count_zeros())).sum()
    }

    /// The source is about to be blocked or trusted.
    #[cfg(not(target_arch = "bpf"))]
    pub fn remove(&self, key: u64, seed: u64) {
        let (word, bit) = place(key, seed);
        self.words[word].remove_bits(1 << bit);
    }

    /// Makes nobody but these no stranger; `words` is room for the new table, so that none of them is
    /// one for a moment.
    pub fn replace(&self, known: impl Iterator<Item = u64>, seed: u64, words: &mut [u64]) {
        words.fill(u64::MAX);
        for (word, bit) in known.map(|key| place(key, seed)) {
            words[word] &= !(1 << bit);
        }
        self.words.iter().zip(words).for_each(|(old, new)| old.set(*new));
    }
}

#[inline(always)]
const fn place(key: u64, seed: u64) -> (usize, u32) {
    let hash = fold(seed, key);
    ((hash >> 49) as usize, (hash >> 43) as u32 & 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_who_is_known_is_a_stranger() {
        // SAFETY: Strangers is words, and all zeroes are one.
        let table = unsafe { Box::<Strangers>::new_zeroed().assume_init() };
        let known = || (0..50_000u64).map(|key| key << 8);
        assert_eq!(table.has(7, 1), 0, "an empty table knows nothing");
        table.replace(known(), 1, &mut vec![0; Strangers::WORDS]);
        assert!(known().all(|key| table.has(key, 1) == 0));
        let strangers = (0..50_000u64).filter(|key| table.has(key << 8 | 1, 1) == 1).count();
        assert!(strangers > 48_000, "{strangers} of 50,000");
        let newcomer = (0..).map(|key| key << 8 | 1).find(|key| table.has(*key, 1) == 1).unwrap();
        table.remove(newcomer, 1);
        assert_eq!(table.has(newcomer, 1), 0);
    }
}
