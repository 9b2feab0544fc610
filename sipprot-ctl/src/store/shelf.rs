//! A small database for somebody else's records: keys and JSON, all of a batch or nothing, on the disk
//! before it is acknowledged.

use std::fs::File;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::database::{Database, DatabaseError, Writes, sync_directory};
use super::open::lock;
use super::{RECORD_BYTES_MAX, StoreError};

pub struct Shelf {
    directory: PathBuf,
    database: Database,
    _lock: File,
}

/// What a batch writes and removes.
#[derive(Default)]
pub struct ShelfBatch(Writes);

impl ShelfBatch {
    pub fn put<T: Serialize>(&mut self, key: &str, value: &T) {
        let value = serde_json::to_vec(value).unwrap_or_default();
        self.0.insert(key.as_bytes().to_vec(), Some(value));
    }

    pub fn remove(&mut self, key: &str) {
        self.0.insert(key.as_bytes().to_vec(), None);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Shelf {
    /// Opens or creates it. One that can't be read is set aside, and said so.
    pub fn open(directory: &Path) -> Result<(Self, Option<PathBuf>), StoreError> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(StoreError::at(directory))?;
        let lock = lock(directory)?;
        let place = directory.join("records");
        let mut aside = None;
        let opened =
            Database::open(&place).and_then(|database| match database.survey(|_, _| ()).broken {
                Some(reason) => Err(DatabaseError::Broken(reason)),
                None => Ok(database),
            });
        let database = match opened {
            Err(DatabaseError::Broken(_)) => {
                let name = format!("records.broken-{}", Timestamp::now().as_second());
                let moved = directory.join(name);
                std::fs::rename(&place, &moved).map_err(StoreError::at(&place))?;
                sync_directory(directory).map_err(StoreError::at(directory))?;
                aside = Some(moved);
                Database::open(&place)
            }
            opened => opened,
        };
        let database = database.map_err(|error| match error {
            DatabaseError::Machine(source) => StoreError::at(&place)(source),
            DatabaseError::Broken(reason) => StoreError::Broken(reason),
        })?;
        Ok((Self { directory: directory.to_owned(), database, _lock: lock }, aside))
    }

    /// Returns once it is on the disk.
    pub fn apply(&self, batch: ShelfBatch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let sizes = batch.0.values().flatten().map(Vec::len);
        if let Some(bytes) = sizes.max().filter(|bytes| *bytes > 64 * RECORD_BYTES_MAX) {
            return Err(StoreError::TooLarge(bytes));
        }
        let written = self.database.write(batch.0).and_then(|()| self.database.make_durable());
        written.map_err(|error| StoreError::NotDurable {
            directory: self.directory.clone(),
            what: error.to_string(),
        })
    }

    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StoreError> {
        let found = self.database.get(key.as_bytes());
        let found = found.map_err(|error| StoreError::Broken(error.to_string()))?;
        Ok(found.and_then(|value| serde_json::from_slice(&value).ok()))
    }

    /// Those whose keys begin so, without that beginning; what can't be understood is left out.
    pub fn all<'a, T: DeserializeOwned + 'a>(
        &'a self,
        start: &'a str,
    ) -> impl Iterator<Item = Result<(String, T), StoreError>> + 'a {
        self.database.scan(start.as_bytes()).filter_map(move |record| match record {
            Err(error) => Some(Err(StoreError::Broken(error.to_string()))),
            Ok((key, value)) => {
                let key = String::from_utf8_lossy(&key[start.len()..]).into_owned();
                Some(Ok((key, serde_json::from_slice(&value).ok()?)))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_there_again() {
        let directory = tempfile::tempdir().unwrap();
        let (shelf, aside) = Shelf::open(directory.path()).unwrap();
        assert_eq!(aside, None);
        let mut batch = ShelfBatch::default();
        batch.put("a/1", &1);
        batch.put("a/2", &2);
        batch.put("b/1", &3);
        shelf.apply(batch).unwrap();
        let mut batch = ShelfBatch::default();
        batch.remove("a/1");
        shelf.apply(batch).unwrap();
        assert!(matches!(Shelf::open(directory.path()), Err(StoreError::InUse { .. })));
        drop(shelf);
        let (shelf, _) = Shelf::open(directory.path()).unwrap();
        let all: Vec<(String, u64)> = shelf.all("a/").map(Result::unwrap).collect();
        assert_eq!(all, [("2".to_owned(), 2)]);
        assert_eq!(shelf.get::<u64>("b/1").unwrap(), Some(3));
    }

    #[test]
    fn a_broken_one_is_set_aside() {
        let directory = tempfile::tempdir().unwrap();
        drop(Shelf::open(directory.path()).unwrap());
        std::fs::write(directory.path().join("records/conf"), "no configuration").unwrap();
        let (shelf, aside) = Shelf::open(directory.path()).unwrap();
        assert!(aside.is_some_and(|it| it.exists()));
        assert_eq!(shelf.all::<u64>("").count(), 0);
    }
}
