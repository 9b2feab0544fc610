//! The rules, as data: what is counted, per what, how many in how long, and for whom.
//!
//! What a broken rule leads to is not said here but in the table of consequences, by trust and
//! proof; a rule can only be milder than that table. The kernel's ceilings are no rules.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::decision::Scope;
use super::time::{DAY, HOUR, MINUTE, SECOND};

/// The largest limit a rule can have: it bounds the memory of a window.
pub const LIMIT_MAX: u32 = 1000;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleId {
    Register,
    RegisterHour,
    RegisterDay,
    /// The limit for untrusted sources on an account that many sources attack.
    RegisterAttacked,
    Accounts,
    Invite,
    Probe,
    Scan,
    NotSip,
    UserAgent,
    /// Many sources on one account: never a source's fault, only an alert.
    AccountAttacked,
    /// The kernel's attempt window started a containment by itself.
    KernelAttempts,
    Ssh,
    HttpScan,
    HttpMissed,
}

impl RuleId {
    /// METHOD in tables: `KIND:signature`.
    pub const fn signature(self) -> &'static str {
        match self {
            Self::Register => "BRUTEFORCE:register",
            Self::RegisterHour => "BRUTEFORCE:register-hour",
            Self::RegisterDay => "BRUTEFORCE:register-day",
            Self::RegisterAttacked => "BRUTEFORCE:attacked-account",
            Self::Accounts => "BRUTEFORCE:accounts",
            Self::Invite => "FRAUD:invite",
            Self::Probe => "SCANNER:probe",
            Self::Scan => "SCANNER:addresses",
            Self::NotSip => "ABUSE:not-sip",
            Self::UserAgent => "SCANNER:user-agent",
            Self::AccountAttacked => "BRUTEFORCE:account",
            Self::KernelAttempts => "BRUTEFORCE:attempts",
            Self::Ssh => "BRUTEFORCE:ssh",
            Self::HttpScan => "SCANNER:http-folders",
            Self::HttpMissed => "SCANNER:http-rate",
        }
    }

    /// The rule of this signature.
    pub fn named(signature: &str) -> Option<Self> {
        let known = Rule::defaults().into_iter().map(|rule| rule.id);
        known.chain([Self::KernelAttempts]).find(|rule| rule.signature() == signature)
    }

    /// One line for people, after "because of".
    pub const fn help(self) -> &'static str {
        match self {
            Self::Register => "rejected attempts and unanswered challenges of one source",
            Self::RegisterHour => "rejected attempts of one source and account",
            Self::RegisterDay => "rejected attempts of one source and account",
            Self::RegisterAttacked => "rejected attempts on an account under attack",
            Self::Accounts => "distinct accounts, never accepted from this source, that failed",
            Self::Invite => "failing INVITEs of one source to one endpoint",
            Self::Probe => "OPTIONS and other probing of one endpoint",
            Self::Scan => "probes to distinct local addresses",
            Self::NotSip => "packets on a SIP port that are not SIP",
            Self::UserAgent => "requests of a listed user agent",
            Self::AccountAttacked => "one account with proven failures from many sources",
            Self::KernelAttempts => "credentialed requests without an acceptance",
            Self::Ssh => "failed ssh logins of one source",
            Self::HttpScan => "requests for folders that only scanners ask for",
            Self::HttpMissed => "http requests for what is not there or forbidden",
        }
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.signature())
    }
}

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// A rejected REGISTER, a challenge to one that stays unanswered, or a wrong password in an INVITE.
    RegisterAttempt,
    /// A rejected REGISTER or a wrong password in an INVITE, for an account that this source never
    /// had accepted (in 7 days).
    StrangeAccount,
    /// A rejected INVITE.
    InviteFailure,
    /// OPTIONS or another request that only asks what is there, answered, but not by a 2xx.
    Probe,
    /// The same, or not answered at all, by the address it went to.
    ProbedAddress,
    NotSip,
    ListedAgent,
    /// A proven failure on an account, by source.
    AccountFailure,
    /// A log says that an ssh login failed.
    SshFailure,
    /// A log says that a folder was asked for that only scanners ask for.
    HttpScan,
    /// The same of anything that was answered 403 or 404.
    HttpMiss,
}

/// Where the counts of a rule are kept apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    Source,
    SourceAccount,
    SourceEndpoint,
    Account,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counts {
    /// Every occurrence.
    Occurrences,
    /// How many different ones: accounts, addresses or sources, as the signal says.
    Distinct,
}

/// Whose signals the rule counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AppliesTo {
    Everyone,
    Untrusted,
    /// Untrusted sources, while the account is attacked by many.
    UntrustedOnAttackedAccount,
}

/// The most that the rule may lead to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consequence {
    /// As the table of consequences says.
    ByProof,
    /// Containment at most, proven or not.
    ContainAtMost,
    /// A block where it is proven; a trusted source loses that service alone.
    Service(Scope),
    Alert,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rule {
    pub id: RuleId,
    pub signal: Signal,
    pub per: Per,
    pub counts: Counts,
    /// The rule breaks with the signal that reaches the limit: the kernel lets `limit` attempts
    /// through and holds from the next one, so nothing would ever exceed it.
    pub limit: u32,
    pub window: Duration,
    pub applies_to: AppliesTo,
    pub consequence: Consequence,
}

impl Rule {
    /// The limit as it is used: at least 1, at most [`LIMIT_MAX`].
    pub fn bounded_limit(&self) -> u32 {
        bound(self.limit)
    }

    /// All rules with their default limits.
    pub fn defaults() -> Vec<Rule> {
        use AppliesTo::{Everyone, Untrusted, UntrustedOnAttackedAccount};
        use Consequence::{Alert, ByProof, ContainAtMost, Service};
        use Counts::{Distinct, Occurrences};
        use Per::{Account, Source, SourceAccount, SourceEndpoint};
        use Signal::{AccountFailure, InviteFailure, ListedAgent, NotSip, Probe, ProbedAddress};
        use Signal::{HttpMiss, HttpScan, RegisterAttempt, SshFailure, StrangeAccount};
        let rule = |id, signal, per, counts, limit, window, applies_to, consequence| Rule {
            id,
            signal,
            per,
            counts,
            limit,
            window,
            applies_to,
            consequence,
        };
        let ten_minutes = 10 * MINUTE;
        let ten_seconds = 10 * SECOND;
        #[rustfmt::skip]
        let rules = vec![
            rule(RuleId::Register, RegisterAttempt, Source, Occurrences, 10, MINUTE, Everyone, ByProof),
            rule(RuleId::RegisterHour, RegisterAttempt, SourceAccount, Occurrences, 30, HOUR, Everyone, ByProof),
            rule(RuleId::RegisterDay, RegisterAttempt, SourceAccount, Occurrences, 100, DAY, Everyone, ByProof),
            rule(RuleId::RegisterAttacked, RegisterAttempt, SourceAccount, Occurrences, 3, MINUTE, UntrustedOnAttackedAccount, ByProof),
            rule(RuleId::Accounts, StrangeAccount, Source, Distinct, 5, ten_minutes, Everyone, ByProof),
            rule(RuleId::Invite, InviteFailure, SourceEndpoint, Occurrences, 5, MINUTE, Untrusted, ByProof),
            rule(RuleId::Probe, Probe, SourceEndpoint, Occurrences, 30, MINUTE, Untrusted, ByProof),
            rule(RuleId::Scan, ProbedAddress, Source, Distinct, 5, ten_seconds, Untrusted, ByProof),
            rule(RuleId::NotSip, NotSip, Source, Occurrences, 30, MINUTE, Untrusted, ByProof),
            rule(RuleId::UserAgent, ListedAgent, Source, Occurrences, 20, MINUTE, Untrusted, ContainAtMost),
            rule(RuleId::AccountAttacked, AccountFailure, Account, Distinct, 5, ten_minutes, Everyone, Alert),
            rule(RuleId::Ssh, SshFailure, Source, Occurrences, 6, ten_minutes, Everyone, Service(Scope::Ssh)),
            rule(RuleId::HttpScan, HttpScan, Source, Occurrences, 3, ten_minutes, Everyone, Service(Scope::Http)),
            rule(RuleId::HttpMissed, HttpMiss, Source, Occurrences, 30, MINUTE, Everyone, Service(Scope::Http)),
        ];
        rules
    }
}

/// A limit in its bounds.
pub fn bound(limit: u32) -> u32 {
    limit.clamp(1, LIMIT_MAX)
}
