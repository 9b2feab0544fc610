//! The command line of lists, blocks and reports.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};
use clap_complete::ArgValueCompleter;
use ipnetwork::IpNetwork;
use jiff::civil::Date;

use super::super::complete;
use super::{EditVerb, duration, scope};
use crate::api::{Expiry, List, ListQuery, ReportOrder, ReportQuery, SortBy};
use crate::config::{Scope, parse_duration};

#[derive(Subcommand, Debug)]
pub enum Which {
    /// Print or edit the allowlist.
    Allow(Entries),
    /// Print or edit the denylist.
    Deny(Entries),
    /// Print dynamic blocks, or move them to the denylist.
    Dynamic(Rows),
    /// Print containments and quarantines.
    Contained(RowFilter),
    /// Print trusted peers.
    Trust(RowFilter),
    /// Print the lists of others that the configuration names, and how they fare.
    Blocklists(RowFilter),
}

#[derive(ClapArgs, Debug)]
pub struct Entries {
    #[command(subcommand)]
    pub verb: Option<EditVerb>,
    #[command(flatten)]
    pub filter: RowFilter,
}

#[derive(ClapArgs, Debug)]
pub struct Rows {
    #[command(subcommand)]
    pub verb: Option<RowsVerb>,
    #[command(flatten)]
    pub filter: RowFilter,
}

#[derive(Subcommand, Debug)]
pub enum RowsVerb {
    /// Put blocked addresses on the denylist.
    Move {
        #[arg(required = true, add = ArgValueCompleter::new(complete::blocked))]
        addresses: Vec<IpAddr>,
        /// The list.
        #[arg(long, value_parser = deny)]
        to: List,
        /// Why; in place of what the block says.
        #[arg(long, default_value = "")]
        note: String,
        /// Also if it may cut you off: it is taken back unless 'sipprot confirm' follows.
        #[arg(long)]
        confirm: bool,
        /// Only say what would be done.
        #[arg(long)]
        dry_run: bool,
    },
}

/// Which rows, and in what order.
#[derive(ClapArgs, Debug, Default)]
pub struct RowFilter {
    /// Only rows with this in address, note or author, or that cover this address.
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
    /// Only rows that cover this address.
    #[arg(long, value_name = "ADDR")]
    pub covers: Option<IpAddr>,
    /// Only rows with this in their note.
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Only rows of authors with this in their name.
    #[arg(long, value_name = "TEXT")]
    pub author: Option<String>,
    /// Only rows of this country.
    #[arg(long, value_name = "CODE", add = ArgValueCompleter::new(complete::countries))]
    pub country: Option<String>,
    /// Only rows of this endpoint; 'host' for those of none.
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::endpoints))]
    pub endpoint: Option<String>,
    /// Only rows that end: never, some (at any time), or within a TIME such as 10m, 1h or 7d.
    #[arg(long, value_name = "WHEN", value_parser = expiry)]
    pub expires: Option<Expiry>,
    /// By address, time, author, note, country or expires; the list's own order otherwise.
    #[arg(long, value_name = "BY", value_parser = sort)]
    pub sort: Option<SortBy>,
    /// The other way round.
    #[arg(long)]
    pub reverse: bool,
    /// At most so many.
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Leave out so many first.
    #[arg(long, value_name = "N")]
    pub offset: Option<u64>,
}

impl RowFilter {
    pub fn query(&self) -> ListQuery {
        ListQuery {
            search: self.search.clone(),
            covers: self.covers,
            note: self.note.clone(),
            author: self.author.clone(),
            country: self.country.clone(),
            endpoint: self.endpoint.clone(),
            expires: self.expires,
            kind: None,
            sort: self.sort,
            reverse: self.reverse,
            offset: self.offset,
            limit: self.limit,
        }
    }
}

#[derive(ClapArgs, Debug)]
#[group(id = "change", required = true, multiple = true)]
pub struct EditChange {
    /// Why.
    #[arg(long)]
    pub note: Option<String>,
    /// On a denylist: drop all traffic, or only that to SIP ports (sip), ssh or http.
    #[arg(long, value_parser = scope)]
    pub scope: Option<Scope>,
    /// Remove it after this time from now, such as 10m, 1h or 7d.
    #[arg(long = "for", value_name = "TIME", value_parser = duration, conflicts_with = "forever")]
    pub time: Option<Duration>,
    /// It has no end any more.
    #[arg(long)]
    pub forever: bool,
    /// Another network in its place.
    #[arg(long, value_name = "NETWORK")]
    pub network: Option<IpNetwork>,
}

#[derive(ClapArgs, Debug)]
pub struct EditArgs {
    /// The entry.
    #[arg(value_name = "NETWORK", add = ArgValueCompleter::new(complete::entries))]
    pub entry: IpNetwork,
    #[command(flatten)]
    pub change: EditChange,
    /// The endpoint whose list it is; the host's otherwise.
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::endpoints))]
    pub endpoint: Option<String>,
    /// As --json shows it: if somebody else has changed the entry since, nothing is done.
    #[arg(long, value_name = "VERSION")]
    pub version: Option<String>,
    /// Also if it may cut you off: it is taken back unless 'sipprot confirm' follows.
    #[arg(long)]
    pub confirm: bool,
    /// Only say what would be done.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(ClapArgs, Debug)]
pub struct Remove {
    #[arg(required_unless_present_any = ["csv", "all"], value_name = "NETWORK", add = ArgValueCompleter::new(complete::entries))]
    pub networks: Vec<IpNetwork>,
    /// Remove the addresses of a CSV file instead; - reads stdin.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["networks", "all"])]
    pub csv: Option<PathBuf>,
    /// Remove all entries of the host, or of --endpoint.
    #[arg(long, conflicts_with = "networks")]
    pub all: bool,
    /// Only say what would change.
    #[arg(long, visible_alias = "preview")]
    pub dry_run: bool,
    /// The endpoint whose list it is. Without it, named networks are removed from all lists, --csv and
    /// --all remove from the host's.
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::endpoints))]
    pub endpoint: Option<String>,
    /// With --all: don't ask.
    #[arg(long)]
    pub yes: bool,
    /// Also if it may cut you off: it is taken back unless 'sipprot confirm' follows.
    #[arg(long)]
    pub confirm: bool,
}

#[derive(ClapArgs, Debug)]
pub struct MoveArgs {
    #[arg(required = true, value_name = "NETWORK", add = ArgValueCompleter::new(complete::entries))]
    pub networks: Vec<IpNetwork>,
    /// allow or deny.
    #[arg(long, value_parser = either)]
    pub to: List,
    /// Also if it may cut you off: it is taken back unless 'sipprot confirm' follows.
    #[arg(long)]
    pub confirm: bool,
    /// Only say what would be done.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(ClapArgs, Debug)]
pub struct AggregateArgs {
    /// Only say what would merge.
    #[arg(long, visible_alias = "preview")]
    pub dry_run: bool,
    /// The endpoint whose list it is; the host's otherwise.
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::endpoints))]
    pub endpoint: Option<String>,
}

#[derive(ClapArgs, Debug)]
pub struct Block {
    #[arg(required = true, value_name = "ADDRESS")]
    pub addresses: Vec<IpAddr>,
    /// How long, such as 90s, 10m or 1h; the configured block time otherwise.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub time: Option<Duration>,
    /// Why.
    #[arg(long, default_value = "")]
    pub reason: String,
    /// Drop all traffic, or only that to SIP ports.
    #[arg(long, value_parser = scope, default_value = "all")]
    pub scope: Scope,
    /// Also if it may cut you off: it is taken back unless 'sipprot confirm' follows.
    #[arg(long)]
    pub confirm: bool,
    /// Only say what would be done.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(ClapArgs, Debug)]
pub struct Unblock {
    #[arg(required_unless_present = "all", value_name = "ADDRESS", add = ArgValueCompleter::new(complete::blocked))]
    pub addresses: Vec<IpAddr>,
    /// Lift every block, containment and quarantine.
    #[arg(long, conflicts_with = "addresses")]
    pub all: bool,
    /// With --all: don't ask.
    #[arg(long)]
    pub yes: bool,
    /// Only say what would be done.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(ClapArgs, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Report {
    #[command(subcommand)]
    pub verb: Option<ReportVerb>,
    /// The day (UTC), YYYY-MM-DD; today otherwise.
    #[arg(long, value_name = "DATE", conflicts_with_all = ["from", "to", "days"])]
    pub date: Option<Date>,
    /// From this day on.
    #[arg(long, value_name = "DATE", conflicts_with = "days")]
    pub from: Option<Date>,
    /// To this day, itself included; today otherwise.
    #[arg(long, value_name = "DATE")]
    pub to: Option<Date>,
    /// The last so many days.
    #[arg(long, value_name = "N")]
    pub days: Option<u32>,
    /// By victim, attacker, country, method, blocks, drops or last.
    #[arg(long, value_name = "BY", value_parser = report_order)]
    pub sort: Option<ReportOrder>,
    /// The other way round.
    #[arg(long)]
    pub reverse: bool,
    /// At most so many rows; the totals are of all.
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Print the rows as a CSV file; times are UTC.
    #[arg(long)]
    pub csv: bool,
}

#[derive(Subcommand, Debug)]
pub enum ReportVerb {
    /// Print what the abuse desk of an address's provider asks for.
    ///
    /// Who reports is the configuration's 'abuse_contact'. Exits 4 when nothing is known against it.
    Abuse { address: IpAddr },
}

impl Report {
    pub fn query(&self) -> ReportQuery {
        ReportQuery {
            date: self.date,
            from: self.from,
            to: self.to,
            days: self.days,
            sort: self.sort,
            reverse: self.reverse,
            limit: self.limit,
        }
    }
}

#[derive(ClapArgs, Debug)]
pub struct MapArgs {
    #[command(subcommand)]
    pub verb: MapVerb,
}

#[derive(Subcommand, Debug)]
pub enum MapVerb {
    /// Print the maps and how full they are; with a name, the entries of that map.
    ///
    /// The JSON object (--json) has: maps [{name, kind, key_bytes, value_bytes, entries, capacity}];
    /// with a name: map (as above), entries [{key, value}], each with its fields.
    Dump {
        /// In any case, such as BLOCKS.
        map: Option<String>,
        /// At most so many entries.
        #[arg(long, value_name = "N", default_value_t = 1000)]
        limit: usize,
    },
}

fn sort(text: &str) -> Result<SortBy, String> {
    named(text, &SortBy::ALL)
}

fn report_order(text: &str) -> Result<ReportOrder, String> {
    named(text, &ReportOrder::ALL)
}

fn named<T: Copy>(text: &str, all: &[(&str, T)]) -> Result<T, String> {
    let found = all.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        format!("expected one of {}", names.join(", "))
    })
}

fn expiry(text: &str) -> Result<Expiry, String> {
    match text {
        "never" => Ok(Expiry::Never),
        "some" => Ok(Expiry::Some),
        _ => parse_duration(text)
            .map(|time| Expiry::Within(time.as_secs()))
            .ok_or_else(|| "expected never, some, or a time such as 10m, 1h or 7d".to_owned()),
    }
}

pub fn either(text: &str) -> Result<List, String> {
    named(text, &[("allow", List::Allow), ("deny", List::Deny)])
}

fn deny(text: &str) -> Result<List, String> {
    named(text, &[("deny", List::Deny)])
}
