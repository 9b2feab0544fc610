//! What there is for and against one source: the facts behind `sipprot why`. Words and tables are
//! made elsewhere.

use std::time::Duration;

use sipprot_common::source::SourceKey;

use super::decision::{Evidence, TrustKind};
use super::rule::RuleId;
use super::state::{AcceptedState, BlockState};
use super::time::Time;

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    pub source: SourceKey,
    /// Learned trust.
    pub trust: Option<TrustStanding>,
    /// Packets a second that it may send while it is trusted.
    pub ceiling: u32,
    /// A configured peer.
    pub peer: bool,
    /// No rule acts on it.
    pub never_blocked: bool,
    /// Accounts accepted from it in the last 7 days.
    pub accounts: Vec<AcceptedState>,
    pub windows: Vec<WindowStanding>,
    /// When the blocks counted that still do.
    pub blocks: Vec<Time>,
    pub block: Option<BlockState>,
    /// Its blocks reached the threshold: it went to the denylist.
    pub denied: bool,
    pub contained_until: Option<Time>,
    pub quarantined: Vec<(u16, Time)>,
    pub grace_until: Option<Time>,
    pub evidence: Option<Evidence>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TrustStanding {
    pub kind: TrustKind,
    pub since: Time,
    pub until: Time,
    /// Packets a second when it is busiest.
    pub peak: u32,
}

/// How far a source is from breaking a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WindowStanding {
    pub rule: RuleId,
    pub count: u32,
    pub proven: u32,
    pub limit: u32,
    pub window: Duration,
}

/// How full the engine is, and what it had to give up because something was full. For metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Memory {
    pub sources: usize,
    pub peers: usize,
    pub records: usize,
    pub accounts: usize,
    pub requests_dropped: u64,
    pub challenges_dropped: u64,
    pub sources_dropped: u64,
    pub records_dropped: u64,
    pub accounts_dropped: u64,
    pub peers_refused: u64,
}
