//! A pinned map with typed keys and values.
//!
//! aya's map types have no batches and want exclusive access for each write; these work on shared
//! references, from the pins alone, for the daemon and for the rescue. Which maps there are, and
//! what their entries mean, is none of this file's business.

use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use aya::Pod;

use super::error::{DatapathError, Result};
use super::sys::{self, Batch, Command, ENOTSUPP, Element};

/// Entries that one batch call moves.
const BATCH: usize = 4096;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Insert {
    Any = 0,
    /// Only when the key is new.
    New = 1,
    /// Only when the key is there.
    Existing = 2,
}

pub struct Map<K, V> {
    fd: OwnedFd,
    name: &'static str,
    types: PhantomData<fn(K) -> V>,
}

/// Opens a pinned map, whatever its layout.
pub fn open(directory: &Path, name: &'static str) -> Result<OwnedFd> {
    sys::object_get(&directory.join(name)).map_err(|source| DatapathError::Map {
        map: name,
        operation: "opening",
        source,
    })
}

/// The layout of an open map.
pub fn info(fd: &OwnedFd, map: &'static str) -> Result<sys::MapInfo> {
    sys::map_info(fd.as_fd()).map_err(|source| DatapathError::Map {
        map,
        operation: "reading the layout",
        source,
    })
}

impl<K: Pod, V: Pod> Map<K, V> {
    /// Opens the pinned map, and checks that its keys and values have the size of ours.
    pub fn open(directory: &Path, name: &'static str) -> Result<Self> {
        let fd = open(directory, name)?;
        let info = info(&fd, name)?;
        let (ours, theirs) =
            ((size_of::<K>(), size_of::<V>()), (info.key_size as usize, info.value_size as usize));
        if ours != theirs {
            let difference = format!(
                "keys and values of {} and {} bytes, not {} and {}",
                theirs.0, theirs.1, ours.0, ours.1
            );
            return Err(DatapathError::Layout { map: name.into(), difference });
        }
        Ok(Self { fd, name, types: PhantomData })
    }

    /// One that is open, and whose layout is known.
    pub fn of(fd: OwnedFd, name: &'static str) -> Self {
        Self { fd, name, types: PhantomData }
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn max_entries(&self) -> Result<u32> {
        Ok(info(&self.fd, self.name)?.max_entries)
    }

    fn failed(&self, operation: &'static str) -> impl Fn(io::Error) -> DatapathError + use<K, V> {
        let map = self.name;
        move |source| match source.raw_os_error() {
            Some(libc::E2BIG | libc::ENOSPC) => DatapathError::MapFull { map },
            _ => DatapathError::Map { map, operation, source },
        }
    }

    fn element<T>(
        &self,
        command: Command,
        key: Option<&K>,
        value: *mut T,
        flags: u64,
    ) -> io::Result<()> {
        let key = key.map_or(0, |key| (key as *const K) as u64);
        let map = self.fd.as_raw_fd() as u32;
        let mut call = Element { map, pad: 0, key, value: value as u64, flags };
        // SAFETY: the key has the map's key size, and `value` points to as much as the command moves:
        // a value for look-up and update, a key for the next key, nothing for delete.
        unsafe { sys::bpf(command, &mut call) }.map(drop)
    }

    pub fn get(&self, key: &K) -> Result<Option<V>> {
        let mut value = MaybeUninit::<V>::uninit();
        match self.element(Command::Lookup, Some(key), value.as_mut_ptr(), 0) {
            // SAFETY: the kernel filled it whole.
            Ok(()) => Ok(Some(unsafe { value.assume_init() })),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(self.failed("a look-up")(error)),
        }
    }

    /// False when [`Insert::New`] found the key, or [`Insert::Existing`] did not.
    pub fn insert(&self, key: &K, value: &V, how: Insert) -> Result<bool> {
        // The kernel only reads the value.
        let value = (value as *const V).cast_mut();
        match self.element(Command::Update, Some(key), value, how as u64) {
            Ok(()) => Ok(true),
            Err(error) => match (error.raw_os_error(), how) {
                (Some(libc::EEXIST), Insert::New) | (Some(libc::ENOENT), Insert::Existing) => {
                    Ok(false)
                }
                _ => Err(self.failed("an insertion")(error)),
            },
        }
    }

    /// False when there was no such key.
    pub fn remove(&self, key: &K) -> Result<bool> {
        match self.element(Command::Delete, Some(key), std::ptr::null_mut::<V>(), 0) {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            Err(error) => Err(self.failed("a removal")(error)),
        }
    }

    fn next_key(&self, key: Option<&K>) -> Result<Option<K>> {
        let mut next = MaybeUninit::<K>::uninit();
        match self.element(Command::NextKey, key, next.as_mut_ptr(), 0) {
            // SAFETY: the kernel filled it whole.
            Ok(()) => Ok(Some(unsafe { next.assume_init() })),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(self.failed("a walk")(error)),
        }
    }

    /// Every entry, in no order; entries that come or go meanwhile may be missed.
    pub fn entries(&self) -> Result<Vec<(K, V)>> {
        let mut entries = Vec::new();
        self.for_each(|key, value| entries.push((*key, *value)))?;
        Ok(entries)
    }

    pub fn count(&self) -> Result<usize> {
        let mut count = 0;
        self.for_each(|_, _| count += 1)?;
        Ok(count)
    }

    pub fn for_each(&self, mut visit: impl FnMut(&K, &V)) -> Result<()> {
        let mut room = BATCH;
        // A hash map keeps its place in 4 bytes, the others in a key.
        let place = size_of::<K>().max(4).div_ceil(8);
        let (mut from, mut to) = (vec![0u64; place], vec![0u64; place]);
        let mut begun = false;
        loop {
            let mut keys = Vec::<K>::with_capacity(room);
            let mut values = Vec::<V>::with_capacity(room);
            let mut call = Batch {
                from: if begun { from.as_ptr() as u64 } else { 0 },
                to: to.as_mut_ptr() as u64,
                keys: keys.as_mut_ptr() as u64,
                values: values.as_mut_ptr() as u64,
                count: room as u32,
                map: self.fd.as_raw_fd() as u32,
                element_flags: 0,
                flags: 0,
            };
            // SAFETY: there is room for `count` keys and values, and for the place.
            let result = unsafe { sys::bpf(Command::LookupBatch, &mut call) };
            let done = match result.map_err(|error| (error.raw_os_error(), error)) {
                Ok(_) => false,
                Err((Some(libc::ENOENT), _)) => true,
                // A bucket of the hash has more entries than there is room for.
                Err((Some(libc::ENOSPC), _)) if room < BATCH * 64 => {
                    room *= 2;
                    continue;
                }
                Err((Some(ENOTSUPP), _)) if !begun => return self.walk(visit),
                Err((_, error)) => return Err(self.failed("a walk")(error)),
            };
            let count = (call.count as usize).min(room);
            // SAFETY: the kernel filled the first `count` of each, and any bytes are a value of Pod.
            unsafe {
                keys.set_len(count);
                values.set_len(count);
            }
            keys.iter().zip(&values).for_each(|(key, value)| visit(key, value));
            if done {
                return Ok(());
            }
            begun = true;
            std::mem::swap(&mut from, &mut to);
        }
    }

    fn walk(&self, mut visit: impl FnMut(&K, &V)) -> Result<()> {
        let mut key = self.next_key(None)?;
        while let Some(current) = key {
            if let Some(value) = self.get(&current)? {
                visit(&current, &value);
            }
            key = self.next_key(Some(&current))?;
        }
        Ok(())
    }

    /// Inserts or overwrites all; on an error some are in.
    pub fn insert_all(&self, entries: &[(K, V)]) -> Result<()> {
        for chunk in entries.chunks(BATCH) {
            let keys: Vec<K> = chunk.iter().map(|(key, _)| *key).collect();
            let values: Vec<V> = chunk.iter().map(|(_, value)| *value).collect();
            match self.batch(Command::UpdateBatch, &keys, values.as_ptr() as u64) {
                Ok(()) => {}
                Err(error) if error.raw_os_error() == Some(ENOTSUPP) => {
                    for (key, value) in chunk {
                        self.insert(key, value, Insert::Any)?;
                    }
                }
                Err(error) => return Err(self.failed("an insertion")(error)),
            }
        }
        Ok(())
    }

    /// Removes all; keys that are not there are passed over.
    pub fn remove_all(&self, keys: &[K]) -> Result<()> {
        for chunk in keys.chunks(BATCH) {
            match self.batch(Command::DeleteBatch, chunk, 0).map_err(|e| e.raw_os_error()) {
                Ok(()) => {}
                // A batch stops at the first key that is missing: take the rest one by one.
                Err(_) => {
                    for key in chunk {
                        self.remove(key)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn batch(&self, command: Command, keys: &[K], values: u64) -> io::Result<()> {
        let mut call = Batch {
            from: 0,
            to: 0,
            keys: keys.as_ptr() as u64,
            values,
            count: keys.len() as u32,
            map: self.fd.as_raw_fd() as u32,
            element_flags: 0,
            flags: 0,
        };
        // SAFETY: the kernel reads `count` keys, and for an update as many values, which the caller has.
        unsafe { sys::bpf(command, &mut call) }.map(drop)
    }
}

/// A map with a value per CPU, read only.
pub struct PerCpu<K, V> {
    map: Map<K, V>,
    cpus: usize,
}

impl<K: Pod, V: Pod> PerCpu<K, V> {
    pub fn open(directory: &Path, name: &'static str) -> Result<Self> {
        // The kernel reports the size of one CPU's value.
        let map = Map::open(directory, name)?;
        let cpus = aya::util::nr_cpus()
            .map_err(|(path, source)| DatapathError::System { what: path.into(), source })?;
        Ok(Self { map, cpus })
    }

    /// Every entry, with the values of all CPUs.
    pub fn for_each(&self, mut visit: impl FnMut(&K, &[V])) -> Result<()> {
        let mut key = self.map.next_key(None)?;
        while let Some(current) = key {
            let values = self.get(&current)?;
            if !values.is_empty() {
                visit(&current, &values);
            }
            key = self.map.next_key(Some(&current))?;
        }
        Ok(())
    }

    /// The values of all CPUs; empty when there is no such key.
    pub fn get(&self, key: &K) -> Result<Vec<V>> {
        // The kernel rounds each CPU's value up to eight bytes.
        let stride = size_of::<V>().next_multiple_of(8);
        let mut buffer = vec![0u64; stride / 8 * self.cpus];
        let mut call = Element {
            map: self.map.fd.as_raw_fd() as u32,
            pad: 0,
            key: (key as *const K) as u64,
            value: buffer.as_mut_ptr() as u64,
            flags: 0,
        };
        // SAFETY: the buffer holds a rounded value for each possible CPU.
        match unsafe { sys::bpf(Command::Lookup, &mut call) } {
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(Vec::new()),
            Err(source) => {
                return Err(self.map.failed("a look-up")(source));
            }
        }
        let base = buffer.as_ptr().cast::<u8>();
        Ok((0..self.cpus)
            // SAFETY: within the buffer, filled by the kernel, and any bytes are a value of Pod.
            .map(|cpu| unsafe { base.add(cpu * stride).cast::<V>().read_unaligned() })
            .collect())
    }
}
