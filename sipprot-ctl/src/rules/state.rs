//! What must survive a restart: trust, the counts of blocks, grace. Windows don't: they are minutes.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sipprot_common::source::SourceKey;

use super::account::Account;
use super::decision::{Scope, TrustKind};
use super::observation::EndpointId;
use super::peak::Peak;
use super::rule::RuleId;
use super::time::Time;

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct State {
    pub trust: Vec<TrustState>,
    pub records: Vec<RecordState>,
}

impl State {
    /// The same when the clock was set: what ends has as much time left, what was is as long ago.
    #[must_use]
    pub(super) fn moved(mut self, by_ns: i64) -> Self {
        self.trust.iter_mut().for_each(|peer| peer.go_along(by_ns));
        self.records.iter_mut().for_each(|record| record.go_along(by_ns));
        self
    }
}

/// A learned peer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TrustState {
    #[serde(with = "key")]
    pub source: SourceKey,
    pub source_ip: IpAddr,
    pub kind: TrustKind,
    pub since: Time,
    /// When it last showed what it is trusted for.
    pub last: Time,
    pub peak: Peak,
    /// Where it showed itself in this run.
    #[serde(default)]
    pub endpoints: Vec<EndpointId>,
    pub accounts: Vec<AcceptedState>,
    pub ports: Vec<PortState>,
}

impl TrustState {
    fn go_along(&mut self, by_ns: i64) {
        self.peak = self.peak.moved(by_ns);
        let accounts = self.accounts.iter_mut().map(|it| &mut it.last);
        let ports = self.ports.iter_mut().map(|it| &mut it.last);
        let own = [&mut self.since, &mut self.last];
        own.into_iter().chain(accounts).chain(ports).for_each(|it| *it = it.moved(by_ns));
    }
}

/// An account that was accepted from a source.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AcceptedState {
    pub account: Account,
    pub last: Time,
}

/// A source port that was used with success, and by which account if by one alone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PortState {
    pub port: u16,
    pub account: Option<Account>,
    pub last: Time,
}

/// What was done about a source.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RecordState {
    #[serde(with = "key")]
    pub source: SourceKey,
    /// When the blocks counted that still do.
    pub blocks: Vec<Time>,
    pub block: Option<BlockState>,
    /// Those that hold at one endpoint alone.
    #[serde(default)]
    pub endpoint_blocks: Vec<(EndpointId, BlockState)>,
    /// The last login by ssh.
    pub login: Option<Time>,
    pub grace_until: Option<Time>,
    /// No new trust until then.
    pub distrusted_until: Option<Time>,
    /// Accounts that may have been broken into from here: they give no new trust until then.
    pub suspects: Vec<SuspectState>,
    /// When the containments began that still count, one for each separate hour.
    pub containments: Vec<Time>,
}

impl RecordState {
    fn go_along(&mut self, by_ns: i64) {
        let own = [&mut self.login, &mut self.grace_until, &mut self.distrusted_until];
        let endpoints = self.endpoint_blocks.iter_mut().map(|(_, block)| block);
        for block in self.block.iter_mut().chain(endpoints) {
            block.start = block.start.moved(by_ns);
            block.until = block.until.moved(by_ns);
            block.counted = block.counted.map(|at| at.moved(by_ns));
        }
        let suspects = self.suspects.iter_mut().map(|it| &mut it.until);
        let counted = self.blocks.iter_mut().chain(&mut self.containments);
        let all = own.into_iter().flatten().chain(suspects).chain(counted);
        all.for_each(|it| *it = it.moved(by_ns));
    }

    pub fn is_worth_keeping(&self) -> bool {
        let untils = [self.grace_until, self.distrusted_until, self.login];
        !self.blocks.is_empty()
            || !self.suspects.is_empty()
            || self.block.is_some()
            || !self.endpoint_blocks.is_empty()
            || !self.containments.is_empty()
            || untils.iter().any(Option::is_some)
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SuspectState {
    pub account: Account,
    pub until: Time,
}

/// A block in force.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BlockState {
    pub rule: RuleId,
    pub scope: Scope,
    pub start: Time,
    pub until: Time,
    #[serde(with = "nanoseconds")]
    pub duration: Duration,
    /// When it last counted towards escalation; a tenant's word alone never does.
    pub counted: Option<Time>,
}

impl BlockState {
    pub fn is_in_force(&self, now: Time) -> bool {
        now < self.until
    }
}

mod key {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use sipprot_common::source::SourceKey;

    pub fn serialize<S: Serializer>(key: &SourceKey, to: S) -> Result<S::Ok, S::Error> {
        key.0.serialize(to)
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<SourceKey, D::Error> {
        u64::deserialize(from).map(SourceKey)
    }
}

mod nanoseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        u64::try_from(span.as_nanos()).unwrap_or(u64::MAX).serialize(to)
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_nanos)
    }
}
