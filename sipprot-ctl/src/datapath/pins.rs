//! The pin directory: `<pin_dir>/v<ABI_VERSION>/{maps,links}`.
//!
//! Says where things are pinned, whether the pinned maps fit an object, and moves maps of another
//! build aside. bpffs refuses names with a dot, which VLAN interfaces have, so these are escaped.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use sipprot_common::abi::{ABI_VERSION, maps};

use super::error::{DatapathError, Result, system};
use super::sys::{self, MapInfo};

/// Every map that is pinned, by its name in the object.
pub const MAPS: [&str; 29] = [
    maps::CONFIG,
    maps::POLICIES,
    maps::PORT_SETS,
    maps::ENDPOINTS,
    maps::ALLOW,
    maps::DENY,
    maps::GEO,
    maps::LISTED,
    maps::PLACES,
    maps::STRANGERS,
    maps::BLOCKS,
    maps::QUARANTINE,
    maps::CONTAINED,
    maps::TRUST,
    maps::SOURCES,
    maps::SKETCH,
    maps::NONCES,
    maps::REGISTERS,
    maps::FLOWS,
    maps::KNOCKS,
    maps::TCP_CONNS,
    maps::GUARDED,
    maps::RESOLVERS,
    maps::USER_AGENTS,
    maps::COUNTERS,
    maps::COUNTRIES,
    maps::BUCKETS,
    maps::EVENT_COUNTS,
    maps::EVENTS,
];

const BPF_MAP_TYPE_RINGBUF: u32 = 27;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    const fn suffix(self) -> &'static str {
        match self {
            Self::Ingress => "-xdp",
            Self::Egress => "-tc",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Pins {
    base: PathBuf,
}

impl Pins {
    pub fn new(pin_dir: &Path) -> Self {
        Self { base: pin_dir.to_path_buf() }
    }

    fn version(&self) -> PathBuf {
        self.base.join(format!("v{ABI_VERSION}"))
    }

    pub fn maps(&self) -> PathBuf {
        self.version().join("maps")
    }

    fn maps_aside(&self) -> PathBuf {
        self.version().join("maps-aside")
    }

    pub fn link(&self, interface: &str, direction: Direction) -> PathBuf {
        self.version().join("links").join(escape(interface) + direction.suffix())
    }

    pub fn create(&self) -> Result<()> {
        for path in [self.maps(), self.version().join("links")] {
            fs::create_dir_all(&path).map_err(system(path.display().to_string()))?;
        }
        Ok(())
    }

    /// The link directories of all ABI versions, ours first.
    fn link_directories(&self) -> Vec<PathBuf> {
        let ours = self.version().join("links");
        let mut found = vec![ours.clone()];
        for entry in fs::read_dir(&self.base).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix('v'));
            let links = entry.path().join("links");
            if number.is_some_and(|number| number.parse::<u32>().is_ok()) && links != ours {
                found.push(links);
            }
        }
        found
    }

    /// Where links of this interface may be pinned, by this or another version.
    pub fn links_of(&self, interface: &str, direction: Direction) -> Vec<PathBuf> {
        let file = escape(interface) + direction.suffix();
        let paths = self.link_directories().into_iter().map(|directory| directory.join(&file));
        paths.filter(|path| path.exists()).collect()
    }

    /// Every interface with a pinned link of any version.
    pub fn interfaces(&self) -> Vec<String> {
        let mut found = Vec::new();
        for directory in self.link_directories() {
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let Some(name) = name.to_str() else { continue };
                let name = [Direction::Ingress, Direction::Egress]
                    .into_iter()
                    .find_map(|direction| name.strip_suffix(direction.suffix()));
                found.extend(name.map(unescape));
            }
        }
        found.sort();
        found.dedup();
        found
    }

    /// Removes what versions other than ours left, once they hold no link any more.
    pub fn remove_other_versions(&self) {
        for links in self.link_directories().into_iter().skip(1) {
            // Fails, as it must, while links are in it.
            if fs::remove_dir(&links).is_ok()
                && let Some(version) = links.parent()
            {
                remove_maps(&version.join("maps"));
                remove_maps(&version.join("maps-aside"));
                let _ = fs::remove_dir(version);
            }
        }
    }

    /// Do the pinned maps fit? `Ok(false)` when none is pinned.
    pub fn check(&self, expected: &BTreeMap<String, MapInfo>) -> Result<bool> {
        let mut any = false;
        for (name, expected) in expected {
            let fd = match sys::object_get(&self.maps().join(name)) {
                Ok(fd) => fd,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(system(format!("the pinned map {name}"))(error)),
            };
            any = true;
            let found = sys::map_info(fd.as_fd())
                .map_err(system(format!("the layout of the pinned map {name}")))?;
            if let Some(difference) = difference(&found, expected) {
                return Err(DatapathError::Layout { map: name.clone(), difference });
            }
        }
        Ok(any)
    }

    /// Moves the maps out of the way of new ones; programs that run keep using them.
    pub fn set_aside(&self) -> Result<()> {
        self.discard_aside();
        let (maps, aside) = (self.maps(), self.maps_aside());
        fs::rename(&maps, &aside).map_err(system(maps.display().to_string()))?;
        self.create()
    }

    /// Brings back what was set aside, in place of what was made since.
    pub fn bring_back(&self) -> Result<()> {
        self.remove_maps();
        let (maps, aside) = (self.maps(), self.maps_aside());
        fs::rename(&aside, &maps).map_err(system(aside.display().to_string()))
    }

    pub fn discard_aside(&self) {
        remove_maps(&self.maps_aside());
    }

    pub fn remove_maps(&self) {
        remove_maps(&self.maps());
    }
}

fn remove_maps(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let _ = fs::remove_file(entry.path());
    }
    let _ = fs::remove_dir(directory);
}

/// What differs between a map that is pinned and the one that an object asks for.
fn difference(found: &MapInfo, expected: &MapInfo) -> Option<String> {
    let ring = expected.kind == BPF_MAP_TYPE_RINGBUF;
    let facts = [
        ("type", found.kind, expected.kind),
        ("key size", found.key_size, if ring { found.key_size } else { expected.key_size }),
        ("value size", found.value_size, if ring { found.value_size } else { expected.value_size }),
        ("room", found.max_entries, expected.max_entries),
        ("flags", found.flags, expected.flags),
    ];
    let (what, found, expected) = facts.into_iter().find(|(_, found, wanted)| found != wanted)?;
    Some(format!("{what} {found}, not {expected}"))
}

fn escape(interface: &str) -> String {
    interface.replace('%', "%25").replace('.', "%2e").replace('/', "%2f")
}

fn unescape(name: &str) -> String {
    name.replace("%2f", "/").replace("%2e", ".").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_bpffs() {
        let check = |interface: &str, file: &str| {
            assert_eq!(escape(interface), file);
            assert_eq!(unescape(file), interface);
        };
        check("eth0", "eth0");
        check("eth0.100", "eth0%2e100");
        check("../maps", "%2e%2e%2fmaps");
        check("a%2eb", "a%252eb");
    }

    #[test]
    fn a_difference_is_named() {
        let map =
            MapInfo { kind: 1, key_size: 16, value_size: 64, max_entries: 8, ..MapInfo::default() };
        assert_eq!(difference(&map, &map), None);
        let other = MapInfo { value_size: 56, ..map };
        assert_eq!(difference(&other, &map).unwrap(), "value size 56, not 64");
        let other = MapInfo { id: 7, ..map };
        assert_eq!(difference(&other, &map), None);
    }

    #[test]
    fn every_name_fits_the_kernel() {
        assert!(MAPS.iter().all(|name| name.len() <= 15));
    }
}
