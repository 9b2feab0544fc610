//! The sled database: opened, read, written and made durable.
//!
//! The only place that knows sled. Bytes in, bytes out; what they mean is the codec's affair.
//! sled 0.34 needs watching: a flush ends in `sync_file_range`, which doesn't empty a disk's cache;
//! a torn temporary snapshot makes it refuse to open; broken files may make it panic.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::codec::COMMIT_KEY;

pub(super) struct Database {
    /// Taken out only when closing.
    sled: Option<sled::Db>,
    directory: PathBuf,
    file: File,
}

/// sled tells of its lock in words only.
fn is_held(error: &DatabaseError) -> bool {
    matches!(error, DatabaseError::Broken(reason) if reason.contains("could not acquire lock"))
}

/// What a database looked like when every record had been read once.
pub(super) struct Survey {
    /// The last batch that the export was to know too.
    pub commit: u64,
    pub records: u64,
    /// The reading stopped at a broken page.
    pub broken: Option<String>,
}

/// Keys to write (`Some`) and to remove (`None`), as a whole or not at all.
pub(super) type Writes = HashMap<Vec<u8>, Option<Vec<u8>>>;

/// A key and its value, or the broken page in their place.
pub(super) type Scanned = Result<(Vec<u8>, Vec<u8>), DatabaseError>;

#[derive(Debug, thiserror::Error)]
pub(super) enum DatabaseError {
    /// The machine is in the way: disk full, no permission, too many open files.
    #[error(transparent)]
    Machine(io::Error),
    /// The files are.
    #[error("{0}")]
    Broken(String),
}

impl From<sled::Error> for DatabaseError {
    fn from(error: sled::Error) -> Self {
        use io::ErrorKind as Kind;
        match error {
            sled::Error::Io(error) => match error.kind() {
                Kind::PermissionDenied | Kind::StorageFull | Kind::QuotaExceeded => {
                    DatabaseError::Machine(error)
                }
                Kind::ReadOnlyFilesystem | Kind::OutOfMemory | Kind::NotADirectory => {
                    DatabaseError::Machine(error)
                }
                _ if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                    DatabaseError::Machine(error)
                }
                _ => DatabaseError::Broken(one_line(&error.to_string())),
            },
            other => DatabaseError::Broken(one_line(&other.to_string())),
        }
    }
}

const CACHE_BYTES: u64 = 32 << 20;
/// How long sled's own threads may still hold a database that was just closed.
const RELEASE_WAIT: Duration = Duration::from_secs(10);
const RELEASE_POLL: Duration = Duration::from_millis(20);

impl Database {
    /// Opens or creates. A panic on broken files is an error like any other.
    pub fn open(directory: &Path) -> Result<Database, DatabaseError> {
        remove_torn_snapshots(directory).map_err(DatabaseError::Machine)?;
        let open = || {
            sled::Config::new()
                .path(directory)
                .cache_capacity(CACHE_BYTES)
                .flush_every_ms(None)
                .open()
        };
        let start = Instant::now();
        let sled = loop {
            match guarded(open) {
                Err(error) if is_held(&error) && start.elapsed() < RELEASE_WAIT => {
                    std::thread::sleep(RELEASE_POLL);
                }
                // A database that somebody holds is not broken: it must not be set aside.
                Err(error) if is_held(&error) => {
                    return Err(DatabaseError::Machine(io::Error::other(error.to_string())));
                }
                result => break result?,
            }
        };
        let file = File::open(directory.join("db")).map_err(DatabaseError::Machine)?;
        Ok(Database { sled: Some(sled), directory: directory.to_owned(), file })
    }

    /// Reads everything once, handing each record on, up to the first broken page.
    pub fn survey(&self, mut each: impl FnMut(&[u8], &[u8])) -> Survey {
        let mut survey = Survey { commit: 0, records: 0, broken: None };
        let read = || -> Result<(), sled::Error> {
            for record in self.db()?.iter() {
                let (key, value) = record?;
                survey.records += 1;
                if key == COMMIT_KEY {
                    let number = value.as_ref().try_into().map(u64::from_be_bytes);
                    survey.commit = number.unwrap_or(0);
                }
                each(&key, &value);
            }
            Ok(())
        };
        if let Err(error) = guarded(read) {
            survey.broken = Some(error.to_string());
        }
        survey
    }

    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DatabaseError> {
        Ok(self.db()?.get(key)?.map(|value| value.to_vec()))
    }

    /// All records whose keys begin so, by key.
    pub fn scan<'a>(&'a self, prefix: &[u8]) -> impl DoubleEndedIterator<Item = Scanned> + use<'a> {
        self.sled.as_ref().map(|sled| sled.scan_prefix(prefix)).into_iter().flatten().map(scanned)
    }

    /// All records from one key up to, but without, another.
    pub fn range<'a>(&'a self, keys: Range<Vec<u8>>) -> impl Iterator<Item = Scanned> + use<'a> {
        // sled panics on a range that runs backwards.
        let sled = self.sled.as_ref().filter(|_| keys.start <= keys.end);
        sled.map(|sled| sled.range(keys)).into_iter().flatten().map(scanned)
    }

    /// Applies in memory; on the disk only after [`Database::make_durable`].
    pub fn write(&self, writes: Writes) -> Result<(), DatabaseError> {
        let mut batch = sled::Batch::default();
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        Ok(self.db()?.apply_batch(batch)?)
    }

    /// Returns once everything written so far is on the disk.
    pub fn make_durable(&self) -> Result<(), DatabaseError> {
        self.db()?.flush()?;
        let sync = || {
            self.file.sync_all()?;
            let blobs = self.directory.join("blobs");
            for blob in std::fs::read_dir(&blobs)? {
                File::open(blob?.path())?.sync_all()?;
            }
            sync_directory(&blobs)?;
            sync_directory(&self.directory)
        };
        sync().map_err(DatabaseError::Machine)
    }

    fn db(&self) -> Result<&sled::Db, sled::Error> {
        let closed = || sled::Error::Io(io::Error::other("the database is closed"));
        self.sled.as_ref().ok_or_else(closed)
    }
}

fn scanned(record: sled::Result<(sled::IVec, sled::IVec)>) -> Scanned {
    let (key, value) = record?;
    Ok((key.to_vec(), value.to_vec()))
}

impl Drop for Database {
    /// sled writes once more when it closes, and may panic on what is broken.
    fn drop(&mut self) {
        let sled = self.sled.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(sled)));
    }
}

fn guarded<T>(work: impl FnOnce() -> Result<T, sled::Error>) -> Result<T, DatabaseError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => Ok(result?),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(DatabaseError::Broken(one_line(text.unwrap_or("a panic without a message"))))
        }
    }
}

/// sled takes a half-written `snap.….generating` for its newest snapshot, and refuses to open.
fn remove_torn_snapshots(directory: &Path) -> io::Result<()> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "generating") {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
