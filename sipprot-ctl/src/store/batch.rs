//! From changes to the writes that carry them out.
//!
//! Reads through what the batch itself has written so far, so that a later change sees an earlier
//! one. Keeps history and attacks within their bounds in the same batch.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use ipnetwork::{IpNetwork, Ipv4Network};
use jiff::civil::Date;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Limits;
use super::codec::{self, Kind};
use super::database::{Database, DatabaseError, Writes};
use super::noted::AlertRecord;
use super::records::{AttackRecord, BlockRecord, Change, Lifted};

/// How many rows of the bounded kinds there are.
#[derive(Clone, Default, Debug)]
pub(super) struct Rows {
    pub history: u64,
    pub attacks: u64,
    pub alerts: u64,
    /// Records that the export holds too.
    pub exported: u64,
    /// Of the days that were written to since the store was opened.
    attacks_a_day: HashMap<Date, u64>,
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
            Change::PutUser(user) => self.put(codec::named_key(Kind::User, &user.name), user),
            Change::RemoveUser(name) => self.remove(codec::named_key(Kind::User, name)),
            Change::PutToken(it) => self.put(codec::named_key(Kind::Token, &it.name), it),
            Change::RemoveToken(name) => self.remove(codec::named_key(Kind::Token, name)),
            Change::PutSession(it) => self.put(codec::named_key(Kind::Session, &it.hash), it),
            Change::RemoveSession(hash) => self.remove(codec::named_key(Kind::Session, hash)),
            Change::PutClockBase(base) => self.put(codec::CLOCK_KEY.to_vec(), base),
        }
    }

    /// Drops the oldest rows past the bounds; the last step of a batch.
    pub fn trim(&mut self) -> Result<(), BatchError> {
        let excess = self.rows.history.saturating_sub(self.limits.history_rows);
        self.rows.history -= self.drop_oldest(Kind::History, excess)?;
        let excess = self.rows.attacks.saturating_sub(self.limits.attack_rows);
        self.rows.attacks -= self.drop_oldest(Kind::Attack, excess)?;
        let excess = self.rows.alerts.saturating_sub(self.limits.alert_rows);
        self.rows.alerts -= self.drop_oldest(Kind::Alert, excess)?;
        Ok(())
    }

    fn drop_oldest(&mut self, kind: Kind, excess: u64) -> Result<u64, BatchError> {
        let mut dropped = 0;
        if excess > 0 {
            for record in self.database.scan(&kind.prefix()) {
                let (key, _) = record?;
                self.writes.insert(key, None);
                dropped += 1;
                if dropped == excess {
                    break;
                }
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
            self.rows.exported += 1;
        }
        self.writes.insert(key, Some(value));
        Ok(())
    }

    fn remove(&mut self, key: Vec<u8>) -> Result<(), BatchError> {
        if codec::is_exported(&key) && self.holds(&key)? {
            self.rows.exported -= 1;
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
