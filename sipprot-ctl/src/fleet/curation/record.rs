//! What is kept of a source, of a host, of a protected network.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use ipnetwork::IpNetwork;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{Choice, choices};
use crate::fleet::message::{Grade, Health};
use crate::fleet::refusal::Refusal;

/// A text that many records have: kept once, and shared.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Text(Arc<str>);

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0.as_ref().to_owned()
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        &self.0
    }
}

choices! {
    /// What was decided of a source.
    #[derive(Default)]
    State {
        /// Nothing yet.
        #[default]
        Pending = "pending",
        /// All hosts drop it.
        Listed = "listed",
        /// It shall not be spread.
        Rejected = "rejected",
        /// It was listed, and is not to come back by itself.
        Recalled = "recalled",
    }
}

/// One host's word on a source.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Evidence {
    pub host: Text,
    pub grade: Grade,
    pub count: u32,
    /// Unix seconds.
    pub first: u32,
    pub last: u32,
}

/// A decision, and whose it was.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Judged {
    /// Unix seconds.
    pub at: u32,
    /// `quorum`, or who did it.
    pub by: Text,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// A reported source, or a network by the webmaster's word.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Source {
    #[serde(default)]
    pub state: State,
    pub evidence: Vec<Evidence>,
    /// As the last report had it.
    pub rule: Text,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Text>,
    /// Unix seconds until which it is listed; 0 if it isn't.
    #[serde(default)]
    pub until: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<Judged>,
}

impl Source {
    pub fn is_listed(&self, now: i64) -> bool {
        self.state == State::Listed && i64::from(self.until) > now
    }

    pub fn proven(&self) -> impl Iterator<Item = &Evidence> {
        self.evidence.iter().filter(|it| it.grade == Grade::Proven)
    }

    pub fn last(&self) -> u32 {
        self.evidence.iter().map(|it| it.last).max().unwrap_or_default()
    }

    pub fn first(&self) -> u32 {
        self.evidence.iter().map(|it| it.first).min().unwrap_or_default()
    }

    pub fn count(&self) -> u64 {
        self.evidence.iter().map(|it| u64::from(it.count)).sum()
    }
}

/// A host of the fleet, as the hub knows it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Reporter {
    /// Of the last message that was taken.
    pub sequence: u64,
    #[serde(default)]
    pub revoked: bool,
    pub reports: u64,
    /// The hour that is counted, and what came in it.
    #[serde(default)]
    pub hour: i64,
    #[serde(default)]
    pub in_hour: u32,
    #[serde(default)]
    pub refused: BTreeMap<Refusal, u64>,
    #[serde(default)]
    pub health: Health,
    /// Unix seconds; 0 is never.
    #[serde(default)]
    pub heard_at: i64,
}

/// Nothing of it is spread.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Shielded {
    pub judged: Judged,
}

/// Something that was not taken.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refused {
    /// Unix seconds.
    pub at: i64,
    pub host: String,
    pub why: Refusal,
    pub network: Option<IpNetwork>,
}
