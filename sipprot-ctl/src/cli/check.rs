//! `sipprot check`.

use std::net::IpAddr;

use super::lists::time;
use super::{CliError, Context};
use crate::api::{BlockKind, BlockView, Check, PeerView};

const ACCOUNTS_SHOWN: usize = 5;

pub(super) fn run(context: &Context, address: IpAddr) -> Result<(), CliError> {
    let check: Check = context.client()?.get(&format!("/check/{address}"))?;
    context.print(&check, text)
}

pub(super) fn text(check: &Check) -> String {
    let address = check.address;
    let mut lines = Vec::new();
    let lists = [
        (check.allowed, "Allowlist"),
        (check.denied, "Denylist"),
        (check.blocked, "Dynamic (temporary)"),
    ];
    for (_, list) in lists.iter().filter(|(found, _)| *found) {
        lines.push(format!("IP address '{address}' found in {list}"));
    }
    if lines.is_empty() {
        lines.push(format!("IP address '{address}' not found in any list"));
    }
    for entry in &check.entries {
        let note = if entry.note.is_empty() { String::new() } else { format!(": {}", entry.note) };
        let day = time(entry.time);
        lines.push(format!("  {} added {day} by {}{note}", entry.ip, entry.added_by));
    }
    lines.extend(check.block.as_ref().map(|block| format!("  {}", because(block))));
    lines.extend(standing(check));
    lines.extend(seen(check));
    if check.blocked || check.contained || check.held || check.denied {
        lines.push(format!("  To let it in: sipprot unblock {address}"));
    }
    lines.join("\n") + "\n"
}

fn because(block: &BlockView) -> String {
    let kind = match block.kind {
        _ if block.refused => "To be blocked",
        BlockKind::Dynamic => "Blocked",
        BlockKind::Containment => "Contained",
        BlockKind::Quarantine => "Quarantined",
    };
    let proof = if block.proven { "proven" } else { "not proven" };
    let port = block.port.map(|port| format!(" port {port}")).unwrap_or_default();
    let mut text = format!(
        "{kind}{port} by {} from {} to {}: {} ({proof})",
        block.rule,
        time(block.started_at),
        time(block.expires_at),
        block.reason
    );
    if let Some(account) = &block.account {
        text += &format!("; account {account}");
    }
    if let Some(endpoint) = &block.endpoint {
        text += &format!("; endpoint {endpoint}");
    }
    if block.renewals > 0 {
        text += &format!("; renewed {} times", block.renewals);
    }
    if let Some(reaction) = block.reaction_us {
        text += &format!("; blocked {reaction} µs after the packet");
    }
    text
}

/// `203.0.113.0/24, added 2026-11-22 by ann: the office`.
pub(super) fn because_of(peer: &PeerView) -> String {
    let note = if peer.note.is_empty() { String::new() } else { format!(": {}", peer.note) };
    let network = crate::report::address(peer.network);
    match (&peer.configured_in, peer.added_at) {
        (Some(place), _) => format!("{network}, configured in {place}"),
        (None, Some(at)) => {
            let by = peer.added_by.as_deref().unwrap_or_default();
            format!("{network}, added {} by {by}{note}", time(at))
        }
        (None, None) => network,
    }
}

fn standing(check: &Check) -> Vec<String> {
    let (held, contained) = if check.observed {
        ("Would be held", "Would be contained")
    } else {
        ("Held", "Contained")
    };
    let with = check.wider.as_ref().map(|it| format!(" with {it}")).unwrap_or_default();
    let facts = [
        (
            check.held,
            format!("{held}{with} by the kernel: too many attempts in a minute; ends by itself"),
        ),
        (
            check.contained,
            format!("{contained}{with}: SIP only passes as a trickle, until it proves itself"),
        ),
        (check.trusted, "Trusted peer: accepted by an endpoint".to_owned()),
        (
            check.never_blocked,
            "Never blocked by a rule: own, gateway, resolver or configured".to_owned(),
        ),
    ];
    let mut lines: Vec<String> =
        facts.iter().filter(|(holds, _)| *holds).map(|(_, text)| format!("  {text}")).collect();
    lines.extend(check.peers.iter().map(|peer| format!("  Trusted peer: {}", because_of(peer))));
    for port in &check.quarantined_ports {
        lines.push(format!("  Source port {port} is quarantined"));
    }
    if check.blocks_counted > 0 {
        let escalation = escalation(check.blocks_counted, check.block_threshold, check.observed);
        lines.push(format!("  {escalation}"));
    }
    if let Some(until) = check.grace_until {
        lines.push(format!("  Left alone until {} after an unblock by hand", time(until)));
    }
    lines
}

/// What only was judged counts too, so that enforcing can be foreseen.
pub(super) fn escalation(count: u32, threshold: u32, observed: bool) -> String {
    let would = if observed { "would be " } else { "" };
    format!("{would}{count} of {threshold} blocks that lead to the denylist")
}

fn seen(check: &Check) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(country) = &check.country_name {
        lines.push(format!("  Country: {country}"));
    }
    if let Some(agent) = &check.user_agent {
        lines.push(format!("  User agent: {agent}"));
    }
    if !check.accounts.is_empty() {
        let shown = &check.accounts[..check.accounts.len().min(ACCOUNTS_SHOWN)];
        let more = match check.accounts.len() - shown.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        lines.push(format!("  Accounts: {}{more}", shown.join(", ")));
    }
    let counts = check.counts;
    lines.push(format!(
        "  Kernel: {} SIP packets, {} REGISTER, {} with credentials, {} dropped",
        counts.sip, counts.register, counts.credentialed, counts.dropped
    ));
    if !check.drops.is_empty() {
        let drops: Vec<String> =
            check.drops.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        lines.push(format!("  Drops: {}", drops.join(", ")));
    }
    lines
}
