//! What is kept for people: alerts, what was learned while the host only watched, and the change that
//! waits for their confirmation.

use std::net::IpAddr;
use std::ops::Range;

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::codec::{self, Kind};
use super::records::Change;
use super::{Store, StoreError};
use crate::rules::Learned;

/// Something that people were told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AlertRecord {
    pub at: Timestamp,
    pub source: IpNetwork,
    /// `possible-break-in` and so on, as in metrics.
    pub kind: String,
    #[serde(default)]
    pub endpoint: Option<String>,
    /// For people.
    pub what: String,
    #[serde(default)]
    pub accounts: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LearnEnd {
    Stopped,
    Accepted,
}

/// That the host learns, or did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LearningRecord {
    pub started_at: Timestamp,
    /// When the proposal is no longer preliminary.
    pub until: Timestamp,
    pub started_by: String,
    #[serde(default)]
    pub ended: Option<(LearnEnd, Timestamp)>,
}

/// A change that may have cut its operator off, and is taken back unless it is confirmed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PendingRecord {
    /// For people.
    pub what: String,
    pub by: String,
    pub until: Timestamp,
    /// Who is let in by the kernel itself from then on.
    pub operators: Vec<IpAddr>,
    /// What takes it back in the store.
    pub undo: Vec<Change>,
    /// Whether it is geo protection as the configuration has it.
    pub geo: bool,
    /// Settings that take it back, by key; without a value a key is taken out.
    #[serde(default)]
    pub settings: Vec<(String, Option<Json>)>,
    /// It was taken back; what the configuration says of countries waits for a confirmation.
    #[serde(default)]
    pub ended: bool,
}

impl Store {
    pub fn pending(&self) -> Result<Option<PendingRecord>, StoreError> {
        self.get(&Kind::Pending.prefix())
    }

    pub fn learning(&self) -> Result<Option<LearningRecord>, StoreError> {
        self.get(&Kind::Learning.prefix())
    }

    pub fn learned(&self) -> Result<Vec<Learned>, StoreError> {
        self.read(self.database.scan(&Kind::Learned.prefix())).collect()
    }

    pub fn put_learned(&self, learned: Vec<Learned>) -> Result<(), StoreError> {
        let changes: Vec<_> = learned.into_iter().map(Change::PutLearned).collect();
        self.note(&changes)
    }

    /// Of this time, the oldest first.
    pub fn alerts(
        &self,
        time: Range<Timestamp>,
    ) -> impl Iterator<Item = Result<AlertRecord, StoreError>> {
        let keys = codec::alert_start(time.start)..codec::alert_start(time.end);
        self.read(self.database.range(keys))
    }

    /// The last ones about a source, the newest first. Looks at the key of each row there is.
    pub fn alerts_of(&self, source: IpNetwork, max: usize) -> Result<Vec<AlertRecord>, StoreError> {
        let own = |record: &super::database::Scanned| match record {
            Ok((key, _)) => codec::is_of_source(key, source),
            Err(_) => true,
        };
        let rows = self.database.scan(&Kind::Alert.prefix()).rev().filter(own);
        self.read(rows).take(max).collect()
    }
}
