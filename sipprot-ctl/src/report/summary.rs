//! The sums of a report, and when its attacks began.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Days;
use crate::api::{AlertView, Report, ReportRow, Series, Summary, SummaryQuery, SummaryRow};
use crate::store::{AttackRecord, BlockRecord};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
/// Lengths that a step may have.
const STEPS: [u64; 6] = [HOUR / 4, HOUR, 6 * HOUR, DAY, 7 * DAY, 30 * DAY];
const STEPS_MAX: u64 = 200;

/// Blocks, what was dropped, and alerts: what sums are made of.
pub struct Past {
    pub blocks: Vec<BlockRecord>,
    pub attacks: Vec<AttackRecord>,
    pub alerts: Vec<AlertView>,
}

/// What the query chooses of it.
pub fn chosen(past: Past, query: &SummaryQuery) -> Past {
    let takes = |country: Option<&str>, endpoint: Option<&str>, method: &str| {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|it| found.is_some_and(|it2| it.eq_ignore_ascii_case(it2)))
        };
        is(&query.country, country)
            && is(&query.endpoint, endpoint)
            && is(&query.kind, kind(method))
    };
    let Past { mut blocks, mut attacks, mut alerts } = past;
    blocks.retain(|it| takes(it.country.as_deref(), it.endpoint.as_deref(), &it.rule));
    attacks.retain(|it| takes(it.country.as_deref(), it.endpoint.as_deref(), &it.method));
    // Alerts know no country and are of no kind.
    alerts.retain(|it| query.endpoint.is_none() || it.endpoint == query.endpoint);
    Past { blocks, attacks, alerts }
}

/// What stands before the colon.
fn kind(method: &str) -> Option<&str> {
    method.split_once(':').map(|(kind, _)| kind)
}

/// When attacks began: each block at its start, and what was dropped without one at its first packet.
pub struct Times {
    start: i64,
    step_s: u64,
    series: BTreeMap<String, Vec<u64>>,
}

impl Times {
    pub fn of(days: Days, blocks: &[BlockRecord], attacks: &[AttackRecord]) -> Self {
        let midnight = |day: jiff::civil::Date| {
            day.to_zoned(TimeZone::UTC).map_or(0, |it| it.timestamp().as_second())
        };
        let start = midnight(days.first);
        let end = days.last.tomorrow().map_or(start, midnight).max(start);
        let span = end.abs_diff(start);
        let longest = STEPS[STEPS.len() - 1];
        let fits = |step: &u64| span.div_ceil(*step) <= STEPS_MAX;
        let step_s = STEPS.into_iter().find(fits).unwrap_or(longest);
        let mut times = Self { start, step_s, series: BTreeMap::new() };
        let steps = usize::try_from(span.div_ceil(step_s)).unwrap_or_default();
        let mut blocked: HashSet<(IpNetwork, Option<&str>)> = HashSet::new();
        for block in blocks {
            blocked.insert((block.source, kind(&block.rule)));
            times.count(&block.rule, block.started_at, steps);
        }
        for attack in attacks {
            if !blocked.contains(&(attack.source, kind(&attack.method))) {
                times.count(&attack.method, attack.first, steps);
            }
        }
        times
    }

    fn count(&mut self, method: &str, at: Timestamp, steps: usize) {
        let since = u64::try_from(at.as_second() - self.start).ok();
        let step = since.and_then(|since| usize::try_from(since / self.step_s).ok());
        let kind = kind(method).unwrap_or(method).to_owned();
        let counts = self.series.entry(kind).or_insert_with(|| vec![0; steps]);
        if let Some(count) = step.and_then(|step| counts.get_mut(step)) {
            *count += 1;
        }
    }
}

/// Sums of a report that has all its rows.
pub fn of_report(report: Report, times: Times) -> Summary {
    let Times { start, step_s, series } = times;
    let all: BTreeSet<&str> = report.rows.iter().map(|row| row.attacker.as_str()).collect();
    let attackers = all.len() as u64;
    let whom = |row: &ReportRow| row.endpoint.clone().or(row.victim.map(|it| it.to_string()));
    let endpoints = sums(&report.rows, whom);
    let methods = sums(&report.rows, |row| Some(row.method.clone()));
    let mut alerts = report.alerts;
    alerts.reverse();
    alerts.truncate(Summary::ROWS_MAX);
    Summary {
        host: report.host,
        date: report.date,
        until: report.until,
        zone: report.zone,
        kept_since: report.kept_since,
        start,
        step_s,
        series: series.into_iter().map(|(kind, attacks)| Series { kind, attacks }).collect(),
        attackers,
        blocks: report.total_blocks,
        containments: report.total_containments,
        drops: report.total_drops,
        observed: report.total_observed,
        countries: report.countries,
        endpoints,
        methods,
        alerts,
    }
}

fn sums(rows: &[ReportRow], name: impl Fn(&ReportRow) -> Option<String>) -> Vec<SummaryRow> {
    let mut all: BTreeMap<Option<String>, (BTreeSet<&str>, SummaryRow)> = BTreeMap::new();
    for row in rows {
        let name = name(row);
        let (attackers, sum) = all.entry(name.clone()).or_insert_with(|| {
            let row = SummaryRow { name, attackers: 0, blocks: 0, containments: 0, drops: 0 };
            (BTreeSet::new(), row)
        });
        attackers.insert(&row.attacker);
        sum.blocks += row.blocks;
        sum.containments += row.containments;
        sum.drops += row.drops;
    }
    let counted = all.into_values().map(|(attackers, row)| {
        let attackers = attackers.len() as u64;
        SummaryRow { attackers, ..row }
    });
    let mut sums: Vec<SummaryRow> = counted.collect();
    sums.sort_by_key(|row| Reverse((row.drops, row.blocks + row.containments)));
    sums.truncate(Summary::ROWS_MAX);
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{of_days, tests::attack, tests::block};
    use crate::store::BlockKind;

    fn past() -> Past {
        let scan = AttackRecord { country: None, ..attack("198.51.100.7/32", "SCANNER:probe", 40) };
        Past {
            blocks: vec![
                block("198.51.100.9/32", "BRUTEFORCE:register", BlockKind::Dynamic),
                block("2001:db8::/64", "BRUTEFORCE:attempts", BlockKind::Containment),
            ],
            // What is dropped of somebody who is blocked is no other attack.
            attacks: vec![attack("198.51.100.9/32", "BRUTEFORCE:register", 3), scan],
            alerts: Vec::new(),
        }
    }

    fn summary(query: SummaryQuery, first: &str, last: &str) -> Summary {
        let days = Days { first: first.parse().unwrap(), last: last.parse().unwrap() };
        let Past { blocks, attacks, alerts } = chosen(past(), &query);
        let times = Times::of(days, &blocks, &attacks);
        of_report(of_days("host".to_owned(), days, blocks, attacks, alerts), times)
    }

    #[test]
    fn each_attack_counts_once_where_it_began() {
        let all = summary(SummaryQuery::default(), "1970-01-01", "1970-01-01");
        assert_eq!((all.start, all.step_s, all.attackers, all.drops), (0, 900, 3, 43));
        let counted: Vec<_> = all
            .series
            .iter()
            .map(|it| (it.kind.as_str(), it.attacks.len(), it.attacks[0]))
            .collect();
        assert_eq!(counted, [("BRUTEFORCE", 96, 2), ("SCANNER", 96, 1)]);
        let rows: Vec<_> =
            all.endpoints.iter().map(|it| (it.name.as_deref(), it.attackers, it.drops)).collect();
        assert_eq!(rows, [(Some("pbx1"), 3, 43)]);
    }

    #[test]
    fn filters_act_on_all_of_it() {
        let query = SummaryQuery { kind: Some("scanner".to_owned()), ..SummaryQuery::default() };
        let scans = summary(query, "1970-01-01", "1970-01-01");
        assert_eq!((scans.attackers, scans.series.len(), scans.methods.len()), (1, 1, 1));
        let query = SummaryQuery { country: Some("PS".to_owned()), ..SummaryQuery::default() };
        assert_eq!(summary(query, "1970-01-01", "1970-01-01").drops, 3);
        let query = SummaryQuery { endpoint: Some("pbx2".to_owned()), ..SummaryQuery::default() };
        assert_eq!(summary(query, "1970-01-01", "1970-01-01").attackers, 0);
    }

    #[test]
    fn steps_grow_with_the_days() {
        let check = |last: &str, step_s: u64, steps: usize| {
            let found = summary(SummaryQuery::default(), "1970-01-01", last);
            assert_eq!((found.step_s, found.series[0].attacks.len()), (step_s, steps), "{last}");
        };
        check("1970-01-01", 900, 96);
        check("1970-01-07", 3600, 168);
        check("1970-01-30", 6 * 3600, 120);
        check("1970-03-31", 86_400, 90);
        check("1979-12-31", 30 * 86_400, 122);
    }
}
