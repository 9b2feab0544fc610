//! `sipprot replay`.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::args::Replay as ReplayArgs;
use super::{CliError, Context, write_out};
use crate::config::format_duration;
use crate::replay::outcome::{Entry, Happening, Outcome, Summary, network};
use crate::replay::replay;
use crate::rules::{AlertKind, Case, Decision, DistrustReason, ReleaseReason, Scope, Time};

pub(super) fn run(context: &Context, args: &ReplayArgs) -> Result<(), CliError> {
    let config = context.load_config()?.config;
    let failed = |error: &dyn std::fmt::Display| CliError::Failed(error.to_string());
    let (outcome, fault) =
        replay(&args.file, &config, &args.endpoints).map_err(|error| failed(&error))?;
    if !context.json {
        write_out(&timeline(&outcome))?;
    }
    context.print(&outcome.summary(), |summary| text(summary, &outcome))?;
    match fault {
        Some(fault) => Err(failed(&fault)),
        None => Ok(()),
    }
}

/// One line for each happening, in the order of time.
fn timeline(outcome: &Outcome) -> String {
    outcome.entries.iter().map(|entry| line(entry, outcome) + "\n").collect()
}

fn line(entry: &Entry, outcome: &Outcome) -> String {
    let at = time(entry.at);
    let (word, why) = match &entry.happening {
        Happening::Decision(decision) => decided(decision, outcome),
        Happening::Hold { reason, policy } => {
            ("hold", format!("60s, SIP only: {}{}", reason.help(), endpoint(*policy, outcome)))
        }
        Happening::Drop { reason, policy, user_agent } => {
            let agent = user_agent.as_ref().map(|it| format!(": {it}")).unwrap_or_default();
            ("drop", format!("{}{agent}{}", reason.help(), endpoint(*policy, outcome)))
        }
    };
    let who = match &entry.happening {
        Happening::Decision(Decision::Quarantine(it)) => {
            format!("{} port {}", entry.source_ip, it.port)
        }
        Happening::Decision(Decision::Trust(_)) => entry.source_ip.to_string(),
        _ => network(entry.source),
    };
    format!("{at} {word:<10} {who} {why}")
}

fn decided(decision: &Decision, outcome: &Outcome) -> (&'static str, String) {
    match decision {
        Decision::Block(block) => {
            let (time, nth, threshold) =
                (format_duration(block.duration), block.count, block.threshold);
            let what = match block.scope {
                Scope::All => "all traffic",
                Scope::Sip => "SIP only",
                Scope::Ssh => "ssh only",
                Scope::Http => "http only",
            };
            let peer = if block.known_peer { "; a known peer" } else { "" };
            let why = because(&block.case, outcome);
            ("block", format!("{time}, {what}: {why}; block {nth} of {threshold}{peer}"))
        }
        Decision::Deny(deny) => {
            let time = deny.expires_in.map_or("for good".to_owned(), format_duration);
            ("denylist", format!("{time}: {}; number {}", because(&deny.case, outcome), deny.count))
        }
        Decision::Contain(contain) => {
            let time = format_duration(contain.duration);
            ("contain", format!("{time}, SIP only: {}", because(&contain.case, outcome)))
        }
        Decision::Quarantine(it) => {
            let (time, why) = (format_duration(it.duration), because(&it.case, outcome));
            ("quarantine", format!("{time}, account {}: {why}", it.account))
        }
        Decision::Trust(trust) => {
            let account = trust.account.as_ref().map(|it| format!(" {it}")).unwrap_or_default();
            let why = match trust.kind {
                crate::rules::TrustKind::Registered => {
                    "a registration with credentials was accepted:"
                }
                crate::rules::TrustKind::Trunk => "it answered an endpoint's own request with 2xx",
            };
            ("trust", format!("{why}{account}"))
        }
        Decision::Distrust(distrust) => (
            "distrust",
            match distrust.reason {
                DistrustReason::Expired => "not seen for too long".to_owned(),
                DistrustReason::Revoked => "revoked".to_owned(),
            },
        ),
        Decision::Release(release) => (
            "release",
            match release.reason {
                ReleaseReason::Accepted => "its credentials were accepted".to_owned(),
                ReleaseReason::Spared => "no rule may act on it".to_owned(),
            },
        ),
        Decision::Remember(_) => ("remember", "logged in by ssh".to_owned()),
        Decision::Alert(alert) => ("alert", alerted(&alert.kind)),
    }
}

fn alerted(kind: &AlertKind) -> String {
    match kind {
        AlertKind::KnownPeerBlocked => "a known peer is blocked".to_owned(),
        AlertKind::StalePassword { accounts } => {
            let names: Vec<&str> = accounts.iter().map(|account| account.as_str()).collect();
            format!("phones with an old password: {}", names.join(", "))
        }
        AlertKind::PossibleBreakIn { account, failures, sources } => format!(
            "possible break-in: {account} accepted after {failures} failures from here, {sources} sources attack it"
        ),
        AlertKind::AccountUnderAttack { account, sources } => {
            format!("{account} is attacked from {sources} sources")
        }
        AlertKind::WorldBehindNat => {
            "most SIP comes from this address: rules don't act on it".to_owned()
        }
        AlertKind::Spared { rule } => format!("broke {rule}, but is never blocked"),
        AlertKind::Watched { rule } => format!("broke {rule} by a log that is only watched"),
        AlertKind::ServiceCut { rule } => format!("broke {rule}: its SIP goes on"),
        AlertKind::TrustFull => "no room for another trusted peer".to_owned(),
    }
}

/// The rule, the evidence and its proof.
fn because(case: &Case, outcome: &Outcome) -> String {
    let evidence = &case.evidence;
    let mut text = format!("{}, {} {}", case.rule, evidence.count, case.rule.help());
    if let Some(rule) = outcome.rules.iter().find(|rule| rule.id == case.rule) {
        let window = format_duration(rule.window);
        text += &format!(" within {window}, the limit is {}", rule.bounded_limit());
    }
    text += &match case.proven {
        true => format!(" (proven by {})", evidence.proof.by()),
        false => " (not proven)".to_owned(),
    };
    if let Some(account) = evidence.accounts.first() {
        text += &format!("; account {account}");
    }
    if let Some(agent) = &evidence.user_agent {
        text += &format!("; user agent {agent}");
    }
    text + &endpoint(u32::from(case.endpoint.0), outcome)
}

fn endpoint(policy: u32, outcome: &Outcome) -> String {
    match outcome.names.get(policy as usize) {
        Some(name) if policy > 0 => format!("; endpoint {name}"),
        _ => String::new(),
    }
}

fn text(summary: &Summary, outcome: &Outcome) -> String {
    let packets = &summary.packets;
    let mut lines = Vec::new();
    if !outcome.entries.is_empty() {
        lines.push(String::new());
    }
    if packets.frames == 0 {
        return "No packets\n".to_owned();
    }
    lines.push(format!(
        "{} packets from {} to {} (UTC); {} SIP messages",
        packets.frames,
        time(outcome.first),
        time(outcome.last),
        packets.messages
    ));
    lines.push(protected(summary));
    let sources =
        |list: Vec<String>| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
    let named = |source: &str, rule: &str| format!("{source} ({rule})");
    for (title, list) in [
        ("Blocked", summary.blocked.iter().map(|it| named(&it.source, it.rule)).collect()),
        ("Denylist", summary.denied.iter().map(|it| named(&it.source, it.rule)).collect()),
        ("Contained", summary.contained.iter().map(|it| named(&it.source, it.rule)).collect()),
        (
            "Quarantined",
            summary
                .quarantined
                .iter()
                .map(|it| format!("{} port {} ({})", it.source, it.port, it.account))
                .collect(),
        ),
        ("Held", summary.held.iter().map(|it| format!("{} ({}×)", it.source, it.times)).collect()),
        ("Trusted", summary.trusted.iter().map(ToString::to_string).collect::<Vec<String>>()),
    ] {
        lines.push(format!("{:<12} {}", format!("{title}:"), sources(list)));
    }
    lines.extend(drops(summary));
    lines.extend(blind_spots(summary));
    lines.join("\n") + "\n"
}

fn protected(summary: &Summary) -> String {
    match (summary.guessed, summary.endpoints.as_slice()) {
        (true, []) => {
            "Nobody answers on a SIP port: all of it was taken for traffic from the world; \
                       --endpoints tells which addresses are protected"
                .to_owned()
        }
        (true, found) => format!(
            "Protected: {} (guessed by who answers on a SIP port; --endpoints tells)",
            found.join(", ")
        ),
        (false, given) => format!("Protected: {}", given.join(", ")),
    }
}

fn drops(summary: &Summary) -> Option<String> {
    let kinds: Vec<String> =
        summary.dropped.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    (!kinds.is_empty()).then(|| format!("{:<12} {}", "Dropped:", kinds.join(", ")))
}

/// What the capture doesn't show.
fn blind_spots(summary: &Summary) -> Option<String> {
    let packets = &summary.packets;
    let spots: Vec<String> = [
        (packets.cut_short, "packets cut short"),
        (packets.gaps, "gaps in TCP connections"),
        (packets.fragments, "later fragments"),
        (packets.malformed, "malformed packets"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    (!spots.is_empty()).then(|| format!("{:<12} {}", "Not seen:", spots.join(", ")))
}

/// In UTC: the capture may come from anywhere.
fn time(at: Time) -> String {
    match Timestamp::from_nanosecond(i128::from(at.0)) {
        Ok(at) => at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S%.6f").to_string(),
        Err(_) => at.to_string(),
    }
}
