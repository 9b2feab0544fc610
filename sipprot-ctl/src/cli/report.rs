//! `sipprot report`.

use jiff::civil::Date;

use super::client::query;
use super::lists::time;
use super::table::{Align, Table};
use super::{CliError, Context};
use crate::api::{AlertView, Report, ReportRow};

pub(super) fn run(context: &Context, date: Option<Date>) -> Result<(), CliError> {
    let date = date.map(|date| date.to_string());
    let query = query(&[("date", date.as_deref())]);
    let report: Report = context.client()?.get(&format!("/report{query}"))?;
    context.print(&report, text)
}

pub(super) fn text(report: &Report) -> String {
    let mut table = Table::new([
        ("ATTACKER IP", Align::Right),
        ("COUNTRY", Align::Right),
        ("METHOD", Align::Right),
        ("VICTIM IP", Align::Right),
        ("BLOCKS", Align::Right),
    ]);
    for row in &report.rows {
        table.row([
            row.attacker.clone(),
            row.country_name.clone().unwrap_or_default(),
            row.method.clone(),
            row.victim.map(|victim| victim.to_string()).unwrap_or_default(),
            blocks(row).to_string(),
        ]);
    }
    let none = String::new;
    table.row([none(), none(), none(), "TOTAL".to_owned(), report.total_rows.to_string()]);
    let observed = match report.total_observed {
        0 => String::new(),
        observed => format!("   Would have been dropped: {observed}"),
    };
    let alerts: String = report.alerts.iter().map(alert).collect();
    let lines: String = report.rows.iter().filter_map(line).collect();
    format!(
        "Daily Firewall Report\n\nHost: {}\nDate: {}\n\n{}\nBlocks: {}   Containments: {}   \
         Packets dropped: {}{observed}\n{lines}{alerts}",
        report.host,
        day(&report.date),
        table.render(),
        report.total_blocks,
        report.total_containments,
        report.total_drops
    )
}

/// What a log said of it.
fn line(row: &ReportRow) -> Option<String> {
    let line = row.line.as_ref()?;
    Some(format!("Log: {}  {}  {line}\n", time(row.last), row.attacker))
}

fn alert(alert: &AlertView) -> String {
    format!("Alert: {}  {}  {}\n", time(alert.at), alert.source, alert.what)
}

/// A scanner that never gets past its user agent needs no dynamic block: it counts as blocked once.
fn blocks(row: &ReportRow) -> u64 {
    let turned_away = row.method.starts_with("SCANNER:") && row.containments == 0 && row.drops > 0;
    if turned_away { row.blocks.max(1) } else { row.blocks }
}

/// `Tue, 28 Feb 2023`.
fn day(date: &str) -> String {
    match date.parse::<Date>() {
        Ok(date) => date.strftime("%a, %d %b %Y").to_string(),
        Err(_) => date.to_owned(),
    }
}
