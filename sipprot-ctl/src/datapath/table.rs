//! A compiled table in the kernel's memory: made, mapped, filled, and put into force as a whole.
//!
//! What is in a table is the business of [`compile`]; which packets ask it, of the datapath.

pub mod compile;

use std::fs;
use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::OnceLock;

use sipprot_common::table::Zeroed;

use super::error::{DatapathError, Result};
use super::map::{self, Insert, Map};
use super::sys;

/// Beside the slot, the table in force is pinned; by its id only CAP_SYS_ADMIN could open it.
const PIN: &str = "-table";
/// The table that is about to be put in force.
const NEXT_PIN: &str = "-next";

/// The map of one slot in which a table is put into force.
pub struct Slot<T> {
    map: Map<u32, Inner<T>>,
    /// Where it is pinned.
    directory: Option<PathBuf>,
}

impl<T: 'static> Slot<T> {
    pub fn open(directory: &Path, name: &'static str) -> Result<Self> {
        Ok(Self { map: Map::open(directory, name)?, directory: Some(directory.into()) })
    }

    /// From the next packet on, none is asked.
    pub fn clear(&self) -> Result<()> {
        self.map.remove(&0)?;
        if let Some(pin) = self.pin(PIN) {
            let _ = fs::remove_file(pin);
        }
        Ok(())
    }

    fn pin(&self, suffix: &str) -> Option<PathBuf> {
        Some(self.directory.as_ref()?.join(self.map.name().to_owned() + suffix))
    }

    /// The pinned table of this id.
    fn pinned(&self, id: u32) -> Option<OwnedFd> {
        [PIN, NEXT_PIN].into_iter().find_map(|suffix| {
            let fd = sys::object_get(&self.pin(suffix)?).ok()?;
            (sys::map_info(fd.as_fd()).ok()?.id == id).then_some(fd)
        })
    }
}

/// A slot by the descriptor of its map, for those who have no pins.
pub fn slot<T: 'static>(fd: OwnedFd, name: &'static str) -> Slot<T> {
    Slot { map: Map::of(fd, name), directory: None }
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

/// A table. All of it counts as our memory while it is mapped, so it is mapped when it is looked at and
/// until it [rests](Table::rest).
pub struct Table<T> {
    fd: OwnedFd,
    name: &'static str,
    view: OnceLock<View<T>>,
}

/// A table in our memory.
pub struct View<T>(NonNull<T>);

// SAFETY: the memory belongs to the kernel's map and is as good on any thread.
unsafe impl<T: Sync> Send for View<T> {}
// SAFETY: as above; what is shared is a `T`.
unsafe impl<T: Sync> Sync for View<T> {}

impl<T: Zeroed + 'static> Table<T> {
    /// A new one, all zeroes, not in force.
    pub fn new(slot: &Slot<T>) -> Result<Self> {
        let name = slot.map.name();
        let fd = sys::mappable_array(size_of::<T>() as u32, name)
            .map_err(|source| failed(name, "making a table", source))?;
        Ok(Self::resting(fd, name))
    }

    /// The one in force.
    pub fn in_force(slot: &Slot<T>) -> Result<Option<Self>> {
        let Some(inner) = slot.map.get(&0)? else { return Ok(None) };
        let name = slot.map.name();
        let fd = match slot.pinned(inner.0) {
            Some(fd) => fd,
            None => sys::map_by_id(inner.0).map_err(|it| failed(name, "opening the table", it))?,
        };
        Self::of(fd, name).map(Some)
    }

    /// The one value of a pinned map.
    pub fn open(directory: &Path, name: &'static str) -> Result<Self> {
        Self::of(map::open(directory, name)?, name)
    }

    /// The one value of an open map.
    pub fn of(fd: OwnedFd, name: &'static str) -> Result<Self> {
        Ok(Self::resting(checked::<T>(fd, name)?, name))
    }

    fn resting(fd: OwnedFd, name: &'static str) -> Self {
        Self { fd, name, view: OnceLock::new() }
    }

    pub fn view(&self) -> Result<&View<T>> {
        if let Some(view) = self.view.get() {
            return Ok(view);
        }
        let view = View::map(&self.fd).map_err(|it| failed(self.name, "mapping the table", it))?;
        Ok(self.view.get_or_init(|| view))
    }

    pub fn into_view(self) -> Result<View<T>> {
        self.view()?;
        Ok(self.view.into_inner().expect("it was just mapped"))
    }

    /// Nobody looks at it for now. True if somebody did.
    pub fn rest(&mut self) -> bool {
        self.view.take().is_some()
    }

    /// From the next packet on, this one is asked.
    pub fn put_in_force(&self, slot: &Slot<T>) -> Result<()> {
        let pins = slot.pin(NEXT_PIN).zip(slot.pin(PIN));
        let pinning = |source| failed(self.name, "pinning the table", source);
        if let Some((next, _)) = &pins {
            // Of a run that died here.
            let _ = fs::remove_file(next);
            sys::object_pin(self.fd.as_fd(), next).map_err(pinning)?;
        }
        let inner = Inner(self.fd.as_raw_fd() as u32, PhantomData);
        slot.map.insert(&0, &inner, Insert::Any)?;
        match &pins {
            Some((next, pin)) => fs::rename(next, pin).map_err(pinning),
            None => Ok(()),
        }
    }
}

impl<T> View<T> {
    fn map(fd: &OwnedFd) -> io::Result<Self> {
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
            Some(value) if address != libc::MAP_FAILED => Ok(Self(value)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

fn failed(map: &'static str, operation: &'static str, source: io::Error) -> DatapathError {
    DatapathError::Map { map, operation, source }
}

/// The same descriptor, if its map's value has the size of ours.
fn checked<T>(fd: OwnedFd, name: &'static str) -> Result<OwnedFd> {
    let info = map::info(&fd, name)?;
    if info.value_size as usize == size_of::<T>() {
        return Ok(fd);
    }
    let difference = format!("a table of {} bytes, not {}", info.value_size, size_of::<T>());
    Err(DatapathError::Layout { map: name.into(), difference })
}

impl<T> Deref for View<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: mapped with the size of `T` until we are dropped; any bytes are a value of it, and
        // what others write at the same time is in cells.
        unsafe { self.0.as_ref() }
    }
}

impl<T> Drop for View<T> {
    fn drop(&mut self) {
        // SAFETY: what `map` mapped.
        unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<T>()) };
    }
}
