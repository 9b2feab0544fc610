//! What logs tell: failures that the wire does not show, and whose word they are.
//!
//! The host's own logs are believed. A tenant's are written inside its machine: what they say counts in
//! windows of its own, cuts off from its own endpoint, and neither trusts nor spares anybody.

use std::time::Duration;

use sipprot_common::source::{Address, SourceKey};

use super::Engine;
use super::judge::Breach;
use super::pairing::rejection;
use crate::rules::account::Account;
use crate::rules::consequence::Verdict;
use crate::rules::decision::{AlertKind, Block, Case, Decision, Scope, TrustKind};
use crate::rules::observation::{Carrier, EndpointId, Logged, Method, Speaker, Told};
use crate::rules::proof::Proof;
use crate::rules::record::Record;
use crate::rules::rule::Signal;
use crate::rules::source::Failure;
use crate::rules::state::BlockState;
use crate::rules::table::Warmth;
use crate::rules::time::{MINUTE, Time};

/// The wire shows a failure before its log line is read, or a little after.
const ECHO_WAIT: Duration = Duration::from_secs(3);
/// Log lines may come late, in batches.
const ECHO_MEMORY: Duration = Duration::from_secs(30);
/// So many proven failures on the wire bear out a tenant's word.
const AGREEING_FAILURES: usize = 3;
const AGREEING_TIME: Duration = MINUTE.saturating_mul(10);

/// Failures of one source on the wire that no log has told of yet.
#[derive(Default)]
pub(super) struct Echo {
    count: u32,
    last: Time,
}

impl Warmth for Echo {
    fn warmth(&self) -> (u8, Time) {
        (0, self.last)
    }
}

impl Engine {
    pub(super) fn logged(&mut self, logged: &Logged, decisions: &mut Vec<Decision>) {
        match logged.told {
            Told::SshFailed => self.fail(failure(logged, &[Signal::SshFailure]), decisions),
            Told::HttpScan => {
                self.fail(failure(logged, &[Signal::HttpScan, Signal::HttpMiss]), decisions);
            }
            Told::HttpMissed => self.fail(failure(logged, &[Signal::HttpMiss]), decisions),
            Told::SipRejected if logged.carrier == Carrier::Hidden => {
                self.rejected_by_log(logged, logged.at, decisions);
            }
            Told::SipRejected => self.heard.push(logged.at.after(ECHO_WAIT), logged.clone()),
            Told::SshAccepted => self.logged_in(logged, decisions),
            Told::SipAccepted => self.accepted_by_log(logged, decisions),
        }
    }

    /// A failure on the wire: a log may tell of it, too.
    pub(super) fn note_echo(&mut self, source: SourceKey, at: Time) {
        let echo = self.echoes.entry(source, Echo::default);
        if at.since(echo.last) >= ECHO_MEMORY {
            echo.count = 0;
        }
        echo.count = echo.count.saturating_add(1);
        echo.last = at;
    }

    /// A failure that a log told of counts if the wire did not show it.
    pub(super) fn unechoed(&mut self, logged: &Logged, now: Time, decisions: &mut Vec<Decision>) {
        let echo = self.echoes.get_mut(logged.source.ip().into());
        let shown = echo.filter(|echo| echo.count > 0 && now.since(echo.last) < ECHO_MEMORY);
        match shown {
            Some(echo) => echo.count -= 1,
            None => self.rejected_by_log(logged, now, decisions),
        }
    }

    fn rejected_by_log(&mut self, logged: &Logged, now: Time, decisions: &mut Vec<Decision>) {
        let invite = logged.method == Some(Method::Invite);
        let source = SourceKey::from(logged.source.ip());
        let strange = logged.account.as_ref().is_none_or(|account| {
            let tenancy = self.tenancies.get(self.tenancy_key(source, account));
            !tenancy.is_some_and(|tenancy| tenancy.accepted_lately(now))
        });
        if logged.line.speaker == Speaker::Host
            && let Some(account) = &logged.account
            && std::mem::take(&mut self.tenancy(source, account).free)
        {
            return;
        }
        self.fail(failure(logged, rejection(invite, true, strange)), decisions);
    }

    /// By ssh: whoever administers the host is not locked out of it.
    fn logged_in(&mut self, logged: &Logged, decisions: &mut Vec<Decision>) {
        if logged.line.speaker != Speaker::Host {
            return;
        }
        let source = SourceKey::from(logged.source.ip());
        self.records.entry(source, Record::default).log_in(logged.at);
        decisions.push(Decision::Remember(source));
    }

    fn accepted_by_log(&mut self, logged: &Logged, decisions: &mut Vec<Decision>) {
        let (Some(account), Speaker::Host, Carrier::Hidden) =
            (&logged.account, logged.line.speaker, logged.carrier)
        else {
            return;
        };
        let source_ip = Address::from(logged.source.ip()).to_ip();
        let (endpoint, at) = (logged.endpoint, logged.at);
        let suspect = self.possible_break_in(source_ip, account, endpoint, at, decisions);
        self.accept(source_ip.into(), account, at);
        if logged.method != Some(Method::Invite) && !suspect {
            let whose = (Some(account), endpoint);
            self.trust(logged.source, TrustKind::Registered, whose, at, decisions);
        }
    }

    fn accept(&mut self, source: SourceKey, account: &Account, at: Time) {
        let tenancy = self.tenancy(source, account);
        let known = tenancy.accepted_lately(at);
        tenancy.accept(at);
        self.new_accounts |= !known;
    }

    pub(super) fn logged_in_lately(&self, source: SourceKey) -> bool {
        self.records.get(source).is_some_and(|record| record.logged_in_lately(self.now))
    }

    /// What follows from a tenant's word alone: a block for its own endpoint, where it is proven and
    /// nobody else says the same; of a trusted source the attacked service.
    pub(super) fn judge_tenant(
        &mut self,
        failure: &Failure,
        breach: &Breach,
        (verdict, endpoint): (Verdict, EndpointId),
        decisions: &mut Vec<Decision>,
    ) {
        let (source, at) = (failure.key(), failure.at);
        let scope = match verdict {
            Verdict::Block { .. } => breach.scope(&self.settings),
            Verdict::Cut(service) => service,
            Verdict::Nothing | Verdict::Contain { .. } | Verdict::Quarantine => return,
        };
        let known = self.records.get(source);
        let covers = |block: &BlockState| block.scope.covers(scope);
        if known.is_some_and(|record| record.blocks_at(endpoint, at).any(covers)) {
            return;
        }
        let case = self.case(failure, breach);
        if matches!(verdict, Verdict::Block { .. }) && self.is_agreed(source, endpoint, at) {
            return self.block(case, scope, false, decisions);
        }
        let block = self.block_state(&case, scope, false);
        self.records.entry(source, Record::default).block_at(endpoint, block);
        decisions.push(Decision::Block(self.uncounted(case, scope, false)));
    }

    /// Whether another endpoint's log, or the wire, says the same of a source as this endpoint's log.
    fn is_agreed(&self, source: SourceKey, endpoint: EndpointId, at: Time) -> bool {
        let record = self.records.get(source);
        let others = record.is_some_and(|it| it.endpoints_blocking(at).any(|id| id != endpoint));
        let notes = self.sources.get(source).into_iter().flat_map(|source| source.notes());
        let seen = notes.filter(|note| {
            note.is_believed() && note.proof.is_proven() && at.since(note.at) < AGREEING_TIME
        });
        others || seen.take(AGREEING_FAILURES).count() == AGREEING_FAILURES
    }

    /// A trusted peer attacks another service than SIP: its phones keep theirs.
    pub(super) fn cut_service(
        &mut self,
        failure: &Failure,
        breach: &Breach,
        service: Scope,
        decisions: &mut Vec<Decision>,
    ) {
        let (source, at) = (failure.key(), failure.at);
        let duration = self.settings.block_time(failure.endpoint);
        if self.is_blocked(source, failure.endpoint, service, at) {
            return;
        }
        let record = self.records.entry(source, Record::default);
        if !record.cut(service, at, at.after(duration)) {
            return;
        }
        let case = self.case(failure, breach);
        let (source_ip, endpoint) = (case.source_ip, case.endpoint);
        decisions.push(Decision::Block(self.uncounted(case, service, true)));
        let kind = AlertKind::ServiceCut { rule: breach.rule.id };
        self.alert(kind, source_ip, endpoint, at, decisions);
    }

    /// A block that leads to no other.
    fn uncounted(&self, case: Case, scope: Scope, host_wide: bool) -> Block {
        Block {
            known_peer: self.is_trusted(case.source_ip),
            duration: self.settings.block_time(case.endpoint),
            case,
            scope,
            host_wide,
            count: 0,
            threshold: self.settings.block_threshold,
        }
    }
}

fn failure(logged: &Logged, signals: &'static [Signal]) -> Failure {
    Failure {
        at: logged.at,
        source: logged.source,
        destination: logged.destination,
        endpoint: logged.endpoint,
        method: logged.method,
        status: logged.status,
        account: logged.account.clone(),
        user_agent: None,
        proof: match logged.carrier {
            Carrier::Unproven => Proof::None,
            Carrier::Stream | Carrier::Hidden => Proof::Logged,
        },
        count: logged.times,
        signals,
        line: Some(logged.line.clone()),
    }
}
