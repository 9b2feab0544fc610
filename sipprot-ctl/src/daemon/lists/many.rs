//! Many entries at once: off a list, onto the other one; blocks that become denials, or end.
//!
//! What is named wholly or not at all: an entry that isn't there stops the whole, before anything is done.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use sipprot_common::source::SourceKey;
use tracing::info;

use super::entries::{not_listed, waiting};
use crate::api::{BlockKind, Consent, DenyBlocks, Done, Fault, MoveEntries, RemoveEntries};
use crate::config::Scope;
use crate::daemon::answers::Outcome;
use crate::daemon::change::{is_one_source, name, now_or_fault, plain, text};
use crate::daemon::core::Core;
use crate::daemon::guard;
use crate::daemon::guard::rehearsal::only_said;
use crate::daemon::judgement::by_hand::escalation_lifted;
use crate::daemon::plan::HOST;
use crate::datapath::BlockTarget;
use crate::report::address;
use crate::store::{BlockRecord, Change, Lifted, List, ListEntry, ListKey, Origin};

/// Names in one command; for more there are files.
const NAMED_MAX: usize = 4096;

impl Core {
    pub(in crate::daemon) fn remove_entries(
        &mut self,
        list: List,
        removal: &RemoveEntries,
        consent: Consent,
    ) -> Outcome {
        now_or_fault(self.try_remove_entries(list, removal, consent))
    }

    fn try_remove_entries(
        &mut self,
        list: List,
        removal: &RemoveEntries,
        consent: Consent,
    ) -> Result<Outcome, Fault> {
        let networks = named(&removal.networks)?;
        let lifted = Lifted { at: self.clock.timestamp_now(), by: text("by", &removal.by)? };
        let owner = removal.endpoint.as_deref();
        if let Some(endpoint) = owner.filter(|it| *it != HOST) {
            self.endpoint_known(Some(endpoint))?;
        }
        let entries = self.entries_named(list, &networks, owner)?;
        let shown = told(&networks);
        let mut pending = None;
        if list == List::Allow {
            let what = format!("the removal of {shown} from the allowlist");
            let undo = entries.iter().cloned().map(Change::PutList).collect();
            let host = entries.iter().filter(|entry| entry.endpoint.is_none());
            let host: Vec<IpNetwork> = host.map(|entry| entry.network).collect();
            let cut = self.cut_without(&host, consent)?;
            pending = self.consider(cut, what, &lifted.by, undo, consent)?;
        }
        let said = self.would(|| {
            format!("{shown} would no longer be on the {}{}", name(list), waiting(&pending))
        });
        if let Some(said) = said {
            return Ok(only_said(said));
        }
        for entry in &entries {
            self.take_out(&entry.key())?;
            self.tell_list(&entry.key(), &format!("was removed by {} from", lifted.by));
        }
        // After the removal: it may be of the very address that is let in again.
        let waits = pending.map(|pending| self.begin_pending(pending)).transpose()?;
        info!("removed {shown} from the {} by {}", name(list), lifted.by);
        if list == List::Deny {
            self.forgive(&networks);
        }
        let is = if networks.len() == 1 { "is" } else { "are" };
        let message = format!("{shown} {is} no longer on the {}{}", name(list), self.deadline());
        let lifts = entries.iter().filter_map(|entry| escalation_lifted(entry, &lifted));
        let removals = entries.iter().map(|entry| Change::RemoveList(entry.key()));
        let changes = removals.chain(lifts).chain(waits).collect();
        let stored = self.journal.write_for_good(changes);
        Ok(Outcome::Stored(stored, Done::new(message)))
    }

    /// The operator forgave: what led to the denylist counts no more.
    fn forgive(&mut self, networks: &[IpNetwork]) {
        for network in networks.iter().filter(|network| is_one_source(**network)) {
            self.engine.unblock(SourceKey::from(network.ip()), self.clock.time_now());
            self.persisted.dirty = true;
        }
    }

    /// Of one endpoint, of the host, or of all; each network has one at least.
    fn entries_named(
        &self,
        list: List,
        networks: &[IpNetwork],
        endpoint: Option<&str>,
    ) -> Result<Vec<ListEntry>, Fault> {
        let store = self.needs_store()?;
        let owners: Vec<Option<String>> = match endpoint {
            Some(HOST) => vec![None],
            Some(endpoint) => vec![Some(endpoint.to_owned())],
            None => {
                let endpoints = self.plan.names.iter().skip(1).cloned().map(Some);
                std::iter::once(None).chain(endpoints).collect()
            }
        };
        let mut entries = Vec::new();
        for network in networks {
            let before = entries.len();
            for endpoint in &owners {
                let key = ListKey { list, network: *network, endpoint: endpoint.clone() };
                entries.extend(self.entry_now(&store, &key)?);
            }
            if entries.len() == before {
                let fault = not_listed(list, *network);
                let nothing = if networks.len() > 1 { "; nothing is changed" } else { "" };
                return Err(Fault { message: fault.message + nothing, ..fault });
            }
        }
        Ok(entries)
    }

    pub(in crate::daemon) fn move_entries(
        &mut self,
        list: List,
        entries: &MoveEntries,
        consent: Consent,
    ) -> Outcome {
        now_or_fault(self.try_move_entries(list, entries, consent))
    }

    fn try_move_entries(
        &mut self,
        list: List,
        wanted: &MoveEntries,
        consent: Consent,
    ) -> Result<Outcome, Fault> {
        let (to, networks) = (wanted.to, named(&wanted.networks)?);
        if to == list {
            return Err(Fault::invalid("to", format!("they are on the {} already", name(to))));
        }
        let lifted = Lifted { at: self.clock.timestamp_now(), by: text("by", &wanted.by)? };
        let before = self.entries_named(list, &networks, None)?;
        let after: Vec<ListEntry> = before
            .iter()
            .map(|entry| ListEntry {
                list: to,
                added_at: lifted.at,
                added_by: lifted.by.clone(),
                origin: Origin::Manual,
                scope: if to == List::Allow { Scope::All } else { entry.scope },
                ..entry.clone()
            })
            .collect();
        let shown = told(&networks);
        let mut undo: Vec<Change> = Vec::new();
        let mut cut = Vec::new();
        if to == List::Deny {
            networks.iter().try_for_each(|network| self.spares_own(*network))?;
            let host = after.iter().filter(|entry| entry.endpoint.is_none());
            let host: Vec<IpNetwork> = host.map(|entry| entry.network).collect();
            cut = self.cut_by_move(&host, consent)?;
            undo.extend(after.iter().map(|entry| Change::RemoveList(entry.key())));
            undo.extend(before.iter().cloned().map(Change::PutList));
        }
        let what = format!("the move of {shown} to the {}", name(to));
        let pending = self.consider(cut, what, &lifted.by, undo, consent)?;
        let said =
            self.would(|| format!("{shown} would be on the {}{}", name(to), waiting(&pending)));
        if let Some(said) = said {
            return Ok(only_said(said));
        }
        for (entry, old) in after.iter().zip(&before) {
            self.tell_list(&entry.key(), &format!("was moved by {} to", lifted.by));
            self.put_in(entry)?;
            self.take_out(&old.key())?;
        }
        let waits = pending.map(|pending| self.begin_pending(pending)).transpose()?;
        if list == List::Deny {
            self.forgive(&networks);
        }
        info!("moved {shown} from the {} to the {} by {}", name(list), name(to), lifted.by);
        let is = if networks.len() == 1 { "is" } else { "are" };
        let message = format!("{shown} {is} on the {} now{}", name(to), self.deadline());
        let lifts = before.iter().filter_map(|entry| escalation_lifted(entry, &lifted));
        let removals = before.iter().map(|entry| Change::RemoveList(entry.key()));
        let changes = removals.chain(lifts).collect::<Vec<_>>();
        let puts = after.into_iter().map(Change::PutList);
        let stored = self.journal.write_for_good(puts.chain(changes).chain(waits).collect());
        Ok(Outcome::Stored(stored, Done::new(message)))
    }

    pub(in crate::daemon) fn deny_blocks(
        &mut self,
        blocks: &DenyBlocks,
        consent: Consent,
    ) -> Outcome {
        now_or_fault(self.try_deny_blocks(blocks, consent))
    }

    fn try_deny_blocks(&mut self, wanted: &DenyBlocks, consent: Consent) -> Result<Outcome, Fault> {
        self.needs_store()?;
        if wanted.addresses.is_empty() || wanted.addresses.len() > NAMED_MAX {
            return Err(Fault::invalid("addresses", format!("from 1 to {NAMED_MAX} are taken")));
        }
        let (note, by) = (text("note", &wanted.note)?, text("by", &wanted.by)?);
        let now = self.clock.timestamp_now();
        let mut entries = Vec::new();
        for asked in &wanted.addresses {
            let network = Self::network_of(SourceKey::from(*asked));
            let Some(record) = self.blocks_in_force(network).first().copied().cloned() else {
                return Err(Fault::not_found(format!("{asked} is not blocked")));
            };
            self.spares_own(network)?;
            let key = record.key();
            let automatic = crate::daemon::judgement::notes::of_block(
                &record,
                crate::daemon::judgement::notes::BY_ADMINISTRATOR,
            );
            entries.push(ListEntry {
                network,
                list: List::Deny,
                endpoint: key.endpoint,
                note: if note.is_empty() { automatic } else { note.clone() },
                added_at: now,
                added_by: by.clone(),
                expires_at: None,
                scope: record.scope,
                origin: Origin::Manual,
            });
        }
        let networks: Vec<IpNetwork> = entries.iter().map(|entry| entry.network).collect();
        let shown = told(&networks);
        let cuts = |entry: &&ListEntry| entry.endpoint.is_none() && guard::cuts_ssh(entry.scope);
        let host: Vec<IpNetwork> = entries.iter().filter(cuts).map(|entry| entry.network).collect();
        let cut = self.cut_by(consent, |it| host.iter().any(|network| network.contains(it)))?;
        let undo = entries.iter().map(|entry| Change::RemoveList(entry.key())).collect();
        let pending = self.consider(cut, format!("the denial of {shown}"), &by, undo, consent)?;
        let said = self.would(|| format!("{shown} would be on the denylist{}", waiting(&pending)));
        if let Some(said) = said {
            return Ok(only_said(said));
        }
        let waits = pending.map(|pending| self.begin_pending(pending)).transpose()?;
        let mut changes = Vec::new();
        for entry in entries {
            self.put_in(&entry)?;
            let source = SourceKey::from(entry.network.ip());
            changes.extend(self.end_blocks(source).into_iter().map(Change::EndBlock));
            changes.push(Change::PutList(entry));
        }
        info!("denied {shown} by {by}: blocked until now");
        let is = if networks.len() == 1 { "is" } else { "are" };
        let message = format!("{shown} {is} on the denylist now{}", self.deadline());
        let stored = self.journal.write_for_good(changes.into_iter().chain(waits).collect());
        Ok(Outcome::Stored(stored, Done::new(message)))
    }

    /// Out of the kernel; books and store are the caller's.
    pub(in crate::daemon) fn lift_in_kernel(&mut self, record: &BlockRecord) {
        let source = SourceKey::from(record.source.ip());
        let policy = self.plan.policy(record.key().endpoint.as_deref());
        self.kernel.carry("lifting a block", |datapath| {
            datapath.clear_source(source)?;
            match record.kind {
                BlockKind::Dynamic => policy.map_or(Ok(false), |policy| {
                    datapath.remove_block(BlockTarget { source, policy })
                }),
                BlockKind::Containment => {
                    datapath.release_networks(source)?;
                    datapath.uncontain(source)
                }
                BlockKind::Quarantine => {
                    datapath.release_port(source, record.port.unwrap_or_default())
                }
            }
        });
    }

    pub(in crate::daemon) fn unblock_all(&mut self, kind: Option<BlockKind>, by: &str) -> Outcome {
        let by = match text("by", by) {
            Ok(by) => by,
            Err(fault) => return Outcome::Now(Err(fault)),
        };
        let lifted = Lifted { at: self.clock.timestamp_now(), by: by.clone() };
        let wanted = |it: &&BlockRecord| kind.is_none_or(|kind| it.kind == kind);
        let records: Vec<_> = self.ledger.blocks().filter(wanted).cloned().collect();
        let said = self.would(|| match records.len() {
            0 => "nobody is blocked".to_owned(),
            1 => format!("{} would be unblocked", address(records[0].source)),
            count => format!("{count} blocks would be lifted"),
        });
        if let Some(said) = said {
            return only_said(said);
        }
        let mut changes = Vec::new();
        for record in &records {
            let source = SourceKey::from(record.source.ip());
            self.lift_in_kernel(record);
            self.ledger.remove_block(&record.key());
            changes.push(Change::LiftBlock { key: record.key(), lifted: lifted.clone() });
            self.engine.unblock(source, self.clock.time_now());
            changes.push(Change::PutStanding(self.standing(source)));
        }
        info!("{} blocks are lifted by {by}", records.len());
        let message = match records.len() {
            0 => "nobody was blocked".to_owned(),
            1 => format!("{} is unblocked", address(records[0].source)),
            count => format!("{count} blocks are lifted"),
        };
        let stored = self.journal.write_for_good(changes);
        Outcome::Stored(stored, Done::new(message))
    }
}

/// Without host bits and repetitions.
fn named(networks: &[IpNetwork]) -> Result<Vec<IpNetwork>, Fault> {
    if networks.is_empty() || networks.len() > NAMED_MAX {
        let message = format!("from 1 to {NAMED_MAX} are taken; for more there are files");
        return Err(Fault::invalid("networks", message));
    }
    let mut all: Vec<IpNetwork> = networks.iter().copied().map(plain).collect();
    all.sort();
    all.dedup();
    Ok(all)
}

/// `198.51.100.9`, `198.51.100.9 and 203.0.113.7`, `198.51.100.9 and 41 others`.
fn told(networks: &[IpNetwork]) -> String {
    match networks {
        [] => String::new(),
        [one] => address(*one),
        [one, other] => format!("{} and {}", address(*one), address(*other)),
        [one, others @ ..] => format!("{} and {} others", address(*one), others.len()),
    }
}

impl Core {
    /// Operators who lose their allowlist entry and are denied in its place.
    fn cut_by_move(&self, networks: &[IpNetwork], consent: Consent) -> Result<Vec<IpAddr>, Fault> {
        let holds = |it: &IpAddr| networks.iter().any(|network| network.contains(*it));
        let mut cut = Vec::new();
        for operator in self.operators(consent).into_iter().filter(holds) {
            if !self.is_allowed(operator, networks)? && self.would_stop(operator) {
                cut.push(operator);
            }
        }
        Ok(cut)
    }
}
