//! `sipprot list`, and the lists in `status`.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::de::DeserializeOwned;

use super::args::{Entries as EntriesArgs, List, RowFilter, RowsVerb, Which};
use super::client::{Client, query_of};
use super::table::{Align, Table};
use super::{CliError, Context, change, write_out};
use crate::api::{
    BlockKind, BlockView, BlocklistsAnswer, BlocksAnswer, DenyBlocks, Entries, Entry, LearnState,
    LearnStatus, ListQuery, PeersAnswer, TrustAnswer,
};
use crate::config::Choice;
use crate::{report, store};

pub(super) fn run(context: &Context, list: List) -> Result<(), CliError> {
    match list.which {
        Which::Allow(entries) => one(context, store::List::Allow, "allow", entries),
        Which::Deny(entries) => one(context, store::List::Deny, "deny", entries),
        Which::Dynamic(rows) => match rows.verb {
            Some(RowsVerb::Move { addresses, note, confirm, dry_run, .. }) => {
                let blocks = DenyBlocks { addresses, note, by: change::operator() };
                let client = context.client()?.confirming(confirm).rehearsing(dry_run);
                change::print(context, &client.post("/blocks/deny", &blocks)?)
            }
            None => {
                let blocks = blocks(context, BlockKind::Dynamic, &rows.filter)?;
                context.print(&blocks, blocks_table)?;
                if blocks.total == 0 && !context.json {
                    learning_told(context)?
                }
                Ok(())
            }
        },
        Which::Contained(filter) => {
            let mut all = blocks(context, BlockKind::Containment, &filter)?;
            let ports = blocks(context, BlockKind::Quarantine, &filter)?;
            all.blocks.extend(ports.blocks);
            all.total += ports.total;
            context.print(&all, blocks_table)
        }
        Which::Trust(filter) => trust(context, &filter),
        Which::Blocklists(filter) => {
            let lists: BlocklistsAnswer = get(context, "/blocklists", &filter.query())?;
            context.print(&lists, blocklists_table)
        }
    }
}

/// Why nobody is blocked.
fn learning_told(context: &Context) -> Result<(), CliError> {
    let learning: LearnStatus = context.client()?.get("/learn")?;
    match learning.state {
        LearnState::Learning | LearnState::Ready => write_out(
            "The host learns and blocks nobody: 'sipprot learn proposal' tells whom it would\n",
        ),
        _ => Ok(()),
    }
}

fn blocks(
    context: &Context,
    kind: BlockKind,
    filter: &RowFilter,
) -> Result<BlocksAnswer, CliError> {
    get(context, "/blocks", &ListQuery { kind: Some(kind), ..filter.query() })
}

pub(super) fn trust(context: &Context, filter: &RowFilter) -> Result<(), CliError> {
    let trust: TrustAnswer = get(context, "/trust", &filter.query())?;
    context.print(&trust, trust_table)
}

pub(super) fn peers(context: &Context, filter: &RowFilter) -> Result<(), CliError> {
    let peers: PeersAnswer = get(context, "/peers", &filter.query())?;
    context.print(&peers, peers_table)
}

fn get<T: DeserializeOwned>(
    context: &Context,
    path: &str,
    query: &ListQuery,
) -> Result<T, CliError> {
    context.client()?.get(&format!("{path}{}", query_of(query)?))
}

fn peers_table(answer: &PeersAnswer) -> String {
    let mut table = Table::new([
        ("NETWORK", Align::Left),
        ("NOTE", Align::Left),
        ("TIME", Align::Left),
        ("ADDED BY", Align::Left),
        ("CEILING/S", Align::Right),
    ]);
    for peer in &answer.peers {
        let configured = peer.configured_in.as_ref().map(|place| format!("configured: {place}"));
        table.row([
            report::address(peer.network),
            peer.note.clone(),
            peer.added_at.map(time).unwrap_or_default(),
            configured.or_else(|| peer.added_by.clone()).unwrap_or_default(),
            peer.rate.map(|rate| rate.to_string()).unwrap_or_default(),
        ]);
    }
    table.render()
}

fn blocklists_table(answer: &BlocklistsAnswer) -> String {
    let mut table = Table::new([
        ("NAME", Align::Left),
        ("MODE", Align::Left),
        ("ENTRIES", Align::Right),
        ("SPARED", Align::Right),
        ("TOO WIDE", Align::Right),
        ("SEEN", Align::Right),
        ("READ", Align::Left),
        ("EXPIRES", Align::Left),
        ("SOURCE", Align::Left),
        ("PROBLEM", Align::Left),
    ]);
    for list in &answer.blocklists {
        table.row([
            list.name.clone(),
            list.mode.clone(),
            list.entries.to_string(),
            list.spared.to_string(),
            list.too_wide.to_string(),
            list.seen.sources.to_string(),
            list.read_at.map(time).unwrap_or_default(),
            list.expires_at.map(time).unwrap_or_default(),
            list.source.clone(),
            list.problem.clone().unwrap_or_default(),
        ]);
    }
    table.render()
}

fn one(
    context: &Context,
    list: store::List,
    name: &str,
    args: EntriesArgs,
) -> Result<(), CliError> {
    if let Some(verb) = args.verb {
        return change::edit(context, list, super::args::Edit { verb });
    }
    let (client, query) = (context.client()?, args.filter.query());
    let entries = match (query.limit, query.offset) {
        (None, None) => fetch(&client, name, &query)?,
        _ => client.get(&format!("/lists/{name}{}", query_of(&query)?))?,
    };
    context.print(&entries, entries_table)
}

/// All entries of a list, page by page.
pub(super) fn fetch(client: &Client, list: &str, query: &ListQuery) -> Result<Entries, CliError> {
    let mut all = Entries { entries: Vec::new(), total: 0 };
    loop {
        let query = ListQuery { offset: Some(all.entries.len() as u64), ..query.clone() };
        let page: Entries = client.get(&format!("/lists/{list}{}", query_of(&query)?))?;
        all.total = page.total;
        let done = page.entries.is_empty();
        all.entries.extend(page.entries);
        if done || all.entries.len() as u64 >= all.total {
            return Ok(all);
        }
    }
}

/// The two columns of `status`.
pub(super) fn short_entries(title: &str, list: &Entries) -> String {
    let mut table = Table::new([("IP ADDRESS", Align::Left), ("COUNTRY", Align::Right)]);
    for entry in &list.entries {
        table.row([entry.ip.clone(), country(entry)]);
    }
    format!("{title}:\n{}", table.render())
}

pub(super) fn short_blocks(list: &BlocksAnswer) -> String {
    let mut table = Table::new([("IP ADDRESS", Align::Left), ("COUNTRY", Align::Right)]);
    for block in &list.blocks {
        table.row([block.source.clone(), block.country_name.clone().unwrap_or_default()]);
    }
    format!("Dynamic (temporary):\n{}", table.render())
}

fn entries_table(list: &Entries) -> String {
    let mut table = Table::new([
        ("IP ADDRESS", Align::Left),
        ("COUNTRY", Align::Right),
        ("NOTE", Align::Left),
        ("TIME", Align::Left),
        ("ADDED BY", Align::Left),
        ("EXPIRES", Align::Left),
    ]);
    for entry in &list.entries {
        table.row([
            scoped(entry),
            country(entry),
            entry.note.clone(),
            time(entry.time),
            entry.added_by.clone(),
            entry.expires_at.map(time).unwrap_or_default(),
        ]);
    }
    format!("{}{} of {}\n", table.render(), list.entries.len(), list.total)
}

fn scoped(entry: &Entry) -> String {
    let endpoint = entry.endpoint.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    let scope = match entry.scope {
        crate::config::Scope::All => String::new(),
        scope => format!(" [{}]", scope.name()),
    };
    format!("{}{scope}{endpoint}", entry.ip)
}

fn blocks_table(list: &BlocksAnswer) -> String {
    let mut table = Table::new([
        ("IP ADDRESS", Align::Left),
        ("COUNTRY", Align::Right),
        ("METHOD", Align::Left),
        ("ENDPOINT", Align::Left),
        ("USER AGENT", Align::Left),
        ("REASON", Align::Left),
        ("SINCE", Align::Left),
        ("UNTIL", Align::Left),
    ]);
    for block in &list.blocks {
        table.row([
            address(block),
            block.country_name.clone().unwrap_or_default(),
            block.rule.clone(),
            block.endpoint.clone().unwrap_or_default(),
            block.user_agent.clone().unwrap_or_default(),
            block.reason.clone(),
            time(block.started_at),
            time(block.expires_at),
        ]);
    }
    format!("{}{} of {}\n", table.render(), list.blocks.len(), list.total)
}

fn address(block: &BlockView) -> String {
    match block.port {
        Some(port) => format!("{} port {port}", block.source),
        None => block.source.clone(),
    }
}

fn trust_table(answer: &TrustAnswer) -> String {
    let mut table = Table::new([
        ("IP ADDRESS", Align::Left),
        ("KIND", Align::Left),
        ("ACCOUNTS OR NOTE", Align::Left),
        ("SINCE", Align::Left),
        ("LAST SEEN", Align::Left),
        ("PEAK/S", Align::Right),
        ("CEILING/S", Align::Right),
    ]);
    for peer in &answer.peers {
        let kind = if peer.configured_in.is_some() { "configured" } else { "peer" };
        let since = peer.added_at.map(time).unwrap_or_default();
        let network = report::address(peer.network);
        let rate = peer.rate.map(|rate| rate.to_string()).unwrap_or_default();
        let kind = kind.to_owned();
        table.row([network, kind, peer.note.clone(), since, String::new(), String::new(), rate]);
    }
    for trust in &answer.trust {
        const SHOWN: usize = 3;
        let more = trust.accounts.len().saturating_sub(SHOWN);
        let shown: Vec<&str> = trust.accounts.iter().take(SHOWN).map(String::as_str).collect();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        table.row([
            trust.source.clone(),
            trust.kind.clone(),
            format!("{}{more}", shown.join(", ")),
            time(trust.since),
            time(trust.last_seen),
            trust.peak.to_string(),
            trust.ceiling.to_string(),
        ]);
    }
    table.render()
}

fn country(entry: &Entry) -> String {
    entry.geo_data.as_ref().map(|geo| geo.country_name.clone()).unwrap_or_default()
}

/// Local time, as people read it.
pub(super) fn time(seconds: i64) -> String {
    match Timestamp::from_second(seconds) {
        Ok(at) => at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => String::new(),
    }
}
