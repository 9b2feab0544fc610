//! A store on a disk that can't be written: a copy of it, elsewhere, tells what is in force. Nothing that is
//! written is acknowledged, since none of it would last.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::open::OpenReport;
use super::{Limits, Store, StoreError, open};

impl Store {
    /// The store of `directory` as it is, through a copy in `scratch`, which is made anew.
    pub fn open_copy(
        directory: &Path,
        scratch: &Path,
        why: &str,
    ) -> Result<(Store, OpenReport), StoreError> {
        let copied = remove(scratch).and_then(|()| copy(directory, scratch));
        if let Err(error) = copied {
            // Half a copy helps nobody, and takes room.
            let _ = remove(scratch);
            return Err(StoreError::at(scratch)(error));
        }
        let (mut store, report) = open::open(scratch, Limits::default())?;
        store.directory = directory.to_owned();
        store.writer()?.failed = Some(why.to_owned());
        Ok((store, report))
    }
}

fn remove(scratch: &Path) -> io::Result<()> {
    match fs::remove_dir_all(scratch) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() && !is_aside(&path) {
            copy(&path, &target)?;
        } else if kind.is_file() {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}

/// What an earlier start set aside.
fn is_aside(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().contains(".broken"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Scope;
    use crate::store::{List, ListEntry, ListKey, Origin};

    #[test]
    fn what_it_had_is_there_and_nothing_new_is_acknowledged() {
        let directory = tempfile::tempdir().unwrap();
        let (state, scratch) = (directory.path().join("state"), directory.path().join("scratch"));
        fs::create_dir(&scratch).unwrap();
        fs::write(scratch.join("of an earlier start"), "").unwrap();
        let entry = |network: &str| ListEntry {
            network: network.parse().unwrap(),
            list: List::Deny,
            endpoint: None,
            note: String::new(),
            added_at: jiff::Timestamp::UNIX_EPOCH,
            added_by: "root".to_owned(),
            expires_at: None,
            scope: Scope::All,
            origin: Origin::Manual,
        };
        let (store, _) = Store::open(&state).unwrap();
        store.put_list_entry(entry("198.51.100.7/32")).unwrap();
        drop(store);
        let (copy, _) = Store::open_copy(&state, &scratch, "it is read-only").unwrap();
        let key = |network: &str| ListKey {
            list: List::Deny,
            network: network.parse().unwrap(),
            endpoint: None,
        };
        assert!(copy.list_entry(&key("198.51.100.7/32")).unwrap().is_some());
        let refused = copy.put_list_entry(entry("198.51.100.8/32")).unwrap_err().to_string();
        assert!(refused.contains("it is read-only"), "{refused}");
        assert!(refused.contains(&state.display().to_string()), "{refused}");
        assert!(!scratch.join("of an earlier start").exists());
        drop(copy);
        let (store, _) = Store::open(&state).unwrap();
        assert!(store.list_entry(&key("198.51.100.8/32")).unwrap().is_none());
    }
}
