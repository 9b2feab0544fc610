//! What is really in the kernel: every pinned map, decoded, without a daemon.
//!
//! Reads only, takes no lock and loads no object. Keys and values come out as fields with names, for
//! people and for JSON.

mod decode;
mod tables;

use std::path::Path;

use serde::Serialize;
use serde_json::{Map as Object, Value};
use sipprot_common::abi::{
    Block, BlockKey, Config, Contained, Counters, EventCounts, ListEntry, Nonce, Policy, PortSet,
    QuarantineKey, ScopedAddress, Source, SourceCounts, TcpConnection, Trust, maps,
};
use sipprot_common::guard::GuardSet;
use sipprot_common::sketch::Page;
use sipprot_common::source::Address;

use super::clock::monotonic_ns;
use super::error::{DatapathError, Result};
use super::kernel;
use super::keys::LpmKey;
use super::map::{self, Map, PerCpu};
use super::pins::{MAPS, Pins};
use decode::Decode;

/// Fields by their names.
pub type Fields = Object<String, Value>;

#[derive(Clone, Debug, Serialize)]
pub struct MapView {
    pub name: &'static str,
    pub kind: String,
    pub key_bytes: u32,
    pub value_bytes: u32,
    /// Of arrays, those that are not zero; absent of rings.
    pub entries: Option<u64>,
    pub capacity: u32,
}

#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    pub key: Fields,
    pub value: Fields,
}

#[derive(Clone, Debug, Serialize)]
pub struct Dump {
    pub map: MapView,
    pub entries: Vec<Entry>,
}

/// Every map that is pinned; `None` when there are none of this version.
pub fn maps(pin_dir: &Path) -> Result<Option<Vec<MapView>>> {
    let Some(pins) = pinned(pin_dir)? else { return Ok(None) };
    MAPS.iter().map(|name| Ok(dump_of(&pins, name, 0)?.map)).collect::<Result<_>>().map(Some)
}

/// One map, by its name in any case; `None` when nothing is pinned.
pub fn dump(pin_dir: &Path, name: &str, limit: usize) -> Result<Option<Dump>> {
    let known = MAPS.iter().find(|known| known.eq_ignore_ascii_case(name));
    let Some(known) = known else {
        let message = format!("there is no map {name:?}; they are {}", MAPS.join(", "));
        return Err(DatapathError::Invalid(message));
    };
    let Some(pins) = pinned(pin_dir)? else { return Ok(None) };
    dump_of(&pins, known, limit).map(Some)
}

fn pinned(pin_dir: &Path) -> Result<Option<Pins>> {
    kernel::check_privileges()?;
    let pins = Pins::new(pin_dir);
    Ok(pins.maps().exists().then_some(pins))
}

fn dump_of(pins: &Pins, name: &'static str, limit: usize) -> Result<Dump> {
    let directory = pins.maps();
    let info = map::info(&map::open(&directory, name)?, name)?;
    let mut sink = Sink { limit, count: 0, entries: Vec::new() };
    let is_counted = walk(&directory, name, &mut sink)?;
    let view = MapView {
        name,
        kind: kind_name(info.kind),
        key_bytes: info.key_size,
        value_bytes: info.value_size,
        entries: is_counted.then_some(sink.count),
        capacity: info.max_entries,
    };
    Ok(Dump { map: view, entries: sink.entries })
}

/// From the kernel's `enum bpf_map_type`.
fn kind_name(kind: u32) -> String {
    match kind {
        1 => "hash".to_owned(),
        2 => "array".to_owned(),
        6 => "array per CPU".to_owned(),
        9 => "LRU hash".to_owned(),
        10 => "LRU hash per CPU".to_owned(),
        11 => "LPM trie".to_owned(),
        12 => "array of maps".to_owned(),
        27 => "ring".to_owned(),
        other => format!("type {other}"),
    }
}

/// Counts all, and keeps the first.
struct Sink {
    limit: usize,
    count: u64,
    entries: Vec<Entry>,
}

impl Sink {
    fn put(&mut self, entry: impl FnOnce() -> (Fields, Fields)) {
        self.count += 1;
        if self.entries.len() < self.limit {
            let (key, value) = entry();
            self.entries.push(Entry { key, value });
        }
    }
}

/// Goes through a map; false for one that has no entries to be gone through.
fn walk(directory: &Path, name: &'static str, sink: &mut Sink) -> Result<bool> {
    let decode = Decode { now_ns: monotonic_ns() };
    macro_rules! entries {
        ($key:ty => $value:ty, $fields:expr) => {
            Map::<$key, $value>::open(directory, name)?.for_each(|key, value| {
                sink.put(|| $fields(key, value));
            })
        };
    }
    /// Of an array only what isn't zero.
    macro_rules! filled {
        ($value:ty, $is_filled:expr, $fields:expr) => {
            Map::<u32, $value>::open(directory, name)?.for_each(|key, value| {
                if $is_filled(value) {
                    sink.put(|| (decode.index(*key), $fields(value)));
                }
            })
        };
    }
    macro_rules! per_cpu {
        ($key:ty => $value:ty, $is_filled:expr, $fields:expr) => {
            PerCpu::<$key, $value>::open(directory, name)?.for_each(|key, values| {
                if $is_filled(values) {
                    sink.put(|| $fields(key, values));
                }
            })
        };
    }
    match name {
        maps::CONFIG => filled!(Config, |_: &Config| true, |it: &Config| decode.config(it))?,
        maps::POLICIES => {
            let set = |it: &Policy| *it != Policy::default();
            filled!(Policy, set, |it: &Policy| decode.policy(it))?;
        }
        maps::PORT_SETS => {
            let any = |it: &PortSet| it.words.iter().any(|word| *word != 0);
            filled!(PortSet, any, |it: &PortSet| decode.ports(it))?;
        }
        maps::ENDPOINTS | maps::RESOLVERS => {
            entries!(LpmKey<Address> => u32, |key, value: &u32| decode.endpoint(key, *value))?;
        }
        maps::ALLOW | maps::DENY => {
            entries!(LpmKey<ScopedAddress> => ListEntry, |key, value| decode.listed(key, value))?;
        }
        maps::GEO => {
            entries!(LpmKey<ScopedAddress> => u32, |key, value: &u32| decode.placed(key, *value))?;
        }
        maps::LISTED => tables::listed(directory, sink)?,
        maps::PLACES => tables::places(directory, sink)?,
        maps::STRANGERS => tables::strangers(directory, sink)?,
        maps::BLOCKS => entries!(BlockKey => Block, |key, value| decode.block(key, value))?,
        maps::QUARANTINE => {
            entries!(QuarantineKey => u64, |key, value: &u64| decode.quarantine(key, *value))?;
        }
        maps::CONTAINED => entries!(u64 => Contained, |key, value| decode.contained(key, value))?,
        maps::TRUST => entries!(u64 => Trust, |key, value| decode.trust(key, value))?,
        maps::SOURCES => entries!(u64 => Source, |key, value| decode.source(key, value))?,
        maps::NONCES => entries!(u64 => Nonce, |key, value| decode.nonce(key, value))?,
        maps::FLOWS | maps::KNOCKS => {
            entries!(u64 => u64, |key: &u64, value: &u64| decode.flow(*key, *value))?;
        }
        maps::TCP_CONNS => {
            entries!(u64 => TcpConnection, |key: &u64, value| decode.connection(*key, value))?;
        }
        maps::REGISTERS => {
            let fields = |key: &u64, values: &[SourceCounts]| decode.counts(*key, values);
            per_cpu!(u64 => SourceCounts, |_: &[SourceCounts]| true, fields)?;
        }
        maps::SKETCH => {
            let cells = |it: &Page| it.cells.iter().any(|cell| *cell != 0);
            filled!(Page, cells, |it: &Page| decode.page(it))?;
        }
        maps::GUARDED => {
            let used = |it: &GuardSet| *it != GuardSet::EMPTY;
            filled!(GuardSet, used, |it: &GuardSet| decode.guarded(it))?;
        }
        maps::USER_AGENTS => tables::agents(directory, sink)?,
        maps::BUCKETS => filled!(u64, |it: &u64| *it != 0, |it: &u64| decode.bucket(*it))?,
        maps::COUNTERS => {
            let any = |it: &[Counters]| it.iter().any(|it| it.packets.iter().any(|n| *n > 0));
            let fields =
                |key: &u32, values: &[Counters]| (decode.index(*key), decode.counters(values));
            per_cpu!(u32 => Counters, any, fields)?;
        }
        maps::COUNTRIES => {
            let any = |it: &[u64]| it.iter().any(|count| *count > 0);
            let fields = |key: &u32, values: &[u64]| decode.country_count(*key, values);
            per_cpu!(u32 => u64, any, fields)?;
        }
        maps::EVENT_COUNTS => {
            let fields = |key: &u32, values: &[EventCounts]| {
                (decode.index(*key), decode.event_counts(values))
            };
            per_cpu!(u32 => EventCounts, |_: &[EventCounts]| true, fields)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}
