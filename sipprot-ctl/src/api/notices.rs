//! Notifications: how they fare, what became of each, and a test.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::nobody;

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifyStatus {
    pub enabled: bool,
    /// `mail:ADDRESS`, and `webhook`.
    pub targets: Vec<String>,
    /// Messages that are not delivered yet.
    pub waiting: u64,
    /// Attacks and alerts that wait for the next message.
    pub grouped: u64,
    /// What nobody could be told, since the last summary.
    pub dropped: u64,
    pub last_delivered: Option<i64>,
    pub next_summary: Option<i64>,
    pub problems: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifyLogQuery {
    /// At most so many; 100 otherwise.
    #[serde(default)]
    pub limit: Option<u64>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifyLog {
    /// The newest first.
    pub deliveries: Vec<DeliveryView>,
    pub total: u64,
}

/// One message to one recipient.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeliveryView {
    pub number: u64,
    pub at: i64,
    /// `attacks`, `alarm`, `surge`, `summary` or `test`.
    pub kind: String,
    pub target: String,
    pub message_id: String,
    /// `waiting`, `delivered` or `given_up`.
    pub state: String,
    pub tries: u32,
    /// Of the next try, or of the end.
    pub when: i64,
    pub error: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifyTest {
    /// Mail addresses, or `webhook`; all that are configured otherwise.
    #[serde(default)]
    pub to: Vec<String>,
    /// Today's summary so far in place of a word of greeting.
    #[serde(default)]
    pub summary: bool,
    #[serde(default = "nobody")]
    pub by: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifyTested {
    pub results: Vec<TestResult>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestResult {
    pub target: String,
    pub delivered: bool,
    pub error: Option<String>,
}
