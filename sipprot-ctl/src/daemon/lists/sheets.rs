//! Many changes of a list at once, from a file.
//!
//! A file is looked at on another thread: every row, against the list as the store has it. Only if all of
//! it is right, and the lists are still as they were, it is put in force: one compilation, one swap, one
//! batch of the store. What is kept of a row meanwhile is some 50 bytes; its texts stay in the file.

mod look;

use std::fs::File;
use std::io::{self, BufWriter, Read};
use std::net::IpAddr;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sipprot_common::source::SourceKey;
use tracing::{error, info};

use crate::api::{
    Answer, Code, Consent, Done, Fault, LiveKind, ReadSheet, Sheet, SheetAnswer, SheetUse,
};
use crate::daemon::answers::{Reply, no_store};
use crate::daemon::change::{is_one_source, name, text};
use crate::daemon::core::{Core, Expiring};
use crate::daemon::journal::Stored;
use crate::daemon::judgement::by_hand::escalation_lifted;
use crate::datapath::{DatapathError, ListItem};
use crate::sheet::{self, Row, Rows, Wrong};
use crate::store::{
    BULK_PART, Bulk, Change, Lifted, List, ListEntry, ListKey, Origin, Store, StoreError,
};
use look::Look;

/// The list as it will be, and the way there.
struct Ready {
    version: u64,
    lists: [Vec<ListItem>; 2],
    rewrite: Rewrite,
    /// Entries of the list afterwards.
    count: u64,
    /// Ends that hold no more, and new ones.
    ended: Vec<Expiring>,
    begun: Vec<Expiring>,
    /// What leaves the denylist and had come by escalation.
    escalated: Vec<ListEntry>,
    /// Operators whom rows touch, and what takes those back.
    cuts: Vec<(IpAddr, Change)>,
}

/// The file's rows once more, as changes of the store.
struct Rewrite {
    sheet: Sheet,
    zone: TimeZone,
    now: Timestamp,
    /// By the number of the row: nothing to be done for it.
    skipped: Vec<bool>,
    /// Go into the same batch.
    others: Vec<Change>,
}

impl Core {
    pub(in crate::daemon) fn read_sheet(&mut self, sheet: Sheet, consent: Consent, reply: Reply) {
        let look = self.look(sheet, consent).map(|look| move || look.read().map(Answer::Read));
        self.answer_after_writes(look, reply);
    }

    fn look(&self, sheet: Sheet, consent: Consent) -> Result<Look, Fault> {
        let store = self.needs_store()?;
        self.endpoint_known(sheet.endpoint.as_deref())?;
        let by = text("by", &sheet.by)?;
        let zone = TimeZone::get(&sheet.zone).map_err(|_| {
            Fault::invalid("zone", format!("there is no time zone {:?}", sheet.zone))
        })?;
        Ok(Look {
            sheet: Sheet { by, ..sheet },
            zone,
            store,
            names: self.plan.names.clone(),
            clock: self.clock,
            own: self.own.clone(),
            fresh: self.fresh_denials.clone(),
            extra: self.extra_items(),
            operators: self.operators(consent),
            trusted: self.trusted_addresses(),
            version: self.lists_version,
        })
    }

    /// Of learned and told peers; in order.
    fn trusted_addresses(&self) -> Vec<IpAddr> {
        let learned = self.engine.state().trust.into_iter().map(|peer| peer.source_ip);
        let told = self.engine.settings().peers.iter().map(|network| network.ip());
        let mut all: Vec<IpAddr> = learned.chain(told).collect();
        all.sort();
        all.dedup();
        all
    }

    pub(in crate::daemon) fn apply_sheet(
        &mut self,
        read: &ReadSheet,
        consent: Consent,
        reply: Reply,
    ) {
        let ready = read.ready.downcast_ref::<Mutex<Option<Ready>>>();
        let ready = ready.and_then(|it| it.lock().unwrap_or_else(PoisonError::into_inner).take());
        let result = ready
            .ok_or_else(Fault::internal)
            .and_then(|ready| self.try_apply(ready, read.answer.clone(), consent));
        match result {
            Err(fault) => _ = reply.send(Err(fault)),
            Ok((mut answer, stored, began)) => {
                let stale = self.lists_stale.clone();
                tokio::spawn(async move {
                    let stored = stored.await.ok().and_then(Result::ok);
                    let lasts = stored.is_some();
                    answer.audit = stored.flatten();
                    answer.durable_s = Some(began.elapsed().as_secs_f64());
                    stale.fetch_or(!lasts, Ordering::Relaxed);
                    let what = "the list could not be stored: it stays as it was";
                    let failed = || Fault::unavailable(what);
                    let _ = reply.send(lasts.then_some(Answer::Sheet(answer)).ok_or_else(failed));
                });
            }
        }
    }

    fn try_apply(
        &mut self,
        ready: Ready,
        mut answer: SheetAnswer,
        consent: Consent,
    ) -> Result<(SheetAnswer, Stored, Instant), Fault> {
        if ready.version != self.lists_version {
            return Err(Fault::new(Code::Conflict, "the lists changed meanwhile: try again"));
        }
        let Ready { mut lists, mut rewrite, count, ended, begun, escalated, cuts, .. } = ready;
        let Sheet { list, usage, began, .. } = rewrite.sheet;
        let by = rewrite.sheet.by.clone();
        self.journal.tell(|record| record.who.clone_from(&by));
        let (what, done) = match usage {
            SheetUse::Import => ("the import", answer.new + answer.changed),
            SheetUse::Remove => ("the removal", answer.removed),
        };
        let cut = self.still_cut((list, usage), &cuts, consent)?;
        let undo = cuts.into_iter().map(|(_, undo)| undo).collect();
        let pending = self.consider(cut, what.to_owned(), &by, undo, consent)?;
        if let Some(pending) = pending {
            rewrite.others.push(self.begin_pending(pending)?);
            lists[List::Allow as usize].splice(0..0, self.guard_items());
        }
        let [allow, deny] = &lists;
        self.kernel.with(|datapath| datapath.replace_lists(allow, deny)).map_err(
            |error| match self.fault("replacing the lists", &error) {
                _ if matches!(error, DatapathError::MapFull { .. }) => {
                    Fault::new(Code::Full, "the kernel has no room for it: nothing is changed")
                }
                fault => fault,
            },
        )?;
        answer.enforced_s = Some(began.elapsed().as_secs_f64());
        drop(lists);
        self.lists_version += 1;
        self.list_counts[list as usize] = count + self.own_entries(list).count() as u64;
        ended.iter().for_each(|it| _ = self.expiring.remove(it));
        self.expiring.extend(begun);
        let now = self.clock.time_now();
        let lifted = Lifted { at: rewrite.now, by: by.clone() };
        for entry in escalated.iter().filter(|entry| is_one_source(entry.network)) {
            self.engine.unblock(SourceKey::from(entry.network.ip()), now);
            self.persisted.dirty = true;
        }
        rewrite.others.extend(escalated.iter().filter_map(|it| escalation_lifted(it, &lifted)));
        answer.done = true;
        answer.message = format!("{what}: {done} entries of the {}{}", name(list), self.deadline());
        info!("{} (by {by})", answer.message);
        self.tell(LiveKind::List, format!("{}, by {by}", answer.message));
        Ok((answer, self.journal.write_bulk(Box::new(rewrite)), began))
    }

    /// Of those whom rows stop or let in no more, the ones whom nothing else lets in.
    fn still_cut(
        &self,
        (list, usage): (List, SheetUse),
        cuts: &[(IpAddr, Change)],
        consent: Consent,
    ) -> Result<Vec<IpAddr>, Fault> {
        match (list, usage) {
            (List::Deny, SheetUse::Import) => {
                self.cut_by(consent, |it| cuts.iter().any(|(operator, _)| *operator == it))
            }
            (List::Allow, SheetUse::Remove) => {
                let removed = cuts.iter().filter_map(|(_, undo)| match undo {
                    Change::PutList(entry) if entry.endpoint.is_none() => Some(entry.network),
                    _ => None,
                });
                self.cut_without(&removed.collect::<Vec<_>>(), consent)
            }
            _ => Ok(Vec::new()),
        }
    }

    pub(in crate::daemon) fn export_list(
        &mut self,
        list: List,
        endpoint: Option<String>,
        into: Arc<File>,
        reply: Reply,
    ) {
        let Some(store) = self.store.clone() else { return no_store(reply) };
        if let Err(fault) = self.endpoint_known(endpoint.as_deref()) {
            let _ = reply.send(Err(fault));
            return;
        }
        let now = self.clock.timestamp_now();
        let work = move || match export(&store, list, endpoint.as_deref(), now, &into) {
            Ok(count) => {
                let message = format!("{count} entries of the {}", name(list));
                Ok(Answer::Done(Done::new(message)))
            }
            Err(failure) => {
                error!("exporting a list: {failure}");
                Err(Fault::internal())
            }
        };
        self.answer_after_writes(Ok(work), reply);
    }

    /// A list that could not be stored is put in force again as it was.
    pub(in crate::daemon) fn mend_lists(&mut self) {
        if self.lists_stale.swap(false, Ordering::Relaxed)
            && let Err(error) = self.load_lists()
        {
            self.complain(format!("the lists could not be put again: {error:#}"));
        }
    }
}

fn export(
    store: &Store,
    list: List,
    endpoint: Option<&str>,
    now: Timestamp,
    into: &File,
) -> anyhow::Result<u64> {
    let entries = || {
        store.list(list).filter(|entry| {
            entry.as_ref().map_or(true, |entry| {
                entry.endpoint.as_deref() == endpoint && entry.expires_at.is_none_or(|at| at > now)
            })
        })
    };
    let mut wide = false;
    for entry in entries() {
        wide |= sheet::Writer::<&File>::needs_wide(&entry?);
    }
    let mut writer = sheet::Writer::new(BufWriter::new(into), wide)?;
    let mut count = 0;
    for entry in entries() {
        writer.entry(&entry?)?;
        count += 1;
    }
    writer.finish()?;
    Ok(count)
}

/// The file from its beginning, whoever else reads it.
struct FromStart<'a> {
    file: &'a File,
    at: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(buffer, self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}

fn from_start(sheet: &Sheet) -> FromStart<'_> {
    FromStart { file: &sheet.file, at: 0 }
}

impl Bulk for Rewrite {
    fn each_part(
        &self,
        part: &mut dyn FnMut(&[Change]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let broken = |wrong: Wrong| StoreError::Broken(format!("the file: {}", wrong.what));
        let mut changes = self.others.clone();
        let mut rows = Rows::open(from_start(&self.sheet), self.zone.clone()).map_err(broken)?;
        let mut skipped = self.skipped.iter();
        while let Some(row) = rows.next_row() {
            let row = row.map_err(broken)?;
            if *skipped.next().unwrap_or(&true) {
                continue;
            }
            changes.push(self.change(&row));
            if changes.len() == BULK_PART {
                part(&changes)?;
                changes.clear();
            }
        }
        part(&changes)
    }
}

impl Rewrite {
    fn change(&self, row: &Row<'_>) -> Change {
        let Sheet { list, usage, endpoint, by, .. } = &self.sheet;
        let (network, endpoint) = (row.network, endpoint.clone());
        match usage {
            SheetUse::Remove => Change::RemoveList(ListKey { list: *list, network, endpoint }),
            SheetUse::Import => Change::PutList(ListEntry {
                network,
                list: *list,
                endpoint,
                note: row.note.to_owned(),
                added_at: row.time.unwrap_or(self.now),
                added_by: row.added_by.unwrap_or(by).to_owned(),
                expires_at: row.expires,
                scope: row.scope,
                origin: Origin::Import,
            }),
        }
    }
}
