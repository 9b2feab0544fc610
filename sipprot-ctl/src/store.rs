//! What must survive: lists, blocks, trust and history, in sled.
//!
//! A write is acknowledged once it is on the disk, twice: in the database and, for all that a host
//! can't do without, in a plain-text export that can rebuild it. Judgement and expiry are not its
//! affair: it keeps what it is told and reads no clock, but for the name of what it sets aside.
//! Calls block on the disk; async callers use a thread of their own.

mod access;
mod audit;
mod batch;
mod codec;
mod copy;
mod database;
mod error;
mod export;
mod noted;
mod notices;
mod open;
mod records;
mod shelf;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::net::IpAddr;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::de::DeserializeOwned;

use batch::{Batch, BatchError, Rows};
use codec::{COMMIT_KEY, Kind};
use database::{Database, DatabaseError};
use export::Export;

pub use access::{SessionRecord, TokenRecord, UserRecord};
pub use audit::{AuditRecord, Audited, IntentRecord, Pair};
pub use error::StoreError;
pub use noted::{AlertRecord, LearnEnd, LearningRecord, PendingRecord};
pub use notices::{DeliveryRecord, DeliveryState, NoticeState};
pub use open::{OpenReport, Recovery};
pub use records::{
    AttackRecord, BlockKey, BlockKind, BlockRecord, Change, ClockBase, EvidenceRecord, Lifted,
    List, ListEntry, ListKey, Origin, PacketRecord, PeerRecord, SourceStanding, SuspectRecord,
    TrustKey, TrustKind, TrustRecord,
};
pub use shelf::{Shelf, ShelfBatch};

/// The most bytes that one record may take.
pub const RECORD_BYTES_MAX: usize = 16 << 10;

/// Changes that reach the database in one piece.
pub const BULK_PART: usize = 4096;

/// Changes that may be too many to be held at once. They are gone through twice, and must be the same
/// ones each time.
pub trait Bulk: Send + Sync {
    /// Hands on parts of at most [`BULK_PART`] changes, up to the first error.
    fn each_part(
        &self,
        part: &mut dyn FnMut(&[Change]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;
}

impl Bulk for &[Change] {
    fn each_part(
        &self,
        part: &mut dyn FnMut(&[Change]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.chunks(BULK_PART).try_for_each(part)
    }
}

impl Bulk for Vec<Change> {
    fn each_part(
        &self,
        part: &mut dyn FnMut(&[Change]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.as_slice().each_part(part)
    }
}

/// Bounds of what grows by itself; past them the oldest goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// At most, as of attacks; the configuration may say less.
    pub history_rows: u64,
    pub attack_rows: u64,
    /// Past it, a day's further sources are counted together.
    pub attack_rows_a_day: u64,
    pub alert_rows: u64,
    /// At most; the configuration may say less.
    pub audit_rows: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            history_rows: 1_000_000,
            attack_rows: 1_000_000,
            attack_rows_a_day: 10_000,
            alert_rows: 20_000,
            audit_rows: 1_000_000,
        }
    }
}

/// The open store; shared by reference between threads.
pub struct Store {
    directory: PathBuf,
    database: Database,
    limits: Limits,
    writer: Mutex<Writer>,
    /// Entries of each list, for readers, who don't wait for a writer.
    list_lengths: [AtomicU64; 2],
    /// Held for as long as the store is open.
    _lock: File,
}

struct Writer {
    commit: u64,
    rows: Rows,
    /// `None` while it can't be written; every batch tries again.
    export: Option<Export>,
    /// Why no write can be acknowledged any more.
    failed: Option<String>,
}

impl Store {
    /// Opens or creates the store in `directory`, recovering what can be recovered.
    pub fn open(directory: &Path) -> Result<(Store, OpenReport), StoreError> {
        open::open(directory, Limits::default())
    }

    pub fn open_with(directory: &Path, limits: Limits) -> Result<(Store, OpenReport), StoreError> {
        open::open(directory, limits)
    }

    fn new(
        directory: &Path,
        lock: File,
        database: Database,
        limits: Limits,
        writer: Writer,
    ) -> Self {
        let directory = directory.to_owned();
        let list_lengths = writer.rows.lists.map(AtomicU64::new);
        Self { directory, database, limits, writer: Mutex::new(writer), list_lengths, _lock: lock }
    }

    /// Carries out all changes or none, and returns once they are on the disk. Of more than
    /// [`BULK_PART`] changes a reader may see a part before the rest.
    pub fn apply(&self, changes: &[Change]) -> Result<(), StoreError> {
        self.apply_numbered(changes).map(drop)
    }

    /// The same; returns the numbers of the audit log's records among them.
    pub fn apply_numbered(&self, changes: &[Change]) -> Result<Vec<u64>, StoreError> {
        let mut writer = self.writer()?;
        let before = writer.rows.audit.last;
        let numbers = |after: u64| (before + 1..=after).collect();
        if changes.len() > BULK_PART {
            self.write_bulk(&mut writer, &changes)?;
            return Ok(numbers(writer.rows.audit.last));
        }
        let lines = lines_of(changes)?;
        let Batch { mut writes, rows, .. } = self.batch(&writer.rows, changes)?;
        let commit = writer.commit + 1;
        writes.insert(COMMIT_KEY.to_vec(), Some(commit.to_be_bytes().to_vec()));
        self.database.write(writes).map_err(|error| self.fail(&mut writer, &error))?;
        writer.commit = commit;
        self.count(&mut writer, rows);
        self.database.make_durable().map_err(|error| self.fail(&mut writer, &error))?;
        // The database has the batch by now, so a failing export is not a failing write; the next
        // batch tries the whole of it again.
        if !append_to_export(&mut writer, &lines).unwrap_or(false) {
            writer.export = self.rewrite_export(commit).ok();
        }
        Ok(numbers(writer.rows.audit.last))
    }

    /// The same for any number of changes, in bounded memory.
    pub fn apply_bulk(&self, changes: &dyn Bulk) -> Result<(), StoreError> {
        let mut writer = self.writer()?;
        self.write_bulk(&mut writer, changes)
    }

    /// One sled batch of a million changes keeps every page that it replaces in memory. So the
    /// export has the whole batch first, and if the parts don't all reach the database, the next
    /// opening rebuilds it from the export.
    fn write_bulk(&self, writer: &mut Writer, changes: &dyn Bulk) -> Result<(), StoreError> {
        let commit = writer.commit + 1;
        let path = self.export_path();
        let mut export = match writer.export.take() {
            Some(export) if !export.is_stale(writer.rows.exported) => export,
            _ => self.rewrite_export(writer.commit).map_err(StoreError::at(&path))?,
        };
        let appended = changes
            .each_part(&mut |part| export.append(&lines_of(part)?).map_err(StoreError::at(&path)));
        if let Err(error) = appended {
            // An export that can't be shortened is given up and written anew by the next batch.
            writer.export = export.take_back().is_ok().then_some(export);
            return Err(error);
        }
        export.commit(commit).map_err(|error| self.fail(writer, &error))?;
        writer.export = Some(export);
        let written = changes.each_part(&mut |part| {
            let Batch { writes, rows, .. } = self.batch(&writer.rows, part)?;
            self.database.write(writes).map_err(|error| self.unreadable(error))?;
            self.count(writer, rows);
            Ok(())
        });
        written.map_err(|error| self.fail(writer, &error))?;
        let number = (COMMIT_KEY.to_vec(), Some(commit.to_be_bytes().to_vec()));
        self.database.write([number].into()).map_err(|error| self.fail(writer, &error))?;
        writer.commit = commit;
        self.database.make_durable().map_err(|error| self.fail(writer, &error))
    }

    /// Carries out all changes or none, but leaves it to the next [`Store::apply`] or
    /// [`Store::sync`] to make them last: for counts that may lose their last seconds.
    pub fn note(&self, changes: &[Change]) -> Result<(), StoreError> {
        let mut writer = self.writer()?;
        lines_of(changes)?;
        let Batch { writes, rows, .. } = self.batch(&writer.rows, changes)?;
        self.database.write(writes).map_err(|error| self.fail(&mut writer, &error))?;
        self.count(&mut writer, rows);
        Ok(())
    }

    /// Returns once everything noted so far is on the disk.
    pub fn sync(&self) -> Result<(), StoreError> {
        let mut writer = self.writer()?;
        self.database.make_durable().map_err(|error| self.fail(&mut writer, &error))
    }

    /// Whether the export is as new as the database; a full disk is why it may not be.
    pub fn is_exported(&self) -> bool {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).export.is_some()
    }

    pub fn export_path(&self) -> PathBuf {
        self.directory.join(open::EXPORT_NAME)
    }

    fn count(&self, writer: &mut Writer, rows: Rows) {
        for (length, rows) in self.list_lengths.iter().zip(rows.lists) {
            length.store(rows, Ordering::Relaxed);
        }
        writer.rows = rows;
    }

    fn writer(&self) -> Result<MutexGuard<'_, Writer>, StoreError> {
        // A panic in a batch leaves the writer as it was before: it is changed last.
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        match &writer.failed {
            None => Ok(writer),
            Some(what) => Err(self.not_durable(what.clone())),
        }
    }

    fn batch(&self, rows: &Rows, changes: &[Change]) -> Result<Batch<'_>, StoreError> {
        let mut batch = Batch::new(&self.database, self.limits, rows.clone());
        let mut work = || {
            for change in changes {
                batch.add(change)?;
            }
            batch.trim()
        };
        work().map_err(|error| match error {
            BatchError::Database(error) => self.unreadable(error),
            BatchError::Json(error) => StoreError::Broken(error.to_string()),
        })?;
        Ok(batch)
    }

    fn rewrite_export(&self, commit: u64) -> std::io::Result<Export> {
        Export::rewrite(&self.export_path(), commit, open::exported(&self.database))
    }

    /// After a failed flush nobody knows what the disk holds, so nothing is acknowledged any more.
    fn fail(&self, writer: &mut Writer, error: &dyn std::error::Error) -> StoreError {
        writer.failed = Some(error.to_string());
        self.not_durable(error.to_string())
    }

    fn not_durable(&self, what: String) -> StoreError {
        StoreError::NotDurable { directory: self.directory.clone(), what }
    }

    fn unreadable(&self, error: DatabaseError) -> StoreError {
        match error {
            DatabaseError::Machine(source) => {
                StoreError::Unusable { path: self.directory.clone(), source }
            }
            DatabaseError::Broken(what) => StoreError::Broken(what),
        }
    }
}

/// Adds the last batch to the export; `false` if the export is to be written anew instead.
fn append_to_export(writer: &mut Writer, lines: &[u8]) -> std::io::Result<bool> {
    match &mut writer.export {
        Some(export) if !export.is_stale(writer.rows.exported) => {
            export.append(lines)?;
            export.commit(writer.commit)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// The export's lines of a batch. Here a record that is too large is found, before anything is
/// written anywhere.
fn lines_of(changes: &[Change]) -> Result<Vec<u8>, StoreError> {
    let mut lines = Vec::new();
    for change in changes.iter().flat_map(Change::parts) {
        let start = lines.len();
        export::push_line(&mut lines, change)
            .map_err(|error| StoreError::Broken(error.to_string()))?;
        let length = lines.len() - start;
        if length > RECORD_BYTES_MAX && !matches!(change, Change::PutIntent(_)) {
            return Err(StoreError::TooLarge(length));
        }
        if !export::holds(change) {
            lines.truncate(start);
        }
    }
    Ok(lines)
}

/// Lists.
impl Store {
    pub fn put_list_entry(&self, entry: ListEntry) -> Result<(), StoreError> {
        self.apply(&[Change::PutList(entry)])
    }

    /// Returns what was removed.
    pub fn remove_list_entry(&self, key: ListKey) -> Result<Option<ListEntry>, StoreError> {
        let before = self.list_entry(&key)?;
        if before.is_some() {
            self.apply(&[Change::RemoveList(key)])?;
        }
        Ok(before)
    }

    pub fn list_entry(&self, key: &ListKey) -> Result<Option<ListEntry>, StoreError> {
        self.get(&codec::list_key(key))
    }

    /// All entries of a list, of every endpoint, by address: IPv4 first.
    pub fn list(&self, list: List) -> impl Iterator<Item = Result<ListEntry, StoreError>> {
        self.read(self.database.scan(&codec::list_prefix(list)))
    }

    pub fn list_length(&self, list: List) -> u64 {
        self.list_lengths[list as usize].load(Ordering::Relaxed)
    }

    /// Some of a list's entries, in its order, found from its nearer end: of those between, the
    /// database reads every one.
    pub fn list_page(
        &self,
        list: List,
        offset: u64,
        limit: u64,
    ) -> Result<Vec<ListEntry>, StoreError> {
        let length = self.list_length(list);
        let end = offset.saturating_add(limit).min(length);
        let rows = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let wanted = rows(end.saturating_sub(offset));
        let records = self.database.scan(&codec::list_prefix(list));
        if offset <= length / 2 {
            return self.read(records.skip(rows(offset)).take(wanted)).collect();
        }
        let from_end = records.rev().skip(rows(length - end)).take(wanted);
        let mut page = self.read(from_end).collect::<Result<Vec<_>, _>>()?;
        page.reverse();
        Ok(page)
    }

    /// The entries of a list that cover an address, the narrowest network first.
    pub fn covering(&self, list: List, address: IpAddr) -> Result<Vec<ListEntry>, StoreError> {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let mut found = Vec::new();
        for length in (0..=longest).rev() {
            if let Ok(network) = IpNetwork::new(address, length) {
                let prefix = codec::list_network_prefix(list, network);
                for entry in self.read(self.database.scan(&prefix)) {
                    found.push(entry?);
                }
            }
        }
        Ok(found)
    }

    /// The entries of a list that cover a network or lie in it, itself among them.
    pub fn overlapping(
        &self,
        list: List,
        network: IpNetwork,
    ) -> Result<Vec<ListEntry>, StoreError> {
        let mut found = self.covering(list, network.network())?;
        found.retain(|entry| entry.network.prefix() < network.prefix());
        let keys =
            codec::list_network_prefix(list, network)..codec::after_list_network(list, network);
        for entry in self.read(self.database.range(keys)) {
            let entry: ListEntry = entry?;
            // Wider networks that begin at the same address lie between these.
            if entry.network.prefix() >= network.prefix() {
                found.push(entry);
            }
        }
        Ok(found)
    }
}

/// Blocks and their history.
impl Store {
    /// Puts a block in force, or renews it: the same source, port and scope.
    pub fn put_block(&self, block: BlockRecord) -> Result<(), StoreError> {
        self.apply(&[Change::PutBlock(block)])
    }

    /// Ends a block by hand; returns it as the history keeps it, or `None` if there was none.
    pub fn lift_block(
        &self,
        key: BlockKey,
        lifted: Lifted,
    ) -> Result<Option<BlockRecord>, StoreError> {
        let Some(before) = self.block(&key)? else { return Ok(None) };
        self.apply(&[Change::LiftBlock { key, lifted: lifted.clone() }])?;
        Ok(Some(BlockRecord { lifted: Some(lifted), ..before }))
    }

    /// Ends a block whose time has run out.
    pub fn end_block(&self, key: BlockKey) -> Result<(), StoreError> {
        self.apply(&[Change::EndBlock(key)])
    }

    pub fn block(&self, key: &BlockKey) -> Result<Option<BlockRecord>, StoreError> {
        self.get(&codec::block_key(key))
    }

    /// All blocks that were put and not ended; whoever asks compares `expires_at` with the clock.
    pub fn blocks(&self) -> Result<Vec<BlockRecord>, StoreError> {
        self.read(self.database.scan(&Kind::Block.prefix())).collect()
    }

    /// The blocks of one source: of the host, of endpoints, and of its ports.
    pub fn blocks_of(&self, source: IpNetwork) -> Result<Vec<BlockRecord>, StoreError> {
        self.read(self.database.scan(&codec::block_source_prefix(source))).collect()
    }

    /// Blocks that began in this time, in force or not, oldest first.
    pub fn history(
        &self,
        time: Range<Timestamp>,
    ) -> impl Iterator<Item = Result<BlockRecord, StoreError>> {
        let keys = codec::history_start(time.start)..codec::history_start(time.end);
        self.read(self.database.range(keys))
    }

    /// The last blocks of one source, the newest first. Looks at the key of each row there is.
    pub fn history_of(
        &self,
        source: IpNetwork,
        max: usize,
    ) -> Result<Vec<BlockRecord>, StoreError> {
        let own = |record: &database::Scanned| match record {
            Ok((key, _)) => codec::is_of_source(key, source),
            Err(_) => true,
        };
        let rows = self.database.scan(&Kind::History.prefix()).rev().filter(own);
        self.read(rows).take(max).collect()
    }
}

/// Trust, standings, attacks and the clock.
impl Store {
    pub fn put_trust(&self, trust: TrustRecord) -> Result<(), StoreError> {
        self.apply(&[Change::PutTrust(trust)])
    }

    pub fn remove_trust(&self, key: TrustKey) -> Result<(), StoreError> {
        self.apply(&[Change::RemoveTrust(key)])
    }

    pub fn trust(&self) -> Result<Vec<TrustRecord>, StoreError> {
        self.read(self.database.scan(&Kind::Trust.prefix())).collect()
    }

    /// Peers that were told at run time, by address.
    pub fn peers(&self) -> Result<Vec<PeerRecord>, StoreError> {
        self.read(self.database.scan(&Kind::Peer.prefix())).collect()
    }

    pub fn put_standing(&self, standing: SourceStanding) -> Result<(), StoreError> {
        self.apply(&[Change::PutStanding(standing)])
    }

    pub fn remove_standing(&self, source: IpNetwork) -> Result<(), StoreError> {
        self.apply(&[Change::RemoveStanding(source)])
    }

    pub fn standing(&self, source: IpNetwork) -> Result<Option<SourceStanding>, StoreError> {
        self.get(&codec::standing_key(source))
    }

    pub fn standings(&self) -> Result<Vec<SourceStanding>, StoreError> {
        self.read(self.database.scan(&Kind::Standing.prefix())).collect()
    }

    /// Adds to the day's rows; see [`Store::note`].
    pub fn add_attacks(&self, attacks: Vec<AttackRecord>) -> Result<(), StoreError> {
        let changes: Vec<_> = attacks.into_iter().map(Change::AddAttack).collect();
        self.note(&changes)
    }

    /// Attacks of these days, oldest day first, then by source.
    pub fn attacks(
        &self,
        days: RangeInclusive<Date>,
    ) -> impl Iterator<Item = Result<AttackRecord, StoreError>> {
        let start = codec::attack_start(*days.start());
        let end = days.end().tomorrow().map_or_else(
            // There is no tomorrow after the last day that a date can hold.
            |_| vec![Kind::Attack as u8 + 1],
            codec::attack_start,
        );
        self.read(self.database.range(start..end))
    }

    pub fn put_clock_base(&self, base: ClockBase) -> Result<(), StoreError> {
        self.apply(&[Change::PutClockBase(base)])
    }

    pub fn clock_base(&self) -> Result<Option<ClockBase>, StoreError> {
        self.get(codec::CLOCK_KEY)
    }

    fn get<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, StoreError> {
        let value = self.database.get(key).map_err(|error| self.unreadable(error))?;
        Ok(value.and_then(|value| codec::decode(&value).ok()))
    }

    /// Leaves out what can't be decoded: opening has reported it.
    fn read<T: DeserializeOwned>(
        &self,
        records: impl Iterator<Item = database::Scanned>,
    ) -> impl Iterator<Item = Result<T, StoreError>> {
        records.filter_map(|record| match record {
            Ok((_, value)) => codec::decode(&value).ok().map(Ok),
            Err(error) => Some(Err(self.unreadable(error))),
        })
    }
}
