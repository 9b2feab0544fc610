//! Messages on their way to people: the queue that outlasts the daemon, and the log of what became of
//! them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::codec::{self, Kind};
use super::{Store, StoreError};
use crate::notify::{Group, Notice, Seen};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    Waiting,
    Delivered,
    GivenUp,
}

/// One message to one recipient.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeliveryRecord {
    /// Grows with time.
    pub number: u64,
    pub at: Timestamp,
    /// `mail:ADDRESS` or `webhook`.
    pub target: String,
    /// What it is about, for the log.
    pub kind: String,
    /// The same each time it is tried, and for all who get it.
    pub message_id: String,
    pub state: DeliveryState,
    pub tries: u32,
    /// Of the next try, or of the end.
    pub when: Timestamp,
    #[serde(default)]
    pub error: Option<String>,
    /// Gone once nothing more will be tried.
    #[serde(default)]
    pub notice: Option<Notice>,
}

/// What is not in any message yet.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NoticeState {
    pub group: Group,
    pub seen: Seen,
    /// The day, by the host's clock, whose summary was made last.
    pub summary_day: String,
    /// In words, as it was told last.
    pub health: String,
    /// What nobody could be told, since the last summary.
    pub dropped: u64,
}

impl Store {
    /// The newest first.
    pub fn deliveries(&self) -> impl Iterator<Item = Result<DeliveryRecord, StoreError>> {
        self.read(self.database.scan(&Kind::Delivery.prefix()).rev())
    }

    pub fn notices(&self) -> Result<Option<NoticeState>, StoreError> {
        self.get(codec::NOTICES_KEY)
    }
}
