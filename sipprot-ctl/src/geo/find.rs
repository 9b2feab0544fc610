//! Where databases usually lie, and whether they have changed since.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where MaxMind-format databases are put by their updaters.
const DIRECTORIES: [&str; 3] = ["usr/share/GeoIP", "var/lib/GeoIP", "usr/local/share/GeoIP"];

/// Debian's tor-geoipdb, one file for each family.
const TEXT_FILES: [&str; 2] = ["usr/share/tor/geoip", "usr/share/tor/geoip6"];

/// A file as it was when it was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Seen {
    path: PathBuf,
    /// Inode, length and time of change; `None` if it wasn't there.
    stamp: Option<(u64, u64, i64, i64)>,
}

/// The files to try, best first: those that were named, or those in the usual places.
pub(super) fn candidates(root: &Path, named: &[PathBuf]) -> Vec<PathBuf> {
    if !named.is_empty() {
        return named.to_vec();
    }
    let mut found = maxmind(root, |name| name.contains("country") || name.contains("city"));
    let text = TEXT_FILES.map(|path| root.join(path));
    found.extend(text.into_iter().filter(|path| path.exists()));
    found
}

/// Databases of autonomous systems, the newest first.
pub(super) fn owners(root: &Path) -> Vec<PathBuf> {
    maxmind(root, |name| name.contains("asn"))
}

/// The newest first; of two that are as new, one of countries before one of cities.
fn maxmind(root: &Path, is_wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for directory in DIRECTORIES {
        // A directory that can't be read is one without databases.
        for entry in std::fs::read_dir(root.join(directory)).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().to_lowercase();
            if is_maxmind(Path::new(&name)) && is_wanted(&name) {
                found.push(entry.path());
            }
        }
    }
    found.sort_by_cached_key(|path| {
        let city = path.to_string_lossy().to_lowercase().contains("city");
        let changed = std::fs::metadata(path).map(|metadata| metadata.mtime()).unwrap_or(0);
        (std::cmp::Reverse(changed), city, path.clone())
    });
    found
}

pub(super) fn is_maxmind(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("mmdb"))
}

pub(super) fn seen(paths: &[PathBuf]) -> Vec<Seen> {
    let stamp = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
    };
    paths.iter().map(|path| Seen { path: path.clone(), stamp: stamp(path) }).collect()
}
