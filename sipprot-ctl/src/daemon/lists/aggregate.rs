//! Entries that say together what one network would: found, shown, and merged when that is asked for.
//!
//! The aggregate holds exactly the addresses that its parts held. Only entries of one owner and one scope
//! without an end merge. It is looked for on another thread; if the list changed meanwhile, nothing is done.

use std::sync::{Arc, Mutex, PoisonError};

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use tracing::info;

use crate::api::{
    Aggregate, AggregateAnswer, Answer, Code, Done, Fault, FoundMerges, Merged, TEXT_MAX,
};
use crate::config::Scope;
use crate::daemon::answers::{Outcome, Reply, store_fault};
use crate::daemon::change::{name, now_or_fault, text};
use crate::daemon::clock::Clock;
use crate::daemon::core::Core;
use crate::daemon::restore::item_of;
use crate::datapath::ListItem;
use crate::report::address;
use crate::store::{Change, List, ListEntry, Origin, Store, StoreError};

/// Notes that an aggregate keeps.
const NOTES_MAX: usize = 8;

/// A network and the entries that it takes the place of, as they lie in the list's order.
struct Group {
    network: IpNetwork,
    members: Vec<ListEntry>,
}

/// Merges entries that come in the order of their addresses, wider ones first.
#[derive(Default)]
struct Merger {
    /// Each a left half that waits for its other one, in which the next one lies.
    open: Vec<Group>,
}

impl Merger {
    /// Hands on what nothing that comes later can merge with.
    fn add(&mut self, entry: ListEntry, done: &mut impl FnMut(Group)) {
        let mut next = Group { network: entry.network, members: vec![entry] };
        while let Some(mut last) = self.open.pop() {
            let network = if holds(last.network, next.network) {
                Some(last.network)
            } else {
                parent(last.network, next.network)
            };
            let Some(network) = network else {
                let waits = wider(last.network).is_some_and(|it| holds(it, next.network));
                self.open.push(last);
                if !waits {
                    self.finish(done);
                }
                break;
            };
            last.members.extend(next.members);
            next = Group { network, members: last.members };
        }
        self.open.push(next);
    }

    fn finish(&mut self, done: &mut impl FnMut(Group)) {
        self.open.drain(..).for_each(done);
    }
}

fn holds(wider: IpNetwork, network: IpNetwork) -> bool {
    wider.prefix() <= network.prefix() && wider.contains(network.network())
}

/// The next wider network; never all addresses there are.
fn wider(network: IpNetwork) -> Option<IpNetwork> {
    let prefix = network.prefix().checked_sub(1).filter(|prefix| *prefix > 0)?;
    let wider = IpNetwork::new(network.network(), prefix).ok()?;
    IpNetwork::new(wider.network(), prefix).ok()
}

/// The network that is these halves and nothing else.
fn parent(left: IpNetwork, right: IpNetwork) -> Option<IpNetwork> {
    let halves = left.prefix() == right.prefix() && left != right;
    wider(left).filter(|parent| halves && holds(*parent, right))
}

/// What a merge is to become.
struct Ready {
    version: u64,
    changes: Vec<Change>,
    lists: [Vec<ListItem>; 2],
}

/// What the thread that looks is told of the daemon.
struct Look {
    store: Arc<Store>,
    list: List,
    wanted: Aggregate,
    now: Timestamp,
    version: u64,
    names: Vec<String>,
    clock: Clock,
    fresh: Vec<ListEntry>,
    extra: [Vec<ListItem>; 2],
}

impl Core {
    pub(in crate::daemon) fn find_merges(&mut self, list: List, wanted: Aggregate, reply: Reply) {
        let look = self.look_for_merges(list, wanted).map(|look| {
            move || look.find().map(Answer::MergesFound).map_err(|error| store_fault(&error))
        });
        self.answer_after_writes(look, reply);
    }

    fn look_for_merges(&self, list: List, wanted: Aggregate) -> Result<Look, Fault> {
        self.endpoint_known(wanted.endpoint.as_deref())?;
        let by = text("by", &wanted.by)?;
        Ok(Look {
            store: self.needs_store()?,
            list,
            wanted: Aggregate { by, ..wanted },
            now: self.clock.timestamp_now(),
            version: self.lists_version,
            names: self.plan.names.clone(),
            clock: self.clock,
            fresh: self.fresh_denials.clone(),
            extra: self.extra_items(),
        })
    }

    pub(in crate::daemon) fn merge(&mut self, found: &FoundMerges) -> Outcome {
        now_or_fault(self.try_merge(found))
    }

    fn try_merge(&mut self, found: &FoundMerges) -> Result<Outcome, Fault> {
        let ready = found.ready.downcast_ref::<Mutex<Option<Ready>>>();
        let ready = ready.and_then(|it| it.lock().unwrap_or_else(PoisonError::into_inner).take());
        let Ready { version, changes, lists: [allow, deny] } = ready.ok_or_else(Fault::internal)?;
        if version != self.lists_version {
            return Err(Fault::new(Code::Conflict, "the lists changed meanwhile: try again"));
        }
        self.kernel
            .with(|datapath| datapath.replace_lists(&allow, &deny))
            .map_err(|error| self.fault("merging list entries", &error))?;
        let answer = &found.answer;
        self.lists_version += 1;
        let count = &mut self.list_counts[answer.list as usize];
        *count = count.saturating_sub(answer.before - answer.after);
        let message = merged_words(answer);
        info!("{message}");
        let stored = self.journal.write_bulk(Box::new(changes));
        Ok(Outcome::Stored(stored, Done::new(message)))
    }
}

fn merged_words(answer: &AggregateAnswer) -> String {
    let (before, after) = (answer.before, answer.after);
    format!("{} entries of the {} are {} now", before, name(answer.list), after)
}

/// What came of looking.
#[derive(Default)]
struct Gathered {
    lists: [Vec<ListItem>; 2],
    changes: Vec<Change>,
    merged: Vec<Merged>,
    merges: u64,
    before: u64,
    gone: u64,
}

impl Look {
    fn find(self) -> Result<FoundMerges, StoreError> {
        let mut found = Gathered { lists: self.extra.clone(), ..Gathered::default() };
        let mut merger = Merger::default();
        for entry in self.store.list(self.list) {
            let entry = entry?;
            if entry.expires_at.is_some_and(|at| at <= self.now) {
                continue;
            }
            found.before += u64::from(entry.endpoint == self.wanted.endpoint);
            if self.may_merge(&entry) {
                merger.add(entry, &mut |group| self.gather(group, &mut found));
            } else {
                self.put(&entry, &mut found);
            }
        }
        merger.finish(&mut |group| self.gather(group, &mut found));
        let other = if self.list == List::Allow { List::Deny } else { List::Allow };
        for entry in self.store.list(other) {
            let entry = entry?;
            if entry.expires_at.is_none_or(|at| at > self.now) {
                self.put(&entry, &mut found);
            }
        }
        self.fresh.iter().for_each(|entry| self.put(entry, &mut found));
        Ok(self.told(found))
    }

    fn put(&self, entry: &ListEntry, found: &mut Gathered) {
        let item = item_of(entry, &self.names, &self.clock);
        found.lists[entry.list as usize].extend(item);
    }

    fn gather(&self, group: Group, found: &mut Gathered) {
        if let [entry] = group.members.as_slice() {
            return self.put(entry, found);
        }
        let entry = self.aggregate(&group);
        self.put(&entry, found);
        found.merges += 1;
        found.gone += group.members.len() as u64 - 1;
        if found.merged.len() < AggregateAnswer::SHOWN_MAX {
            found.merged.push(shown(&group, &entry));
        }
        let parts = group.members.iter().filter(|part| part.network != group.network);
        found.changes.extend(parts.map(|part| Change::RemoveList(part.key())));
        found.changes.push(Change::PutList(entry));
    }

    fn told(&self, found: Gathered) -> FoundMerges {
        let Gathered { lists, changes, merged, merges, before, gone } = found;
        let after = before - gone;
        let message = match merges {
            0 => format!("nothing of the {} merges", name(self.list)),
            _ => format!(
                "{merges} networks would take the place of {} entries: {before} would be {after}",
                gone + merges
            ),
        };
        let list = self.list;
        let answer = AggregateAnswer { list, done: false, message, before, after, merges, merged };
        let ready = Ready { version: self.version, changes, lists };
        FoundMerges { answer, ready: Arc::new(Mutex::new(Some(ready))) }
    }

    /// One scope, and no end: anything else says something of its own.
    fn may_merge(&self, entry: &ListEntry) -> bool {
        entry.endpoint == self.wanted.endpoint
            && entry.expires_at.is_none()
            && entry.scope == Scope::All
    }

    fn aggregate(&self, group: &Group) -> ListEntry {
        ListEntry {
            network: group.network,
            list: self.list,
            endpoint: self.wanted.endpoint.clone(),
            note: note_of(&group.members),
            added_at: self.now,
            added_by: self.wanted.by.clone(),
            expires_at: None,
            scope: Scope::All,
            origin: Origin::Manual,
        }
    }
}

/// The notes of the parts, each once, as far as there is room.
fn note_of(members: &[ListEntry]) -> String {
    let mut note = format!("aggregate of {} entries", members.len());
    let (mut told, mut link): (Vec<&str>, _) = (Vec::new(), ": ");
    for part in members.iter().map(|entry| entry.note.as_str()).filter(|note| !note.is_empty()) {
        if told.contains(&part) {
            continue;
        }
        if told.len() == NOTES_MAX || note.len() + link.len() + part.len() > TEXT_MAX - 4 {
            note += "; …";
            break;
        }
        note += link;
        note += part;
        told.push(part);
        link = "; ";
    }
    note
}

fn shown(group: &Group, entry: &ListEntry) -> Merged {
    let parts = group.members.iter().take(Merged::SHOWN_MAX);
    Merged {
        network: address(group.network),
        count: group.members.len() as u64,
        entries: parts.map(|part| address(part.network)).collect(),
        note: entry.note.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(network: &str, note: &str) -> ListEntry {
        ListEntry {
            network: network.parse().unwrap(),
            list: List::Deny,
            endpoint: None,
            note: note.to_owned(),
            added_at: Timestamp::UNIX_EPOCH,
            added_by: "ann".to_owned(),
            expires_at: None,
            scope: Scope::All,
            origin: Origin::Manual,
        }
    }

    fn check(networks: &[&str], merged: &[(&str, usize)]) {
        let mut merger = Merger::default();
        let mut groups = Vec::new();
        let mut done = |group: Group| groups.push(group);
        networks.iter().for_each(|network| merger.add(entry(network, ""), &mut done));
        assert!(merger.open.len() <= 3, "{networks:?}");
        merger.finish(&mut done);
        let groups = groups.iter().filter(|group| group.members.len() > 1);
        let found: Vec<(String, usize)> =
            groups.map(|group| (address(group.network), group.members.len())).collect();
        let expected: Vec<_> = merged.iter().map(|(net, n)| ((*net).to_owned(), *n)).collect();
        assert_eq!(found, expected, "{networks:?}");
    }

    #[test]
    fn only_what_is_the_same_merges() {
        check(&["192.0.2.0", "192.0.2.1"], &[("192.0.2.0/31", 2)]);
        check(&["192.0.2.1", "192.0.2.2"], &[]);
        check(&["192.0.2.0/25", "192.0.2.7", "192.0.2.128/25"], &[("192.0.2.0/24", 3)]);
        check(&["192.0.2.0/24", "192.0.2.0/25", "192.0.2.9"], &[("192.0.2.0/24", 3)]);
        check(&["192.0.2.0/24", "192.0.2.0/24"], &[("192.0.2.0/24", 2)]);
        check(
            &["192.0.2.0", "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.5"],
            &[("192.0.2.0/30", 4)],
        );
        check(
            &["192.0.2.0/26", "192.0.2.64/27", "192.0.2.96/27", "192.0.2.128/25", "192.0.3.9"],
            &[("192.0.2.0/24", 4)],
        );
        check(&["2001:db8::/33", "2001:db8:8000::/33"], &[("2001:db8::/32", 2)]);
        check(&["0.0.0.0/1", "128.0.0.0/1"], &[]);
        check(&["255.255.255.254", "255.255.255.255"], &[("255.255.255.254/31", 2)]);
    }

    #[test]
    fn notes_are_kept_as_far_as_there_is_room() {
        let parts = [entry("192.0.2.0", "a"), entry("192.0.2.1", "b"), entry("192.0.2.2", "a")];
        assert_eq!(note_of(&parts), "aggregate of 3 entries: a; b");
        let long = "x".repeat(TEXT_MAX);
        let parts = [entry("192.0.2.0", ""), entry("192.0.2.1", &long)];
        assert_eq!(note_of(&parts), "aggregate of 2 entries; …");
    }
}
