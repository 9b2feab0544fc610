//! The seeded hash over bytes and words that an attacker chooses.
//!
//! Not cryptographic: the seed is secret and new with every set of maps, which is enough against
//! collisions prepared from outside.

/// Folds one word into a running hash.
#[inline(always)]
pub const fn fold(hash: u64, word: u64) -> u64 {
    let mixed = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

/// Spreads the last word's bits; call once at the end.
#[inline(always)]
pub const fn finish(hash: u64) -> u64 {
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ (mixed >> 32)
}

/// Of bytes, eight at a time, the last word padded with zeroes; the same as `sip` computes in place.
pub fn bytes(seed: u64, bytes: &[u8]) -> u64 {
    let mut hash = seed;
    for chunk in bytes.chunks(8) {
        let mut word = [0u8; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = fold(hash, u64::from_le_bytes(word));
    }
    finish(fold(hash, bytes.len() as u64))
}
