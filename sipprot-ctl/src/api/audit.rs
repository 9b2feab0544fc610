//! The audit log, as callers see it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// Which records; all fields narrow the choice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    #[serde(default)]
    pub who: Option<String>,
    /// `list.add`, or `list` for all that begin so.
    #[serde(default)]
    pub what: Option<String>,
    /// Part of an address: of what was changed, or from where.
    #[serde(default)]
    pub address: Option<String>,
    /// Unix seconds.
    #[serde(default)]
    pub since: Option<i64>,
    #[serde(default)]
    pub until: Option<i64>,
    /// Only what can be undone, or what can't.
    #[serde(default)]
    pub undoable: Option<bool>,
    #[serde(default)]
    pub sort: AuditOrder,
    #[serde(default)]
    pub offset: Option<u64>,
    #[serde(default)]
    pub limit: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditOrder {
    #[default]
    Newest,
    Oldest,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditAnswer {
    pub records: Vec<AuditView>,
    /// Of the query, on all pages.
    pub total: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditView {
    pub number: u64,
    pub at: i64,
    pub who: String,
    /// `socket`, or an address.
    pub from: String,
    pub what: String,
    pub target: String,
    pub changes: Vec<AuditChange>,
    /// Changes beyond those that are shown here.
    pub more: u64,
    pub undoes: Option<u64>,
    pub undone_by: Option<u64>,
    /// Why it can't be undone; absent if it can.
    pub final_because: Option<String>,
}

/// One thing before and after; null is not there, of a setting its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditChange {
    pub thing: String,
    pub before: Json,
    pub after: Json,
}

/// Something that changed nothing and belongs into the log nevertheless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditNote {
    pub what: Noted,
    /// Whom it is about; from where is the caller's address.
    pub who: String,
    pub target: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    Login,
    FailedLogin,
    Logout,
    /// One's own.
    Password,
}

impl Noted {
    pub const fn name(self) -> &'static str {
        match self {
            Noted::Login => "login",
            Noted::FailedLogin => "login.failed",
            Noted::Logout => "logout",
            Noted::Password => "password",
        }
    }
}
