//! Single entries of the lists, by hand: at once in the kernel, then in the store.

use std::net::IpAddr;
use std::time::Duration;

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use tracing::info;

use crate::api::{Code, Consent, Done, EditEntry, Fault, NewEntry, RemoveEntries};
use crate::config::Scope;
use crate::daemon::answers::{Outcome, store_fault, version_of};
use crate::daemon::change::{name, now_or_fault, plain, text};
use crate::daemon::clock::after;
use crate::daemon::core::{Core, Expiring};
use crate::daemon::guard;
use crate::daemon::guard::rehearsal::only_said;
use crate::daemon::upkeep::kernel_list;
use crate::message::clean;
use crate::report::address;
use crate::store::{Change, List, ListEntry, ListKey, Origin, PendingRecord, Store};

/// Ends further away are none.
const EXPIRY_SECONDS_MAX: u64 = 100 * 366 * 24 * 3600;

impl Core {
    pub(in crate::daemon) fn add_entry(
        &mut self,
        list: List,
        new: NewEntry,
        consent: Consent,
    ) -> Outcome {
        now_or_fault(self.try_add_entry(list, new, consent))
    }

    fn try_add_entry(
        &mut self,
        list: List,
        new: NewEntry,
        consent: Consent,
    ) -> Result<Outcome, Fault> {
        let store = self.needs_store()?;
        let network = narrow_enough("network", plain(new.network))?;
        let now = self.clock.timestamp_now();
        let expires_at = match new.expires_in_s {
            Some(0) => return Err(Fault::invalid("expires_in_s", "must be more than 0")),
            Some(seconds) => Some(after_s(now, seconds)?),
            None => None,
        };
        let mut entry = ListEntry {
            network,
            list,
            endpoint: new.endpoint,
            note: text("note", &new.note)?,
            added_at: now,
            added_by: text("added_by", &new.added_by)?,
            expires_at,
            // What is let in is let in wholly.
            scope: if list == List::Allow { Scope::All } else { new.scope },
            origin: Origin::Manual,
        };
        self.endpoint_known(entry.endpoint.as_deref())?;
        let known = self.entry_now(&store, &entry.key())?;
        if let Some(known) = known.as_ref().filter(|_| entry.note.is_empty()) {
            entry.note.clone_from(&known.note);
        }
        let mut pending = None;
        if list == List::Deny {
            self.spares_own(network)?;
            if entry.endpoint.is_none() && guard::cuts_ssh(entry.scope) {
                let what = format!("the denial of {}", address(network));
                let before = store.list_entry(&entry.key()).map_err(|error| store_fault(&error))?;
                let undo = before.map_or_else(|| Change::RemoveList(entry.key()), Change::PutList);
                let cut = self.cut_by(consent, |operator| network.contains(operator))?;
                pending = self.consider(cut, what, &entry.added_by, vec![undo], consent)?;
            }
        }
        let said = self.would(|| {
            format!("{} would be on the {}{}", address(network), name(list), waiting(&pending))
        });
        if let Some(said) = said {
            return Ok(only_said(said));
        }
        let waits = pending.map(|pending| self.begin_pending(pending)).transpose()?;
        match known {
            Some(before) => self.exchange(&before, &entry)?,
            None => self.put_in(&entry)?,
        }
        info!("{} {} by {}: {}", verb(list), address(network), entry.added_by, entry.note);
        self.tell_list(&entry.key(), &format!("was put by {} on", entry.added_by));
        let message = format!("{} is on the {}{}", address(network), name(list), self.deadline());
        let changes = std::iter::once(Change::PutList(entry)).chain(waits).collect();
        let stored = self.journal.write_for_good(changes);
        Ok(Outcome::Stored(stored, Done::new(message)))
    }

    pub(super) fn endpoint_known(&self, endpoint: Option<&str>) -> Result<u32, Fault> {
        self.plan.policy(endpoint).ok_or_else(|| {
            let wanted = clean(endpoint.unwrap_or_default().as_bytes(), 64);
            Fault::invalid("endpoint", format!("no endpoint {wanted:?} is configured"))
        })
    }

    /// Into the kernel and the books; the store is the caller's.
    pub(in crate::daemon) fn put_in(&mut self, entry: &ListEntry) -> Result<(), Fault> {
        let Some(item) = self.list_item(entry) else { return Ok(()) };
        self.lists_version += 1;
        self.kernel
            .with(|datapath| datapath.add_entry(kernel_list(entry.list), &item))
            .map_err(|error| self.fault("adding a list entry", &error))?;
        self.leaving.remove(&entry.key());
        self.count_entry(entry);
        Ok(())
    }

    /// An entry as it is now: what was changed a moment ago may not be in the store yet.
    pub(super) fn entry_now(
        &self,
        store: &Store,
        key: &ListKey,
    ) -> Result<Option<ListEntry>, Fault> {
        let fresh = self.fresh_edits.iter().rev().find(|(_, entry)| entry.key() == *key);
        let known = match fresh {
            Some((_, entry)) => Some(entry.clone()),
            None => store.list_entry(key).map_err(|error| store_fault(&error))?,
        };
        let now = self.clock.timestamp_now();
        Ok(known.filter(|entry| entry.expires_at.is_none_or(|at| at > now)))
    }

    /// One entry for another, in the kernel and the books; the store is the caller's.
    fn exchange(&mut self, before: &ListEntry, after: &ListEntry) -> Result<(), Fault> {
        // The table may say of the old one what the trie can't take back.
        self.leave_kernel(&before.key())?;
        let key = before.key();
        self.expiring.extend(after.expires_at.map(|at| Expiring { at, key: after.key() }));
        if let Some(at) = before.expires_at.filter(|at| Some(*at) != after.expires_at) {
            self.expiring.remove(&Expiring { at, key: key.clone() });
        }
        self.fresh_edits.retain(|(_, entry)| entry.key() != key);
        self.fresh_edits.push((self.clock.timestamp_now(), after.clone()));
        let Some(item) = self.list_item(after) else { return Ok(()) };
        self.kernel
            .with(|datapath| datapath.add_entry(kernel_list(after.list), &item).map(drop))
            .map_err(|error| self.fault("changing a list entry", &error))
    }

    pub(in crate::daemon) fn edit_entry(
        &mut self,
        list: List,
        edit: &EditEntry,
        consent: Consent,
    ) -> Outcome {
        now_or_fault(self.try_edit_entry(list, edit, consent))
    }

    fn try_edit_entry(
        &mut self,
        list: List,
        edit: &EditEntry,
        consent: Consent,
    ) -> Result<Outcome, Fault> {
        let store = self.needs_store()?;
        let (network, by) = (plain(edit.network), text("by", &edit.by)?);
        self.endpoint_known(edit.endpoint.as_deref())?;
        let key = ListKey { list, network, endpoint: edit.endpoint.clone() };
        let before = self.entry_now(&store, &key)?.ok_or_else(|| not_listed(list, network))?;
        if edit.version.as_ref().is_some_and(|version| *version != version_of(&before)) {
            let message = format!("{} was changed meanwhile: look again", address(network));
            return Err(Fault::new(Code::Conflict, message));
        }
        let after = self.edited(&before, edit)?;
        let is_renamed = after.network != network;
        if is_renamed && self.entry_now(&store, &after.key())?.is_some() {
            let message = format!("{} is on the {} already", address(after.network), name(list));
            return Err(Fault::new(Code::Conflict, message));
        }
        let what = format!("the change of {}", address(network));
        let renamed = is_renamed.then(|| Change::RemoveList(after.key()));
        let undo = renamed.into_iter().chain([Change::PutList(before.clone())]).collect();
        let cut = self.cut_by_edit(&before, &after, consent)?;
        let pending = self.consider(cut, what, &by, undo, consent)?;
        let said = self.would(|| format!("{} would change{}", address(network), waiting(&pending)));
        if let Some(said) = said {
            return Ok(only_said(said));
        }
        self.tell_list(&key, &format!("was changed by {by} on"));
        let waits = pending.map(|pending| self.begin_pending(pending)).transpose()?;
        self.lists_version += 1;
        if self.list_item(&before) == self.list_item(&after) {
            self.fresh_edits.push((self.clock.timestamp_now(), after.clone()));
        } else {
            self.exchange(&before, &after)?;
        }
        info!("{} on the {}, by {by}: {}", address(network), name(list), after.note);
        let to = if is_renamed { format!(" to {}", address(after.network)) } else { String::new() };
        let message = format!("{} is changed{to}{}", address(network), self.deadline());
        let gone = is_renamed.then(|| Change::RemoveList(before.key()));
        let changes = gone.into_iter().chain([Change::PutList(after)]).chain(waits).collect();
        let stored = self.journal.write_for_good(changes);
        Ok(Outcome::Stored(stored, Done::new(message)))
    }

    fn edited(&self, before: &ListEntry, edit: &EditEntry) -> Result<ListEntry, Fault> {
        let now = self.clock.timestamp_now();
        let mut after = before.clone();
        if let Some(note) = &edit.note {
            after.note = text("note", note)?;
        }
        if let Some(scope) = edit.scope {
            if before.list == List::Allow && scope != Scope::All {
                return Err(Fault::invalid("scope", "what is let in is let in wholly"));
            }
            after.scope = scope;
        }
        after.expires_at = match edit.expires_in_s {
            None => before.expires_at,
            Some(0) => None,
            Some(seconds) => Some(after_s(now, seconds)?),
        };
        if let Some(to) = edit.to {
            after.network = narrow_enough("to", plain(to))?;
            if before.list == List::Deny {
                self.spares_own(after.network)?;
            }
        }
        // By its time the row of the history is found that led here.
        if before.origin != Origin::Escalation {
            after.added_at = now;
        }
        Ok(after)
    }

    fn cut_by_edit(
        &self,
        before: &ListEntry,
        after: &ListEntry,
        consent: Consent,
    ) -> Result<Vec<IpAddr>, Fault> {
        if before.endpoint.is_some() {
            return Ok(Vec::new());
        }
        match before.list {
            List::Deny if guard::cuts_ssh(after.scope) => {
                self.cut_by(consent, |operator| after.network.contains(operator))
            }
            List::Deny => Ok(Vec::new()),
            List::Allow => {
                let mut cut = self.cut_without(&[before.network], consent)?;
                cut.retain(|operator| !after.network.contains(*operator));
                Ok(cut)
            }
        }
    }

    pub(in crate::daemon) fn remove_entry(
        &mut self,
        list: List,
        network: IpNetwork,
        by: &str,
        consent: Consent,
    ) -> Outcome {
        let (networks, by) = (vec![network], by.to_owned());
        self.remove_entries(list, &RemoveEntries { networks, by, ..Default::default() }, consent)
    }

    /// Out of the kernel and of the books; the store is the caller's.
    pub(in crate::daemon) fn take_out(&mut self, key: &ListKey) -> Result<(), Fault> {
        self.leave_kernel(key)?;
        self.leaving.insert(key.clone(), self.clock.timestamp_now());
        self.fresh_denials.retain(|it| it.network != key.network);
        self.fresh_edits.retain(|(_, entry)| entry.key() != *key);
        let known = self.store.as_ref().and_then(|store| store.list_entry(key).ok().flatten());
        if let Some(at) = known.and_then(|entry| entry.expires_at) {
            self.expiring.remove(&Expiring { at, key: key.clone() });
        }
        let count = &mut self.list_counts[key.list as usize];
        *count = count.saturating_sub(1);
        Ok(())
    }

    fn leave_kernel(&mut self, key: &ListKey) -> Result<(), Fault> {
        self.lists_version += 1;
        let others = self.others(key.list, key.network)?;
        // What an outside list has, too, stays where it is.
        let listed = key.list == List::Deny
            && key.endpoint.is_none()
            && self.feed_entries(key.network).any(|entry| entry.network == key.network);
        if let Some(policy) = self.plan.policy(key.endpoint.as_deref()).filter(|_| !listed) {
            let list = kernel_list(key.list);
            self.kernel
                .with(|datapath| datapath.remove_entry(list, key.network, policy, &others))
                .map_err(|error| self.fault("removing a list entry", &error))?;
        }
        self.put_own_back(key.list, key.network);
        if key.list == List::Deny {
            self.put_fleet_back(key.network);
        }
        Ok(())
    }
}

/// Nobody means every address there is.
pub(super) fn narrow_enough(field: &str, network: IpNetwork) -> Result<IpNetwork, Fault> {
    if network.prefix() == 0 {
        return Err(Fault::invalid(field, format!("{network} is every address there is")));
    }
    Ok(network)
}

fn after_s(now: Timestamp, seconds: u64) -> Result<Timestamp, Fault> {
    if seconds > EXPIRY_SECONDS_MAX {
        return Err(Fault::invalid("expires_in_s", "longer than a hundred years: leave it out"));
    }
    Ok(after(now, Duration::from_secs(seconds)))
}

pub(in crate::daemon) fn waiting(pending: &Option<PendingRecord>) -> &'static str {
    match pending {
        Some(_) => ", until it is confirmed or taken back",
        None => "",
    }
}

pub(super) fn not_listed(list: List, network: IpNetwork) -> Fault {
    Fault::not_found(format!("{} is not on the {}", address(network), name(list)))
}

const fn verb(list: List) -> &'static str {
    match list {
        List::Allow => "allowed",
        List::Deny => "denied",
    }
}
