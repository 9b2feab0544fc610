//! `sipprot status`.

use super::args::Shown;
use super::client::Client;
use super::table::{Align, Table};
use super::{CliError, Context, lists};
use crate::api::{BlocksAnswer, EndpointView, Entries, GuardView, ListQuery, LogView, Status};

pub(super) fn run(context: &Context, shown: &Shown) -> Result<(), CliError> {
    let client = context.client()?;
    if shown.allow || shown.deny || shown.dynamic || shown.all {
        return detailed(context, &client, shown);
    }
    let status: Status = client.get("/status")?;
    context.print(&status, text)
}

/// One JSON object, whichever lists were asked for.
#[derive(serde::Serialize)]
struct Lists {
    #[serde(skip_serializing_if = "Option::is_none")]
    allow: Option<Entries>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deny: Option<Entries>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dynamic: Option<BlocksAnswer>,
}

fn detailed(context: &Context, client: &Client, shown: &Shown) -> Result<(), CliError> {
    let fetch = |name| lists::fetch(client, name, &ListQuery::default());
    let when = |wanted: bool| (wanted || shown.all).then_some(());
    let lists = Lists {
        allow: when(shown.allow).map(|()| fetch("allow")).transpose()?,
        deny: when(shown.deny).map(|()| fetch("deny")).transpose()?,
        dynamic: when(shown.dynamic).map(|()| client.get("/blocks?kind=dynamic")).transpose()?,
    };
    context.print(&lists, |lists| {
        let parts = [
            lists.allow.as_ref().map(|list| lists::short_entries("Allowlist", list)),
            lists.deny.as_ref().map(|list| lists::short_entries("Denylist", list)),
            lists.dynamic.as_ref().map(lists::short_blocks),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
    })
}

pub(super) fn text(status: &Status) -> String {
    let mut table = Table::new([("LIST", Align::Left), ("NUM OF IPS", Align::Right)]);
    table.row(["Allow".to_owned(), status.lists.allow.to_string()]);
    table.row(["Deny".to_owned(), status.lists.deny.to_string()]);
    table.row(["Dynamic (temporary)".to_owned(), status.lists.dynamic.to_string()]);
    format!("{}{}", table.render(), health(status))
}

fn guard(guard: &GuardView) -> String {
    let detail = match guard.bytes_max {
        Some((udp, tcp)) if udp == tcp => format!("{udp} bytes"),
        Some((udp, tcp)) => format!("{udp} bytes, {tcp} over TCP"),
        None => guard.ports.join(" "),
    };
    format!("{} {} ({detail})", guard.name, guard.mode)
}

fn health(status: &Status) -> String {
    let interfaces: Vec<String> = status
        .interfaces
        .iter()
        .map(|interface| match &interface.xdp {
            Some(mode) => format!("{} (XDP {mode})", interface.name),
            None => format!("{} (NOT ATTACHED)", interface.name),
        })
        .collect();
    let interfaces = if interfaces.is_empty() { "none".to_owned() } else { interfaces.join(", ") };
    let verdict = match (status.protected, status.problems.is_empty()) {
        (true, true) => "The system is protected.",
        (true, false) => "The system is protected; problems detected:",
        (false, true) => "The system is NOT protected.",
        (false, false) => "The system is NOT protected; problems detected:",
    };
    let watching = match status.mode.as_str() {
        "observe" => " Nothing is dropped: the mode is observe.",
        "learning" => " The rules only judge; lists, geo and blocks hold.",
        "off" => " Nothing is looked at: the mode is off.",
        _ => "",
    };
    let mut text = format!(
        "{verdict}{watching}\nMode: {}   Interfaces: {interfaces}   Contained: {}   Trusted: {}\n",
        status.mode, status.lists.contained, status.lists.trust
    );
    if status.lists.networks_contained > 0 {
        text += &format!("Networks contained by the kernel: {}\n", status.lists.networks_contained);
    }
    if !status.guards.is_empty() {
        let guards: Vec<String> = status.guards.iter().map(guard).collect();
        text += &format!("Guards: {}\n", guards.join(", "));
    }
    if let Some(learning) = &status.learning {
        text += &format!("{}\n", super::learn::told(learning));
    }
    if let Some(pending) = status.pending.as_ref().filter(|pending| !pending.ended) {
        let until = lists::time(pending.until);
        text += &format!(
            "WAITS FOR 'sipprot confirm' until {until}: {} (by {})\n",
            pending.what, pending.by
        );
    }
    status.endpoints.iter().for_each(|endpoint| text += &own_settings(endpoint));
    text += &countries(status);
    for log in &status.logs {
        text += &format!("Log {}\n", of_log(log));
    }
    for problem in &status.problems {
        text += &format!("  - {problem}\n");
    }
    text
}

/// `Endpoint pbx1: its own invite_limit 3, ssh.rate 5`; nothing where all is the host's.
fn own_settings(endpoint: &EndpointView) -> String {
    let own = endpoint.settings.iter().filter(|it| it.origin == "endpoint");
    let own: Vec<String> = own.map(|it| format!("{} {}", it.key, it.value)).collect();
    if own.is_empty() {
        return String::new();
    }
    format!("Endpoint {}: its own {}\n", endpoint.name, own.join(", "))
}

/// What is worth a line of the health: whom countries keep out, and a database that is old or missing.
fn countries(status: &Status) -> String {
    let geo = &status.geo;
    if geo.policies.is_empty() {
        return String::new();
    }
    let learning = geo.policies.iter().filter_map(|policy| policy.learning_until).max();
    let learning = learning.map(|until| format!("; learning flows until {}", lists::time(until)));
    let dropped: u64 = geo.drops.values().sum();
    let database = super::geo::database(geo);
    let loading = if geo.loading { "; being loaded" } else { "" };
    let learning = learning.unwrap_or_default();
    format!("Countries: {database}; packets dropped: {dropped}{loading}{learning}\n")
}

/// `kamailio: 120 lines, 14 matched, the last 2026-11-22 17:21:03`.
fn of_log(log: &LogView) -> String {
    let mut parts = vec![format!("{}: {} lines, {} matched", log.name, log.lines, log.matched)];
    parts.extend(log.endpoint.as_ref().map(|endpoint| format!("of {endpoint}")));
    parts.extend((log.mode == "observe").then(|| "only watched".to_owned()));
    for (count, why) in
        [(log.left_out, "too long"), (log.refused, "refused"), (log.lost, "lost under load")]
    {
        parts.extend((count > 0).then(|| format!("{count} {why}")));
    }
    parts.extend(log.last_line_at.map(|at| format!("the last {}", lists::time(at))));
    parts.extend(log.error.clone());
    parts.join(", ")
}
