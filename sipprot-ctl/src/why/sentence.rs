//! The verdict in one sentence, and rules in words.

use std::time::Duration;

use super::Facts;
use crate::api::{BlockKind, BlockView, Entry, EvidenceView, List, Scope, Verdict, WindowView};
use crate::config::format_duration;
use crate::rules::RuleId;

pub(super) fn of(facts: &Facts, verdict: Verdict) -> String {
    let address = facts.check.address;
    match verdict {
        Verdict::Allowed => match facts.entries(List::Allow).find(|it| it.endpoint.is_none()) {
            Some(entry) => format!("{address} is always let in: {}", listed(entry, "allowlist")),
            None => format!("{address} is always let in"),
        },
        Verdict::Denied => denied(facts),
        Verdict::Blocked => blocked(facts),
        Verdict::Contained => contained(facts),
        Verdict::Held => format!(
            "{address} {} held{} by the kernel{}: as many attempts in a minute as the limit allows; \
             its SIP is dropped, and it ends by itself",
            is(facts),
            with_wider(facts),
            more(facts, facts.hold_until)
        ),
        Verdict::Country => {
            let country = facts.check.country_name.as_deref().unwrap_or("which is not known");
            let places = facts.shut_out_at.join(", ");
            format!("{address} is shut out at {places} for its country, {country}")
        }
        Verdict::Quarantined => quarantined(facts),
        Verdict::Trusted => trusted(facts),
        Verdict::Nothing => nothing(facts),
    }
}

/// The kernel keeps its own books where it only observes, too.
const fn is(facts: &Facts) -> &'static str {
    if facts.check.observed { "would be" } else { "is" }
}

/// ` with 2001:db8:1::/48`, if it is by that network and not by itself.
fn with_wider(facts: &Facts) -> String {
    let wider = facts.check.wider.as_ref();
    wider.map_or_else(String::new, |network| format!(" with {network}"))
}

/// ` for 59m10s more`, or nothing where the end is not known.
fn more(facts: &Facts, ends_at: Option<i64>) -> String {
    let left = ends_at.and_then(|end| u64::try_from(end - facts.now).ok());
    left.map_or_else(String::new, |left| {
        format!(" for {} more", format_duration(Duration::from_secs(left)))
    })
}

fn listed(entry: &Entry, list: &str) -> String {
    let of = entry.endpoint.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
    let note = if entry.note.is_empty() { String::new() } else { format!(" ({})", entry.note) };
    format!("{} is on the {list}{of}, added by {}{note}", entry.ip, entry.added_by)
}

fn denied(facts: &Facts) -> String {
    let address = facts.check.address;
    let time = match facts.ends_at(Verdict::Denied) {
        None => " for good".to_owned(),
        end => more(facts, end),
    };
    match facts.entries(List::Deny).next() {
        Some(entry) => {
            let scope = only(entry.scope);
            format!("{address} is denied{time}{scope}: {}", listed(entry, "denylist"))
        }
        None => format!("{address} is denied{time}"),
    }
}

/// What of it a block or an entry stops; nothing where that is everything.
const fn only(scope: Scope) -> &'static str {
    match scope {
        Scope::All => "",
        Scope::Sip => ", its SIP only",
        Scope::Ssh => ", its ssh only",
        Scope::Http => ", its http only",
    }
}

fn blocked(facts: &Facts) -> String {
    let address = facts.check.address;
    let Some(block) = facts.block(BlockKind::Dynamic) else {
        return format!("{address} is blocked in the kernel, by nobody that the daemon knows of");
    };
    let scope = match only(block.scope) {
        "" => String::new(),
        only => {
            format!("{}{only},", block.also.iter().map(|it| self::only(*it)).collect::<String>())
        }
    };
    let time = more(facts, Some(block.expires_at));
    format!("{address} is blocked{scope}{time}: {}{}", block.reason, proof(block))
}

/// `; proven by a nonce …`; nothing for blocks by hand.
fn proof(block: &BlockView) -> String {
    match &block.evidence {
        Some(evidence) if block.proven => format!("; proven by {}", evidence.last.proven_by),
        Some(_) => "; not proven".to_owned(),
        None if block.proven => "; proven".to_owned(),
        None => String::new(),
    }
}

fn contained(facts: &Facts) -> String {
    let address = facts.check.address;
    let block = facts.block(BlockKind::Containment);
    let time = more(facts, block.map(|block| block.expires_at));
    let reason = block.map_or("by the kernel alone", |block| block.reason.as_str());
    let (is, with) = (is(facts), with_wider(facts));
    format!(
        "{address} {is} contained{with}{time}: {reason}; nothing proves who sent them, so only its SIP is \
         held back, but for a trickle, and it ends by itself"
    )
}

fn quarantined(facts: &Facts) -> String {
    let address = facts.check.address;
    let ports: Vec<String> = facts
        .blocks
        .iter()
        .filter(|block| block.kind == BlockKind::Quarantine && !block.refused)
        .map(|block| {
            let port = block.port.unwrap_or_default();
            let account = block.account.as_deref().unwrap_or("one account");
            let time = more(facts, Some(block.expires_at));
            format!("source port {port} is quarantined{time}, since {account} fails through it")
        })
        .collect();
    if ports.is_empty() {
        let ports = facts.check.quarantined_ports.iter().map(u16::to_string);
        let ports = ports.collect::<Vec<_>>().join(", ");
        return format!("{address} passes, but for its quarantined source ports {ports}");
    }
    format!("{address} is a trusted peer and passes, but {}", ports.join("; and "))
}

fn trusted(facts: &Facts) -> String {
    let address = facts.check.address;
    let why = match (&facts.trust, facts.check.peers.first()) {
        (_, Some(peer)) => {
            let network = crate::report::address(peer.network);
            format!("a trusted peer by the operator's word ({network})")
        }
        (Some(trust), None) if trust.kind == "trunk" => {
            "a trusted peer that answers what endpoints send to it".to_owned()
        }
        _ => "a trusted peer".to_owned(),
    };
    format!("nothing against {address}, {why}; {}{}", accounts(facts), left(facts))
}

fn nothing(facts: &Facts) -> String {
    let address = facts.check.address;
    let spared = if facts.check.never_blocked { ", which no rule ever blocks" } else { "" };
    format!("nothing against {address}{spared}; {}{}", accounts(facts), left(facts))
}

fn accounts(facts: &Facts) -> String {
    match facts.trust.as_ref().map_or(0, |trust| trust.accounts.len()) {
        0 => "no account registered".to_owned(),
        1 => "1 account registered".to_owned(),
        count => format!("{count} accounts registered"),
    }
}

/// What would break a rule next, or why none acts.
fn left(facts: &Facts) -> String {
    if facts.check.grace_until.is_some() {
        return "; left alone for a while after an unblock by hand".to_owned();
    }
    let nearest = facts.windows.iter().min_by_key(|it| it.limit.saturating_sub(it.count));
    nearest.map_or_else(String::new, |window| format!("; {}", window_words(window)))
}

/// `7 of 10 rejected attempts … in the last minute`.
pub fn window_words(window: &WindowView) -> String {
    let last = span(window.window_s);
    let last = last.strip_prefix("a ").or(last.strip_prefix("an ")).unwrap_or(&last);
    let proven = match window.proven {
        0 => " (none proven)".to_owned(),
        proven if proven < window.count => format!(" ({proven} proven)"),
        _ => String::new(),
    };
    format!("{} of {} {} in the last {last}{proven}", window.count, window.limit, window.counts)
}

/// `BRUTEFORCE:register: 10 rejected attempts … within a minute`.
pub fn rule_words(rule: &str, evidence: Option<&EvidenceView>) -> String {
    let help = RuleId::named(rule).map(RuleId::help);
    let bounds = evidence.and_then(|it| it.limit.zip(it.window_s));
    match (help, bounds) {
        (Some(help), Some((limit, window))) => {
            format!("{rule}: {limit} {help} within {}", span(window))
        }
        (Some(help), None) => format!("{rule}: {help}"),
        (None, _) => rule.to_owned(),
    }
}

/// `a minute`, `10 minutes`.
pub fn span(seconds: u64) -> String {
    const UNITS: [(u64, &str, &str); 4] = [
        (86_400, "a day", "days"),
        (3_600, "an hour", "hours"),
        (60, "a minute", "minutes"),
        (1, "a second", "seconds"),
    ];
    let unit = UNITS.iter().find(|(size, ..)| seconds >= *size && seconds.is_multiple_of(*size));
    match unit {
        Some((size, one, _)) if seconds == *size => (*one).to_owned(),
        Some((size, _, many)) => format!("{} {many}", seconds / size),
        None => "no time".to_owned(),
    }
}
