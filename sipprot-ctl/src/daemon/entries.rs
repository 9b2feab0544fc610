//! Single entries of the lists, by hand: at once in the kernel, then in the store.

use std::time::Duration;

use ipnetwork::IpNetwork;
use sipprot_common::source::SourceKey;
use tracing::info;

use super::answers::{Outcome, internal};
use super::change::{escalation_lifted, is_one_source, name, now_or_fault, plain, text};
use super::clock::after;
use super::core::{Core, Expiring};
use super::guard;
use super::rehearsal::only_said;
use super::upkeep::kernel_list;
use crate::api::{Consent, Done, EditEntry, Fault, NewEntry};
use crate::config::Scope;
use crate::message::clean;
use crate::report::address;
use crate::store::{Change, Lifted, List, ListEntry, ListKey, Origin, PendingRecord};

impl Core {
    pub(super) fn add_entry(&mut self, list: List, new: NewEntry, consent: Consent) -> Outcome {
        now_or_fault(self.try_add_entry(list, new, consent))
    }

    fn try_add_entry(
        &mut self,
        list: List,
        new: NewEntry,
        consent: Consent,
    ) -> Result<Outcome, Fault> {
        let store = self.needs_store()?;
        let network = plain(new.network);
        let now = self.clock.timestamp_now();
        let expires_at = match new.expires_in_s {
            Some(0) => return Err(Fault::invalid("expires_in_s", "must be more than 0")),
            Some(seconds) => Some(after(now, Duration::from_secs(seconds))),
            None => None,
        };
        let entry = ListEntry {
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
        let mut pending = None;
        if list == List::Deny {
            self.spares_own(network)?;
            if entry.endpoint.is_none() && guard::cuts_ssh(entry.scope) {
                let what = format!("the denial of {}", address(network));
                let before = store.list_entry(&entry.key()).map_err(|error| internal(&error))?;
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
        self.put_in(&entry)?;
        info!("{} {} by {}: {}", verb(list), address(network), entry.added_by, entry.note);
        self.tell_list(&entry.key(), &format!("was put by {} on", entry.added_by));
        let message = format!("{} is on the {}{}", address(network), name(list), self.deadline());
        let changes = std::iter::once(Change::PutList(entry)).chain(waits).collect();
        let stored = self.journal.write_for_good(changes);
        Ok(Outcome::Stored(stored, Done { done: true, message }))
    }

    pub(super) fn endpoint_known(&self, endpoint: Option<&str>) -> Result<u32, Fault> {
        self.plan.policy(endpoint).ok_or_else(|| {
            let wanted = clean(endpoint.unwrap_or_default().as_bytes(), 64);
            Fault::invalid("endpoint", format!("no endpoint {wanted:?} is configured"))
        })
    }

    /// Into the kernel and the books; the store is the caller's.
    pub(super) fn put_in(&mut self, entry: &ListEntry) -> Result<(), Fault> {
        let Some(item) = self.list_item(entry) else { return Ok(()) };
        self.lists_version += 1;
        self.kernel
            .with(|datapath| datapath.add_entry(kernel_list(entry.list), &item))
            .map_err(|error| self.fault("adding a list entry", &error))?;
        self.count_entry(entry);
        Ok(())
    }

    /// Another note; whom it lets in or keeps out stays the same.
    pub(super) fn edit_entry(&mut self, list: List, edit: EditEntry) -> Outcome {
        now_or_fault(self.try_edit_entry(list, edit))
    }

    fn try_edit_entry(&mut self, list: List, edit: EditEntry) -> Result<Outcome, Fault> {
        let store = self.needs_store()?;
        let network = plain(edit.network);
        let (note, by) = (text("note", &edit.note)?, text("by", &edit.by)?);
        self.endpoint_known(edit.endpoint.as_deref())?;
        let key = ListKey { list, network, endpoint: edit.endpoint };
        let known = store.list_entry(&key).map_err(|error| internal(&error))?;
        let entry = known.ok_or_else(|| not_listed(list, network))?;
        if let Some(said) = self.would(|| format!("the note of {} would change", address(network)))
        {
            return Ok(only_said(said));
        }
        info!("{} on the {}, by {by}: {note}", address(network), name(list));
        self.tell_list(&key, &format!("has another note, by {by}, on"));
        self.lists_version += 1;
        let message = format!("the note of {} is changed", address(network));
        let stored =
            self.journal.write_for_good(vec![Change::PutList(ListEntry { note, ..entry })]);
        Ok(Outcome::Stored(stored, Done { done: true, message }))
    }

    pub(super) fn remove_entry(
        &mut self,
        list: List,
        network: IpNetwork,
        by: &str,
        consent: Consent,
    ) -> Outcome {
        now_or_fault(self.try_remove_entry(list, plain(network), by, consent))
    }

    fn try_remove_entry(
        &mut self,
        list: List,
        network: IpNetwork,
        by: &str,
        consent: Consent,
    ) -> Result<Outcome, Fault> {
        let store = self.needs_store()?;
        let lifted = Lifted { at: self.clock.timestamp_now(), by: text("by", by)? };
        // Of the host and of every endpoint.
        let mut entries: Vec<ListEntry> = Vec::new();
        let endpoints = self.plan.names.iter().skip(1).cloned().map(Some);
        for endpoint in std::iter::once(None).chain(endpoints) {
            let key = ListKey { list, network, endpoint };
            entries.extend(store.list_entry(&key).map_err(|error| internal(&error))?);
        }
        if entries.is_empty() {
            return Err(not_listed(list, network));
        }
        let mut pending = None;
        if list == List::Allow {
            let what = format!("the removal of {} from the allowlist", address(network));
            let undo = entries.iter().cloned().map(Change::PutList).collect();
            let cut = self.cut_without(&[network], consent)?;
            pending = self.consider(cut, what, &lifted.by, undo, consent)?;
        }
        let said = self.would(|| {
            let (network, waits) = (address(network), waiting(&pending));
            format!("{network} would no longer be on the {}{waits}", name(list))
        });
        if let Some(said) = said {
            return Ok(only_said(said));
        }
        for entry in &entries {
            self.take_out(&entry.key())?;
        }
        // After the removal: it may be of the very address that is let in again.
        let waits = pending.map(|pending| self.begin_pending(pending)).transpose()?;
        info!("removed {} from the {} by {by}", address(network), name(list));
        for entry in &entries {
            self.tell_list(&entry.key(), &format!("was removed by {by} from"));
        }
        if list == List::Deny && is_one_source(network) {
            // The operator forgave: what led there counts no more.
            self.engine.unblock(SourceKey::from(network.ip()), self.clock.time_now());
            self.persisted.dirty = true;
        }
        let message =
            format!("{} is no longer on the {}{}", address(network), name(list), self.deadline());
        let lifts = entries.iter().filter_map(|entry| escalation_lifted(entry, &lifted));
        let removals = entries.iter().map(|entry| Change::RemoveList(entry.key()));
        let changes = removals.chain(lifts).chain(waits).collect();
        let stored = self.journal.write_for_good(changes);
        Ok(Outcome::Stored(stored, Done { done: true, message }))
    }

    /// Out of the kernel and of the books; the store is the caller's.
    pub(super) fn take_out(&mut self, key: &ListKey) -> Result<(), Fault> {
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
        self.fresh_denials.retain(|it| it.network != key.network);
        let known = self.store.as_ref().and_then(|store| store.list_entry(key).ok().flatten());
        if let Some(at) = known.and_then(|entry| entry.expires_at) {
            self.expiring.remove(&Expiring { at, key: key.clone() });
        }
        let count = &mut self.list_counts[key.list as usize];
        *count = count.saturating_sub(1);
        Ok(())
    }
}

fn waiting(pending: &Option<PendingRecord>) -> &'static str {
    match pending {
        Some(_) => ", until it is confirmed or taken back",
        None => "",
    }
}

fn not_listed(list: List, network: IpNetwork) -> Fault {
    Fault::not_found(format!("{} is not on the {}", address(network), name(list)))
}

const fn verb(list: List) -> &'static str {
    match list {
        List::Allow => "allowed",
        List::Deny => "denied",
    }
}
