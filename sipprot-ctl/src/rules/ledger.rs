//! What is known of accounts: of one account at one source, and of one account at all sources.

use std::time::Duration;

use sipprot_common::source::SourceKey;

use super::account::Account;
use super::table::Warmth;
use super::time::{HOUR, Time};
use super::window::Marks;

/// How long an acceptance tells an own account from a strange one.
pub const ACCEPTED_MEMORY: Duration = Duration::from_secs(7 * 86_400);
/// Proven failures within an hour before an acceptance that make it a possible break-in.
pub const BREAK_IN_FAILURES: u32 = 3;
/// More are not counted.
const FAILURES_MAX: usize = 32;

/// An account at one source.
pub struct Tenancy {
    pub source: SourceKey,
    pub account: Account,
    /// The last request with credentials, and the realm they were for, if that was seen.
    pub answered: Option<(Time, Option<u64>)>,
    pub accepted: Option<Time>,
    /// The next rejection doesn't count: an acceptance came before it.
    pub free: bool,
    /// Proven failures that were not free.
    failures: Marks,
    last: Time,
}

impl Tenancy {
    pub fn new(source: SourceKey, account: Account) -> Self {
        Self {
            source,
            account,
            answered: None,
            accepted: None,
            free: false,
            failures: Marks::default(),
            last: Time(0),
        }
    }

    pub fn answer(&mut self, at: Time, realm: Option<u64>) {
        self.answered = Some((at, realm));
        self.last = at;
    }

    /// Whether credentials for this realm came after a request was challenged.
    pub fn answered_after(&self, challenged: Time, realm: Option<u64>) -> bool {
        let same = |given: Option<u64>| given.is_none() || realm.is_none() || given == realm;
        self.answered.is_some_and(|(at, given)| at > challenged && same(given))
    }

    pub fn accept(&mut self, at: Time) {
        self.accepted = Some(at);
        self.free = true;
        self.last = at;
    }

    pub fn accepted_lately(&self, now: Time) -> bool {
        self.accepted.is_some_and(|at| now.since(at) < ACCEPTED_MEMORY)
    }

    pub fn fail(&mut self, at: Time) {
        self.failures.add(at, HOUR, FAILURES_MAX);
        self.last = at;
    }

    pub fn failures(&self, now: Time) -> u32 {
        self.failures.count(now, HOUR)
    }
}

impl Warmth for Tenancy {
    fn warmth(&self) -> (u8, Time) {
        (u8::from(self.accepted.is_some()), self.last)
    }

    fn heap(&self) -> usize {
        self.account.heap() + self.failures.heap()
    }
}

/// An account as attackers see it.
#[derive(Default)]
pub struct Target {
    /// Sources with proven failures.
    pub sources: Marks,
    /// No new trust by this account until then.
    suspect_until: Option<Time>,
    pub last: Time,
}

impl Target {
    pub fn suspect(&mut self, until: Time, at: Time) {
        self.suspect_until = self.suspect_until.max(Some(until));
        self.last = at;
    }

    pub fn is_suspect(&self, now: Time) -> bool {
        self.suspect_until.is_some_and(|until| now < until)
    }
}

impl Warmth for Target {
    fn warmth(&self) -> (u8, Time) {
        (u8::from(self.suspect_until.is_some()), self.last)
    }
}

/// When an alert was last given.
pub struct Told(pub Time);

impl Warmth for Told {
    fn warmth(&self) -> (u8, Time) {
        (0, self.0)
    }
}
