//! The report of a day or of several: who attacked whom, by what, and what was done; and what of it an
//! abuse desk is told.
//!
//! Pure: rows of the store in, the answer out.

pub mod abuse;
pub mod sheet;
pub mod summary;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use jiff::civil::Date;

use crate::api::{
    AlertView, CountryRow, Report, ReportOrder, ReportQuery, ReportRow, country_name,
};
use crate::rules::RuleId;
use crate::store::{AttackRecord, BlockKind, BlockRecord};

/// From the first one to the last, both included, in UTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Days {
    pub first: Date,
    pub last: Date,
}

/// Makes the report of days from the blocks that began on them and what was dropped on them.
pub fn of_days(
    host: String,
    days: Days,
    blocks: impl IntoIterator<Item = BlockRecord>,
    attacks: impl IntoIterator<Item = AttackRecord>,
    alerts: Vec<AlertView>,
) -> Report {
    let mut rows: BTreeMap<Key, ReportRow> = BTreeMap::new();
    for attack in attacks {
        let row = rows.entry(Key::of_attack(&attack)).or_insert_with(|| attack_row(&attack));
        row.drops += attack.drops;
        row.observed += attack.observed;
        row.user_agent = attack.user_agent.or(row.user_agent.take());
        row.first = row.first.min(attack.first.as_second());
        row.last = row.last.max(attack.last.as_second());
    }
    for block in blocks {
        let row = rows.entry(Key::of_block(&block)).or_insert_with(|| block_row(&block));
        match block.kind {
            _ if block.refused => {}
            BlockKind::Dynamic => row.blocks += 1,
            BlockKind::Containment | BlockKind::Quarantine => row.containments += 1,
        }
        let line = block.evidence.and_then(|evidence| evidence.last.line);
        row.line = line.or(row.line.take());
        row.country = row.country.take().or(block.country);
        row.user_agent = block.user_agent.or(row.user_agent.take());
        row.first = row.first.min(block.evidence_first.as_second());
        row.last = row.last.max(block.evidence_last.as_second());
    }
    join_attempts(&mut rows);
    let mut rows: Vec<ReportRow> = rows.into_values().collect();
    for row in &mut rows {
        row.country_name = row.country.as_deref().and_then(country_name);
    }
    Report {
        host,
        date: days.first.to_string(),
        until: days.last.to_string(),
        zone: "UTC".to_owned(),
        kept_since: None,
        total_rows: rows.len() as u64,
        total_blocks: rows.iter().map(|row| row.blocks).sum(),
        total_containments: rows.iter().map(|row| row.containments).sum(),
        total_drops: rows.iter().map(|row| row.drops).sum(),
        total_observed: rows.iter().map(|row| row.observed).sum(),
        countries: countries(&rows),
        rows,
        alerts,
    }
}

/// The rows that are asked for, in the order that is; the totals stay.
pub fn shown(report: Report, query: &ReportQuery) -> Report {
    let mut rows = report.rows;
    match query.sort.unwrap_or(ReportOrder::Victim) {
        ReportOrder::Victim => {}
        ReportOrder::Attacker => rows.sort_by_cached_key(attacker),
        ReportOrder::Country => rows.sort_by_cached_key(|row| row.country_name.clone()),
        ReportOrder::Method => rows.sort_by_cached_key(|row| row.method.clone()),
        ReportOrder::Blocks => rows.sort_by_key(|row| Reverse(row.blocks)),
        ReportOrder::Drops => rows.sort_by_key(|row| Reverse(row.drops)),
        ReportOrder::Last => rows.sort_by_key(|row| Reverse(row.last)),
    }
    if query.reverse {
        rows.reverse();
    }
    let limit =
        query.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    rows.truncate(limit);
    Report { rows, ..report }
}

fn attacker(row: &ReportRow) -> IpNetwork {
    row.attacker.parse().unwrap_or_else(|_| IpNetwork::from(IpAddr::from([0, 0, 0, 0])))
}

fn countries(rows: &[ReportRow]) -> Vec<CountryRow> {
    let mut attackers: BTreeMap<Option<&str>, BTreeSet<&str>> = BTreeMap::new();
    let mut found: BTreeMap<Option<&str>, CountryRow> = BTreeMap::new();
    for row in rows {
        let country = row.country.as_deref();
        attackers.entry(country).or_default().insert(&row.attacker);
        let sum = found.entry(country).or_insert_with(|| CountryRow {
            country: row.country.clone(),
            country_name: row.country_name.clone(),
            attackers: 0,
            blocks: 0,
            containments: 0,
            drops: 0,
        });
        sum.blocks += row.blocks;
        sum.containments += row.containments;
        sum.drops += row.drops;
    }
    let counted = found.into_iter().map(|(country, row)| {
        let attackers = attackers.get(&country).map_or(0, |all| all.len() as u64);
        CountryRow { attackers, ..row }
    });
    let mut all: Vec<CountryRow> = counted.collect();
    all.sort_by_key(|row| Reverse((row.drops, row.blocks)));
    all
}

/// What the kernel held back before the rules blocked the same attacker belongs to that block.
fn join_attempts(rows: &mut BTreeMap<Key, ReportRow>) {
    let attempts = RuleId::KernelAttempts.signature();
    let loose = |row: &ReportRow| row.method == attempts && row.blocks + row.containments == 0;
    let held: Vec<ReportRow> =
        rows.extract_if(.., |_, row| loose(row)).map(|(_, row)| row).collect();
    for row in held {
        let same = |other: &&mut ReportRow| {
            let whom = |it: &ReportRow| (it.victim, it.endpoint.clone());
            other.attacker == row.attacker && whom(other) == whom(&row) && other.blocks > 0
        };
        if let Some(block) = rows.values_mut().find(same) {
            block.drops += row.drops;
            block.observed += row.observed;
            block.first = block.first.min(row.first);
            block.last = block.last.max(row.last);
            continue;
        }
        rows.insert(Key::of_row(&row), row);
    }
}

/// In the order of the table: by victim and endpoint, then by attacker.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    victim: Option<IpAddr>,
    /// Several may have one address.
    endpoint: Option<String>,
    attacker: IpNetwork,
    method: String,
}

impl Key {
    fn of_attack(attack: &AttackRecord) -> Self {
        let (endpoint, method) = (attack.endpoint.clone(), attack.method.clone());
        Self { victim: attack.victim, endpoint, attacker: attack.source, method }
    }

    fn of_row(row: &ReportRow) -> Self {
        let (endpoint, method) = (row.endpoint.clone(), row.method.clone());
        Self { victim: row.victim, endpoint, attacker: attacker(row), method }
    }

    fn of_block(block: &BlockRecord) -> Self {
        let (endpoint, method) = (block.endpoint.clone(), block.rule.clone());
        Self { victim: block.victim, endpoint, attacker: block.source, method }
    }
}

fn attack_row(attack: &AttackRecord) -> ReportRow {
    ReportRow {
        attacker: address(attack.source),
        country: attack.country.clone(),
        country_name: None,
        method: attack.method.clone(),
        victim: attack.victim,
        endpoint: attack.endpoint.clone(),
        blocks: 0,
        containments: 0,
        drops: 0,
        observed: 0,
        user_agent: None,
        line: None,
        first: attack.first.as_second(),
        last: attack.last.as_second(),
    }
}

fn block_row(block: &BlockRecord) -> ReportRow {
    ReportRow {
        attacker: address(block.source),
        country: block.country.clone(),
        country_name: None,
        method: block.rule.clone(),
        victim: block.victim,
        endpoint: block.endpoint.clone(),
        blocks: 0,
        containments: 0,
        drops: 0,
        observed: 0,
        user_agent: None,
        line: None,
        first: block.evidence_first.as_second(),
        last: block.evidence_last.as_second(),
    }
}

/// `2026-02-28 15:44:35Z`.
pub fn utc(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// Without a prefix length when it is one address.
pub fn address(network: IpNetwork) -> String {
    let single = match network {
        IpNetwork::V4(v4) => v4.prefix() == 32,
        IpNetwork::V6(v6) => v6.prefix() == 128,
    };
    if single { network.ip().to_string() } else { network.to_string() }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::config::Scope;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    pub fn attack(source: &str, method: &str, drops: u64) -> AttackRecord {
        AttackRecord {
            day: "2026-02-28".parse().unwrap(),
            source: source.parse().unwrap(),
            method: method.to_owned(),
            victim: Some([192, 0, 2, 11].into()),
            endpoint: Some("pbx1".to_owned()),
            country: Some("PS".to_owned()),
            user_agent: Some("friendly-scanner".to_owned()),
            drops,
            observed: 0,
            first: at(10),
            last: at(20),
        }
    }

    pub fn block(source: &str, rule: &str, kind: BlockKind) -> BlockRecord {
        BlockRecord {
            source: source.parse().unwrap(),
            kind,
            port: None,
            endpoint_only: false,
            endpoint: Some("pbx1".to_owned()),
            victim: Some([192, 0, 2, 11].into()),
            started_at: at(15),
            expires_at: at(3615),
            duration_s: 3600,
            scope: Scope::All,
            also: Vec::new(),
            rule: rule.to_owned(),
            reason: String::new(),
            user_agent: None,
            account: None,
            country: None,
            proven: true,
            evidence_first: at(5),
            evidence_last: at(15),
            evidence: None,
            renewals: 0,
            reaction_us: None,
            escalated: false,
            lifted: None,
            refused: false,
        }
    }

    #[test]
    fn drops_and_blocks_of_one_attacker_are_one_row() {
        let blocks = [
            block("198.51.100.9/32", "BRUTEFORCE:register", BlockKind::Dynamic),
            block("198.51.100.9/32", "BRUTEFORCE:register", BlockKind::Dynamic),
            block("2001:db8::/64", "BRUTEFORCE:attempts", BlockKind::Containment),
        ];
        let attacks = [
            attack("198.51.100.9/32", "BRUTEFORCE:register", 3),
            attack("198.51.100.7/32", "SCANNER:21da605", 40),
            attack("198.51.100.9/32", "BRUTEFORCE:attempts", 2),
            attack("198.51.100.8/32", "BRUTEFORCE:attempts", 1),
        ];
        let date = "2026-02-28".parse().unwrap();
        let days = Days { first: date, last: date };
        let report = of_days("host".to_owned(), days, blocks, attacks, Vec::new());
        let rows: Vec<_> = report
            .rows
            .iter()
            .map(|row| (row.attacker.as_str(), row.method.as_str(), row.blocks, row.drops))
            .collect();
        let expected = [
            ("198.51.100.7", "SCANNER:21da605", 0, 40),
            ("198.51.100.8", "BRUTEFORCE:attempts", 0, 1),
            ("198.51.100.9", "BRUTEFORCE:register", 2, 5),
            ("2001:db8::/64", "BRUTEFORCE:attempts", 0, 0),
        ];
        assert_eq!(rows, expected);
        let totals = (report.total_rows, report.total_blocks, report.total_containments);
        assert_eq!((totals, report.total_drops), ((4, 2, 1), 46));
        assert_eq!(report.rows[2].first, 5);
        assert_eq!(report.rows[0].country_name.as_deref(), country_name("PS").as_deref());
        let countries: Vec<_> = report
            .countries
            .iter()
            .map(|row| (row.country.as_deref(), row.attackers, row.blocks, row.drops))
            .collect();
        assert_eq!(countries, [(Some("PS"), 3, 2, 46), (None, 1, 0, 0)]);
    }

    #[test]
    fn orders_and_limits_leave_the_totals() {
        let attacks = [
            attack("198.51.100.9/32", "BRUTEFORCE:register", 3),
            attack("198.51.100.10/32", "SCANNER:21da605", 40),
            attack("198.51.100.8/32", "ABUSE:not-sip", 7),
        ];
        let date = "2026-02-28".parse().unwrap();
        let days = Days { first: date, last: date };
        let report = of_days("host".to_owned(), days, [], attacks, Vec::new());
        let check = |query: &str, attackers: &[&str]| {
            let shown = shown(report.clone(), &serde_json::from_str(query).unwrap());
            let found: Vec<_> = shown.rows.iter().map(|row| row.attacker.as_str()).collect();
            assert_eq!(found, attackers, "{query}");
            assert_eq!((shown.total_rows, shown.total_drops), (3, 50), "{query}");
        };
        check("{}", &["198.51.100.8", "198.51.100.9", "198.51.100.10"]);
        check(r#"{"sort":"attacker","reverse":true,"limit":1}"#, &["198.51.100.10"]);
        check(r#"{"sort":"drops","limit":2}"#, &["198.51.100.10", "198.51.100.8"]);
        check(r#"{"sort":"method","limit":1}"#, &["198.51.100.8"]);
    }
}
