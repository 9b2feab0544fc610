//! The audit log: whose doing a command is, what callers may read of the log, and its bounds.

pub(super) mod undo;

use jiff::Timestamp;
use serde_json::Value as Json;

use super::answers::{Outcome, Reply, no_store, store_fault};
use super::core::Core;
use crate::api::{
    Answer, AuditAnswer, AuditChange, AuditOrder, AuditQuery, AuditView, Command, Done, Door,
    Fault, Who,
};
use crate::audit;
use crate::config::{SECRET, is_hidden, is_secret};
use crate::daemon::lists::query::PAGE_MAX;
use crate::store::{AuditRecord, Change, Pair, Store, StoreError};

/// Changes of one record that are shown in a list of many.
const CHANGES_SHOWN: usize = 100;

/// Notes a minute: whoever guesses passwords must not wash out the log.
const NOTES_A_MINUTE: u32 = 30;

/// How many notes there were in this minute.
#[derive(Default)]
pub struct Notes {
    minute: i64,
    count: u32,
    left_out: u64,
}

impl Notes {
    /// How many were left out before this one, or `None` if it is to be left out as well.
    fn admit(&mut self, at: Timestamp) -> Option<u64> {
        let minute = at.as_second().div_euclid(60);
        if minute != self.minute {
            (self.minute, self.count) = (minute, 0);
        }
        if self.count >= NOTES_A_MINUTE {
            self.left_out += 1;
            return None;
        }
        self.count += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

impl Core {
    /// The record of a command, to be filled in by what it does.
    pub(super) fn act_of(&self, who: &Who, command: &Command) -> Option<AuditRecord> {
        let act = audit::act(command)?;
        let from = match (who.door, who.address) {
            (Door::Socket, _) => "socket".to_owned(),
            (Door::Token, Some(address)) => format!("{address} (token)"),
            (_, Some(address)) => address.to_string(),
            (_, None) => "sipprot".to_owned(),
        };
        let name = match command {
            Command::Note(note) => &note.who,
            _ => &who.name,
        };
        Some(self.record_of(name, from, act.what, act.target))
    }

    pub(super) fn record_of(
        &self,
        who: &str,
        from: String,
        what: &str,
        target: String,
    ) -> AuditRecord {
        use crate::api::TEXT_MAX;
        use crate::message::clean;
        AuditRecord {
            number: 0,
            at: self.clock.timestamp_now(),
            who: clean(who.as_bytes(), 128),
            from,
            what: what.to_owned(),
            target: clean(target.as_bytes(), TEXT_MAX),
            pairs: Vec::new(),
            left_out: None,
            undoes: None,
            undone_by: None,
        }
    }

    /// What the daemon does by itself in somebody's stead.
    pub(super) fn own_record(&self, what: &str, target: String, of: &str) -> AuditRecord {
        self.record_of("sipprot", format!("for {of}"), what, target)
    }

    pub(super) fn note(&mut self) -> Outcome {
        let message = match self.notes.admit(self.clock.timestamp_now()) {
            None => {
                self.journal.begin(None);
                "left out: there are many"
            }
            Some(left_out) => {
                if left_out > 0 {
                    self.journal.tell(|it| it.target += &format!(" ({left_out} like it left out)"));
                }
                let changes = self.journal.signed(Vec::new());
                self.journal.write(changes);
                "noted"
            }
        };
        Outcome::Now(Ok(Answer::Done(Done::new(message))))
    }

    pub(super) fn audit(&self, query: AuditQuery, reply: Reply) {
        let Some(store) = self.store.clone() else { return no_store(reply) };
        tokio::task::spawn_blocking(move || {
            let page = page(&store, &query).map(Answer::Audit);
            let _ = reply.send(page.map_err(|error| store_fault(&error)));
        });
    }

    /// Old records go.
    pub(super) fn trim_audit(&self) {
        let limits = &self.config.audit;
        let before = self.clock.old_before(limits.keep_for);
        let records_max = limits.records_max.into();
        self.journal.note(vec![Change::TrimAudit { records_max, before }]);
    }

    /// Who did the last thing to something since a record.
    pub(super) fn changed_since(&self, number: u64, thing: &str) -> Option<AuditRecord> {
        let store = self.store.as_ref()?;
        let mut newer = store.audit().map_while(Result::ok).take_while(|it| it.number > number);
        newer.find(|record| record.pairs.iter().any(|pair| pair.thing() == thing))
    }

    pub(super) fn audit_record(&self, number: u64) -> Result<AuditRecord, Fault> {
        let store = self.needs_store()?;
        let known = store.audit_record(number).map_err(|error| store_fault(&error))?;
        known.ok_or_else(|| Fault::not_found(format!("the audit log has no record {number}")))
    }
}

fn page(store: &Store, query: &AuditQuery) -> Result<AuditAnswer, StoreError> {
    let mut answer = AuditAnswer { records: Vec::new(), total: 0 };
    let offset = query.offset.unwrap_or(0);
    let limit = query.limit.unwrap_or(100).min(PAGE_MAX);
    let mut take = |record: AuditRecord| {
        if !audit::matches(&record, query) {
            return;
        }
        if answer.total >= offset && (answer.records.len() as u64) < limit {
            answer.records.push(view(&record));
        }
        answer.total += 1;
    };
    match query.sort {
        AuditOrder::Newest => store.audit().try_for_each(|it| it.map(&mut take))?,
        AuditOrder::Oldest => {
            store.audit_from_the_oldest().try_for_each(|it| it.map(&mut take))?;
        }
    }
    Ok(answer)
}

fn view(record: &AuditRecord) -> AuditView {
    AuditView {
        number: record.number,
        at: record.at.as_second(),
        who: record.who.clone(),
        from: record.from.clone(),
        what: record.what.clone(),
        target: record.target.clone(),
        changes: record.pairs.iter().take(CHANGES_SHOWN).map(change).collect(),
        more: record.pairs.len().saturating_sub(CHANGES_SHOWN) as u64,
        undoes: record.undoes,
        undone_by: record.undone_by,
        final_because: audit::why_not(record),
    }
}

fn change(pair: &Pair) -> AuditChange {
    let (mut before, mut after) = pair.sides();
    if let Pair::User { .. } | Pair::Token { .. } = pair {
        [&mut before, &mut after].into_iter().for_each(without_proof);
    }
    AuditChange { thing: pair.thing(), before, after }
}

/// Hashes prove nothing by themselves, but nobody needs them.
fn without_proof(side: &mut Json) {
    if let Json::Object(fields) = side {
        fields.retain(|name, _| !matches!(name.as_str(), "password" | "hash"));
    }
}

/// A setting's two values for the log, which has no secrets.
pub(super) fn setting_pair(
    key: &str,
    file: std::path::PathBuf,
    [before, after]: [Option<Json>; 2],
) -> Pair {
    let shown = |value: Option<Json>| match value {
        Some(value) if is_hidden(key, &value) => Some(Json::from(SECRET)),
        value => value,
    };
    let after = match (is_secret(key), &before, &after) {
        // Another secret is a change, too.
        (true, Some(_), Some(_)) => Some(Json::from("(another)")),
        _ => shown(after),
    };
    Pair::Setting { key: key.to_owned(), file, before: shown(before), after }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_bounded_and_the_rest_is_counted() {
        let mut notes = Notes::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        let admitted = (0..100).filter(|_| notes.admit(at(60)).is_some()).count();
        assert_eq!(admitted, NOTES_A_MINUTE as usize);
        assert_eq!(notes.admit(at(120)), Some(70));
        assert_eq!(notes.admit(at(120)), Some(0));
    }
}
