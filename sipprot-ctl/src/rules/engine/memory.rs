//! What the engine remembers, told to others: one source's standing, the state that survives a
//! restart, and how full it is.

use std::collections::HashMap;

use sipprot_common::source::SourceKey;

use super::Engine;
use crate::rules::ledger::Target;
use crate::rules::observation::EndpointId;
use crate::rules::record::Record;
use crate::rules::rule::{AppliesTo, Per};
use crate::rules::source::{Failure, Source};
use crate::rules::standing::{Memory, Standing, TrustStanding, WindowStanding};
use crate::rules::state::{AcceptedState, RecordState, State, TrustState};
use crate::rules::time::Time;
use crate::rules::window::Window;

impl Engine {
    /// What there is for or against a source.
    pub fn explain(&self, source: SourceKey, now: Time) -> Standing {
        let (source_ip, _) = source.network();
        let known = self.sources.get(source);
        let mut standing = Standing {
            source,
            trust: self.trust_standing(source, now),
            ceiling: self.ceiling(source, now),
            peer: self.settings.is_peer(source_ip),
            never_blocked: self.is_spared(source_ip),
            accounts: self.accounts_of(source, now),
            windows: known.map(|known| self.windows_of(known, now)).unwrap_or_default(),
            evidence: known.and_then(|known| known.evidence(|_| true)),
            ..Standing::default()
        };
        if let Some(record) = self.records.get(source) {
            let count_age = self.settings.count_age;
            let counts = |at: &&Time| now.since(**at) < count_age;
            standing.blocks = record.blocks.iter().filter(counts).copied().collect();
            standing.block = record.block_in_force(now).copied();
            standing.denied = record.count(now, count_age) >= self.settings.block_threshold;
            standing.contained_until = record.contained_until(now);
            standing.quarantined = record.quarantined(now);
            standing.grace_until = record.grace_until.filter(|until| now < *until);
        }
        standing
    }

    fn trust_standing(&self, source: SourceKey, now: Time) -> Option<TrustStanding> {
        let (kind, since, last) = self.peers.get(source)?;
        let until = last.after(self.settings.trust_time);
        let peak = self.peers.peak(source).rate(now);
        (now < until).then_some(TrustStanding { kind, since, until, peak })
    }

    fn accounts_of(&self, source: SourceKey, now: Time) -> Vec<AcceptedState> {
        let own = self
            .tenancies
            .iter()
            .filter(|(_, tenancy)| tenancy.source == source && tenancy.accepted_lately(now));
        let accepted = |account, last| AcceptedState { account, last };
        let mut accounts: Vec<_> = own
            .filter_map(|(_, own)| own.accepted.map(|last| accepted(own.account.clone(), last)))
            .collect();
        accounts.sort_by(|a, b| a.account.cmp(&b.account));
        accounts
    }

    fn windows_of(&self, known: &Source, now: Time) -> Vec<WindowStanding> {
        let mut standings = Vec::new();
        let attacked = |note: &Failure| {
            let account = note.account.as_ref();
            account.is_some_and(|account| self.attackers(self.hash(account), now).1)
        };
        let under_attack = known.notes().any(attacked);
        for rule in &self.settings.rules {
            if rule.applies_to == AppliesTo::UntrustedOnAttackedAccount && !under_attack {
                continue;
            }
            let standing = |(scope, marks): (u64, &Window)| {
                let proven = marks.proven.count(now, rule.window);
                // After a containment only what was proven is left.
                let count = marks.all.count(now, rule.window).max(proven);
                let limit = self.settings.limit(rule, endpoint_of(rule.per, scope));
                WindowStanding { rule: rule.id, count, proven, limit, window: rule.window }
            };
            let all = known.windows.of_rule(rule.id).map(standing);
            let counting = all.filter(|standing| standing.count > 0);
            standings.extend(counting.min_by_key(|it| it.limit.saturating_sub(it.count)));
        }
        standings
    }

    /// What was done about one source, as it must survive a restart.
    pub fn record(&self, source: SourceKey, now: Time) -> Option<RecordState> {
        let record = self.records.get(source)?;
        Some(record.state(source, now, self.settings.count_age))
    }

    /// What must survive a restart.
    pub fn state(&self) -> State {
        let mut accounts: HashMap<SourceKey, Vec<AcceptedState>> = HashMap::new();
        for (_, tenancy) in self.tenancies.iter() {
            if let Some(last) = tenancy.accepted.filter(|_| tenancy.accepted_lately(self.now)) {
                let account = tenancy.account.clone();
                accounts.entry(tenancy.source).or_default().push(AcceptedState { account, last });
            }
        }
        let mut trust = self.peers.state();
        for peer in &mut trust {
            peer.accounts = accounts.remove(&peer.source).unwrap_or_default();
        }
        let records = self.records.iter().filter_map(|(source, record)| {
            let state = record.state(source, self.now, self.settings.count_age);
            state.is_worth_keeping().then_some(state)
        });
        State { trust, records: records.collect() }
    }

    /// Whether accounts were accepted, since it was last asked, that [`Engine::state`] has in addition.
    pub const fn take_new_accounts(&mut self) -> bool {
        std::mem::replace(&mut self.new_accounts, false)
    }

    /// Takes up what survived. The next rejection of each account that was accepted is free again:
    /// who restarts us often restarts the PBX too.
    pub fn restore(&mut self, state: State, now: Time) {
        self.now = self.now.max(now);
        for peer in state.trust {
            if now.since(peer.last) < self.settings.trust_time {
                self.restore_peer(peer);
            }
        }
        for record in state.records {
            let source = record.source;
            for suspect in &record.suspects {
                let target = self.hash(&suspect.account);
                self.targets.entry(target, Target::default).suspect(suspect.until, now);
            }
            *self.records.entry(source, Record::default) = Record::restore(record, now);
        }
    }

    /// The wall clock was set. What is remembered goes along with it; what was being counted begins anew, as
    /// after a restart: its times are of another clock.
    pub fn clock_was_set(&mut self, by_ns: i64) {
        let (state, now) = (self.state().moved(by_ns), self.now.moved(by_ns));
        let fresh = Self::new(self.settings.clone());
        let Self { learning, new_accounts, .. } = std::mem::replace(self, fresh);
        (self.learning, self.new_accounts) = (learning, new_accounts);
        self.restore(state, now);
    }

    fn restore_peer(&mut self, peer: TrustState) {
        self.peers.restore(&peer);
        for AcceptedState { account, last } in peer.accounts {
            self.tenancy(peer.source, &account).accept(last);
        }
    }

    /// How full the engine is, and what it had to give up.
    pub fn memory(&self) -> Memory {
        Memory {
            sources: self.sources.len(),
            peers: self.peers.len(),
            records: self.records.len(),
            accounts: self.tenancies.len(),
            requests_dropped: self.requests.dropped() + self.invites.dropped(),
            challenges_dropped: self.challenges.dropped() + self.probes.dropped(),
            sources_dropped: self.sources.dropped(),
            records_dropped: self.records.dropped(),
            accounts_dropped: self.tenancies.dropped() + self.targets.dropped(),
            peers_refused: self.peers.refused(),
        }
    }
}

/// Whose own limit a window has; see `judge` for how scopes are made.
fn endpoint_of(per: Per, scope: u64) -> EndpointId {
    let own = match per {
        Per::Source => scope.checked_sub(1),
        Per::SourceEndpoint => Some(scope),
        Per::SourceAccount | Per::Account => None,
    };
    EndpointId(own.and_then(|number| u16::try_from(number).ok()).unwrap_or_default())
}
