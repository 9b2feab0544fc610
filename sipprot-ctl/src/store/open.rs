//! Opening the store, and recovering what a crash or a bad disk left of it.
//!
//! The database is believed unless it can't be read or lags behind the export; then it is set aside
//! (renamed, never removed at once), what is whole in it is carried over, and the rest comes from
//! the export.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::de::IgnoredAny;

use super::access::{SessionRecord, TokenRecord, UserRecord};
use super::audit::AuditRecord;
use super::batch::{Batch, Rows};
use super::codec::{self, COMMIT_KEY, Kind};
use super::database::{Database, DatabaseError, Survey, Writes, sync_directory};
use super::export::{self, Export, Glance};
use super::noted::{AlertRecord, LearningRecord, PendingRecord};
use super::notices::DeliveryRecord;
use super::records::{
    AttackRecord, BlockRecord, Change, ListEntry, PeerRecord, SourceStanding, TrustRecord,
};
use super::{BULK_PART, Limits, Store, StoreError, Writer};
use crate::rules::Learned;

pub(super) const EXPORT_NAME: &str = "lists.export.jsonl";
const DATABASE_NAME: &str = "store";
const LOCK_NAME: &str = "lock";
const BROKEN_START: &str = "store.broken-";

/// How many databases that were set aside are kept.
const BROKEN_MAX: usize = 3;

/// What opening found and did. Displays as lines for the operator; empty when all was well.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OpenReport {
    /// There was no store before.
    pub created: bool,
    pub recovery: Option<Recovery>,
    /// Records that are in the database and can't be understood; they stay there.
    pub unreadable_records: u64,
}

/// A database that was set aside, and what came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovery {
    /// Why it wasn't believed.
    pub reason: String,
    pub set_aside: PathBuf,
    /// Whether the export knew everything that had been acknowledged.
    pub from_export: bool,
    pub list_entries: u64,
    pub blocks: u64,
    /// Learned, and told at run time.
    pub trust: u64,
    pub standings: u64,
    pub history: u64,
    pub unreadable_export_lines: u64,
}

impl fmt::Display for OpenReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(recovery) = &self.recovery {
            let set_aside = recovery.set_aside.display();
            writeln!(
                f,
                "the store was not usable ({}); set aside as {set_aside}",
                recovery.reason
            )?;
            let source = if recovery.from_export { "the export" } else { "what was readable" };
            writeln!(
                f,
                "recovered from {source}: {} list entries, {} blocks, {} trusted, {} standings; history rows: {}",
                recovery.list_entries,
                recovery.blocks,
                recovery.trust,
                recovery.standings,
                recovery.history
            )?;
            if recovery.unreadable_export_lines > 0 {
                writeln!(
                    f,
                    "{} lines of the export are unreadable",
                    recovery.unreadable_export_lines
                )?;
            }
        }
        if self.unreadable_records > 0 {
            writeln!(f, "{} records of the store are unreadable", self.unreadable_records)?;
        }
        Ok(())
    }
}

pub(super) fn open(directory: &Path, limits: Limits) -> Result<(Store, OpenReport), StoreError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(StoreError::at(directory))?;
    let lock = lock(directory)?;
    let export_path = directory.join(EXPORT_NAME);
    remove_if_there(&export::temporary_path(&export_path))?;
    let glance = export::glance(&export_path).map_err(StoreError::at(&export_path))?;

    let place = directory.join(DATABASE_NAME);
    let mut report = OpenReport {
        created: !place.exists() && glance.is_none(),
        recovery: None,
        unreadable_records: 0,
    };
    let found = match Database::open(&place) {
        Ok(database) => survey(database, glance, report.created),
        Err(DatabaseError::Machine(source)) => return Err(StoreError::at(&place)(source)),
        Err(DatabaseError::Broken(reason)) => Found { reason: Some(reason), ..Found::default() },
    };
    report.unreadable_records = found.unreadable;
    let (database, rows, commit, export) = match found {
        Found { database: Some(database), reason: None, rows, commit, .. } => {
            let export = resume(&database, &export_path, glance, commit)?;
            (database, rows, commit, export)
        }
        found => {
            let recovered = recover(directory, found, glance, limits)?;
            report.recovery = Some(recovered.0);
            (recovered.1, recovered.2, recovered.3, recovered.4)
        }
    };
    let writer = Writer { commit, rows, export: Some(export), failed: None };
    Ok((Store::new(directory, lock, database, limits, writer), report))
}

/// What is known of a database before it is believed or not.
#[derive(Default)]
struct Found {
    database: Option<Database>,
    rows: Rows,
    commit: u64,
    unreadable: u64,
    /// Why it can't be believed.
    reason: Option<String>,
}

fn survey(database: Database, glance: Option<Glance>, created: bool) -> Found {
    let mut found = Found::default();
    let Survey { commit, broken, records } = database.survey(|key, value| {
        found.rows.count(key, value);
        found.unreadable += u64::from(!is_readable(key, value));
    });
    let exported = glance.map_or(0, |glance| glance.commit);
    found.reason = broken;
    if found.reason.is_none() && commit < exported {
        let what = if records == 0 {
            "it is empty".to_owned()
        } else {
            format!("it ends at batch {commit}")
        };
        found.reason = Some(format!("{what}, the export at batch {exported}"));
    }
    if found.reason.is_none() && records == 0 && glance.is_none() && !created {
        // Even an empty store has had a batch; there is nothing to recover from, but it is said.
        found.reason = Some("it is empty, and the export is missing".to_owned());
    }
    found.commit = commit;
    found.database = Some(database);
    found
}

fn is_readable(key: &[u8], value: &[u8]) -> bool {
    match Kind::of(key) {
        Some(Kind::List) => codec::decode::<ListEntry>(value).is_ok(),
        Some(Kind::Block | Kind::History) => codec::decode::<BlockRecord>(value).is_ok(),
        Some(Kind::Trust) => codec::decode::<TrustRecord>(value).is_ok(),
        Some(Kind::Peer) => codec::decode::<PeerRecord>(value).is_ok(),
        Some(Kind::Standing) => codec::decode::<SourceStanding>(value).is_ok(),
        Some(Kind::Attack) => codec::decode::<AttackRecord>(value).is_ok(),
        Some(Kind::Alert) => codec::decode::<AlertRecord>(value).is_ok(),
        Some(Kind::Learning) => codec::decode::<LearningRecord>(value).is_ok(),
        Some(Kind::Pending) => codec::decode::<PendingRecord>(value).is_ok(),
        Some(Kind::Audit) => codec::decode::<AuditRecord>(value).is_ok(),
        Some(Kind::User) => codec::decode::<UserRecord>(value).is_ok(),
        Some(Kind::Token) => codec::decode::<TokenRecord>(value).is_ok(),
        Some(Kind::Delivery) => codec::decode::<DeliveryRecord>(value).is_ok(),
        Some(Kind::Session) => codec::decode::<SessionRecord>(value).is_ok(),
        Some(Kind::Learned) => codec::decode::<Learned>(value).is_ok(),
        Some(Kind::Meta) => key == COMMIT_KEY || codec::decode::<IgnoredAny>(value).is_ok(),
        None => false,
    }
}

/// The export of a database that is believed: as it is, or written anew if it lags or is torn.
fn resume(
    database: &Database,
    path: &Path,
    glance: Option<Glance>,
    commit: u64,
) -> Result<Export, StoreError> {
    let result = match glance {
        Some(glance) if glance.whole && glance.commit == commit => {
            Export::resume(path, glance.lines)
        }
        _ => Export::rewrite(path, commit, exported(database)),
    };
    result.map_err(StoreError::at(path))
}

/// Every record that the export holds, as the database has it.
pub(super) fn exported(database: &Database) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    Kind::EXPORTED.into_iter().flat_map(|kind| database.scan(&kind.prefix())).filter_map(Result::ok)
}

type Recovered = (Recovery, Database, Rows, u64, Export);

fn recover(
    directory: &Path,
    found: Found,
    glance: Option<Glance>,
    limits: Limits,
) -> Result<Recovered, StoreError> {
    let export_path = directory.join(EXPORT_NAME);
    let exported_commit = glance.map_or(0, |glance| glance.commit);
    let from_export = glance.is_some() && exported_commit >= found.commit;
    let mut carried = Writes::new();
    if let Some(database) = &found.database {
        database.survey(|key, value| {
            let wanted = key != COMMIT_KEY && !(from_export && codec::is_exported(key));
            if wanted && is_readable(key, value) {
                carried.insert(key.to_vec(), Some(value.to_vec()));
            }
        });
    }
    drop(found.database);
    let set_aside = set_aside(directory)?;

    let (changes, unreadable_export_lines) = if from_export {
        let replayed = export::replay(&export_path).map_err(StoreError::at(&export_path))?;
        (replayed.records.into_values().collect(), replayed.unreadable_lines)
    } else {
        (Vec::new(), 0)
    };
    let commit = found.commit.max(exported_commit) + 1;
    let database = rebuild(directory, limits, carried, &changes, commit)?;
    let (recovery, rows) = count(&database);
    let export = Export::rewrite(&export_path, commit, exported(&database))
        .map_err(StoreError::at(&export_path))?;
    let reason = found.reason.unwrap_or_default();
    let recovery = Recovery { reason, set_aside, from_export, unreadable_export_lines, ..recovery };
    Ok((recovery, database, rows, commit, export))
}

fn rebuild(
    directory: &Path,
    limits: Limits,
    carried: Writes,
    changes: &[Change],
    commit: u64,
) -> Result<Database, StoreError> {
    let place = directory.join(DATABASE_NAME);
    let broken = |error: &dyn fmt::Display| StoreError::Broken(error.to_string());
    let database = Database::open(&place).map_err(|error| broken(&error))?;
    for part in in_parts(carried) {
        database.write(part).map_err(|error| broken(&error))?;
    }
    for part in changes.chunks(BULK_PART) {
        let mut batch = Batch::new(&database, limits, Rows::default());
        for change in part {
            batch.add(change).map_err(|error| broken(&error))?;
        }
        database.write(batch.writes).map_err(|error| broken(&error))?;
    }
    // The number goes last: a crash before it is a rebuilding that never was.
    let number = (COMMIT_KEY.to_vec(), Some(commit.to_be_bytes().to_vec()));
    database.write([number].into()).map_err(|error| broken(&error))?;
    database.make_durable().map_err(|error| broken(&error))?;
    Ok(database)
}

fn in_parts(writes: Writes) -> impl Iterator<Item = Writes> {
    let mut writes = writes.into_iter();
    std::iter::from_fn(move || {
        let part: Writes = writes.by_ref().take(BULK_PART).collect();
        (!part.is_empty()).then_some(part)
    })
}

fn count(database: &Database) -> (Recovery, Rows) {
    let mut rows = Rows::default();
    let mut recovery = Recovery {
        reason: String::new(),
        set_aside: PathBuf::new(),
        from_export: false,
        list_entries: 0,
        blocks: 0,
        trust: 0,
        standings: 0,
        history: 0,
        unreadable_export_lines: 0,
    };
    database.survey(|key, value| {
        rows.count(key, value);
        match Kind::of(key) {
            Some(Kind::Block) => recovery.blocks += 1,
            Some(Kind::Trust | Kind::Peer) => recovery.trust += 1,
            Some(Kind::Standing) => recovery.standings += 1,
            _ => {}
        }
    });
    recovery.list_entries = rows.lists.iter().sum();
    recovery.history = rows.history;
    (recovery, rows)
}

/// Renames the database out of the way, and lets go of the oldest that were.
fn set_aside(directory: &Path) -> Result<PathBuf, StoreError> {
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%S%.3fZ");
    let target = directory.join(format!("{BROKEN_START}{stamp}"));
    std::fs::rename(directory.join(DATABASE_NAME), &target).map_err(StoreError::at(&target))?;
    sync_directory(directory).map_err(StoreError::at(directory))?;
    let mut broken: Vec<PathBuf> = std::fs::read_dir(directory)
        .map_err(StoreError::at(directory))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(BROKEN_START))
        })
        .collect();
    broken.sort();
    for old in broken.iter().rev().skip(BROKEN_MAX) {
        std::fs::remove_dir_all(old).map_err(StoreError::at(old))?;
    }
    Ok(target)
}

/// One daemon at a time; the lock goes with the process, however it ends.
pub(super) fn lock(directory: &Path) -> Result<File, StoreError> {
    let path = directory.join(LOCK_NAME);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(StoreError::at(&path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            let process = holder.trim().parse().ok();
            return Err(StoreError::InUse { directory: directory.to_owned(), process });
        }
        Err(TryLockError::Error(source)) => return Err(StoreError::at(&path)(source)),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(StoreError::at(&path))?;
    Ok(file)
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::at(path)(error))
        }
        _ => Ok(()),
    }
}
