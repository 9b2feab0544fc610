//! A broken rule to decisions, by the table of consequences.

use std::net::IpAddr;
use std::time::Duration;

use sipprot_common::source::SourceKey;

use super::Engine;
use super::judge::Breach;
use crate::rules::account::Account;
use crate::rules::consequence::{self, Verdict};
use crate::rules::decision::{
    AlertKind, Block, Case, Contain, Decision, Deny, Evidence, Quarantine, Scope,
};
use crate::rules::observation::{EndpointId, Speaker};
use crate::rules::record::Record;
use crate::rules::rule::{Counts, Per, RuleId};
use crate::rules::source::{Failure, Source};
use crate::rules::state::BlockState;
use crate::rules::time::Time;
use crate::rules::window::Slot;

/// A quarantine is not renewed.
const QUARANTINE: Duration = Duration::from_secs(300);
/// Containments in as many separate hours lead to the denylist, if the operator wants that.
const CONTAINMENTS_MAX: u32 = 3;
/// And they stay there so long: who is on it without proof must come off by itself.
const UNPROVEN_DENIAL: Duration = Duration::from_secs(30 * 86_400);

impl Engine {
    pub(super) fn judge(
        &mut self,
        failure: &Failure,
        breach: &Breach,
        trusted: bool,
        decisions: &mut Vec<Decision>,
    ) {
        let source = failure.key();
        let verdict = consequence::verdict(consequence::Breach {
            trusted,
            proven: breach.proven,
            strange_accounts: self.strange_accounts(source, failure.at),
            at_most: breach.rule.consequence,
        });
        if verdict == Verdict::Nothing {
            return;
        }
        let source_ip = failure.address().to_ip();
        if failure.speaker() == Some(Speaker::Watched) {
            let kind = AlertKind::Watched { rule: breach.rule.id };
            self.alert(kind, source_ip, failure.endpoint, failure.at, decisions);
            return;
        }
        if self.is_spared(source_ip) {
            let kind = AlertKind::Spared { rule: breach.rule.id };
            self.alert(kind, source_ip, failure.endpoint, failure.at, decisions);
            return;
        }
        if let Some(Speaker::Tenant(endpoint)) = failure.speaker() {
            return self.judge_tenant(failure, breach, (verdict, endpoint), decisions);
        }
        if let Verdict::Cut(service) = verdict {
            return self.cut_service(failure, breach, service, decisions);
        }
        let case = self.case(failure, breach);
        let scope = breach.scope(&self.settings);
        if self.is_blocked(source, failure.endpoint, scope, failure.at) {
            self.forget_windows(source);
            self.attack_goes_on(case, decisions);
            return;
        }
        match verdict {
            Verdict::Nothing | Verdict::Cut(_) => {}
            Verdict::Block { known_peer } => {
                self.block(case, scope, known_peer, decisions);
            }
            Verdict::Contain { escalates } => {
                self.forget_unproven(source);
                self.contain(case, escalates, decisions);
            }
            Verdict::Quarantine => self.quarantine(&case, failure, breach, decisions),
        }
    }

    /// No rule acts on this address.
    pub(super) fn is_spared(&self, source_ip: IpAddr) -> bool {
        let behind_nat = self.settings.spare_world_behind_nat && self.nat.spares(source_ip.into());
        behind_nat
            || self.settings.is_never_blocked(source_ip)
            || self.logged_in_lately(source_ip.into())
    }

    pub(super) fn has_grace(&self, source: SourceKey, at: Time) -> bool {
        self.records.get(source).is_some_and(|record| record.has_grace(at))
    }

    /// Whether a block that counts stops at an endpoint what one of this scope would.
    pub(super) fn is_blocked(
        &self,
        source: SourceKey,
        endpoint: EndpointId,
        scope: Scope,
        at: Time,
    ) -> bool {
        let record = self.records.get(source);
        record.is_some_and(|it| {
            let mut blocks = it.blocks_at(endpoint, at).filter(|block| block.counted.is_some());
            blocks.any(|block| block.scope.covers(scope))
        })
    }

    /// A block as the record has it.
    pub(super) fn block_state(&self, case: &Case, scope: Scope, counts: bool) -> BlockState {
        let (start, duration) = (case.evidence_at, self.settings.block_time(case.endpoint));
        let until = start.after(duration);
        let counted = counts.then_some(start);
        BlockState { rule: case.rule, scope, start, until, duration, counted }
    }

    /// Proven failures of too many accounts that were never accepted from here.
    fn strange_accounts(&self, source: SourceKey, now: Time) -> bool {
        let rule = self.settings.rules.iter().find(|rule| rule.id == RuleId::Accounts);
        let Some((rule, source)) = rule.zip(self.sources.get(source)) else { return false };
        let window = source.windows.get(Slot { rule: rule.id, scope: 0 });
        window.is_some_and(|marks| marks.proven.count(now, rule.window) >= rule.bounded_limit())
    }

    fn forget_windows(&mut self, source: SourceKey) {
        if let Some(source) = self.sources.get_mut(source) {
            source.windows.clear();
        }
    }

    /// After a containment the count begins anew, but what was proven stays: a forger must not be
    /// able to wipe out a real attacker's failures.
    fn forget_unproven(&mut self, source: SourceKey) {
        if let Some(source) = self.sources.get_mut(source) {
            source.windows.forget_unproven();
        }
    }

    pub(super) fn case(&self, failure: &Failure, breach: &Breach) -> Case {
        let rule = &breach.rule;
        let concerns = |note: &Failure| is_concerned(note, failure, breach);
        let source = self.sources.get(failure.key());
        let mut evidence = evidence(source, failure, concerns);
        if let Some(window) = source.and_then(|source| source.windows.get(breach.slot)) {
            let marks = if breach.proven { &window.proven } else { &window.all };
            if rule.counts == Counts::Occurrences {
                evidence.count = marks.count(failure.at, rule.window);
            }
            let first = marks.first(failure.at, rule.window).unwrap_or(evidence.first);
            evidence.first = evidence.first.min(first);
        }
        case(failure, rule.id, breach.proven, evidence)
    }

    pub(super) fn block(
        &mut self,
        case: Case,
        scope: Scope,
        known_peer: bool,
        decisions: &mut Vec<Decision>,
    ) {
        let (source, at) = (case.source, case.evidence_at);
        self.forget_windows(source);
        let (source_ip, endpoint) = (case.source_ip, case.endpoint);
        let host_wide = !self.settings.blocks_alone(endpoint);
        let block = self.block_state(&case, scope, true);
        let duration = block.duration;
        let record = self.records.entry(source, Record::default);
        let alone = (!host_wide).then_some(endpoint);
        let count = record.begin_block(alone, block, self.settings.count_age);
        let threshold = self.settings.block_threshold;
        decisions.push(if count >= threshold {
            Decision::Deny(Deny { case, scope, host_wide, expires_in: None, count, known_peer })
        } else {
            Decision::Block(Block {
                case,
                scope,
                host_wide,
                duration,
                count,
                threshold,
                known_peer,
            })
        });
        if known_peer {
            self.alert(AlertKind::KnownPeerBlocked, source_ip, endpoint, at, decisions);
        }
    }

    /// The source is blocked already: a whole block time of proven attack is one more block.
    pub(super) fn attack_goes_on(&mut self, case: Case, decisions: &mut Vec<Decision>) {
        let Some(record) = self.records.get_mut(case.source) else { return };
        let (endpoint, at, count_age) = (case.endpoint, case.evidence_at, self.settings.count_age);
        let Some(count) = record.continue_attack(endpoint, at, case.proven, count_age) else {
            return;
        };
        let host_wide = record.block_in_force(at).is_some();
        if count >= self.settings.block_threshold {
            let scope = self.settings.block_scope;
            let known_peer = self.is_trusted(case.source_ip);
            decisions.push(Decision::Deny(Deny {
                case,
                scope,
                host_wide,
                expires_in: None,
                count,
                known_peer,
            }));
        }
    }

    pub(super) fn contain(&mut self, case: Case, escalates: bool, decisions: &mut Vec<Decision>) {
        let at = case.evidence_at;
        let record = self.records.entry(case.source, Record::default);
        let Some((duration, level)) = record.begin_containment(at) else { return };
        let count =
            if escalates { record.count_containment(at, self.settings.count_age) } else { 0 };
        if self.settings.escalate_unproven && count >= CONTAINMENTS_MAX {
            record.containments.clear();
            let (scope, expires_in) = (Scope::Sip, Some(UNPROVEN_DENIAL));
            let (host_wide, known_peer) = (!self.settings.blocks_alone(case.endpoint), false);
            let deny = Deny { case, scope, host_wide, expires_in, count, known_peer };
            decisions.push(Decision::Deny(deny));
        } else {
            decisions.push(Decision::Contain(Contain { case, duration, level }));
        }
    }

    /// Cuts off the ports that only failing accounts use, and names the accounts.
    fn quarantine(
        &mut self,
        case: &Case,
        failure: &Failure,
        breach: &Breach,
        decisions: &mut Vec<Decision>,
    ) {
        let (source, at) = (case.source, case.evidence_at);
        let failing = self.failing_ports(failure, breach);
        let mut accounts: Vec<Account> = Vec::new();
        for (port, account) in failing {
            let alone = self.peers.only_by(source, port, &account, at);
            let record = self.records.entry(source, Record::default);
            if alone && record.quarantine(port, at, QUARANTINE) {
                // Of all that broke the rule, what came through this port.
                let concerns = |note: &Failure| {
                    note.source.port() == port && is_concerned(note, failure, breach)
                };
                let evidence = evidence(self.sources.get(source), failure, concerns);
                decisions.push(Decision::Quarantine(Quarantine {
                    case: Case { evidence, ..case.clone() },
                    port,
                    account: account.clone(),
                    duration: QUARANTINE,
                }));
            }
            if !accounts.contains(&account) {
                accounts.push(account);
            }
        }
        if let Some(source) = self.sources.get_mut(source)
            && let Some(window) = source.windows.get_mut(breach.slot)
        {
            window.all.clear();
            window.proven.clear();
        }
        let kind = AlertKind::StalePassword { accounts };
        self.alert(kind, case.source_ip, case.endpoint, at, decisions);
    }

    /// Source ports and accounts of the proven failures that broke a rule, the last first.
    fn failing_ports(&self, failure: &Failure, breach: &Breach) -> Vec<(u16, Account)> {
        let mut failing: Vec<(u16, Account)> = Vec::new();
        let notes = self.sources.get(failure.key()).into_iter().flat_map(Source::notes);
        for note in notes {
            let concerned = is_concerned(note, failure, breach) && note.proof.is_proven();
            if let (true, Some(account)) = (concerned, &note.account) {
                let port = note.source.port();
                if !failing.iter().any(|other| other.0 == port && other.1 == *account) {
                    failing.push((port, account.clone()));
                }
            }
        }
        failing
    }
}

/// Whether a noted failure is one of those by which the last one broke a rule.
fn is_concerned(note: &Failure, last: &Failure, breach: &Breach) -> bool {
    let rule = &breach.rule;
    note.signals(rule.signal)
        && (note.speaker() == last.speaker() || note.is_believed() && last.is_believed())
        && last.at.since(note.at) < rule.window
        && (!breach.proven || note.proof.is_proven())
        && match rule.per {
            Per::SourceEndpoint => note.endpoint == last.endpoint,
            Per::SourceAccount => note.account == last.account,
            Per::Source | Per::Account => true,
        }
}

pub(super) fn evidence(
    source: Option<&Source>,
    failure: &Failure,
    concerns: impl Fn(&Failure) -> bool,
) -> Evidence {
    let found = source.and_then(|source| source.evidence(concerns));
    found.unwrap_or_else(|| Evidence::of(failure.sighting(), failure.count))
}

pub(super) fn case(failure: &Failure, rule: RuleId, proven: bool, evidence: Evidence) -> Case {
    Case {
        source: failure.key(),
        source_ip: failure.address().to_ip(),
        endpoint: failure.endpoint,
        victim: failure.destination.ip(),
        rule,
        proven,
        evidence,
        evidence_at: failure.at,
    }
}
