//! Failures against rules: who counts where, and whether a limit is reached.

use std::time::Duration;

use sipprot_common::source::SourceKey;

use super::Engine;
use crate::rules::decision::{AlertKind, Decision, Scope};
use crate::rules::learn::Occurrence;
use crate::rules::ledger::Target;
use crate::rules::rule::{AppliesTo, Consequence, Counts, Per, Rule, RuleId, Signal};
use crate::rules::settings::Settings;
use crate::rules::source::{Failure, Source};
use crate::rules::time::Time;
use crate::rules::window::{Mark, Slot};

/// A limit that was reached.
pub(super) struct Breach {
    pub rule: Rule,
    pub slot: Slot,
    /// By proven failures alone.
    pub proven: bool,
}

impl Breach {
    /// What a block for it cuts off: of an attack on another service, all, since it isn't about SIP.
    pub fn scope(&self, settings: &Settings) -> Scope {
        match self.rule.consequence {
            Consequence::Service(_) => Scope::All,
            _ => settings.block_scope,
        }
    }
}

impl Engine {
    /// Counts a failure by every rule it concerns, and judges the gravest that it breaks.
    pub(super) fn fail(&mut self, failure: Failure, decisions: &mut Vec<Decision>) {
        // What a tenant's log says must not lower the limits of others.
        let believed = failure.is_believed();
        let attacked = believed && self.note_account_failure(&failure, decisions);
        let trusted = self.is_trusted(failure.source.ip());
        let source = failure.key();
        if self.has_grace(source, failure.at) {
            // Observed only: when the grace is over, counting begins anew.
            self.note(failure);
            return;
        }
        let mut gravest: Option<Breach> = None;
        for index in 0..self.settings.rules.len() {
            let rule = &self.settings.rules[index];
            let concerned = match rule.applies_to {
                AppliesTo::Everyone => true,
                AppliesTo::Untrusted | AppliesTo::UntrustedOnAttackedAccount => !trusted,
            };
            // A tenant may name any number of accounts: it has no windows for each.
            let apart = !believed && rule.per == Per::SourceAccount;
            if !concerned || apart || rule.per == Per::Account || !failure.signals(rule.signal) {
                continue;
            }
            let Some((slot, proven)) = self.count(index, source, &failure) else { continue };
            let rule = &self.settings.rules[index];
            let judged = rule.applies_to != AppliesTo::UntrustedOnAttackedAccount || attacked;
            let graver = gravest.as_ref().is_none_or(|other| proven && !other.proven);
            if judged && graver {
                gravest = Some(Breach { rule: rule.clone(), slot, proven });
            }
        }
        self.note(failure.clone());
        if let Some(breach) = gravest {
            self.judge(&failure, &breach, trusted, decisions);
        }
    }

    /// As evidence, and the last that is kept of a failure: from here on its source keeps to its bytes.
    pub(super) fn note(&mut self, failure: Failure) {
        let source = failure.key();
        self.sources.entry(source, Source::default).note(failure);
        self.sources.fit(source);
    }

    /// Counts a failure by one rule: which window it filled, and whether by proof, if it did.
    fn count(
        &mut self,
        index: usize,
        source: SourceKey,
        failure: &Failure,
    ) -> Option<(Slot, bool)> {
        let rule = &self.settings.rules[index];
        let limit = self.settings.limit(rule, failure.endpoint);
        let window = rule.window;
        let slot = Slot { rule: rule.id, scope: self.scope(rule, failure) };
        let tag = (rule.counts == Counts::Distinct).then(|| self.tag(rule.signal, failure));
        let mark =
            Mark { at: failure.at, proven: failure.proof.is_proven(), count: failure.count, tag };
        if let Some(learning) = &mut self.learning
            && failure.is_believed()
        {
            let occurrence = Occurrence { at: failure.at, count: failure.count, tag, window };
            learning.counted(failure, slot, occurrence);
        }
        let filled = self.sources.entry(source, Source::default).windows.entry(slot);
        filled.add(mark, window, limit);
        filled.reached(failure.at, window, limit).map(|proven| (slot, proven))
    }

    /// Which of a rule's windows a failure goes into. A tenant's word has windows of its own, and so has
    /// a log that is only watched.
    fn scope(&self, rule: &Rule, failure: &Failure) -> u64 {
        let scope = self.scope_of_rule(rule, failure);
        if failure.is_believed() { scope } else { self.hash((scope, failure.speaker())) }
    }

    fn scope_of_rule(&self, rule: &Rule, failure: &Failure) -> u64 {
        let own = self.settings.own_limit(rule.id, failure.endpoint).is_some();
        match rule.per {
            Per::Source if own => 1 + u64::from(failure.endpoint.0),
            Per::Source => 0,
            Per::SourceEndpoint => u64::from(failure.endpoint.0),
            Per::SourceAccount | Per::Account => self.hash(&failure.account),
        }
    }

    /// What tells one distinct signal from another.
    fn tag(&self, signal: Signal, failure: &Failure) -> u64 {
        match signal {
            Signal::ProbedAddress => self.hash(failure.destination.ip()),
            Signal::AccountFailure => failure.key().0,
            _ => self.hash(&failure.account),
        }
    }

    /// Remembers who fails on an account with proof. Says whether many attack it.
    fn note_account_failure(&mut self, failure: &Failure, decisions: &mut Vec<Decision>) -> bool {
        let Some(account) = &failure.account else { return false };
        let target_key = self.hash(account);
        if failure.signals(Signal::AccountFailure) && failure.proof.is_proven() {
            self.tenancy(failure.key(), account).fail(failure.at);
            self.tenancies.fit(self.tenancy_key(failure.key(), account));
            if let Some((limit, window)) = self.attack_limit() {
                let target = self.targets.entry(target_key, Target::default);
                target.last = failure.at;
                target.sources.add_distinct(failure.at, failure.key().0, window, limit as usize);
            }
        }
        let (sources, attacked) = self.attackers(target_key, failure.at);
        if attacked {
            let kind = AlertKind::AccountUnderAttack { account: account.clone(), sources };
            let source_ip = failure.address().to_ip();
            self.alert(kind, source_ip, failure.endpoint, failure.at, decisions);
        }
        attacked
    }

    /// Limit and window of the rule about accounts that many sources attack.
    fn attack_limit(&self) -> Option<(u32, Duration)> {
        let mut rules = self.settings.rules.iter();
        let rule = rules.find(|rule| rule.id == RuleId::AccountAttacked)?;
        Some((rule.bounded_limit(), rule.window))
    }

    /// How many sources attack an account, and whether those are many.
    pub(super) fn attackers(&self, target_key: u64, now: Time) -> (u32, bool) {
        let Some((limit, window)) = self.attack_limit() else { return (0, false) };
        let target = self.targets.get(target_key);
        let sources = target.map_or(0, |target| target.sources.count(now, window));
        (sources, sources >= limit)
    }
}
