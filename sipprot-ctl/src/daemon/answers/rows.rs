//! Pages of the lists and of the blocks. A list's entries are read from the store, on another thread;
//! only what is shown is made up for showing.

use jiff::Timestamp;

use super::{Reply, block_view, entry_view, no_store, store_fault};
use crate::api::{Answer, BlocksAnswer, Entries, Fault, ListQuery, SortBy};
use crate::daemon::core::Core;
use crate::daemon::geography::Geography;
use crate::daemon::lists::query::{self, Facts, PAGE_MAX, Page, Row};
use crate::geo::Country;
use crate::store::{BlockRecord, List, ListEntry, Store, StoreError};

impl Core {
    pub(super) fn entries(&self, list: List, query: ListQuery, reply: Reply) {
        let Some(store) = self.store.clone() else { return no_store(reply) };
        if let Err(fault) = query::check(&query, false) {
            let _ = reply.send(Err(fault));
            return;
        }
        let geography = self.geography.clone();
        let now = self.clock.timestamp_now();
        let fleet = (list == List::Deny).then(|| self.fleet_rows());
        tokio::task::spawn_blocking(move || {
            let fleet = fleet.map(|rows| rows()).unwrap_or_default();
            let page = if query.is_of_all() {
                page_of_all(&store, (list, fleet), &query, now)
            } else {
                chosen(&store, (list, fleet), &query, &geography, now)
            };
            let answer = page.map(|Page { rows, total }| {
                let entries = rows.into_iter().map(|entry| entry_view(entry, &geography));
                Answer::Entries(Entries { entries: entries.collect(), total })
            });
            let _ = reply.send(answer.map_err(|error| store_fault(&error)));
        });
    }

    pub(super) fn blocks(&self, query: &ListQuery) -> Result<BlocksAnswer, Fault> {
        query::check(query, true)?;
        let now = self.clock.timestamp_now();
        let wanted = |it: &&BlockRecord| {
            query.kind.is_none_or(|kind| it.kind == kind) && now < it.expires_at
        };
        let mut blocks: Vec<&BlockRecord> = self.ledger.blocks().filter(wanted).collect();
        blocks
            .sort_by(|a, b| b.started_at.cmp(&a.started_at).then_with(|| a.source.cmp(&b.source)));
        let query = ListQuery { kind: None, ..query.clone() };
        let Page { rows, total } = query::page_of(blocks, &query, now.as_second())?;
        Ok(BlocksAnswer { blocks: rows.into_iter().map(block_view).collect(), total })
    }
}

/// Those of the store, and then those of the fleet. An entry that has just ended counts until it is
/// taken out.
fn page_of_all(
    store: &Store,
    (list, fleet): (List, Vec<ListEntry>),
    query: &ListQuery,
    now: Timestamp,
) -> Result<Page<ListEntry>, StoreError> {
    let offset = query.offset.unwrap_or(0);
    let limit = query.limit.unwrap_or(PAGE_MAX).min(PAGE_MAX);
    let stored = store.list_length(list);
    let total = stored + fleet.len() as u64;
    let mut rows = store.list_page(list, offset, limit)?;
    let number = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
    let wanted = number(limit).saturating_sub(rows.len());
    rows.extend(fleet.into_iter().skip(number(offset.saturating_sub(stored))).take(wanted));
    rows.retain(|entry| !has_ended(entry, now));
    Ok(Page { rows, total })
}

fn has_ended(entry: &ListEntry, now: Timestamp) -> bool {
    entry.expires_at.is_some_and(|at| at <= now)
}

fn chosen(
    store: &Store,
    (list, fleet): (List, Vec<ListEntry>),
    query: &ListQuery,
    geography: &Geography,
    now: Timestamp,
) -> Result<Page<ListEntry>, StoreError> {
    let found: Box<dyn Iterator<Item = Result<ListEntry, StoreError>>> = match query.covers {
        Some(address) => Box::new(store.covering(list, address)?.into_iter().map(Ok)),
        None => Box::new(store.list(list)),
    };
    let covers = |it: &ListEntry| query.covers.is_none_or(|to| it.network.contains(to));
    let found = found.chain(fleet.into_iter().filter(covers).map(Ok));
    let live = found.filter(|entry| !entry.as_ref().is_ok_and(|it| has_ended(it, now)));
    let by_country = query.country.is_some() || query.sort == Some(SortBy::Country);
    let rows = live.map(|entry| {
        let entry = entry?;
        let country = by_country.then(|| geography.country(entry.network.ip())).flatten();
        Ok(Stored { country, entry })
    });
    let Page { rows, total } = query::page(rows, query, now.as_second())?;
    Ok(Page { rows: rows.into_iter().map(|row| row.entry).collect(), total })
}

/// An entry with what it is chosen and sorted by.
struct Stored {
    entry: ListEntry,
    /// Looked up only where it is asked for.
    country: Option<Country>,
}

impl Row for Stored {
    fn facts(&self) -> Facts<'_> {
        Facts {
            network: Some(self.entry.network),
            note: &self.entry.note,
            author: &self.entry.added_by,
            time: self.entry.added_at.as_second(),
            country: self.country.as_ref().map(|country| country.code()),
            endpoint: self.entry.endpoint.as_deref(),
            expires_at: self.entry.expires_at.map(Timestamp::as_second),
        }
    }
}

impl Row for &BlockRecord {
    fn facts(&self) -> Facts<'_> {
        Facts {
            network: Some(self.source),
            note: &self.reason,
            author: &self.rule,
            time: self.started_at.as_second(),
            country: self.country.as_deref(),
            endpoint: self.endpoint.as_deref(),
            expires_at: Some(self.expires_at.as_second()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Scope;
    use crate::store::{Change, Origin};

    fn entry(number: u64, origin: Origin) -> ListEntry {
        ListEntry {
            network: format!("192.0.2.{number}").parse().unwrap(),
            list: List::Deny,
            endpoint: None,
            note: String::new(),
            added_at: Timestamp::UNIX_EPOCH,
            added_by: "ann".to_owned(),
            expires_at: None,
            scope: Scope::All,
            origin,
        }
    }

    #[test]
    fn the_fleets_rows_come_after_the_stores() {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(directory.path()).unwrap();
        let stored = (0..5).map(|number| Change::PutList(entry(number, Origin::Manual)));
        store.apply(&stored.collect::<Vec<_>>()).unwrap();
        let fleet: Vec<_> = (5..8).map(|number| entry(number, Origin::Fleet)).collect();
        for (offset, limit) in [(0, 2), (3, 2), (3, 3), (4, 9), (5, 2), (6, 9), (8, 1), (99, 9)] {
            let query =
                ListQuery { offset: Some(offset), limit: Some(limit), ..Default::default() };
            let page =
                page_of_all(&store, (List::Deny, fleet.clone()), &query, Timestamp::UNIX_EPOCH)
                    .unwrap();
            let networks: Vec<_> = page.rows.iter().map(|it| it.network).collect();
            let expected = (offset..8).take(limit as usize);
            let expected: Vec<_> = expected.map(|it| entry(it, Origin::Feed).network).collect();
            assert_eq!((networks, page.total), (expected, 8), "{offset} {limit}");
        }
    }

    #[test]
    fn only_a_question_without_a_choice_is_of_all() {
        let of_all = |text| serde_json::from_str::<ListQuery>(text).unwrap().is_of_all();
        assert!(of_all("{}") && of_all(r#"{"offset":9,"limit":2}"#));
        for text in [r#"{"reverse":true}"#, r#"{"sort":"time"}"#, r#"{"search":"a","limit":2}"#] {
            assert!(!of_all(text), "{text}");
        }
    }
}
