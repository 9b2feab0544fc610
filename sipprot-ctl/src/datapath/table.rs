//! A compiled table in the kernel's memory: made, mapped, filled, and put into force as a whole.
//!
//! What is in a table is the business of [`compile`]; which packets ask it, of the datapath.

pub mod compile;

use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::NonNull;

use sipprot_common::table::Zeroed;

use super::error::{DatapathError, Result};
use super::map::{Insert, Map};
use super::sys;

/// The map of one slot in which a table is put into force.
pub type Slot<T> = Map<u32, Inner<T>>;

/// A slot by the descriptor of its map, for those who have no pins.
pub fn slot<T: 'static>(fd: OwnedFd, name: &'static str) -> Slot<T> {
    Map::of(fd, name)
}

/// What a slot takes is a descriptor, what it gives is an id.
#[repr(transparent)]
pub struct Inner<T>(u32, PhantomData<fn() -> T>);

impl<T> Clone for Inner<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Inner<T> {}

// SAFETY: a transparent u32.
unsafe impl<T: 'static> aya::Pod for Inner<T> {}

/// A table, mapped into our memory.
pub struct Table<T> {
    fd: OwnedFd,
    value: NonNull<T>,
}

// SAFETY: the memory belongs to the kernel's map and is as good on any thread.
unsafe impl<T: Sync> Send for Table<T> {}
// SAFETY: as above; what is shared is a `T`.
unsafe impl<T: Sync> Sync for Table<T> {}

impl<T: Zeroed + 'static> Table<T> {
    /// A new one, all zeroes, not in force.
    pub fn new(slot: &Slot<T>) -> Result<Self> {
        let fd = sys::mappable_array(size_of::<T>() as u32, slot.name())
            .map_err(failed(slot, "making a table"))?;
        Self::map(fd).map_err(failed(slot, "mapping a table"))
    }

    /// The one in force.
    pub fn in_force(slot: &Slot<T>) -> Result<Option<Self>> {
        let Some(inner) = slot.get(&0)? else { return Ok(None) };
        let fd = sys::map_by_id(inner.0).map_err(failed(slot, "opening the table"))?;
        let info = sys::map_info(fd.as_fd()).map_err(failed(slot, "reading the layout"))?;
        if info.value_size as usize != size_of::<T>() {
            let difference =
                format!("a table of {} bytes, not {}", info.value_size, size_of::<T>());
            return Err(DatapathError::Layout { map: slot.name().into(), difference });
        }
        Self::map(fd).map(Some).map_err(failed(slot, "mapping the table"))
    }

    /// From the next packet on, this one is asked.
    pub fn put_in_force(&self, slot: &Slot<T>) -> Result<()> {
        slot.insert(&0, &Inner(self.fd.as_raw_fd() as u32, PhantomData), Insert::Any).map(drop)
    }

    fn map(fd: OwnedFd) -> io::Result<Self> {
        // SAFETY: a new mapping of a map's one value; the kernel checks length and descriptor.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<T>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_POPULATE,
                fd.as_raw_fd(),
                0,
            )
        };
        match NonNull::new(address.cast()) {
            Some(value) if address != libc::MAP_FAILED => Ok(Self { fd, value }),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

fn failed<T: 'static>(
    slot: &Slot<T>,
    operation: &'static str,
) -> impl FnOnce(io::Error) -> DatapathError + use<T> {
    let map = slot.name();
    move |source| DatapathError::Map { map, operation, source }
}

impl<T> Deref for Table<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: mapped with the size of `T` until we are dropped; any bytes are a value of it, and
        // what others write at the same time is in cells.
        unsafe { self.value.as_ref() }
    }
}

impl<T> Drop for Table<T> {
    fn drop(&mut self) {
        // SAFETY: what `map` mapped.
        unsafe { libc::munmap(self.value.as_ptr().cast(), size_of::<T>()) };
    }
}
