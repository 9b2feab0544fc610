//! What a file would change: its rows against the list, in the order of both.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sipprot_common::hash;

use super::{Ready, Rewrite, from_start};
use crate::api::{Fault, ReadSheet, Sheet, SheetAnswer, SheetFault, SheetUse};
use crate::config::Scope;
use crate::daemon::answers::store_fault;
use crate::daemon::clock::Clock;
use crate::daemon::core::Expiring;
use crate::daemon::guard::cuts_ssh;
use crate::daemon::guard::own::Own;
use crate::daemon::plan::policy_of;
use crate::daemon::plan::scope::{kernel_scope, rules_scope};
use crate::daemon::restore::item_of;
use crate::datapath::ListItem;
use crate::report::address;
use crate::sheet::{Row, Rows, Wrong};
use crate::store::{Change, List, ListEntry, ListKey, Origin, Store, StoreError};

/// Rows of one file.
const ROWS_MAX: usize = 4_000_000;

/// What the thread that looks is told of the daemon.
pub(super) struct Look {
    pub sheet: Sheet,
    pub zone: TimeZone,
    pub store: Arc<Store>,
    /// Of the policies.
    pub names: Vec<String>,
    pub clock: Clock,
    pub own: Own,
    /// On the denylist, and maybe not in the store yet.
    pub fresh: Vec<ListEntry>,
    /// In force beside what the store has.
    pub extra: [Vec<ListItem>; 2],
    pub operators: Vec<IpAddr>,
    /// In order.
    pub trusted: Vec<IpAddr>,
    pub version: u64,
}

/// What is kept of a row.
struct Found {
    network: IpNetwork,
    number: u32,
    scope: Scope,
    note: u64,
    added_by: Option<u64>,
    /// In seconds.
    time: Option<i64>,
    expires: Option<Timestamp>,
}

fn digest(text: &str) -> u64 {
    hash::bytes(0, text.as_bytes())
}

impl Found {
    fn of(row: &Row<'_>, number: usize) -> Self {
        Self {
            network: row.network,
            number: number as u32,
            scope: row.scope,
            note: digest(row.note),
            added_by: row.added_by.map(digest),
            time: row.time.map(Timestamp::as_second),
            expires: row.expires,
        }
    }

    /// Says the list this already? What the row leaves out is no difference.
    fn equals(&self, entry: &ListEntry) -> bool {
        self.scope == entry.scope
            && self.expires.map(Timestamp::as_second) == entry.expires_at.map(Timestamp::as_second)
            && self.note == digest(&entry.note)
            && self.added_by.is_none_or(|by| by == digest(&entry.added_by))
            && self.time.is_none_or(|time| time == entry.added_at.as_second())
    }
}

impl Look {
    pub fn read(self) -> Result<ReadSheet, Fault> {
        let mut answer = SheetAnswer::of(&self.sheet);
        let mut found = self.rows(&mut answer)?;
        let mut skipped = vec![false; found.len()];
        // Of one network the last row counts.
        found.sort_unstable_by_key(|found| (found.network, std::cmp::Reverse(found.number)));
        found.dedup_by(|earlier, last| {
            let again = earlier.network == last.network;
            if again {
                skipped[earlier.number as usize] = true;
                answer.duplicate += 1;
            }
            again
        });
        let merge = Merge::new(&self, skipped, &mut answer, found.len());
        let ready = merge.run(&found).map_err(|error| store_fault(&error))?;
        Ok(ReadSheet { answer, ready: Arc::new(Mutex::new(Some(ready))) })
    }

    fn rows(&self, answer: &mut SheetAnswer) -> Result<Vec<Found>, Fault> {
        let mut found = Vec::new();
        let mut rows = match Rows::open(from_start(&self.sheet), self.zone.clone()) {
            Ok(rows) => rows,
            Err(wrong) => {
                refuse(answer, wrong);
                return Ok(found);
            }
        };
        answer.separator = rows.separator();
        while let Some(row) = rows.next_row() {
            answer.rows += 1;
            match row.and_then(|row| self.acceptable(row)) {
                Ok(row) => found.push(Found::of(&row, found.len())),
                Err(wrong) if wrong.is_end() => {
                    refuse(answer, wrong);
                    break;
                }
                Err(wrong) => refuse(answer, wrong),
            }
            if found.len() > ROWS_MAX {
                return Err(Fault::invalid("rows", format!("more than {ROWS_MAX} rows")));
            }
        }
        Ok(found)
    }

    /// Can it be on this list?
    fn acceptable<'a>(&self, row: Row<'a>) -> Result<Row<'a>, Wrong> {
        let wrong = |field, what: String| Err(Wrong::at(row.line, field, what));
        if self.sheet.usage == SheetUse::Remove {
            return Ok(row);
        }
        if self.sheet.list == List::Allow && row.scope != Scope::All {
            return wrong("SCOPE", "what is let in is let in wholly".to_owned());
        }
        if row.expires.is_some_and(|at| at <= self.clock.timestamp_now()) {
            return wrong("EXPIRES", "in the past".to_owned());
        }
        match self.own.within(row.network).filter(|_| self.sheet.list == List::Deny) {
            Some(what) => wrong("IP_ADDRESS", format!("{} holds {what}", address(row.network))),
            None => Ok(row),
        }
    }
}

fn refuse(answer: &mut SheetAnswer, wrong: Wrong) {
    answer.invalid += 1;
    if answer.faults.len() < SheetAnswer::FAULTS_MAX {
        let Wrong { line, field, what, .. } = wrong;
        answer.faults.push(SheetFault { line, field: field.to_owned(), message: what });
    }
}

/// The walk through file and list, and what it has gathered.
struct Merge<'a> {
    look: &'a Look,
    answer: &'a mut SheetAnswer,
    policy: u32,
    lists: [Vec<ListItem>; 2],
    skipped: Vec<bool>,
    count: u64,
    ended: Vec<Expiring>,
    begun: Vec<Expiring>,
    escalated: Vec<ListEntry>,
    cuts: Vec<(IpAddr, Change)>,
    /// Networks of the list that hold the place where the walk is, each within the one before.
    open: Vec<IpNetwork>,
}

impl<'a> Merge<'a> {
    fn new(look: &'a Look, skipped: Vec<bool>, answer: &'a mut SheetAnswer, rows: usize) -> Self {
        let policy = policy_of(&look.names, look.sheet.endpoint.as_deref()).unwrap_or_default();
        let mut lists = look.extra.clone();
        lists[look.sheet.list as usize].reserve_exact(rows);
        Self {
            look,
            answer,
            policy,
            lists,
            skipped,
            count: 0,
            ended: Vec::new(),
            begun: Vec::new(),
            escalated: Vec::new(),
            cuts: Vec::new(),
            open: Vec::new(),
        }
    }

    fn run(mut self, found: &[Found]) -> Result<Ready, StoreError> {
        let sheet = &self.look.sheet;
        let now = self.look.clock.timestamp_now();
        let mut rows = found.iter().peekable();
        let in_force = |entry: &ListEntry| entry.expires_at.is_none_or(|at| at > now);
        for entry in self.look.store.list(sheet.list) {
            let entry = entry?;
            if !in_force(&entry) {
                continue;
            }
            while let Some(row) = rows.next_if(|row| row.network < entry.network) {
                self.unlisted(row);
            }
            // Another endpoint's entry of the same network may come before or after ours.
            let own = entry.endpoint == sheet.endpoint;
            match rows.next_if(|row| own && row.network == entry.network) {
                Some(row) => self.listed(row, entry),
                None => self.keep(&entry),
            }
        }
        rows.for_each(|row| self.unlisted(row));
        let other = if sheet.list == List::Allow { List::Deny } else { List::Allow };
        for entry in self.look.store.list(other) {
            let entry = entry?;
            if in_force(&entry) {
                self.put(&entry);
            }
        }
        self.look.fresh.iter().for_each(|entry| self.put(entry));
        self.tell_who_is_cut()?;
        Ok(Ready {
            version: self.look.version,
            lists: self.lists,
            count: self.count,
            ended: self.ended,
            begun: self.begun,
            escalated: self.escalated,
            cuts: self.cuts,
            rewrite: Rewrite {
                sheet: sheet.clone(),
                zone: self.look.zone.clone(),
                now,
                skipped: self.skipped,
                others: Vec::new(),
            },
        })
    }

    fn tell_who_is_cut(&mut self) -> Result<(), StoreError> {
        let (look, mut told) = (self.look, Vec::new());
        if look.sheet.list == List::Deny {
            for (operator, _) in &self.cuts {
                let allowed = look.store.covering(List::Allow, *operator)?;
                if !allowed.iter().any(|entry| entry.endpoint.is_none()) {
                    told.push(format!("{operator}, who works on this host"));
                }
            }
        }
        told.dedup();
        self.answer.cuts_off.splice(0..0, told);
        Ok(())
    }

    /// A row of what is not on the list.
    fn unlisted(&mut self, row: &Found) {
        match self.look.sheet.usage {
            SheetUse::Remove => {
                self.answer.absent += 1;
                self.skipped[row.number as usize] = true;
            }
            SheetUse::Import => {
                self.answer.new += 1;
                self.take(row, None);
            }
        }
    }

    fn listed(&mut self, row: &Found, entry: ListEntry) {
        match self.look.sheet.usage {
            SheetUse::Import if row.equals(&entry) => {
                self.answer.unchanged += 1;
                self.skipped[row.number as usize] = true;
                self.keep(&entry);
            }
            SheetUse::Import => {
                self.answer.changed += 1;
                self.ended.extend(expiring(&entry));
                self.take(row, Some(entry));
            }
            SheetUse::Remove => {
                self.answer.removed += 1;
                self.ended.extend(expiring(&entry));
                self.touch(row.network, || Change::PutList(entry.clone()));
                if entry.origin == Origin::Escalation {
                    self.escalated.push(entry);
                }
            }
        }
    }

    /// An entry that stays.
    fn keep(&mut self, entry: &ListEntry) {
        self.put(entry);
        self.count += 1;
        let covers = entry.endpoint.is_none() || entry.endpoint == self.look.sheet.endpoint;
        if covers && entry.expires_at.is_none() && entry.scope == Scope::All {
            self.opens(entry.network);
        }
    }

    /// A row that becomes an entry.
    fn take(&mut self, row: &Found, before: Option<ListEntry>) {
        let Found { network, expires, scope, .. } = *row;
        self.answer.covered += u64::from(self.is_covered(network));
        if expires.is_none() && scope == Scope::All {
            self.opens(network);
        }
        let (look, sheet) = (self.look, &self.look.sheet);
        let key = || ListKey { list: sheet.list, network, endpoint: sheet.endpoint.clone() };
        if sheet.list == List::Deny {
            self.warn_of_peers(network);
        }
        if cuts_ssh(scope) && sheet.endpoint.is_none() {
            self.touch(network, || {
                before.clone().map_or_else(|| Change::RemoveList(key()), Change::PutList)
            });
        }
        self.begun.extend(expires.map(|at| Expiring { at, key: key() }));
        let expires_ns = expires.map_or(0, |at| look.clock.to_kernel_from(at));
        let scope = kernel_scope(rules_scope(scope));
        let item = ListItem { network, policy: self.policy, expires_ns, scope };
        self.lists[sheet.list as usize].push(item);
        self.count += 1;
    }

    fn put(&mut self, entry: &ListEntry) {
        let item = item_of(entry, &self.look.names, &self.look.clock);
        self.lists[entry.list as usize].extend(item);
    }

    /// Notes which operators a change of this network is about.
    fn touch(&mut self, network: IpNetwork, undo: impl Fn() -> Change) {
        for operator in self.look.operators.iter().filter(|it| network.contains(**it)) {
            self.cuts.push((*operator, undo()));
        }
    }

    /// Trusted peers that would be denied.
    fn warn_of_peers(&mut self, network: IpNetwork) {
        const TOLD_MAX: usize = 100;
        let trusted = &self.look.trusted;
        let first = trusted.partition_point(|it| *it < network.network());
        let within = trusted[first..].iter().take_while(|it| network.contains(**it));
        let room = TOLD_MAX.saturating_sub(self.answer.cuts_off.len());
        self.answer.cuts_off.extend(within.take(room).map(|it| format!("{it}, a trusted peer")));
    }

    fn is_covered(&mut self, network: IpNetwork) -> bool {
        self.close_before(network);
        self.open.last().is_some_and(|wider| *wider != network)
    }

    fn opens(&mut self, network: IpNetwork) {
        self.close_before(network);
        self.open.push(network);
    }

    fn close_before(&mut self, network: IpNetwork) {
        while self.open.last().is_some_and(|it| !it.contains(network.network())) {
            self.open.pop();
        }
    }
}

fn expiring(entry: &ListEntry) -> Option<Expiring> {
    entry.expires_at.map(|at| Expiring { at, key: entry.key() })
}
