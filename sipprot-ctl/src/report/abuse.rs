//! What the abuse desk of an attacker's provider is told: who reports, what was seen and when, and what
//! was done about it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::api::{AbuseReport, AbuseRow, BlockKind, BlockView, Entry, GeoData, Handled};
use crate::store::AttackRecord;

/// Findings that are told; more make nobody act sooner.
pub const ROWS_MAX: usize = 50;
const AGENTS_MAX: usize = 10;

/// What is known of an address.
pub struct Known {
    pub reporter: Option<String>,
    pub host: String,
    pub asked: IpAddr,
    pub source: String,
    pub geo_data: Option<GeoData>,
    pub now: i64,
    /// The newest first; one more than [`ROWS_MAX`] if there are more.
    pub blocks: Vec<BlockView>,
    /// Of all days that are kept.
    pub attacks: Vec<AttackRecord>,
    /// Denials that hold.
    pub denied: Vec<Entry>,
}

/// `None` when nothing is known against it.
pub fn tell(known: Known) -> Option<AbuseReport> {
    let cut = known.blocks.len() > ROWS_MAX;
    let blocks = &known.blocks[..known.blocks.len().min(ROWS_MAX)];
    let found = blocks.iter().filter(|block| block.rule != crate::daemon::BY_HAND).map(finding);
    let mut evidence: Vec<AbuseRow> = found.collect();
    let told: BTreeSet<String> = evidence.iter().map(|row| row.method.clone()).collect();
    let rest = known.attacks.iter().filter(|attack| !told.contains(&attack.method));
    evidence.extend(rest.map(dropped));
    evidence.sort_by_key(|row| std::cmp::Reverse(row.to));
    evidence.truncate(ROWS_MAX);
    let drops = known.attacks.iter().map(|attack| attack.drops).sum();
    let agents = blocks.iter().filter_map(|block| block.user_agent.as_ref());
    let agents = agents.chain(known.attacks.iter().filter_map(|it| it.user_agent.as_ref()));
    let agents: BTreeSet<&String> = agents.collect();
    let first = evidence.iter().map(|row| row.from).min()?;
    let last = evidence.iter().map(|row| row.to).max()?;
    Some(AbuseReport {
        reporter: known.reporter,
        host: known.host,
        address: known.asked,
        source: known.source,
        geo_data: known.geo_data,
        at: known.now,
        zone: "UTC".to_owned(),
        first,
        last,
        evidence,
        drops,
        user_agents: agents.into_iter().take(AGENTS_MAX).cloned().collect(),
        handled: handled(blocks, &known.denied),
        cut,
    })
}

fn finding(block: &BlockView) -> AbuseRow {
    let evidence = block.evidence.as_ref();
    let seconds = |at_ms: i64| at_ms.div_euclid(1000);
    AbuseRow {
        from: evidence.map_or(block.started_at, |it| seconds(it.first.at_ms)),
        to: evidence.map_or(block.started_at, |it| seconds(it.last.at_ms)),
        method: block.rule.clone(),
        what: block.reason.clone(),
        proven: block.proven,
        victim: block.victim,
        count: evidence.map_or(0, |it| it.count.into()),
        accounts: evidence.map_or(0, |it| it.accounts.len() as u64),
        user_agent: block.user_agent.clone(),
        first: evidence.map(|it| it.first.clone()),
        last: evidence.map(|it| it.last.clone()),
    }
}

/// Packets that were dropped without a finding of the rules.
fn dropped(attack: &AttackRecord) -> AbuseRow {
    AbuseRow {
        from: attack.first.as_second(),
        to: attack.last.as_second(),
        method: attack.method.clone(),
        what: format!("{} packets dropped", attack.drops),
        proven: false,
        victim: attack.victim,
        count: attack.drops + attack.observed,
        accounts: 0,
        user_agent: attack.user_agent.clone(),
        first: None,
        last: None,
    }
}

fn handled(blocks: &[BlockView], denied: &[Entry]) -> Vec<Handled> {
    let blocked = blocks.iter().map(|block| {
        let length = crate::why::span(block.duration_s);
        let what = match block.kind {
            _ if block.escalated => "put on our denylist for good".to_owned(),
            BlockKind::Dynamic => format!("blocked for {length}"),
            BlockKind::Containment => format!("its SIP held back for {length}"),
            BlockKind::Quarantine => format!("one source port cut off for {length}"),
        };
        Handled { at: block.started_at, what }
    });
    let listed = denied
        .iter()
        .map(|entry| Handled { at: entry.time, what: format!("denied as {}", entry.ip) });
    let mut all: Vec<Handled> = blocked.chain(listed).collect();
    all.sort_by_key(|it| std::cmp::Reverse(it.at));
    all.truncate(ROWS_MAX);
    all
}
