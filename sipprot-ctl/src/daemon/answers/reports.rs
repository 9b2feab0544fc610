//! Gathers what happened on some days; `crate::report` makes the report of it.

use jiff::Timestamp;
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{Reply, no_store, store_fault};
use crate::api::{Answer, Fault, Report, ReportQuery, SummaryQuery};
use crate::daemon::core::Core;
use crate::daemon::judgement::alerts::alert_view;
use crate::report::summary::{self, Past};
use crate::report::{self, Days};
use crate::store::{Change, Store, StoreError};

/// Days of one report.
const DAYS_MAX: u32 = 3660;

impl Core {
    /// Old rows go.
    pub(in crate::daemon) fn trim_report(&self) {
        let limits = &self.config.report;
        let before = self.clock.old_before(limits.keep_for);
        let rows_max = limits.rows_max.into();
        self.journal.note(vec![Change::TrimReport { rows_max, before }]);
    }

    pub(in crate::daemon) fn report(&mut self, query: &ReportQuery, reply: Reply) {
        let shown = query.clone();
        self.look_back(query, reply, move |store, days| {
            Ok(Answer::Report(make(store, days, &shown)?))
        });
    }

    pub(in crate::daemon) fn summary(&mut self, query: SummaryQuery, reply: Reply) {
        let SummaryQuery { from, to, days, .. } = query;
        let asked = ReportQuery { from, to, days, ..ReportQuery::default() };
        self.look_back(&asked, reply, move |store, days| {
            let past = summary::chosen(past(store, days)?, &query);
            let times = summary::Times::of(days, &past.blocks, &past.attacks);
            let report = whole(store, days, past)?;
            Ok(Answer::Summary(Box::new(summary::of_report(report, times))))
        });
    }

    /// On another thread, once all of it is written.
    fn look_back(
        &mut self,
        query: &ReportQuery,
        reply: Reply,
        make: impl FnOnce(&Store, Days) -> Result<Answer, StoreError> + Send + 'static,
    ) {
        let Some(store) = self.store.clone() else { return no_store(reply) };
        let today = self.clock.timestamp_now().to_zoned(TimeZone::UTC).date();
        self.write_renewals();
        self.write_attacks();
        let look = days(query, today)
            .map(|days| move || make(&store, days).map_err(|error| store_fault(&error)));
        self.answer_after_writes(look, reply);
    }
}

/// The days that are asked for.
fn days(query: &ReportQuery, today: Date) -> Result<Days, Fault> {
    let several = query.from.is_some() || query.to.is_some() || query.days.is_some();
    if query.date.is_some() && several {
        return Err(Fault::invalid("date", "one day, or several by from, to and days"));
    }
    if query.days.is_some() && query.from.is_some() {
        return Err(Fault::invalid("days", "the first day is said by 'from' already"));
    }
    if query.days.is_some_and(|days| !(1..=DAYS_MAX).contains(&days)) {
        return Err(Fault::invalid("days", format!("must be from 1 to {DAYS_MAX}")));
    }
    let last = query.date.or(query.to).unwrap_or(today);
    let first = match (query.days, query.from) {
        (Some(days), _) => last.saturating_sub((i64::from(days) - 1).days()),
        (None, Some(from)) => from,
        (None, None) => last,
    };
    if first > last {
        return Err(Fault::invalid("from", format!("{first} is later than {last}")));
    }
    Ok(Days { first, last })
}

fn past(store: &Store, days: Days) -> Result<Past, StoreError> {
    let time = midnight(days.first)..days.last.tomorrow().map_or(Timestamp::MAX, midnight);
    let blocks = store.history(time.clone()).collect::<Result<Vec<_>, _>>()?;
    let attacks = store.attacks(days.first..=days.last).collect::<Result<Vec<_>, _>>()?;
    let alerts = store
        .alerts(time)
        .map(|alert| alert.map(|alert| alert_view(&alert)))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Past { blocks, attacks, alerts })
}

/// The report of some days, its rows as a query wants them.
pub(in crate::daemon) fn make(
    store: &Store,
    days: Days,
    query: &ReportQuery,
) -> Result<Report, StoreError> {
    Ok(report::shown(whole(store, days, past(store, days)?)?, query))
}

fn whole(store: &Store, days: Days, past: Past) -> Result<Report, StoreError> {
    let Past { blocks, attacks, alerts } = past;
    let report = report::of_days(host_name(), days, blocks, attacks, alerts);
    let kept_since = kept_since(store)?.map(|day| day.to_string());
    Ok(Report { kept_since, ..report })
}

/// The oldest day of which there is anything.
fn kept_since(store: &Store) -> Result<Option<Date>, StoreError> {
    let attack = store.attacks(Date::ZERO..=Date::MAX).next().transpose()?.map(|it| it.day);
    let block = store.history(Timestamp::UNIX_EPOCH..Timestamp::MAX).next().transpose()?;
    let block = block.map(|block| block.started_at.to_zoned(TimeZone::UTC).date());
    Ok(attack.into_iter().chain(block).min())
}

pub(in crate::daemon) fn midnight(date: Date) -> Timestamp {
    date.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |zoned| zoned.timestamp())
}

pub(in crate::daemon) fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, expected: Result<(&str, &str), &str>) {
        let query: ReportQuery = serde_json::from_str(query).unwrap();
        let found = days(&query, "2026-03-02".parse().unwrap());
        let found = found.map(|it| (it.first.to_string(), it.last.to_string()));
        let expected = expected.map(|(first, last)| (first.to_owned(), last.to_owned()));
        let field = |fault: Fault| fault.field.unwrap_or_default();
        assert_eq!(found.map_err(field), expected.map_err(str::to_owned), "{query:?}");
    }

    #[test]
    fn days_that_are_asked_for() {
        check("{}", Ok(("2026-03-02", "2026-03-02")));
        check(r#"{"date":"2026-02-28"}"#, Ok(("2026-02-28", "2026-02-28")));
        check(r#"{"days":1}"#, Ok(("2026-03-02", "2026-03-02")));
        check(r#"{"days":3}"#, Ok(("2026-02-28", "2026-03-02")));
        check(r#"{"days":2,"to":"2026-01-01"}"#, Ok(("2025-12-31", "2026-01-01")));
        check(r#"{"from":"2026-02-01"}"#, Ok(("2026-02-01", "2026-03-02")));
        check(r#"{"from":"2026-02-01","to":"2026-02-03"}"#, Ok(("2026-02-01", "2026-02-03")));
        check(r#"{"from":"2026-03-03"}"#, Err("from"));
        check(r#"{"date":"2026-02-28","days":2}"#, Err("date"));
        check(r#"{"from":"2026-02-28","days":2}"#, Err("days"));
        check(r#"{"days":0}"#, Err("days"));
        check(r#"{"days":99999}"#, Err("days"));
    }
}
