//! The report as a CSV file, in which a spreadsheet program calculates nothing.

use std::io;

use jiff::Timestamp;

use crate::api::{Report, ReportRow};
use crate::report::utc;
use crate::sheet::harmless;

const COLUMNS: [&str; 12] = [
    "ATTACKER_IP",
    "COUNTRY",
    "METHOD",
    "VICTIM_IP",
    "BLOCKS",
    "CONTAINMENTS",
    "DROPS",
    "OBSERVED",
    "ENDPOINT",
    "USER_AGENT",
    "FIRST",
    "LAST",
];

/// One line for each row; times are UTC and say so.
pub fn csv(report: &Report) -> io::Result<String> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(COLUMNS)?;
    for row in &report.rows {
        for cell in cells(row) {
            csv.write_field(harmless(&cell).as_bytes())?;
        }
        csv.write_record(None::<&[u8]>)?;
    }
    let bytes = csv.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn cells(row: &ReportRow) -> [String; COLUMNS.len()] {
    [
        row.attacker.clone(),
        row.country_name.clone().unwrap_or_default(),
        row.method.clone(),
        row.victim.map(|victim| victim.to_string()).unwrap_or_default(),
        row.blocks.to_string(),
        row.containments.to_string(),
        row.drops.to_string(),
        row.observed.to_string(),
        row.endpoint.clone().unwrap_or_default(),
        row.user_agent.clone().unwrap_or_default(),
        time(row.first),
        time(row.last),
    ]
}

pub fn time(seconds: i64) -> String {
    let at = Timestamp::from_second(seconds);
    at.map(utc).unwrap_or_default()
}
