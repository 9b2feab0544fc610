//! Changes that may cut off who makes them.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who asks for a change, and whether they know that it may cut them off. It travels in headers, so that
/// every change takes it in the same way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Consent {
    /// Do it, and take it back unless it is confirmed in time.
    pub confirm: bool,
    /// The operator's own address, where the caller knows it.
    pub operator: Option<IpAddr>,
}

impl Consent {
    pub const CONFIRM: &str = "sipprot-confirm";
    pub const OPERATOR: &str = "sipprot-operator";
    /// Of a change that is only to be tried.
    pub const DRY_RUN: &str = "sipprot-dry-run";
}

/// A change that waits for its confirmation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PendingView {
    pub what: String,
    pub by: String,
    /// When it is taken back.
    pub until: i64,
    /// Seconds until then, by the host's own clock.
    #[serde(default)]
    pub left_s: u64,
    /// It was taken back by now, and the configuration still says it.
    pub ended: bool,
}
