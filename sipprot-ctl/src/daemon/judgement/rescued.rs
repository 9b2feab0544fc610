//! The note that `sipprot rescue unblock` leaves for the next daemon, so that it doesn't do again
//! from its store what was undone in the kernel.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rescue {
    pub address: IpAddr,
    /// Denylist entries that were taken out.
    pub denied: Vec<IpNetwork>,
    pub at: Timestamp,
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("rescued.jsonl")
}

/// Leaves a note.
pub fn leave(state_dir: &Path, rescue: &Rescue) -> io::Result<()> {
    let mut line = serde_json::to_vec(rescue)?;
    line.push(b'\n');
    fs::create_dir_all(state_dir)?;
    let mut file = OpenOptions::new().create(true).append(true).open(path(state_dir))?;
    file.write_all(&line)?;
    file.sync_all()
}

/// Takes the notes; lines that are none are passed over.
pub fn take(state_dir: &Path) -> Vec<Rescue> {
    let text = fs::read_to_string(path(state_dir)).unwrap_or_default();
    let _ = fs::remove_file(path(state_dir));
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_taken_once() {
        let directory = tempfile::tempdir().unwrap();
        let state_dir = directory.path().join("state");
        let rescue = Rescue {
            address: "192.0.2.1".parse().unwrap(),
            denied: vec!["192.0.2.0/24".parse().unwrap()],
            at: Timestamp::from_second(7).unwrap(),
        };
        leave(&state_dir, &rescue).unwrap();
        fs::write(path(&state_dir), fs::read_to_string(path(&state_dir)).unwrap() + "torn {\n")
            .unwrap();
        leave(&state_dir, &rescue).unwrap();
        assert_eq!(take(&state_dir), [rescue.clone(), rescue]);
        assert!(take(&state_dir).is_empty());
    }
}
