//! The timeline: rows of the history, entries and peers, as moments.

use std::cmp::Reverse;
use std::time::Duration;

use super::{Facts, PAST_MAX};
use crate::api::{BlockKind, BlockView, List, Moment, MomentKind};
use crate::config::format_duration;

/// The newest first, and whether there is more.
pub(super) fn timeline(facts: &Facts) -> (Vec<Moment>, bool) {
    let shown = &facts.past[..facts.past.len().min(PAST_MAX)];
    let mut moments: Vec<Moment> = shown.iter().flat_map(|row| moments(row, facts.now)).collect();
    let told = shown.iter().any(|row| row.escalated);
    for entry in facts.check.entries.iter().filter(|it| it.origin != "escalation" || !told) {
        let list = if entry.list == List::Allow { "allowlist" } else { "denylist" };
        let note = if entry.note.is_empty() { String::new() } else { format!(": {}", entry.note) };
        let what = format!("{} put on the {list} by {}{note}", entry.ip, entry.added_by);
        moments.push(Moment { at: entry.time, kind: MomentKind::Listed, what });
    }
    for peer in &facts.check.peers {
        let Some(at) = peer.added_at else { continue };
        let network = crate::report::address(peer.network);
        let by = peer.added_by.as_deref().unwrap_or_default();
        let what = format!("{network} made a peer by {by}");
        moments.push(Moment { at, kind: MomentKind::Listed, what });
    }
    for alert in &facts.alerts {
        let what = format!("alert: {}", alert.what);
        moments.push(Moment { at: alert.at, kind: MomentKind::Alerted, what });
    }
    // What began and ended in the same second ended later.
    moments.sort_by_key(|moment| (Reverse(moment.at), Reverse(moment.kind)));
    let cut = facts.past.len() > PAST_MAX || moments.len() > PAST_MAX;
    moments.truncate(PAST_MAX);
    (moments, cut)
}

/// The begin of a block and, if it is over, its end.
fn moments(row: &BlockView, now: i64) -> impl Iterator<Item = Moment> {
    let begin = Moment { at: row.started_at, kind: kind(row), what: begun(row) };
    let end = match (row.lifted_at, &row.lifted_by) {
        (Some(at), by) => {
            let what = format!("lifted by {}", by.as_deref().unwrap_or("hand"));
            Some(Moment { at, kind: MomentKind::Lifted, what })
        }
        (None, _) if row.escalated || now < row.expires_at => None,
        (None, _) => {
            let what = match row.kind {
                BlockKind::Dynamic => "the block ended".to_owned(),
                BlockKind::Containment => "the containment ended".to_owned(),
                BlockKind::Quarantine => {
                    let port = row.port.unwrap_or_default();
                    format!("the quarantine of port {port} ended")
                }
            };
            Some(Moment { at: row.expires_at, kind: MomentKind::Ended, what })
        }
    };
    std::iter::once(begin).chain(end)
}

const fn kind(row: &BlockView) -> MomentKind {
    match row.kind {
        _ if row.escalated => MomentKind::Escalated,
        BlockKind::Dynamic => MomentKind::Blocked,
        BlockKind::Containment => MomentKind::Contained,
        BlockKind::Quarantine => MomentKind::Quarantined,
    }
}

fn begun(row: &BlockView) -> String {
    let time = format_duration(Duration::from_secs(row.duration_s));
    let place = row.endpoint.as_ref().map(|name| format!(" at {name}")).unwrap_or_default();
    let by = format!("{}{place}", row.rule);
    let account = row.account.as_ref().map(|account| format!(", {account}")).unwrap_or_default();
    let proof = match (row.proven, &row.evidence) {
        (true, _) => ", proven",
        (false, Some(_)) => ", not proven",
        (false, None) => "",
    };
    let mut text = match row.kind {
        _ if row.escalated && row.duration_s == 0 => {
            format!("one too many: denied for good, {by}{account}{proof}")
        }
        _ if row.escalated => format!("one too many: denied for {time}, {by}{account}{proof}"),
        BlockKind::Dynamic => format!("blocked for {time}: {by}{account}{proof}"),
        BlockKind::Containment => format!("contained for {time}: {by}{account}{proof}"),
        BlockKind::Quarantine => {
            let port = row.port.unwrap_or_default();
            format!("source port {port} quarantined for {time}: {by}{account}{proof}")
        }
    };
    match row.renewals {
        0 => {}
        1 => text += ", renewed once",
        times => text += &format!(", renewed {times} times"),
    }
    text
}
