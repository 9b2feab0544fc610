//! A word that the kernel reads while user space writes it.

use core::cell::UnsafeCell;
#[cfg(not(target_arch = "bpf"))]
use core::sync::atomic::{AtomicU64, Ordering};

/// One aligned word, read and written whole.
#[repr(transparent)]
pub struct Word(UnsafeCell<u64>);

// SAFETY: an aligned word is read and written by single instructions on every machine that runs this.
unsafe impl Sync for Word {}

impl Word {
    #[inline(always)]
    pub fn get(&self) -> u64 {
        // SAFETY: a valid, aligned place.
        unsafe { self.0.get().read_volatile() }
    }

    /// For the one writer that a table has.
    #[inline(always)]
    pub fn set(&self, value: u64) {
        // SAFETY: a valid, aligned place; readers see the word before or after.
        unsafe { self.0.get().write_volatile(value) }
    }

    /// Of many writers none undoes what another did.
    #[cfg(not(target_arch = "bpf"))]
    pub fn remove_bits(&self, bits: u64) {
        // SAFETY: a valid, aligned place that is only ever read and written whole.
        unsafe { AtomicU64::from_ptr(self.0.get()) }.fetch_and(!bits, Ordering::SeqCst);
    }

    pub fn add_bits(&self, bits: u64) {
        if self.get() & bits != bits {
            self.set(self.get() | bits);
        }
    }
}
