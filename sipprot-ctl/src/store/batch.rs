//! From changes to the writes that carry them out.
//!
//! Reads through what the batch itself has written so far, so that a later change sees an earlier
//! one. Keeps history and attacks within their bounds in the same batch.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

use ipnetwork::{IpNetwork, Ipv4Network};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Limits;
use super::access::{TokenRecord, UserRecord};
use super::audit::{AuditRecord, AuditRows, Audited, Pair};
use super::codec::{self, Kind};
use super::database::{Database, DatabaseError, Writes};
use super::noted::AlertRecord;
use super::records::{AttackRecord, BlockKey, BlockRecord, Change, Lifted, ListKey, TrustKey};

/// How many rows of the bounded kinds there are.
#[derive(Clone, Default, Debug)]
pub(super) struct Rows {
    pub history: u64,
    pub attacks: u64,
    pub alerts: u64,
    pub audit: AuditRows,
    /// Records that the export holds too.
    pub exported: u64,
    /// Entries of each list.
    pub lists: [u64; 2],
    /// Of the days that were written to since the store was opened.
    attacks_a_day: HashMap<Date, u64>,
}

impl Rows {
    /// Takes a record that is there.
    pub fn count(&mut self, key: &[u8], value: &[u8]) {
        match Kind::of(key) {
            Some(Kind::History) => self.history += 1,
            Some(Kind::Attack) => self.attacks += 1,
            Some(Kind::Alert) => self.alerts += 1,
            Some(Kind::Audit) => self.audit.count(key, value),
            _ => {}
        }
        if codec::is_exported(key) {
            self.add_exported(key);
        }
    }

    fn add_exported(&mut self, key: &[u8]) {
        self.exported += 1;
        if let Some(list) = codec::list_of(key) {
            self.lists[list as usize] += 1;
        }
    }

    fn remove_exported(&mut self, key: &[u8]) {
        self.exported -= 1;
        if let Some(list) = codec::list_of(key) {
            self.lists[list as usize] -= 1;
        }
    }
}

pub(super) struct Batch<'a> {
    database: &'a Database,
    limits: Limits,
    pub writes: Writes,
    pub rows: Rows,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum BatchError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl<'a> Batch<'a> {
    pub fn new(database: &'a Database, limits: Limits, rows: Rows) -> Self {
        Self { database, limits, writes: Writes::new(), rows }
    }

    pub fn add(&mut self, change: &Change) -> Result<(), BatchError> {
        match change {
            Change::PutList(entry) => self.put(codec::list_key(&entry.key()), entry),
            Change::RemoveList(key) => self.remove(codec::list_key(key)),
            Change::PutBlock(block) => self.put_block(block),
            Change::EndBlock(key) => self.remove(codec::block_key(key)),
            Change::LiftBlock { key, lifted } => self.lift(codec::block_key(key), lifted),
            Change::NoteLift { key, started_at, lifted } => {
                self.note_lift(codec::history_key(*started_at, key), lifted)
            }
            Change::PutTrust(trust) => self.put(codec::trust_key(&trust.key()), trust),
            Change::RemoveTrust(key) => self.remove(codec::trust_key(key)),
            Change::PutPeer(peer) => self.put(codec::peer_key(peer.network), peer),
            Change::RemovePeer(network) => self.remove(codec::peer_key(*network)),
            Change::PutStanding(it) => self.put(codec::standing_key(it.source), it),
            Change::RemoveStanding(source) => self.remove(codec::standing_key(*source)),
            Change::AddAttack(attack) => self.add_attack(attack),
            Change::AddAlert(alert) => self.add_alert(alert),
            Change::PutLearning(it) => self.put(Kind::Learning.prefix(), it),
            Change::PutLearned(learned) => self.put(codec::learned_key(learned), learned),
            Change::PutPending(it) => self.put(Kind::Pending.prefix(), it),
            Change::RemovePending => self.remove(Kind::Pending.prefix()),
            Change::RemoveLearning => self.remove_learning(),
            Change::Audited(audited) => self.add_audited(audited),
            Change::TrimAudit { records_max, before } => self.trim_audit(*records_max, *before),
            Change::TrimReport { rows_max, before } => self.trim_report(*rows_max, *before),
            Change::PutIntent(intent) => self.put(codec::INTENT_KEY.to_vec(), intent),
            Change::RemoveIntent => self.remove(codec::INTENT_KEY.to_vec()),
            Change::PutUser(user) => self.put(codec::named_key(Kind::User, &user.name), user),
            Change::RemoveUser(name) => self.remove(codec::named_key(Kind::User, name)),
            Change::PutToken(it) => self.put(codec::named_key(Kind::Token, &it.name), it),
            Change::RemoveToken(name) => self.remove(codec::named_key(Kind::Token, name)),
            Change::PutSession(it) => self.put(codec::named_key(Kind::Session, &it.hash), it),
            Change::RemoveSession(hash) => self.remove(codec::named_key(Kind::Session, hash)),
            Change::PutDelivery(it) => self.put(codec::delivery_key(it.number), it),
            Change::RemoveDelivery(number) => self.remove(codec::delivery_key(*number)),
            Change::PutNotices(it) => self.put(codec::NOTICES_KEY.to_vec(), it),
            Change::PutClockBase(base) => self.put(codec::CLOCK_KEY.to_vec(), base),
        }
    }

    /// Drops the oldest rows past the bounds; the last step of a batch.
    pub fn trim(&mut self) -> Result<(), BatchError> {
        let Limits { history_rows, attack_rows, alert_rows, .. } = self.limits;
        self.rows.history -=
            self.drop_oldest(Kind::History, self.rows.history, history_rows, &[])?;
        self.rows.attacks -= self.drop_oldest(Kind::Attack, self.rows.attacks, attack_rows, &[])?;
        self.rows.alerts -= self.drop_oldest(Kind::Alert, self.rows.alerts, alert_rows, &[])?;
        self.trim_audit(self.limits.audit_rows, Timestamp::MIN)
    }

    fn trim_report(&mut self, rows_max: u64, before: Timestamp) -> Result<(), BatchError> {
        let day = codec::attack_start(before.to_zoned(TimeZone::UTC).date());
        let (block, alert) = (codec::history_start(before), codec::alert_start(before));
        self.rows.history -=
            self.drop_oldest(Kind::History, self.rows.history, rows_max, &block)?;
        self.rows.attacks -= self.drop_oldest(Kind::Attack, self.rows.attacks, rows_max, &day)?;
        self.rows.alerts -= self.drop_oldest(Kind::Alert, self.rows.alerts, u64::MAX, &alert)?;
        Ok(())
    }

    /// Those past the bound, and those whose key is less than `start`; of many the rest goes with the
    /// next batch.
    fn drop_oldest(
        &mut self,
        kind: Kind,
        rows: u64,
        rows_max: u64,
        start: &[u8],
    ) -> Result<u64, BatchError> {
        let excess = rows.saturating_sub(rows_max).min(DROPPED_MAX);
        let mut dropped = 0;
        if excess == 0 && start.is_empty() {
            return Ok(0);
        }
        for record in self.database.scan(&kind.prefix()) {
            let (key, _) = record?;
            let is_old = key.as_slice() < start && dropped < DROPPED_MAX;
            if dropped >= excess && !is_old {
                break;
            }
            if !self.writes.get(&key).is_some_and(Option::is_none) {
                self.writes.insert(key, None);
                dropped += 1;
            }
        }
        Ok(dropped)
    }

    fn put_block(&mut self, block: &BlockRecord) -> Result<(), BatchError> {
        self.put(codec::block_key(&block.key()), block)?;
        let row = codec::history_key(block.started_at, &block.key());
        if !self.holds(&row)? {
            self.rows.history += 1;
        }
        self.put(row, block)
    }

    fn lift(&mut self, key: Vec<u8>, lifted: &Lifted) -> Result<(), BatchError> {
        let Some(mut block) = self.get::<BlockRecord>(&key)? else { return Ok(()) };
        block.lifted = Some(lifted.clone());
        self.remove(key)?;
        let row = codec::history_key(block.started_at, &block.key());
        // The row may be past the bound by now; a lift doesn't bring it back.
        if self.holds(&row)? { self.put(row, &block) } else { Ok(()) }
    }

    fn note_lift(&mut self, row: Vec<u8>, lifted: &Lifted) -> Result<(), BatchError> {
        let Some(block) = self.get::<BlockRecord>(&row)? else { return Ok(()) };
        self.put(row, &BlockRecord { lifted: Some(lifted.clone()), ..block })
    }

    fn add_attack(&mut self, attack: &AttackRecord) -> Result<(), BatchError> {
        let mut key = codec::attack_key(attack);
        let mut sum = attack.clone();
        if !self.holds(&key)? && self.attacks_on(attack.day)? >= self.limits.attack_rows_a_day {
            sum = among_others(attack);
            key = codec::attack_key(&sum);
        }
        match self.get::<AttackRecord>(&key)? {
            Some(before) => {
                sum.drops = sum.drops.saturating_add(before.drops);
                sum.observed = sum.observed.saturating_add(before.observed);
                sum.first = sum.first.min(before.first);
                sum.last = sum.last.max(before.last);
            }
            None => {
                self.rows.attacks += 1;
                *self.rows.attacks_a_day.entry(attack.day).or_default() += 1;
            }
        }
        self.put(key, &sum)
    }

    fn add_alert(&mut self, alert: &AlertRecord) -> Result<(), BatchError> {
        let key = codec::alert_key(alert);
        if !self.holds(&key)? {
            self.rows.alerts += 1;
        }
        self.put(key, alert)
    }

    /// The record of what is done goes with it, and has what was there before and after.
    fn add_audited(&mut self, audited: &Audited) -> Result<(), BatchError> {
        let touched: Vec<Touched> = audited.changes.iter().filter_map(Touched::by).collect();
        let before: Vec<Pair> = touched.iter().map(|it| self.look(it)).collect::<Result<_, _>>()?;
        audited.changes.iter().try_for_each(|change| self.add(change))?;
        let mut record = audited.record.clone();
        let mut seen = HashSet::new();
        for (touched, before) in touched.iter().zip(before) {
            let pair = before.then(self.look(touched)?);
            if pair.is_change() && seen.insert(touched.key()) {
                record.pairs.push(pair);
            }
        }
        record.number = self.rows.audit.last + 1;
        if let Some(number) = record.undoes {
            self.note_undone(number, Some(record.number))?;
        }
        self.put_audit(record)
    }

    /// An undo that is undone leaves what it had undone as it was.
    fn note_undone(&mut self, number: u64, by: Option<u64>) -> Result<(), BatchError> {
        let known = self.get::<AuditRecord>(&codec::audit_key(number))?;
        let Some(known) = known else { return Ok(()) };
        if let Some(inner) = known.undoes.filter(|_| by.is_some()) {
            self.note_undone(inner, None)?;
        }
        self.put(codec::audit_key(number), &AuditRecord { undone_by: by, ..known })
    }

    fn put_audit(&mut self, mut record: AuditRecord) -> Result<(), BatchError> {
        let key = codec::audit_key(record.number);
        let mut value = codec::encode(&record)?;
        if value.len() > AUDIT_BYTES_MAX {
            let count = std::mem::take(&mut record.pairs).len();
            record.left_out = Some(format!("{count} changes, too many to be kept"));
            value = codec::encode(&record)?;
        }
        self.rows.audit.count(&key, &value);
        self.writes.insert(key, Some(value));
        Ok(())
    }

    /// What a change touches, as it is now.
    fn look(&self, touched: &Touched) -> Result<Pair, BatchError> {
        let key = touched.key();
        Ok(match touched {
            Touched::List(_) => Pair::List { before: self.get(&key)?, after: None },
            Touched::Block(_) => Pair::Block { before: self.get(&key)?, after: None },
            Touched::Peer(_) => Pair::Peer { before: self.get(&key)?, after: None },
            Touched::Trust(_) => Pair::Trust { before: self.get(&key)?, after: None },
            Touched::Standing(_) => Pair::Standing { before: self.get(&key)?, after: None },
            Touched::Learning => Pair::Learning { before: self.get(&key)?, after: None },
            Touched::User(_) => Pair::User { before: self.get(&key)?, after: None },
            Touched::Token(_) => Pair::Token { before: self.get(&key)?, after: None },
        })
    }

    /// The last one stays, whatever its age: its number is not given twice.
    fn trim_audit(&mut self, records_max: u64, oldest: Timestamp) -> Result<(), BatchError> {
        #[derive(Deserialize)]
        struct Age {
            at: Timestamp,
        }
        let full = |rows: &AuditRows| rows.records > records_max || rows.bytes > AUDIT_BYTES_ALL;
        if oldest == Timestamp::MIN && !full(&self.rows.audit) {
            return Ok(());
        }
        for record in self.database.scan(&Kind::Audit.prefix()) {
            let full = full(&self.rows.audit);
            if self.rows.audit.records <= 1 {
                break;
            }
            let (key, value) = record?;
            if self.writes.get(&key).is_some_and(Option::is_none) {
                continue;
            }
            let is_old = codec::decode::<Age>(&value).map_or(true, |it| it.at < oldest);
            if !full && !is_old {
                break;
            }
            self.rows.audit.records -= 1;
            self.rows.audit.bytes = self.rows.audit.bytes.saturating_sub(value.len() as u64);
            self.writes.insert(key, None);
        }
        Ok(())
    }

    fn remove_learning(&mut self) -> Result<(), BatchError> {
        self.remove(Kind::Learning.prefix())?;
        let prefix = Kind::Learned.prefix();
        let written: Vec<Vec<u8>> =
            self.writes.keys().filter(|key| key.starts_with(&prefix)).cloned().collect();
        for record in self.database.scan(&prefix) {
            let (key, _) = record?;
            self.writes.insert(key, None);
        }
        written.into_iter().for_each(|key| _ = self.writes.insert(key, None));
        Ok(())
    }

    fn attacks_on(&mut self, day: Date) -> Result<u64, BatchError> {
        if let Some(count) = self.rows.attacks_a_day.get(&day) {
            return Ok(*count);
        }
        let mut count = 0;
        for record in self.database.scan(&codec::attack_start(day)) {
            record?;
            count += 1;
        }
        self.rows.attacks_a_day.insert(day, count);
        Ok(count)
    }

    fn put<T: Serialize>(&mut self, key: Vec<u8>, record: &T) -> Result<(), BatchError> {
        let value = codec::encode(record)?;
        if codec::is_exported(&key) && !self.holds(&key)? {
            self.rows.add_exported(&key);
        }
        self.writes.insert(key, Some(value));
        Ok(())
    }

    fn remove(&mut self, key: Vec<u8>) -> Result<(), BatchError> {
        if codec::is_exported(&key) && self.holds(&key)? {
            self.rows.remove_exported(&key);
        }
        self.writes.insert(key, None);
        Ok(())
    }

    fn holds(&self, key: &[u8]) -> Result<bool, BatchError> {
        match self.writes.get(key) {
            Some(written) => Ok(written.is_some()),
            None => Ok(self.database.get(key)?.is_some()),
        }
    }

    /// A value that can't be decoded counts as absent: it was reported when the store was opened.
    fn get<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, BatchError> {
        let stored = match self.writes.get(key) {
            Some(written) => written.clone(),
            None => self.database.get(key)?,
        };
        Ok(stored.and_then(|value| codec::decode(&value).ok()))
    }
}

/// What one record may keep of before and after, and all of them.
const AUDIT_BYTES_MAX: usize = 1 << 20;
const AUDIT_BYTES_ALL: u64 = 128 << 20;

/// Rows that one batch drops: a great many at once would be a great deal of memory.
const DROPPED_MAX: u64 = 20_000;

/// A record that a change replaces or removes.
enum Touched {
    List(ListKey),
    Block(BlockKey),
    Peer(IpNetwork),
    Trust(TrustKey),
    Standing(IpNetwork),
    Learning,
    User(String),
    Token(String),
}

impl Touched {
    fn by(change: &Change) -> Option<Self> {
        Some(match change {
            Change::PutList(entry) => Self::List(entry.key()),
            Change::RemoveList(key) => Self::List(key.clone()),
            Change::PutBlock(block) => Self::Block(block.key()),
            Change::EndBlock(key) | Change::LiftBlock { key, .. } => Self::Block(key.clone()),
            Change::PutPeer(peer) => Self::Peer(peer.network),
            Change::RemovePeer(network) => Self::Peer(*network),
            Change::PutTrust(trust) => Self::Trust(trust.key()),
            Change::RemoveTrust(key) => Self::Trust(key.clone()),
            Change::PutStanding(standing) => Self::Standing(standing.source),
            Change::RemoveStanding(source) => Self::Standing(*source),
            Change::PutLearning(_) | Change::RemoveLearning => Self::Learning,
            Change::PutUser(UserRecord { name, .. }) | Change::RemoveUser(name) => {
                Self::User(name.clone())
            }
            Change::PutToken(TokenRecord { name, .. }) | Change::RemoveToken(name) => {
                Self::Token(name.clone())
            }
            _ => return None,
        })
    }

    fn key(&self) -> Vec<u8> {
        match self {
            Self::List(key) => codec::list_key(key),
            Self::Block(key) => codec::block_key(key),
            Self::Peer(network) => codec::peer_key(*network),
            Self::Trust(key) => codec::trust_key(key),
            Self::Standing(source) => codec::standing_key(*source),
            Self::Learning => Kind::Learning.prefix(),
            Self::User(name) => codec::named_key(Kind::User, name),
            Self::Token(name) => codec::named_key(Kind::Token, name),
        }
    }
}

const EVERYONE: Ipv4Network = match Ipv4Network::new_checked(Ipv4Addr::UNSPECIFIED, 0) {
    Some(network) => network,
    None => panic!("0.0.0.0/0 is a network"),
};

/// The row that stands for all sources past a day's bound; it keeps the method alone.
fn among_others(attack: &AttackRecord) -> AttackRecord {
    let source = IpNetwork::V4(EVERYONE);
    let attack = attack.clone();
    AttackRecord { source, victim: None, endpoint: None, country: None, user_agent: None, ..attack }
}
