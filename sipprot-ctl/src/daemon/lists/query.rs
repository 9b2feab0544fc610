//! Rows of lists as they are asked for: chosen, put in order, cut into pages. Pure, and the same for
//! every list.

use std::cmp::Ordering;
use std::net::IpAddr;

use ipnetwork::IpNetwork;

use crate::api::{BlocklistView, Expiry, Fault, ListQuery, PeerView, SortBy, TrustView};
use crate::report;

/// Rows in one answer; callers ask for the next page.
pub const PAGE_MAX: u64 = 10_000;
/// How far a page may lie in an order that isn't the list's own: so many rows are held to find it.
const ORDERED_MAX: u64 = 100_000;

/// What rows of all lists have, as far as they have it.
#[derive(Clone, Copy, Default)]
pub struct Facts<'a> {
    pub network: Option<IpNetwork>,
    pub note: &'a str,
    pub author: &'a str,
    /// Unix seconds.
    pub time: i64,
    /// ISO code.
    pub country: Option<&'a str>,
    pub endpoint: Option<&'a str>,
    pub expires_at: Option<i64>,
}

pub trait Row {
    fn facts(&self) -> Facts<'_>;
}

/// The page that is asked for, and how many rows there are on all pages.
pub struct Page<T> {
    pub rows: Vec<T>,
    pub total: u64,
}

/// The first error of the rows, or the fault of the question, ends it.
pub fn page<T: Row, E>(
    rows: impl Iterator<Item = Result<T, E>>,
    query: &ListQuery,
    now: i64,
) -> Result<Page<T>, E> {
    let offset = query.offset.unwrap_or(0);
    let limit = query.limit.unwrap_or(PAGE_MAX).min(PAGE_MAX);
    let choice = Choice::of(query, now);
    let mut total = 0;
    if query.sort.is_none() && !query.reverse {
        let mut page = Vec::new();
        for row in rows {
            let row = row?;
            if choice.takes(&row.facts()) {
                if total >= offset && (page.len() as u64) < limit {
                    page.push(row);
                }
                total += 1;
            }
        }
        return Ok(Page { rows: page, total });
    }
    let keep = usize::try_from(offset.saturating_add(limit)).unwrap_or(usize::MAX);
    let mut first = First { keep, reverse: query.reverse, rows: Vec::new() };
    for row in rows {
        let row = row?;
        let facts = row.facts();
        if choice.takes(&facts) {
            first.put((Place::of(&facts, query.sort), total), row);
            total += 1;
        }
    }
    let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
    Ok(Page { rows: first.in_order().skip(skipped).collect(), total })
}

/// A page of what is in memory anyway.
pub fn page_of<T: Row>(rows: Vec<T>, query: &ListQuery, now: i64) -> Result<Page<T>, Fault> {
    check(query, false)?;
    page(rows.into_iter().map(Ok), query, now)
}

/// What can't be asked.
pub fn check(query: &ListQuery, of_blocks: bool) -> Result<(), Fault> {
    if query.kind.is_some() && !of_blocks {
        return Err(Fault::invalid("kind", "only blocks have one"));
    }
    let is_ordered = query.sort.is_some() || query.reverse;
    let end =
        query.offset.unwrap_or(0).saturating_add(query.limit.unwrap_or(PAGE_MAX).min(PAGE_MAX));
    if is_ordered && end > ORDERED_MAX {
        let message = format!(
            "in this order at most the first {ORDERED_MAX} rows can be seen: choose fewer, or export"
        );
        return Err(Fault::invalid("offset", message));
    }
    Ok(())
}

struct Choice<'a> {
    query: &'a ListQuery,
    now: i64,
    search: Option<String>,
    searched: Option<IpAddr>,
    note: Option<String>,
    author: Option<String>,
}

impl<'a> Choice<'a> {
    fn of(query: &'a ListQuery, now: i64) -> Self {
        let lower = |text: &Option<String>| text.as_deref().map(str::to_lowercase);
        let searched = query.search.as_deref().and_then(|text| text.parse().ok());
        let (search, note) = (lower(&query.search), lower(&query.note));
        Self { query, now, search, searched, note, author: lower(&query.author) }
    }

    fn takes(&self, row: &Facts<'_>) -> bool {
        let covers = |address: IpAddr| row.network.is_some_and(|network| network.contains(address));
        let query = self.query;
        query.covers.is_none_or(covers)
            && has(row.note, self.note.as_deref())
            && has(row.author, self.author.as_deref())
            && query.country.as_deref().is_none_or(|wanted| {
                row.country.is_some_and(|country| country.eq_ignore_ascii_case(wanted))
            })
            && query.endpoint.as_deref().is_none_or(|wanted| match row.endpoint {
                Some(endpoint) => endpoint == wanted,
                None => wanted == crate::daemon::plan::HOST,
            })
            && query.expires.is_none_or(|expires| match (expires, row.expires_at) {
                (Expiry::Never, at) => at.is_none(),
                (Expiry::Some, at) => at.is_some(),
                (Expiry::Within(seconds), at) => at.is_some_and(|at| {
                    at <= self.now.saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX))
                }),
            })
            && self.search.as_deref().is_none_or(|search| {
                self.searched.is_some_and(covers)
                    || row.network.is_some_and(|it| report::address(it).contains(search))
                    || has(row.note, Some(search))
                    || has(row.author, Some(search))
            })
    }
}

fn has(text: &str, part: Option<&str>) -> bool {
    part.is_none_or(|part| text.to_lowercase().contains(part))
}

/// Where a row stands in an order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// In the list's own order nothing but the row's number says.
    Own,
    Network(Option<IpNetwork>),
    Number(i64),
    Text(String),
}

impl Place {
    fn of(row: &Facts<'_>, sort: Option<SortBy>) -> Self {
        match sort {
            None => Self::Own,
            Some(SortBy::Address) => Self::Network(row.network),
            Some(SortBy::Time) => Self::Number(row.time),
            Some(SortBy::Author) => Self::Text(row.author.to_lowercase()),
            Some(SortBy::Note) => Self::Text(row.note.to_lowercase()),
            Some(SortBy::Country) => Self::Text(row.country.unwrap_or_default().to_owned()),
            // What never ends comes last.
            Some(SortBy::Expires) => Self::Number(row.expires_at.unwrap_or(i64::MAX)),
        }
    }
}

/// The first rows of an order, of any number that come.
struct First<T> {
    keep: usize,
    reverse: bool,
    rows: Vec<((Place, u64), T)>,
}

impl<T> First<T> {
    fn put(&mut self, place: (Place, u64), row: T) {
        self.rows.push((place, row));
        if self.keep > 0 && self.rows.len() >= self.keep.saturating_mul(2) {
            let reverse = self.reverse;
            self.rows.select_nth_unstable_by(self.keep - 1, |a, b| ordered(reverse, a, b));
            self.rows.truncate(self.keep);
        }
    }

    fn in_order(mut self) -> impl Iterator<Item = T> {
        let reverse = self.reverse;
        self.rows.sort_unstable_by(|a, b| ordered(reverse, a, b));
        self.rows.into_iter().take(self.keep).map(|(_, row)| row)
    }
}

fn ordered<T>(reverse: bool, a: &((Place, u64), T), b: &((Place, u64), T)) -> Ordering {
    if reverse { b.0.cmp(&a.0) } else { a.0.cmp(&b.0) }
}

impl Row for TrustView {
    fn facts(&self) -> Facts<'_> {
        Facts {
            network: self.source.parse().ok(),
            note: self.accounts.first().map_or("", String::as_str),
            author: &self.kind,
            time: self.since,
            country: self.country.as_deref(),
            ..Facts::default()
        }
    }
}

impl Row for PeerView {
    fn facts(&self) -> Facts<'_> {
        Facts {
            network: Some(self.network),
            note: &self.note,
            author: self.added_by.as_deref().or(self.configured_in.as_deref()).unwrap_or_default(),
            time: self.added_at.unwrap_or_default(),
            ..Facts::default()
        }
    }
}

impl Row for BlocklistView {
    fn facts(&self) -> Facts<'_> {
        Facts {
            note: &self.source,
            author: &self.name,
            time: self.read_at.unwrap_or_default(),
            expires_at: self.expires_at,
            ..Facts::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Named(&'static str, i64, Option<i64>);

    impl Row for Named {
        fn facts(&self) -> Facts<'_> {
            Facts {
                network: self.0.parse().ok(),
                note: "A Note",
                author: "ann",
                time: self.1,
                country: (self.1 > 2).then_some("FR"),
                endpoint: (self.1 == 1).then_some("pbx1"),
                expires_at: self.2,
            }
        }
    }

    fn ask(query: &ListQuery) -> (Vec<&'static str>, u64) {
        let rows = vec![
            Named("192.0.2.0/24", 4, None),
            Named("192.0.2.7", 1, Some(1_050)),
            Named("198.51.100.9", 3, Some(5_000)),
            Named("2001:db8::/32", 2, None),
        ];
        let page = page_of(rows, query, 1_000).unwrap();
        (page.rows.into_iter().map(|row| row.0).collect(), page.total)
    }

    fn check_rows(text: &str, rows: &[&str], total: u64) {
        let query: ListQuery = serde_json::from_str(text).unwrap();
        assert_eq!(ask(&query), (rows.to_vec(), total), "{text}");
    }

    #[test]
    fn choices_orders_and_pages() {
        let all = ["192.0.2.0/24", "192.0.2.7", "198.51.100.9", "2001:db8::/32"];
        check_rows("{}", &all, 4);
        check_rows(r#"{"search":"192.0.2.7"}"#, &all[..2], 2);
        check_rows(r#"{"search":"note"}"#, &all, 4);
        check_rows(r#"{"covers":"192.0.2.9"}"#, &all[..1], 1);
        check_rows(r#"{"covers":"2001:db8::1"}"#, &all[3..], 1);
        check_rows(r#"{"note":"a n","author":"AN"}"#, &all, 4);
        check_rows(r#"{"author":"bob"}"#, &[], 0);
        check_rows(r#"{"country":"fr"}"#, &["192.0.2.0/24", "198.51.100.9"], 2);
        check_rows(r#"{"endpoint":"pbx1"}"#, &all[1..2], 1);
        check_rows(r#"{"endpoint":"host","limit":1}"#, &all[..1], 3);
        check_rows(r#"{"expires":"never"}"#, &["192.0.2.0/24", "2001:db8::/32"], 2);
        check_rows(r#"{"expires":"60"}"#, &["192.0.2.7"], 1);
        check_rows(r#"{"expires":"some"}"#, &["192.0.2.7", "198.51.100.9"], 2);
        check_rows(r#"{"sort":"time"}"#, &[all[1], all[3], all[2], all[0]], 4);
        check_rows(r#"{"sort":"time","reverse":true,"limit":1}"#, &all[..1], 4);
        check_rows(r#"{"sort":"time","offset":1,"limit":2}"#, &[all[3], all[2]], 4);
        check_rows(r#"{"sort":"address","reverse":true,"limit":2}"#, &[all[3], all[2]], 4);
        check_rows(r#"{"reverse":true,"limit":1}"#, &all[3..], 4);
        check_rows(r#"{"sort":"country","limit":2,"offset":2}"#, &[all[0], all[2]], 4);
        check_rows(r#"{"sort":"expires","limit":1}"#, &all[1..2], 4);
        check_rows(r#"{"offset":9}"#, &[], 4);
    }

    #[test]
    fn what_cannot_be_asked() {
        let wrong = |text: &str, field: &str| {
            let query: ListQuery = serde_json::from_str(text).unwrap();
            assert_eq!(check(&query, false).unwrap_err().field.as_deref(), Some(field), "{text}");
        };
        wrong(r#"{"kind":"dynamic"}"#, "kind");
        wrong(r#"{"sort":"note","offset":99999}"#, "offset");
        assert!(check(&ListQuery { offset: Some(99_999), ..ListQuery::default() }, false).is_ok());
        for text in [r#"{"expires":"soon"}"#, r#"{"sort":"colour"}"#, r#"{"colour":1}"#] {
            assert!(serde_json::from_str::<ListQuery>(text).is_err(), "{text}");
        }
    }
}
