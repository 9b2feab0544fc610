//! `sipprot why`.

use std::net::IpAddr;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::check::{because_of, escalation};
use super::lists::time;
use super::{CliError, Context};
use crate::api::{BlockView, EvidenceView, PacketView, Why};
use crate::why::{rule_words, window_words};

const ACCOUNTS_SHOWN: usize = 5;
/// Blocks in force whose evidence is shown; a large office may have many ports in quarantine.
const BLOCKS_SHOWN: usize = 4;
/// Width of the names at the left.
const NAME: usize = 10;

pub(super) fn run(context: &Context, address: IpAddr) -> Result<(), CliError> {
    let why: Why = context.client()?.get(&format!("/why/{address}"))?;
    context.print(&why, text)
}

pub(super) fn text(why: &Why) -> String {
    let mut lines = vec![why.sentence.clone()];
    let mut say = |name: &str, what: String| lines.push(format!("  {name:NAME$} {what}"));
    for block in why.escalation.iter().chain(&why.blocks).take(BLOCKS_SHOWN) {
        of_block(block, &mut say);
    }
    let hidden = why.blocks.len().saturating_sub(BLOCKS_SHOWN);
    if hidden > 0 {
        say("", format!("and {hidden} more blocks in force: see --json"));
    }
    if why.blocks.is_empty()
        && why.escalation.is_none()
        && let Some(failures) = &why.failures
    {
        of_evidence(failures, &mut say);
    }
    standing(why, &mut say);
    if let Some(end) = why.ends_at {
        say("Ends", format!("{}, by itself", time(end)));
    }
    if let Some(undo) = &why.undo {
        say("Undo", undo.clone());
    }
    if !why.timeline.is_empty() {
        lines.push("  Past, the newest first:".to_owned());
    }
    for moment in &why.timeline {
        lines.push(format!("    {}  {}", time(moment.at), moment.what));
    }
    if why.timeline_cut {
        lines.push("    and more before".to_owned());
    }
    lines.join("\n") + "\n"
}

fn of_block(block: &BlockView, say: &mut impl FnMut(&str, String)) {
    let port = block.port.map(|port| format!("port {port}: ")).unwrap_or_default();
    say("Rule", format!("{port}{}", rule_words(&block.rule, block.evidence.as_ref())));
    if let Some(evidence) = &block.evidence {
        of_evidence(evidence, say);
    }
    let proof = match &block.evidence {
        Some(evidence) if block.proven => format!("proven by {}", evidence.last.proven_by),
        _ if block.proven => "proven".to_owned(),
        Some(_) => "not proven: the source may be forged".to_owned(),
        None => "none needed: by hand, or older than evidence is kept".to_owned(),
    };
    say("Proof", proof);
    let victim = block.victim.map(|victim| victim.to_string());
    let place: Vec<String> = block.endpoint.clone().into_iter().chain(victim).collect();
    if !place.is_empty() {
        say("Attacked", place.join(", "));
    }
    if block.refused {
        say("Refused", "the kernel did not take it: not in force, and tried again".to_owned());
    }
    if let Some(reaction) = block.reaction_us {
        say("Reaction", format!("{reaction} µs from the packet that broke the rule"));
    }
}

fn of_evidence(evidence: &EvidenceView, say: &mut impl FnMut(&str, String)) {
    say("Counted", evidence.count.to_string());
    say("First", packet(&evidence.first));
    say("Last", packet(&evidence.last));
    if evidence.accounts.len() > 1 {
        say("Accounts", evidence.accounts.join(", "));
    }
}

/// `2026-11-22 17:21:03.120 REGISTER, answered 401, from port 5060, account …, "agent", proven by …`.
fn packet(packet: &PacketView) -> String {
    if let Some(line) = &packet.line {
        return format!("{} {line}", precise(packet.at_ms));
    }
    let mut parts = vec![match packet.method {
        Some(method) => format!("{} {}", precise(packet.at_ms), method.as_str()),
        None => format!("{} a packet", precise(packet.at_ms)),
    }];
    parts.extend(packet.status.map(|status| format!("answered {status}")));
    parts.push(format!("from port {}", packet.port));
    parts.extend(packet.account.as_ref().map(|account| format!("account {account}")));
    parts.extend(packet.user_agent.as_ref().map(|agent| format!("\"{agent}\"")));
    parts.push(match packet.proof.is_proven() {
        true => format!("proven by {}", packet.proven_by),
        false => "not proven".to_owned(),
    });
    parts.join(", ")
}

fn standing(why: &Why, say: &mut impl FnMut(&str, String)) {
    for entry in &why.entries {
        let note = if entry.note.is_empty() { String::new() } else { format!(": {}", entry.note) };
        let list = match entry.list {
            crate::api::List::Allow => "Allowlist",
            crate::api::List::Deny => "Denylist",
        };
        say(list, format!("{}, added {} by {}{note}", entry.ip, time(entry.time), entry.added_by));
    }
    for peer in &why.peers {
        say("Peer", because_of(peer));
    }
    if let Some(trust) = &why.trust {
        let (since, seen) = (time(trust.since), time(trust.last_seen));
        let (peak, most) = (trust.peak, trust.ceiling);
        let rate = format!("peak {peak} packets/s, ceiling {most}");
        say("Trust", format!("{} since {since}, last seen {seen}; {rate}", trust.kind));
        if !trust.accounts.is_empty() {
            say("Registered", some(&trust.accounts));
        }
    }
    if why.never_blocked {
        say("Spared", "no rule ever blocks it: own, gateway, resolver or configured".to_owned());
    }
    for would in &why.would {
        say("Learned", super::learn::would_have_been(would));
    }
    for window in &why.windows {
        say("Now", window_words(window));
    }
    if why.blocks_counted > 0 {
        let (count, threshold) = (why.blocks_counted, why.block_threshold);
        say("Escalation", escalation(count, threshold, why.observed));
    }
    if let Some(until) = why.grace_until {
        say("Grace", format!("left alone until {} after an unblock by hand", time(until)));
    }
    if let Some(country) = &why.country_name {
        say("Country", country.clone());
    }
    if !why.drops.is_empty() {
        let drops = why.drops.iter().map(|(reason, count)| format!("{reason} {count}"));
        say("Dropped", drops.collect::<Vec<_>>().join(", "));
    }
}

fn some(accounts: &[String]) -> String {
    let shown = &accounts[..accounts.len().min(ACCOUNTS_SHOWN)];
    match accounts.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Local time with milliseconds.
fn precise(at_ms: i64) -> String {
    match Timestamp::from_millisecond(at_ms) {
        Ok(at) => at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S%.3f").to_string(),
        Err(_) => String::new(),
    }
}
