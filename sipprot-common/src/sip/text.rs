//! The bytes that are read, eight at a time, and the one way to loop over them.

/// Bytes of a message that are read; a power of two, since every offset is masked with it.
pub const CAPACITY: usize = 2048;
/// Room behind them, zeroed, so that a load at the end reads no older message.
pub const SLACK: usize = 64;
const MASK: u32 = CAPACITY as u32 - 1;

/// A copy of a SIP payload. Offsets wrap at [`CAPACITY`]: a wrong one reads wrong bytes, never others'.
#[repr(C)]
pub struct Text {
    pub bytes: [u8; CAPACITY + SLACK],
}

/// Whether a loop goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    More,
    Stop,
}

/// The body of a loop whose state lives outside the stack.
pub trait Step<Over> {
    fn step(&mut self, over: &Over) -> Flow;
}

impl Text {
    pub const EMPTY: Self = Self { bytes: [0; CAPACITY + SLACK] };

    /// Copies a payload, as much of it as fits; returns how much that was.
    pub fn fill(&mut self, payload: &[u8]) -> u32 {
        let length = payload.len().min(CAPACITY);
        self.bytes[..length].copy_from_slice(&payload[..length]);
        self.bytes[length..length + SLACK].fill(0);
        length as u32
    }

    /// Zeroes what lies behind the first `length` bytes, for a text that was filled by a helper.
    #[inline(always)]
    pub fn terminate(&mut self, length: u32) {
        let from = masked_end(length);
        let mut word = 0;
        while word < SLACK / 8 {
            // SAFETY: from is at most CAPACITY, and SLACK bytes follow.
            unsafe {
                let place = self.bytes.as_mut_ptr().add(from + word * 8);
                store_u64(place, 0);
            }
            word += 1;
        }
    }

    #[inline(always)]
    pub fn byte(&self, at: u32) -> u8 {
        // SAFETY: masked to CAPACITY.
        unsafe { *self.bytes.as_ptr().add(bound::<MASK>(at)) }
    }

    /// Eight bytes from `at`, the first in the lowest bits.
    #[inline(always)]
    pub fn word(&self, at: u32) -> u64 {
        // SAFETY: masked to CAPACITY, and SLACK is longer than a word.
        unsafe { load_u64(self.bytes.as_ptr().add(bound::<MASK>(at))) }
    }

    /// Four words from `at`; those behind the capacity are read from the slack.
    #[inline(always)]
    pub fn four_words(&self, at: u32) -> [u64; 4] {
        // SAFETY: masked to CAPACITY, and SLACK is longer than four words.
        unsafe {
            let place = self.bytes.as_ptr().add(bound::<MASK>(at));
            [
                load_u64(place),
                load_u64_behind::<8>(place),
                load_u64_behind::<16>(place),
                load_u64_behind::<24>(place),
            ]
        }
    }
}

/// Reads what was just written to a map: the verifier then knows nothing of it, and takes the ways
/// that lead here for one.
#[inline(always)]
pub(super) fn reread(place: &u32) -> u32 {
    // SAFETY: a reference is readable.
    unsafe { core::ptr::read_volatile(place) }
}

/// What is all zeroes when it is new, and aligned to words.
///
/// # Safety
/// All zeroes is a value, and the size is a multiple of eight.
pub(super) unsafe trait Zeroed: Sized {
    /// By words: the kernel's object has a `memset` that takes a step per byte.
    #[inline(always)]
    fn clear(&mut self) {
        const { assert!(size_of::<Self>().is_multiple_of(8)) };
        let mut word = 0;
        while word < size_of::<Self>() / 8 {
            // SAFETY: within the value, and all zeroes is one.
            unsafe { store_u64((&raw mut *self).cast::<u8>().add(word * 8), 0) };
            word += 1;
        }
    }
}

/// A byte in every byte of a word.
pub const fn splat(byte: u8) -> u64 {
    byte as u64 * 0x0101_0101_0101_0101
}

/// The top bit of each byte of `word` that equals `splat`'s. Bits above the lowest may be wrong.
#[inline(always)]
pub const fn equals(word: u64, splat: u64) -> u64 {
    let difference = word ^ splat;
    difference.wrapping_sub(0x0101_0101_0101_0101) & !difference & 0x8080_8080_8080_8080
}

/// The top bit of each byte of `word` that is below `splat`'s, which is at most 0x80. Bits above the
/// lowest may be wrong, but none is missing.
#[inline(always)]
pub const fn smaller(word: u64, splat: u64) -> u64 {
    word.wrapping_sub(splat) & !word & 0x8080_8080_8080_8080
}

/// The top bit of each byte of `word` that does not equal `splat`'s; exact in all eight.
#[inline(always)]
pub const fn differs(word: u64, splat: u64) -> u64 {
    let difference = word ^ splat;
    let heptets = difference & 0x7f7f_7f7f_7f7f_7f7f;
    ((heptets + 0x7f7f_7f7f_7f7f_7f7f) | difference) & 0x8080_8080_8080_8080
}

/// Index of the lowest byte whose top bit is set in a non-zero `mask`.
///
/// BPF has no instruction that counts zeroes: one multiplication moves the index to the top byte.
#[inline(always)]
pub const fn lowest(mask: u64) -> u32 {
    let bit = (mask & mask.wrapping_neg()) >> 7;
    (bit.wrapping_mul(0x0001_0203_0405_0607) >> 56) as u32
}

/// Keeps the bytes of `word` below the lowest marked one in `mask`; all when none is.
#[inline(always)]
pub const fn below(word: u64, mask: u64) -> u64 {
    let bit = (mask & mask.wrapping_neg()) >> 7;
    word & bit.wrapping_sub(1)
}

/// ASCII upper case to lower case, in all eight bytes.
#[inline(always)]
pub const fn lower(word: u64) -> u64 {
    let heptets = word & splat(0x7f);
    let above_z = heptets.wrapping_add(splat(0x7f - b'Z'));
    let from_a = heptets.wrapping_add(splat(0x80 - b'A'));
    let upper = !word & (from_a ^ above_z) & splat(0x80);
    word | (upper >> 2)
}

#[cfg(not(target_arch = "bpf"))]
mod world {
    use super::{CAPACITY, Flow, Step};

    pub fn bound<const MASK: u32>(at: u32) -> usize {
        (at & MASK) as usize
    }

    pub fn masked_end(at: u32) -> usize {
        (at as usize).min(CAPACITY)
    }

    /// # Safety
    /// Eight bytes from `place` are readable.
    pub unsafe fn load_u64(place: *const u8) -> u64 {
        // SAFETY: the caller's.
        u64::from_le(unsafe { place.cast::<u64>().read_unaligned() })
    }

    /// # Safety
    /// Eight bytes from `OFFSET` behind `place` are readable.
    pub unsafe fn load_u64_behind<const OFFSET: i32>(place: *const u8) -> u64 {
        // SAFETY: the caller's.
        unsafe { load_u64(place.offset(OFFSET as isize)) }
    }

    /// # Safety
    /// Eight bytes from `place` are writable.
    pub unsafe fn store_u64(place: *mut u8, word: u64) {
        // SAFETY: the caller's.
        unsafe { place.cast::<u64>().write_unaligned(word.to_le()) }
    }

    /// Runs `state.step` at most `most` times.
    pub fn repeat<Over, S: Step<Over>>(most: u32, state: &mut S, over: &Over) {
        for _ in 0..most {
            if state.step(over) == Flow::Stop {
                break;
            }
        }
    }
}

#[cfg(target_arch = "bpf")]
mod world {
    use super::{CAPACITY, Flow, Step};
    use core::arch::asm;
    use core::ffi::c_void;

    /// The mask must stay beside the load, where the verifier looks for it; LLVM would drop it.
    #[inline(always)]
    pub fn bound<const MASK: u32>(at: u32) -> usize {
        let mut masked = at as u64;
        // SAFETY: arithmetic only.
        unsafe {
            asm!("{x} &= {m}", x = inout(reg) masked, m = const MASK as i32,
                options(pure, nomem, nostack))
        };
        masked as usize
    }

    #[inline(always)]
    pub fn masked_end(at: u32) -> usize {
        if at as usize >= CAPACITY { CAPACITY } else { bound::<{ super::MASK }>(at) }
    }

    /// # Safety
    /// Eight bytes from `place` are readable.
    #[inline(always)]
    pub unsafe fn load_u64(place: *const u8) -> u64 {
        // SAFETY: the caller's.
        unsafe { load_u64_behind::<0>(place) }
    }

    /// # Safety
    /// Eight bytes from `OFFSET` behind `place` are readable.
    #[inline(always)]
    pub unsafe fn load_u64_behind<const OFFSET: i32>(place: *const u8) -> u64 {
        let word: u64;
        // SAFETY: the caller's. One load: read_unaligned would become eight.
        unsafe {
            asm!("{d} = *(u64 *)({p} + {o})", d = out(reg) word, p = in(reg) place,
                o = const OFFSET, options(pure, readonly, nostack))
        };
        word
    }

    /// # Safety
    /// Eight bytes from `place` are writable.
    #[inline(always)]
    pub unsafe fn store_u64(place: *mut u8, word: u64) {
        // SAFETY: the caller's.
        unsafe {
            asm!("*(u64 *)({p} + 0) = {w}", p = in(reg) place, w = in(reg) word, options(nostack))
        };
    }

    struct Frame<Over, S> {
        state: *mut S,
        over: *const Over,
    }

    unsafe extern "C" fn trampoline<Over, S: Step<Over>>(_: u32, frame: *mut c_void) -> i64 {
        // SAFETY: `repeat` passes its own frame, whose pointers outlive the loop.
        let flow = unsafe {
            let frame = &*frame.cast::<Frame<Over, S>>();
            (*frame.state).step(&*frame.over)
        };
        match flow {
            Flow::More => 0,
            Flow::Stop => 1,
        }
    }

    /// Runs `state.step` at most `most` times, by the helper bpf_loop (Linux 5.17, number 181).
    ///
    /// `state` must lie in a map: what the verifier can't know, it needn't tell apart.
    #[inline(always)]
    pub fn repeat<Over, S: Step<Over>>(most: u32, state: &mut S, over: &Over) {
        type Loop = unsafe extern "C" fn(u32, *const c_void, *mut c_void, u64) -> core::ffi::c_long;
        let mut frame = Frame { state, over };
        // SAFETY: 181 is bpf_loop, and the callback has the signature that it asks for.
        unsafe {
            let bpf_loop: Loop = core::mem::transmute::<usize, Loop>(181);
            bpf_loop(
                most,
                trampoline::<Over, S> as *const c_void,
                (&raw mut frame).cast::<c_void>(),
                0,
            );
        }
    }
}

pub use world::repeat;
pub(super) use world::{bound, load_u64, store_u64};
use world::{load_u64_behind, masked_end};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let word = u64::from_le_bytes(*b"Via: \nX@");
        assert_eq!(lower(word).to_le_bytes(), *b"via: \nx@");
        assert_eq!(lowest(equals(word, splat(b'\n'))), 5);
        assert_eq!(below(word, equals(word, splat(b':'))).to_le_bytes(), *b"Via\0\0\0\0\0");
        assert_eq!(below(word, 0), word);
        assert_eq!(lowest(smaller(word, splat(0x0e))), 5);
        assert_eq!(
            smaller(u64::from_le_bytes([0x0e, 0x7f, 0x80, 0xff, 0x20, 13, 255, 255]), splat(0x0e)),
            0x80 << 40
        );
        for index in 0..8 {
            assert_eq!(lowest(0x80 << (8 * index)), index);
        }
        assert_eq!(
            lower(u64::from_le_bytes([0x40, 0x5b, 0xc1, 0x80, b'Z', b'A', 0, 255])),
            u64::from_le_bytes([0x40, 0x5b, 0xc1, 0x80, b'z', b'a', 0, 255])
        );
    }

    #[test]
    fn a_longer_message_is_cut_and_a_shorter_one_terminated() {
        let mut text = Box::new(Text::EMPTY);
        assert_eq!(text.fill(&[b'x'; 5000]), CAPACITY as u32);
        assert_eq!(text.fill(b"abc"), 3);
        assert_eq!(text.word(0), u64::from_le_bytes(*b"abc\0\0\0\0\0"));
        text.bytes.fill(b'x');
        text.terminate(3);
        assert_eq!(text.word(0), u64::from_le_bytes(*b"xxx\0\0\0\0\0"));
    }
}
