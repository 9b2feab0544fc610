//! Taking back what a record of the audit log tells, if it is still as the record left it.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use sipprot_common::source::SourceKey;
use tracing::info;

use crate::api::{Code, Consent, Done, Fault, Right, SettingsChange};
use crate::audit;
use crate::config::Scope;
use crate::daemon::answers::{Outcome, Reply, store_fault};
use crate::daemon::change::now_or_fault;
use crate::daemon::core::Core;
use crate::daemon::guard;
use crate::rules::{Learning, Time};
use crate::store::{
    AuditRecord, BlockRecord, Change, LearningRecord, Lifted, List, ListEntry, Pair, PeerRecord,
    TrustRecord,
};

impl Core {
    pub(in crate::daemon) fn undo(
        &mut self,
        number: u64,
        right: Right,
        consent: Consent,
        reply: Reply,
    ) {
        match self.consider_undo(number, right) {
            Err(fault) => _ = reply.send(Err(fault)),
            Ok((record, act)) if audit::parts(&record).all(is_of_access) => {
                self.take_access_back(record, act, reply);
            }
            Ok((record, act)) => match settings_back(&record, &act) {
                Some(change) => {
                    self.stage(&change, act, consent, reply);
                }
                None => {
                    let outcome = now_or_fault(self.try_undo(&record, act, consent));
                    Self::reply(outcome, reply);
                }
            },
        }
    }

    /// The record, and the one of its undoing.
    fn consider_undo(
        &self,
        number: u64,
        right: Right,
    ) -> Result<(AuditRecord, AuditRecord), Fault> {
        let act = self.journal.take().ok_or_else(Fault::internal)?;
        let record = self.audit_record(number)?;
        let least = audit::least(&record);
        if right < least {
            let message = format!("taking back {number} takes the right {}", least.name());
            return Err(Fault::forbidden(message));
        }
        if let Some(why) = audit::why_not(&record) {
            return Err(Fault::refused(format!("{number} can't be undone: {why}")));
        }
        for pair in audit::parts(&record) {
            if !self.is_as_left(pair)? {
                return Err(self.changed(number, pair));
            }
        }
        let target = format!("{number}: {} {}", record.what, record.target);
        let target = target.trim_end().to_owned();
        Ok((record, AuditRecord { target, undoes: Some(number), ..act }))
    }

    fn changed(&self, number: u64, pair: &Pair) -> Fault {
        let thing = pair.thing();
        let message = match self.changed_since(number, &thing) {
            Some(later) => {
                format!("{thing} was changed by {} since ({})", later.who, later.number)
            }
            None => format!("{thing} is not as {number} left it any more"),
        };
        Fault::new(Code::Conflict, message)
    }

    /// Whether something is still what a change made of it.
    fn is_as_left(&self, pair: &Pair) -> Result<bool, Fault> {
        Ok(match pair {
            Pair::List { before, after } => {
                let key = before.as_ref().or(after.as_ref()).map(ListEntry::key);
                let Some(key) = key else { return Ok(false) };
                let now =
                    self.needs_store()?.list_entry(&key).map_err(|error| store_fault(&error))?;
                now == *after
            }
            Pair::Block { before, after } => {
                let known = before.as_ref().or(after.as_ref());
                let now = known.and_then(|known| {
                    self.ledger.blocks_of(known.source).find(|it| it.key() == known.key())
                });
                // It may have been renewed.
                now.map(|it| it.started_at) == after.as_ref().map(|it| it.started_at)
            }
            Pair::Peer { before, after } => {
                let network = before.as_ref().or(after.as_ref()).map(|it| it.network);
                self.peers.iter().find(|it| Some(it.network) == network) == after.as_ref()
            }
            Pair::Trust { before, .. } => {
                before.as_ref().is_some_and(|it| !self.engine.is_trusted(it.address))
            }
            Pair::Learning { before: Some(before), after: None } => {
                self.lessons.record.is_none() && self.lessons.has_discarded(before)
            }
            Pair::Learning { after, .. } => {
                let began = |it: &LearningRecord| (it.started_at, it.ended);
                self.lessons.record.as_ref().map(began) == after.as_ref().map(began)
            }
            Pair::User { .. } | Pair::Token { .. } => self.access.is_as_left(pair),
            Pair::Setting { key, after, .. } => self.stated(key) == *after,
            Pair::Standing { .. } => true,
        })
    }

    fn try_undo(
        &mut self,
        record: &AuditRecord,
        act: AuditRecord,
        consent: Consent,
    ) -> Result<Outcome, Fault> {
        let pairs: Vec<Pair> = audit::parts(record).cloned().collect();
        let message = format!("undone: {}", act.target);
        let by = act.who.clone();
        self.journal.begin(Some(act));
        let mut changes = self.lists_back(&pairs, &message, &by, consent)?;
        // What else the record tells may hang on the mode.
        self.limits_back(&pairs)?;
        let mut trust = Vec::new();
        for pair in pairs {
            changes.extend(match pair {
                Pair::Block { before, after } => self.block_back(before, after, &by)?,
                Pair::Peer { before, after } => self.peer_back(before, after)?,
                Pair::Learning { before, .. } => self.learning_back(before)?,
                Pair::Trust { before, .. } => {
                    trust.extend(before);
                    Vec::new()
                }
                Pair::List { .. } | Pair::Setting { .. } | Pair::Standing { .. } => Vec::new(),
                // They have records of their own.
                Pair::User { .. } | Pair::Token { .. } => Vec::new(),
            });
        }
        changes.extend(self.trust_back(trust));
        info!("{message} (by {by})");
        let stored = self.journal.write_for_good(changes);
        let message = message + &self.deadline();
        Ok(Outcome::Stored(stored, Done::new(message)))
    }

    /// As careful as any other change of the lists.
    fn lists_back(
        &mut self,
        pairs: &[Pair],
        what: &str,
        by: &str,
        consent: Consent,
    ) -> Result<Vec<Change>, Fault> {
        let lists: Vec<(&Option<ListEntry>, &Option<ListEntry>)> = pairs
            .iter()
            .filter_map(|pair| match pair {
                Pair::List { before, after } => Some((before, after)),
                _ => None,
            })
            .collect();
        let host = |it: &&ListEntry| it.endpoint.is_none();
        let denied: Vec<&ListEntry> = lists
            .iter()
            .filter_map(|(before, _)| before.as_ref().filter(host))
            .filter(|it| it.list == List::Deny && guard::cuts_ssh(it.scope))
            .collect();
        for entry in &denied {
            self.spares_own(entry.network)?;
        }
        let mut cut =
            self.cut_by(consent, |operator| denied.iter().any(|it| it.network.contains(operator)))?;
        let removed: Vec<_> = lists
            .iter()
            .filter(|(before, _)| before.is_none())
            .filter_map(|(_, after)| after.as_ref().filter(host))
            .filter(|it| it.list == List::Allow)
            .map(|it| it.network)
            .collect();
        cut.extend(self.cut_without(&removed, consent)?);
        let again = lists.iter().filter_map(|(before, after)| match (before, after) {
            (_, Some(after)) => Some(Change::PutList(after.clone())),
            (Some(before), None) => Some(Change::RemoveList(before.key())),
            (None, None) => None,
        });
        let pending = self.consider(cut, what.to_owned(), by, again.collect(), consent)?;
        let mut changes = Vec::new();
        for (before, after) in lists {
            match (before, after) {
                // Another note; whom it lets in or keeps out is the same.
                (Some(before), Some(after)) if is_only_told(before, after) => {
                    self.lists_version += 1;
                    changes.push(Change::PutList(before.clone()));
                }
                (before, after) => {
                    if let Some(after) = after {
                        self.take_out(&after.key())?;
                        changes.push(Change::RemoveList(after.key()));
                    }
                    if let Some(before) = before {
                        self.put_in(before)?;
                        changes.push(Change::PutList(before.clone()));
                    }
                }
            }
        }
        let waits = pending.map(|pending| self.begin_pending(pending)).transpose()?;
        changes.extend(waits);
        Ok(changes)
    }

    /// Settings that were changed along with something else.
    fn limits_back(&mut self, pairs: &[Pair]) -> Result<(), Fault> {
        let settings = pairs.iter().filter_map(|pair| match pair {
            Pair::Setting { key, before, .. } => Some((key.clone(), before.clone())),
            _ => None,
        });
        let settings: Vec<_> = settings.collect();
        if settings.is_empty() || self.settings_go_back(&settings) {
            return Ok(());
        }
        let what = "the settings can't be taken back: see the daemon's log. Nothing is changed";
        Err(Fault::unavailable(what))
    }

    fn block_back(
        &mut self,
        before: Option<BlockRecord>,
        after: Option<BlockRecord>,
        by: &str,
    ) -> Result<Vec<Change>, Fault> {
        let mut changes = Vec::new();
        if let Some(after) = after {
            let source = SourceKey::from(after.source.ip());
            let endpoint = after.key().endpoint;
            let policy = self.plan.policy(endpoint.as_deref()).unwrap_or_default();
            let target = crate::datapath::BlockTarget { source, policy };
            self.kernel
                .with(|datapath| datapath.remove_block(target))
                .map_err(|error| self.fault("unblocking", &error))?;
            self.ledger.remove_block(&after.key());
            let lifted = Lifted { at: self.clock.timestamp_now(), by: by.to_owned() };
            changes.push(Change::LiftBlock { key: after.key(), lifted });
        }
        let now = self.clock.timestamp_now();
        if let Some(before) = before.filter(|it| now < it.expires_at) {
            let before = BlockRecord { lifted: None, ..before };
            let source = SourceKey::from(before.source.ip());
            self.try_put_back(&before).map_err(|error| self.fault("blocking", &error))?;
            self.engine.end_grace(source);
            self.persisted.dirty = true;
            self.ledger.put_block(before.clone());
            changes.push(Change::PutBlock(before));
            changes.push(Change::PutStanding(self.standing(source)));
        }
        Ok(changes)
    }

    fn peer_back(
        &mut self,
        before: Option<PeerRecord>,
        after: Option<PeerRecord>,
    ) -> Result<Vec<Change>, Fault> {
        let mut changes = Vec::new();
        if let Some(after) = after {
            self.peers.retain(|peer| peer.network != after.network);
            changes.push(Change::RemovePeer(after.network));
        }
        if let Some(before) = before {
            self.put_peer(before.clone())?;
            changes.push(Change::PutPeer(before));
        }
        self.follow_peers();
        Ok(changes)
    }

    /// Goes on learning, or forgets what was begun.
    fn learning_back(&mut self, before: Option<LearningRecord>) -> Result<Vec<Change>, Fault> {
        if self.lessons.goes_on() {
            self.end_learning(crate::store::LearnEnd::Stopped)?;
        }
        let Some(before) = before else {
            self.lessons = crate::daemon::learn::Lessons::default();
            return Ok(vec![Change::RemoveLearning]);
        };
        let goes_on = before.ended.is_none();
        let mut changes = vec![Change::PutLearning(before.clone())];
        if let Some(discarded) = self.lessons.discarded.take() {
            let all = discarded.learned.since(Time::default());
            changes.extend(all.into_iter().map(Change::PutLearned));
            self.lessons.learned = Some(discarded.learned);
        }
        self.lessons.record = Some(before.clone());
        self.plan_again()?;
        if goes_on {
            let began = crate::daemon::clock::time(before.started_at);
            let learned = self.lessons.learned.take();
            self.engine.learn(learned.unwrap_or_else(|| Learning::new(began)));
        }
        Ok(changes)
    }

    fn trust_back(&mut self, records: Vec<TrustRecord>) -> Vec<Change> {
        if records.is_empty() {
            return Vec::new();
        }
        let sources: Vec<SourceKey> =
            records.iter().map(|it| SourceKey::from(it.address)).collect();
        let changes: Vec<Change> = records.iter().cloned().map(Change::PutTrust).collect();
        let policy = |endpoint: Option<&str>| self.plan.policy(endpoint);
        let state = self.persisted.load(records, Vec::new(), &[], policy);
        sources.into_iter().for_each(|source| self.engine.end_distrust(source));
        self.engine.restore(state, self.clock.time_now());
        self.persisted.dirty = true;
        self.restore_trust();
        changes
    }
}

/// Whether two entries keep out the same, of the same, for the same time.
fn is_only_told(before: &ListEntry, after: &ListEntry) -> bool {
    let effect = |it: &ListEntry| -> (Scope, Option<jiff::Timestamp>) { (it.scope, it.expires_at) };
    effect(before) == effect(after)
}

const fn is_of_access(pair: &Pair) -> bool {
    matches!(pair, Pair::User { .. } | Pair::Token { .. })
}

/// The change that takes settings back, if the record is of such alone.
fn settings_back(record: &AuditRecord, act: &AuditRecord) -> Option<SettingsChange> {
    if audit::parts(record).any(|pair| !matches!(pair, Pair::Setting { .. })) {
        return None;
    }
    let values = audit::parts(record).filter_map(|pair| match pair {
        Pair::Setting { key, before, .. } => {
            Some((key.clone(), before.clone().unwrap_or(Json::Null)))
        }
        _ => None,
    });
    let settings: BTreeMap<String, Json> = values.collect();
    let by = act.who.clone();
    (!settings.is_empty()).then(|| SettingsChange { settings, by, ..SettingsChange::default() })
}
