//! `sipprot report`.

use jiff::civil::Date;

use super::args::{Report as ReportArgs, ReportVerb};
use super::client::query_of;
use super::lists::time;
use super::table::{Align, Table};
use super::{CliError, Context, write_out};
use crate::api::{AbuseReport, AbuseRow, AlertView, CountryRow, PacketView, Report, ReportRow};
use crate::report::sheet;

pub(super) fn run(context: &Context, args: &ReportArgs) -> Result<(), CliError> {
    let client = context.client()?;
    if let Some(ReportVerb::Abuse { address }) = &args.verb {
        let report: AbuseReport = client.get(&format!("/report/abuse/{address}"))?;
        return context.print(&report, abuse);
    }
    let report: Report = client.get(&format!("/report{}", query_of(&args.query())?))?;
    if args.csv {
        let csv = sheet::csv(&report)
            .map_err(|error| CliError::Failed(format!("cannot write CSV: {error}")))?;
        return write_out(&csv);
    }
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
    let shown = match report.rows.len() as u64 {
        shown if shown < report.total_rows => format!("{shown} of {} rows\n", report.total_rows),
        _ => String::new(),
    };
    format!(
        "{}\n\nHost: {}\n{}\n\n{}{shown}\nBlocks: {}   Containments: {}   \
         Packets dropped: {}{observed}\n{}{lines}{alerts}",
        if is_of_one_day(report) { "Daily Firewall Report" } else { "Firewall Report" },
        report.host,
        days(report),
        table.render(),
        report.total_blocks,
        report.total_containments,
        report.total_drops,
        countries(&report.countries),
    )
}

fn is_of_one_day(report: &Report) -> bool {
    report.until.is_empty() || report.until == report.date
}

fn days(report: &Report) -> String {
    let zone = if report.zone.is_empty() { String::new() } else { format!(" ({})", report.zone) };
    let mut text = match is_of_one_day(report) {
        true => format!("Date: {}{zone}", day(&report.date)),
        false => format!("Date: {} to {}{zone}", day(&report.date), day(&report.until)),
    };
    if let Some(since) = report.kept_since.as_ref().filter(|since| **since > report.date) {
        text += &format!("\nNothing is kept of days before {}", day(since));
    }
    text
}

/// Countries that are told.
const COUNTRIES_SHOWN: usize = 5;

/// `By country: France 12 packets, 2 blocks; Germany 3 packets`.
fn countries(rows: &[CountryRow]) -> String {
    let named = rows.iter().filter(|row| row.country.is_some());
    let told: Vec<String> = named
        .take(COUNTRIES_SHOWN)
        .map(|row| {
            let name = row.country_name.as_deref().or(row.country.as_deref()).unwrap_or_default();
            let blocks =
                if row.blocks > 0 { format!(", {} blocks", row.blocks) } else { String::new() };
            format!("{name} {} packets{blocks}", row.drops)
        })
        .collect();
    if told.is_empty() { String::new() } else { format!("By country: {}\n", told.join("; ")) }
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

/// A letter that needs no more than an address to send it to.
pub(super) fn abuse(report: &AbuseReport) -> String {
    let place = report.geo_data.as_ref();
    let place = place.map(|geo| format!(" ({}, {})", geo.country_name, geo.country_code));
    let mut text = format!(
        "Subject: Abuse from {}: SIP attack on our PBX hosts\n\n\
         Reported by: {}\nHost: {}\nWritten at: {}\nAll times are {}.\n\n\
         Source: {}{}\nCounted as: {}\nFirst seen: {}\nLast seen: {}\nPackets dropped: {}\n",
        report.address,
        report.reporter.as_deref().unwrap_or("(set abuse_contact in the configuration)"),
        report.host,
        sheet::time(report.at),
        report.zone,
        report.address,
        place.unwrap_or_default(),
        report.source,
        sheet::time(report.first),
        sheet::time(report.last),
        report.drops,
    );
    if !report.user_agents.is_empty() {
        text += &format!("User agents: {}\n", report.user_agents.join(", "));
    }
    text += "\nEvidence, the newest first:\n";
    report.evidence.iter().for_each(|row| text += &evidence(row));
    if report.cut {
        text += "There is more.\n";
    }
    if !report.handled.is_empty() {
        text += "\nWhat we did:\n";
    }
    for it in &report.handled {
        text += &format!("  {}  {}\n", sheet::time(it.at), it.what);
    }
    text
}

fn evidence(row: &AbuseRow) -> String {
    let proof = match row.proven {
        true => "a round trip was seen: the address is not forged",
        false => "no round trip was seen: the address may be forged",
    };
    let victim = row.victim.map(|victim| format!(" against {victim}")).unwrap_or_default();
    let mut text = format!(
        "  {} to {}  {}{victim}: {} ({proof})\n",
        sheet::time(row.from),
        sheet::time(row.to),
        row.method,
        row.what
    );
    if row.accounts > 0 {
        text += &format!("    accounts tried: {}\n", row.accounts);
    }
    if let Some(agent) = &row.user_agent {
        text += &format!("    user agent: {agent}\n");
    }
    for (which, packet) in [("first", &row.first), ("last", &row.last)] {
        text += &packet.as_ref().map(|it| packet_line(which, it)).unwrap_or_default();
    }
    text
}

fn packet_line(which: &str, packet: &PacketView) -> String {
    let at = jiff::Timestamp::from_millisecond(packet.at_ms);
    let at = at.map(|at| at.strftime("%Y-%m-%d %H:%M:%S%.3fZ").to_string()).unwrap_or_default();
    let method = packet.method.map(|it| format!(" {}", it.as_str())).unwrap_or_default();
    let status = packet.status.map(|it| format!(" -> {it}")).unwrap_or_default();
    let log = packet.line.as_ref().map(|line| format!("; log: {line}")).unwrap_or_default();
    format!("    {which}: {at} source port {}{method}{status}{log}\n", packet.port)
}
