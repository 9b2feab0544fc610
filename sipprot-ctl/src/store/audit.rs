//! The audit log: who changed what, with what was there before and after.
//!
//! A record is written in the batch of what it is about, which also finds out what was there before: so
//! the log says what happened, in the order in which it happened, and nothing that did not.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::access::{TokenRecord, UserRecord};
use super::codec::{self, Kind};
use super::noted::LearningRecord;
use super::records::{BlockRecord, Change, ListEntry, PeerRecord, SourceStanding, TrustRecord};
use super::{Store, StoreError};
use crate::report::address;

/// One thing that somebody did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AuditRecord {
    /// From 1 on, without gaps; the store gives it.
    #[serde(default)]
    pub number: u64,
    pub at: Timestamp,
    pub who: String,
    /// `socket`, or the address that it came from.
    pub from: String,
    /// `list.add` and so on.
    pub what: String,
    /// What it was done to, for people.
    pub target: String,
    #[serde(default)]
    pub pairs: Vec<Pair>,
    /// Why `pairs` is not all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
    /// The record that this one takes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone_by: Option<u64>,
}

/// One thing before and after a change; what is absent wasn't there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "they live in a record, and blocks are what comes often"
)]
pub enum Pair {
    List {
        before: Option<ListEntry>,
        after: Option<ListEntry>,
    },
    Block {
        before: Option<BlockRecord>,
        after: Option<BlockRecord>,
    },
    Peer {
        before: Option<PeerRecord>,
        after: Option<PeerRecord>,
    },
    Trust {
        before: Option<TrustRecord>,
        after: Option<TrustRecord>,
    },
    Standing {
        before: Option<SourceStanding>,
        after: Option<SourceStanding>,
    },
    Learning {
        before: Option<LearningRecord>,
        after: Option<LearningRecord>,
    },
    User {
        before: Option<UserRecord>,
        after: Option<UserRecord>,
    },
    Token {
        before: Option<TokenRecord>,
        after: Option<TokenRecord>,
    },
    /// A key of the configuration; absent goes by its default.
    Setting {
        key: String,
        file: PathBuf,
        before: Option<Json>,
        after: Option<Json>,
    },
}

/// Both states in one word each: `match` on the kinds is written once.
macro_rules! both {
    ($pair:expr, $before:ident, $after:ident => $result:expr) => {
        match $pair {
            Pair::List { before: $before, after: $after } => $result,
            Pair::Block { before: $before, after: $after } => $result,
            Pair::Peer { before: $before, after: $after } => $result,
            Pair::Trust { before: $before, after: $after } => $result,
            Pair::Standing { before: $before, after: $after } => $result,
            Pair::Learning { before: $before, after: $after } => $result,
            Pair::User { before: $before, after: $after } => $result,
            Pair::Token { before: $before, after: $after } => $result,
            Pair::Setting { before: $before, after: $after, .. } => $result,
        }
    };
}

impl Pair {
    pub fn is_change(&self) -> bool {
        both!(self, before, after => before != after)
    }

    /// Before and after, as JSON.
    pub fn sides(&self) -> (Json, Json) {
        both!(self, before, after => (
            serde_json::to_value(before).unwrap_or_default(),
            serde_json::to_value(after).unwrap_or_default(),
        ))
    }

    /// With what the other has as its before for its after; both are of one kind.
    pub(super) fn then(self, later: Self) -> Self {
        match (self, later) {
            (Pair::List { before, .. }, Pair::List { before: after, .. }) => {
                Pair::List { before, after }
            }
            (Pair::Block { before, .. }, Pair::Block { before: after, .. }) => {
                Pair::Block { before, after }
            }
            (Pair::Peer { before, .. }, Pair::Peer { before: after, .. }) => {
                Pair::Peer { before, after }
            }
            (Pair::Trust { before, .. }, Pair::Trust { before: after, .. }) => {
                Pair::Trust { before, after }
            }
            (Pair::Standing { before, .. }, Pair::Standing { before: after, .. }) => {
                Pair::Standing { before, after }
            }
            (Pair::Learning { before, .. }, Pair::Learning { before: after, .. }) => {
                Pair::Learning { before, after }
            }
            (Pair::User { before, .. }, Pair::User { before: after, .. }) => {
                Pair::User { before, after }
            }
            (Pair::Token { before, .. }, Pair::Token { before: after, .. }) => {
                Pair::Token { before, after }
            }
            (first, _) => first,
        }
    }
}

/// Changes that somebody asked for. The store fills in the record's number and pairs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Audited {
    pub record: AuditRecord,
    pub changes: Vec<Change>,
}

impl Change {
    pub fn audited(record: AuditRecord, changes: Vec<Change>) -> Self {
        Change::Audited(Box::new(Audited { record, changes }))
    }

    /// Itself, or what it is made of.
    pub(super) fn parts(&self) -> &[Change] {
        match self {
            Change::Audited(audited) => &audited.changes,
            change => std::slice::from_ref(change),
        }
    }
}

/// Files of the configuration that are about to be replaced: after a crash it is told by them whether
/// they were.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IntentRecord {
    /// What is to be recorded, if they were.
    pub record: AuditRecord,
    /// What is to be stored with it.
    pub changes: Vec<Change>,
    /// With the SHA-256 of what is to be in each.
    pub files: Vec<(PathBuf, String)>,
}

/// How many records there are.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct AuditRows {
    pub records: u64,
    pub bytes: u64,
    pub last: u64,
}

impl AuditRows {
    pub fn count(&mut self, key: &[u8], value: &[u8]) {
        self.records += 1;
        self.bytes += value.len() as u64;
        self.last = self.last.max(codec::audit_number(key).unwrap_or(0));
    }
}

impl Store {
    pub fn audit_record(&self, number: u64) -> Result<Option<AuditRecord>, StoreError> {
        self.get(&codec::audit_key(number))
    }

    /// The newest first.
    pub fn audit(&self) -> impl Iterator<Item = Result<AuditRecord, StoreError>> {
        self.read(self.database.scan(&Kind::Audit.prefix()).rev())
    }

    pub fn audit_from_the_oldest(&self) -> impl Iterator<Item = Result<AuditRecord, StoreError>> {
        self.read(self.database.scan(&Kind::Audit.prefix()))
    }

    pub fn intent(&self) -> Result<Option<IntentRecord>, StoreError> {
        self.get(codec::INTENT_KEY)
    }
}

impl Pair {
    /// What it is about, for people: no two things have one name.
    pub fn thing(&self) -> String {
        match self {
            Pair::List { before, after } => either(before, after, |it| {
                let list = crate::sheet::list_name(it.list);
                format!("{list} {}{}", address(it.network), of(it.endpoint.as_deref()))
            }),
            Pair::Block { before, after } => either(before, after, |it| {
                let port = it.port.map(|port| format!(" port {port}")).unwrap_or_default();
                format!("block {}{port}{}", address(it.source), of(it.key().endpoint.as_deref()))
            }),
            Pair::Peer { before, after } => {
                either(before, after, |it| format!("peer {}", address(it.network)))
            }
            Pair::Trust { before, after } => either(before, after, |it| {
                let account = it.account.as_ref().map(|it| format!(" {it}")).unwrap_or_default();
                format!("trust {}{account}", it.address)
            }),
            Pair::Standing { before, after } => {
                either(before, after, |it| format!("standing {}", address(it.source)))
            }
            Pair::Learning { .. } => "learning".to_owned(),
            Pair::User { before, after } => either(before, after, |it| format!("user {}", it.name)),
            Pair::Token { before, after } => {
                either(before, after, |it| format!("token {}", it.name))
            }
            Pair::Setting { key, .. } => key.clone(),
        }
    }
}

fn either<T>(before: &Option<T>, after: &Option<T>, name: impl Fn(&T) -> String) -> String {
    before.as_ref().or(after.as_ref()).map(name).unwrap_or_default()
}

fn of(endpoint: Option<&str>) -> String {
    endpoint.map(|name| format!(" of {name}")).unwrap_or_default()
}
