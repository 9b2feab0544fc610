//! `sipprot learn`.

use super::args::{Accept, LearnVerb};
use super::ask::{agrees, is_terminal};
use super::change::operator;
use super::client::query;
use super::lists::time;
use super::table::{Align, Table};
use super::{CliError, Context};
use crate::api::{
    Accepted, Done, LearnAccept, LearnProposal, LearnStart, LearnState, LearnStatus, WouldView,
};
use crate::report::address;
use crate::rules::WouldBe;

/// Rows of consequences that are shown; the JSON has all.
const WOULD_SHOWN: usize = 30;

pub(super) fn run(context: &Context, verb: LearnVerb) -> Result<(), CliError> {
    let client = context.client()?;
    let by = query(&[("by", Some(&operator()))]);
    let done: Done = match verb {
        LearnVerb::Status => {
            let status: LearnStatus = client.get("/learn")?;
            return context.print(&status, |status| told(status) + "\n");
        }
        LearnVerb::Proposal => {
            let proposal: LearnProposal = client.get("/learn/proposal")?;
            return context.print(&proposal, text);
        }
        LearnVerb::Accept(choice) => return accept(context, choice),
        LearnVerb::Start { days } => client.post("/learn", &LearnStart { days, by: operator() })?,
        LearnVerb::Stop => client.post(&format!("/learn/stop{by}"), &())?,
        LearnVerb::Discard => client.delete(&format!("/learn{by}"))?,
    };
    context.print(&done, |done| format!("{}\n", done.message))
}

fn accept(context: &Context, choice: Accept) -> Result<(), CliError> {
    let client = context.client()?;
    let Accept { peers, limits, enforce, also, yes } = choice;
    let request = LearnAccept { peers, limits, enforce, also, dry_run: true, by: operator() };
    let plan: Accepted = client.post("/learn/accept", &request)?;
    if plan.changes.is_empty() {
        return context.print(&plan, |_| "nothing to change\n".to_owned());
    }
    if !yes {
        if context.json {
            return context.print(&plan, |_| String::new());
        }
        super::write_out(&changes("This will be done:", &plan))?;
        if !is_terminal() {
            return Err(CliError::Failed("nothing is changed yet: add --yes".to_owned()));
        }
        if !agrees("Do it?", false)? {
            return super::write_out("nothing is changed\n");
        }
    }
    let request = LearnAccept { dry_run: false, ..request };
    let accepted: Accepted = client.post("/learn/accept", &request)?;
    context.print(&accepted, |accepted| changes("Done:", accepted))
}

fn changes(head: &str, accepted: &Accepted) -> String {
    let changes = accepted.changes.iter().map(|line| format!("  {line}\n"));
    let undo = accepted.undo.iter().map(|line| format!("  {line}\n"));
    format!("{head}\n{}To undo:\n{}", changes.collect::<String>(), undo.collect::<String>())
}

/// One or two lines on how far it is.
pub(super) fn told(status: &LearnStatus) -> String {
    let at = |seconds: Option<i64>| seconds.map(time).unwrap_or_default();
    let (start, until) = (at(status.started_at), at(status.until));
    let seen = format!(
        "Sources that would have been cut off: {}, customers among them: {}.",
        status.sources, status.customers
    );
    match status.state {
        LearnState::Never => "Nothing was learned: sipprot learn start".to_owned(),
        LearnState::Learning => format!(
            "Learning since {start}, until {until}: the rules judge and drop nothing; lists, geo and \
             blocks hold. {seen}"
        ),
        LearnState::Ready => format!(
            "Learned from {start} to {until}; the rules still drop nothing. {seen} \
             Now: sipprot learn proposal"
        ),
        LearnState::Stopped => {
            format!("Learning from {start} was stopped at {}. {seen}", at(status.ended_at))
        }
        LearnState::Accepted => {
            format!("Learned from {start}, accepted at {}. {seen}", at(status.ended_at))
        }
    }
}

fn text(proposal: &LearnProposal) -> String {
    let mut text = told(&proposal.status) + "\n";
    if proposal.preliminary {
        text += "PRELIMINARY: the time is not over.\n";
    }
    text += "\nProposed peers:";
    text += &match proposal.peers.is_empty() {
        true => " none\n".to_owned(),
        false => format!("\n{}", peers(proposal)),
    };
    text += "Proposed limits:";
    text += if proposal.limits.is_empty() { " as they are\n" } else { "\n" };
    for limit in &proposal.limits {
        text += &format!("  {}: {} → {}: {}\n", limit.key, limit.now, limit.proposed, limit.why);
    }
    text += &match &proposal.mode {
        Some(mode) => format!("Proposed mode: {} → {}\n", mode.now, mode.proposed),
        None => "Mode: as configured, enforce\n".to_owned(),
    };
    text += "\nWhat would have been done, customers first:";
    text += &match proposal.would.is_empty() {
        true => " nothing\n".to_owned(),
        false => format!("\n{}", would(proposal)),
    };
    for peak in proposal.trusted.iter().take(5) {
        text += &format!(
            "Busy: {} with {} packets/s at its peak, ceiling {}\n",
            peak.source, peak.peak, peak.ceiling
        );
    }
    for load in &proposal.endpoints {
        text += &format!(
            "Load: {} with {} requests/s at its peak; packets that would have been dropped: {}\n",
            load.endpoint, load.requests, load.drops
        );
    }
    if proposal.status.ended_at.is_none() {
        text += "\nTo take it: sipprot learn accept (it shows what it changes first)\n";
    }
    text
}

fn peers(proposal: &LearnProposal) -> String {
    let mut table = Table::new([
        ("NETWORK", Align::Left),
        ("KIND", Align::Left),
        ("ACCOUNTS", Align::Right),
        ("PEAK/S", Align::Right),
        ("WHY", Align::Left),
    ]);
    for peer in &proposal.peers {
        let named = format!("{} (only with --also {})", peer.why, address(peer.network));
        table.row([
            address(peer.network),
            peer.kind.clone(),
            peer.accounts.to_string(),
            peer.peak.to_string(),
            if peer.advised { peer.why.clone() } else { named },
        ]);
    }
    table.render()
}

fn would(proposal: &LearnProposal) -> String {
    let mut table = Table::new([
        ("SOURCE", Align::Left),
        ("WOULD BE", Align::Left),
        ("METHOD", Align::Left),
        ("PROVEN", Align::Left),
        ("TIMES", Align::Right),
        ("LAST", Align::Left),
        ("ACCOUNT OR AGENT", Align::Left),
        ("", Align::Left),
    ]);
    for row in proposal.would.iter().take(WOULD_SHOWN) {
        let whose = match (row.customer, row.suspect) {
            (true, _) => "customer",
            (false, true) => "guessed right?",
            (false, false) => "",
        };
        let port = row.port.map(|port| format!(" port {port}")).unwrap_or_default();
        table.row([
            format!("{}{port}", row.source),
            word(row.what).to_owned(),
            row.rule.clone(),
            if row.proven { "yes" } else { "no" }.to_owned(),
            row.count.to_string(),
            time(row.last),
            row.account.clone().or_else(|| row.user_agent.clone()).unwrap_or_default(),
            whose.to_owned(),
        ]);
    }
    let hidden = proposal.would.len().saturating_sub(WOULD_SHOWN) as u64 + proposal.left_out;
    let more = if hidden > 0 { format!("and {hidden} more: see --json\n") } else { String::new() };
    format!("{}{more}", table.render())
}

/// `would have been blocked 3 times by BRUTEFORCE:register, last 2026-…`.
pub(super) fn would_have_been(would: &WouldView) -> String {
    let times = if would.count == 1 { "once".to_owned() } else { format!("{} times", would.count) };
    let (what, rule, last) = (word(would.what), &would.rule, time(would.last));
    let proof = if would.proven { "proven" } else { "not proven" };
    format!("enforcing would have {what} it {times} by {rule}, last {last}, {proof}")
}

const fn word(what: WouldBe) -> &'static str {
    match what {
        WouldBe::Denied => "denied",
        WouldBe::Blocked => "blocked",
        WouldBe::Contained => "contained",
        WouldBe::Held => "held",
        WouldBe::Quarantined => "quarantined",
        WouldBe::Dropped => "dropped",
    }
}
