//! Where reading of a file stood when the daemon ended, so that what was logged meanwhile is read too.
//!
//! A line is judged as of now, since no clock but the log's own says when it was written. So what was
//! missed is read only after a short pause: an hour of failures in one moment would be an attack that
//! was none.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// After a longer pause reading begins at the end, as if for the first time.
const PAUSE_MAX_S: i64 = 120;
/// If more was missed, none of it is read.
pub const MISSED_MAX: u64 = 8 << 20;
const FILE: &str = "log-places.json";

/// Which file, and how far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Place {
    pub device: u64,
    pub inode: u64,
    /// The first byte of the first line that was not read.
    pub position: u64,
}

impl Place {
    /// Where to go on in a file that has its name now; none: at its end.
    pub fn position_in(&self, file: &Metadata) -> Option<u64> {
        let same = (self.device, self.inode) == (file.dev(), file.ino());
        // Another file, or one that was cut short, is younger than the pause.
        let position = if same && self.position <= file.len() { self.position } else { 0 };
        (file.len() - position <= MISSED_MAX).then_some(position)
    }
}

/// The places of all logs by their names, and when they were noted.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Places {
    #[serde(default)]
    at: i64,
    #[serde(default)]
    pub logs: BTreeMap<String, Place>,
}

impl Places {
    /// Those of the last run, if they are young enough. What can't be read is nothing that was missed.
    pub fn load(state_dir: &Path, now: Timestamp) -> Self {
        let text = std::fs::read_to_string(file(state_dir)).unwrap_or_default();
        let known: Self = serde_json::from_str(&text).unwrap_or_default();
        let pause = now.as_second().saturating_sub(known.at);
        if (0..=PAUSE_MAX_S).contains(&pause) { known } else { Self::default() }
    }

    pub fn new(logs: BTreeMap<String, Place>, now: Timestamp) -> Self {
        Self { at: now.as_second(), logs }
    }

    /// Not fsynced: who loses power has a longer pause anyway.
    pub fn save(&self, state_dir: &Path) -> io::Result<()> {
        let (path, text) = (file(state_dir), serde_json::to_string(self)?);
        let new = path.with_extension("new");
        std::fs::write(&new, text)?;
        std::fs::rename(&new, &path)
    }
}

fn file(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_good_for_two_minutes() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place { device: 1, inode: 2, position: 3 };
        let logs = BTreeMap::from([("auth".to_owned(), place)]);
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        Places::new(logs, at(0)).save(directory.path()).unwrap();
        let load = |second| Places::load(directory.path(), at(second)).logs.get("auth").copied();
        assert_eq!((load(0), load(120)), (Some(place), Some(place)));
        assert_eq!((load(121), load(-1)), (None, None));
        std::fs::write(file(directory.path()), "{").unwrap();
        assert_eq!(load(0), None);
    }

    #[test]
    fn where_to_go_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let file = std::fs::File::create(&path).unwrap();
        let check = |length: u64, other: u64, position: u64, expected: Option<u64>| {
            file.set_len(length).unwrap();
            let metadata = file.metadata().unwrap();
            let (device, inode) = (metadata.dev(), metadata.ino() + other);
            let place = Place { device, inode, position };
            assert_eq!(place.position_in(&metadata), expected, "{length} {other} {position}");
        };
        check(100, 0, 40, Some(40));
        check(100, 0, 100, Some(100));
        check(100, 0, 101, Some(0));
        check(100, 1, 40, Some(0));
        check(MISSED_MAX + 40, 0, 40, Some(40));
        check(MISSED_MAX + 41, 0, 40, None);
        check(MISSED_MAX + 1, 1, 40, None);
    }
}
