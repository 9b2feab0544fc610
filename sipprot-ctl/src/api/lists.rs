//! What can be asked of the lists, and changes of many entries at once.

use std::any::Any;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use ipnetwork::IpNetwork;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{BlockKind, Done, List, Network, Scope, SheetAnswer, nobody};

/// Which rows of a list, and in what order; all fields narrow the choice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Part of an address, note or author; or an address that the row covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// Rows that hold this address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covers: Option<IpAddr>,
    /// Part of the note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Part of the author's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// ISO code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// A name; `host` for what is of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", regex(pattern = r"^(never|some|[0-9]{1,10})$"))]
    pub expires: Option<Expiry>,
    /// Of blocks alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<BlockKind>,
    /// The list's own order otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort: Option<SortBy>,
    #[serde(default)]
    pub reverse: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

impl ListQuery {
    /// Whether every row is asked for, in the list's own order.
    pub fn is_of_all(&self) -> bool {
        ListQuery { offset: None, limit: None, ..self.clone() } == ListQuery::default()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SortBy {
    Address,
    Time,
    Author,
    Note,
    Country,
    Expires,
}

impl SortBy {
    pub const ALL: [(&str, Self); 6] = [
        ("address", Self::Address),
        ("time", Self::Time),
        ("author", Self::Author),
        ("note", Self::Note),
        ("country", Self::Country),
        ("expires", Self::Expires),
    ];

    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, sort)| *sort == self).map_or("", |(name, _)| name)
    }
}

/// A choice by the end of a row: `never`, `some`, or within so many seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expiry {
    Never,
    Some,
    Within(u64),
}

impl FromStr for Expiry {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "never" => Ok(Self::Never),
            "some" => Ok(Self::Some),
            _ => text.parse().map(Self::Within).map_err(|_| "expected never, some or seconds"),
        }
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::Some => f.write_str("some"),
            Self::Within(seconds) => write!(f, "{seconds}"),
        }
    }
}

impl Serialize for Expiry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Expiry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// What an entry of a list shall be from now on; what is left out stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EditEntry {
    #[schemars(with = "Network")]
    pub network: IpNetwork,
    #[serde(default)]
    pub endpoint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// From now; 0 takes the end away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u64>,
    /// The network in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Network>")]
    pub to: Option<IpNetwork>,
    /// As it was read: if somebody else has changed the entry since, nothing is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(default = "nobody")]
    pub by: String,
}

/// Entries to be taken off a list: some by name, or all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveEntries {
    #[serde(default)]
    #[schemars(with = "Vec<Network>")]
    pub networks: Vec<IpNetwork>,
    /// In place of `networks`: the whole list of the host, or of `endpoint`.
    #[serde(default)]
    pub all: bool,
    /// Whose list it is; `host` for the host's alone. Named networks go from all lists otherwise.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// With `all`: only say what would change.
    #[serde(default)]
    pub dry_run: bool,
    #[serde(default = "nobody")]
    pub by: String,
}

/// What came of a removal.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RemovedAnswer {
    /// Of all: what a file with all of them would have told.
    All(SheetAnswer),
    Named(Done),
}

/// Entries that go to the other list, as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveEntries {
    #[schemars(with = "Vec<Network>")]
    pub networks: Vec<IpNetwork>,
    pub to: List,
    #[serde(default = "nobody")]
    pub by: String,
}

/// Blocks that become entries of the denylist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DenyBlocks {
    pub addresses: Vec<IpAddr>,
    /// That of the block otherwise.
    #[serde(default)]
    pub note: String,
    #[serde(default = "nobody")]
    pub by: String,
}

/// Entries that say together what one would.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Aggregate {
    /// Only say what would merge.
    #[serde(default)]
    pub dry_run: bool,
    /// The endpoint whose list it is; the host's otherwise.
    #[serde(default)]
    pub endpoint: Option<String>,
    #[serde(default = "nobody")]
    pub by: String,
}

/// What merges. No address is added and none is lost by it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AggregateAnswer {
    pub list: List,
    pub done: bool,
    /// One line for people.
    pub message: String,
    /// Entries of the list before and after.
    pub before: u64,
    pub after: u64,
    /// How many networks others merge into.
    pub merges: u64,
    /// The first of them.
    pub merged: Vec<Merged>,
}

impl AggregateAnswer {
    /// Merges that are shown.
    pub const SHOWN_MAX: usize = 1000;
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Merged {
    pub network: String,
    /// How many entries it takes the place of.
    pub count: u64,
    /// The first of them.
    pub entries: Vec<String>,
    /// That it gets.
    pub note: String,
}

impl Merged {
    /// Entries that are shown of each.
    pub const SHOWN_MAX: usize = 8;
}

/// What would merge, and what the daemon made of it: its own affair.
#[derive(Clone)]
pub struct FoundMerges {
    pub answer: AggregateAnswer,
    pub ready: Arc<dyn Any + Send + Sync>,
}

impl fmt::Debug for FoundMerges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.answer.fmt(f)
    }
}
