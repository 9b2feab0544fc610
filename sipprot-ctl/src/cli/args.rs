//! The command line.

mod lists;
mod settings;

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand};
use clap_complete::{ArgValueCompleter, Shell};
use ipnetwork::IpNetwork;

pub use lists::{
    AggregateArgs, Block, EditArgs, Entries, MapArgs, MapVerb, MoveArgs, Remove, Report,
    ReportVerb, RowFilter, RowsVerb, Unblock, Which, either,
};

use super::complete;
pub use settings::{Audit, Config, ConfigVerb, GeoOff, GeoSet, How, OfEndpoint, Undo};

use super::log::Target;
use super::version::VERSION;
use crate::config::{GeoMode, RuleScope, Scope, parse_duration};

/// SIP firewall: blocks SIP attackers in the kernel, in front of every PBX of this host.
#[derive(Parser, Debug)]
#[command(name = "sipprot", version = VERSION.as_str(), disable_version_flag = true)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    /// Load configuration from FILE [default: /etc/sipprot/sipprot.toml].
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the log goes: stdout://, stderr://, syslog://, journal:// or file:///PATH.
    #[arg(long, global = true, value_name = "URI", default_value = "stdout://")]
    pub log: Target,
    /// Include debug logs.
    #[arg(long, global = true)]
    pub debug: bool,
    /// Print one JSON object.
    #[arg(long, global = true)]
    pub json: bool,
    /// Print the version.
    #[arg(short = 'v', long, action = clap::ArgAction::Version)]
    version: Option<bool>,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Protect the interfaces. The filter stays in force when the daemon ends.
    Run(Run),
    /// Print health and the number of IPs per list.
    #[command(visible_alias = "s")]
    Status(Shown),
    /// Print the daily attack report, or that of several days.
    #[command(visible_alias = "r")]
    Report(Report),
    /// Prepare the store; on a terminal also the configuration, by a few questions.
    ///
    /// Without a terminal and without options only the store is prepared; if it is there already,
    /// nothing is done.
    Setup(super::setup::Setup),
    /// Print only the version.
    Version,
    /// Manage IP lists.
    #[command(visible_alias = "l")]
    List(List),
    /// Tell on which lists an address is, what the kernel holds of it, and why.
    Check {
        #[arg(add = ArgValueCompleter::new(complete::blocked))]
        address: IpAddr,
    },
    /// Tell why an address is blocked or not: rule, evidence, past, end, and how to undo it.
    Why {
        #[arg(add = ArgValueCompleter::new(complete::blocked))]
        address: IpAddr,
    },
    /// Edit the allowlist.
    Allow(Edit),
    /// Edit the denylist.
    Deny(Edit),
    /// Block an address for a while.
    Block(Block),
    /// Lift the block of an address, and leave it alone for an hour.
    Unblock(Unblock),
    /// Trusted peers.
    Trust(Trust),
    /// Peers that are trusted by your word.
    Peer(Peer),
    /// Watch without dropping, then propose peers and limits before enforcing.
    Learn(Learn),
    /// Countries: databases, and what a change would do.
    Geo(Geo),
    /// What lines of logs mean.
    Filter(Filter),
    /// Read the configuration again; a wrong one changes nothing.
    Reload {
        /// Also if it may cut you off: it is taken back unless 'sipprot confirm' follows.
        #[arg(long)]
        confirm: bool,
        /// Only say what would change.
        #[arg(long)]
        dry_run: bool,
    },
    /// Keep a change that was made with --confirm, for you still get through.
    Confirm {
        /// Take it back now.
        #[arg(long)]
        cancel: bool,
    },
    /// Print what changed: blocks, trust, alerts, lists, health.
    Events(super::events::Events),
    /// Show who attacks, and how much passes and is dropped, every second.
    Top(super::top::Options),
    /// Look for what may be wrong, and say what to do about it; also without a daemon.
    Doctor,
    /// Write what somebody needs who helps from afar into a file, without secrets.
    Support(super::support::Support),
    /// Print, check and change the configuration.
    Config(Config),
    /// Who is told of attacks: how it fares, what became of each message, and a test.
    Notify(super::notices::Notify),
    /// Print who changed what, and when.
    Audit(Audit),
    /// Take back what was changed, if it is still so.
    Undo(Undo),
    /// Run the rules over a capture: what would have been done, and why. Changes nothing.
    Replay(Replay),
    /// Take over what another program bans: fail2ban, CrowdSec, or sipPROT.
    ///
    /// All of it, or nothing. Ends are kept, and notes say where an entry comes from.
    Import(super::import::Import),
    /// Work on the kernel's maps alone, without a daemon.
    Rescue(Rescue),
    /// Upgrade the package; the filter stays in force meanwhile.
    Update {
        /// Only say what would be done.
        #[arg(long)]
        dry_run: bool,
    },
    /// Who may log in to the API over TCP.
    User(super::people::User),
    /// API tokens.
    Token(super::people::Token),
    /// Hosts that tell each other of attackers, by a hub.
    Fleet(super::fleet::Fleet),
    /// Take a fleet's reports, and publish its blocklist.
    Hub {
        /// The fleet's directory, made by 'sipprot fleet init'.
        #[arg(long, value_name = "DIR", default_value = crate::fleet::home::DEFAULT)]
        dir: PathBuf,
    },
    /// Tell whether the kernel holds what the store promises; exits 1 when they differ.
    ///
    /// The JSON object (--json) has: agrees, repaired, kinds [{kind, promised, found, missing,
    /// unexpected, different, differences [{what, promised, found}]}].
    Verify {
        /// Put into the kernel what the store promises.
        #[arg(long)]
        repair: bool,
    },
    /// What is really in the kernel's maps; needs root, and no daemon.
    Map(MapArgs),
    /// Print completions for a shell.
    Completions { shell: Shell },
    /// Write the pages of the manual.
    #[command(hide = true)]
    Man { directory: PathBuf },
}

#[derive(ClapArgs, Debug)]
pub struct Run {
    /// An interface to protect, beside those of the configuration.
    #[arg(long = "iface", value_name = "IF", add = ArgValueCompleter::new(complete::interfaces))]
    pub interfaces: Vec<String>,
    /// Drop nothing: count and report what would be dropped.
    #[arg(long)]
    pub observe: bool,
    /// Take the filter out of the kernel when the daemon ends.
    #[arg(long)]
    pub detach_on_exit: bool,
    /// Start also where no interface is there yet, and filter each as soon as it comes.
    #[arg(long)]
    pub wait: bool,
}

#[derive(ClapArgs, Debug, Default)]
pub struct Shown {
    /// Print the allowlist.
    #[arg(long)]
    pub allow: bool,
    /// Print the denylist.
    #[arg(long)]
    pub deny: bool,
    /// Print the dynamic blocks.
    #[arg(long)]
    pub dynamic: bool,
    /// Print all lists.
    #[arg(long)]
    pub all: bool,
}

#[derive(ClapArgs, Debug)]
pub struct List {
    #[command(subcommand)]
    pub which: Which,
}

#[derive(ClapArgs, Debug)]
pub struct Edit {
    #[command(subcommand)]
    pub verb: EditVerb,
}

#[derive(Subcommand, Debug)]
pub enum EditVerb {
    /// Add an address or network.
    Add(Add),
    /// Change note, scope, end or network of an entry.
    Edit(EditArgs),
    /// Remove addresses or networks, all of a file, or all there are.
    Remove(Remove),
    /// Move addresses or networks to the other list.
    Move(MoveArgs),
    /// Let one network take the place of entries that say together what it says. Adds no address.
    ///
    /// Entries of one endpoint without an end or a scope merge. The JSON object (--json) has: list,
    /// done, before, after, merges, merged [{network, count, entries, note}].
    Aggregate(AggregateArgs),
    /// Add all of a CSV file (IP_ADDRESS,NOTE,TIME,ADDED_BY), or nothing of it.
    Import(Import),
    /// Print the list as a CSV file; times are UTC.
    Export(Export),
    /// Print a CSV file to begin with.
    Template,
}

#[derive(ClapArgs, Debug)]
pub struct Import {
    /// The file; - reads stdin.
    pub file: PathBuf,
    /// Only say what would change.
    #[arg(long, visible_alias = "preview")]
    pub dry_run: bool,
    /// The zone of times that don't say theirs, such as Europe/Paris.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub zone: String,
    /// The endpoint whose list it is; the host's otherwise.
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::endpoints))]
    pub endpoint: Option<String>,
    /// Also if it may cut you off: what does is taken back unless 'sipprot confirm' follows.
    #[arg(long)]
    pub confirm: bool,
}

/// `remove --csv`, by itself.
#[derive(Debug)]
pub struct RemoveCsv {
    pub file: PathBuf,
    pub dry_run: bool,
    pub endpoint: Option<String>,
    pub confirm: bool,
}

#[derive(ClapArgs, Debug)]
pub struct Export {
    /// The endpoint whose list it is; the host's otherwise.
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::endpoints))]
    pub endpoint: Option<String>,
}

#[derive(ClapArgs, Debug)]
pub struct Add {
    pub network: IpNetwork,
    /// Why.
    #[arg(long, default_value = "")]
    pub note: String,
    /// Remove it again after this time, such as 90s, 10m, 1h or 7d.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub time: Option<Duration>,
    /// On a denylist: drop all traffic, or only that to SIP ports.
    #[arg(long, value_parser = scope, default_value = "all")]
    pub scope: Scope,
    /// The endpoint whose list it is; the host's otherwise.
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::endpoints))]
    pub endpoint: Option<String>,
    /// Also if it may cut you off: it is taken back unless 'sipprot confirm' follows.
    #[arg(long)]
    pub confirm: bool,
    /// Only say what would be done.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(ClapArgs, Debug)]
pub struct Trust {
    #[command(subcommand)]
    pub verb: TrustVerb,
}

#[derive(Subcommand, Debug)]
pub enum TrustVerb {
    /// Print trusted peers.
    List(RowFilter),
    /// Take trust away, and give none for a day.
    Revoke {
        #[arg(add = ArgValueCompleter::new(complete::trusted))]
        address: IpAddr,
        /// Only say what would be done.
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(ClapArgs, Debug)]
pub struct Peer {
    #[command(subcommand)]
    pub verb: PeerVerb,
}

#[derive(Subcommand, Debug)]
pub enum PeerVerb {
    /// Trust an address or network, at once and for good.
    Add {
        network: IpNetwork,
        /// Why.
        #[arg(long, default_value = "")]
        note: String,
        /// SIP packets a second that each of its addresses may send; 2,000 or 20 times its peak
        /// otherwise.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        rate: Option<u32>,
        /// Only say what would be done.
        #[arg(long)]
        dry_run: bool,
    },
    /// Print peers of the configuration and those that were added.
    List(RowFilter),
    /// Take back what was added.
    Remove {
        #[arg(add = ArgValueCompleter::new(complete::peers))]
        network: IpNetwork,
        /// Only say what would be done.
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(ClapArgs, Debug)]
pub struct Learn {
    #[command(subcommand)]
    pub verb: LearnVerb,
}

#[derive(Subcommand, Debug)]
pub enum LearnVerb {
    /// From now on the rules only judge, and what they would have done is kept. Lists, geo and
    /// blocks by hand hold.
    Start {
        /// After so many days the proposal is no longer preliminary.
        #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=90))]
        days: u32,
    },
    /// Print whether the host learns, since when, and what it has seen.
    Status,
    /// Print peers and limits to take, and what would have been dropped; also before the time is over.
    ///
    /// The JSON object (--json) has: state, started_at, until, preliminary; mode {now, proposed} or
    /// null; peers [{network, kind, accounts, calls, peak, advised, why}]; limits [{key, now,
    /// proposed, reached, source, why}]; would [{source, what, rule, proven, customer, suspect,
    /// count, first, last, endpoint, victim, port, account, user_agent, evidence}]; left_out;
    /// trusted [{source, peak, ceiling}]; endpoints [{endpoint, requests, drops}].
    Proposal,
    /// Take the proposal, whole or in part: shows what it changes first.
    Accept(Accept),
    /// End it without taking anything: the mode is again as configured. What was learned stays.
    Stop,
    /// End it, and forget what was learned.
    Discard,
}

#[derive(ClapArgs, Debug)]
pub struct Accept {
    /// The advised peers, and no more.
    #[arg(long)]
    pub peers: bool,
    /// The limits, and no more.
    #[arg(long)]
    pub limits: bool,
    /// The end of learning with mode enforce, and no more.
    #[arg(long)]
    pub enforce: bool,
    /// A proposed peer that is not advised, too.
    #[arg(long, value_name = "NET")]
    pub also: Vec<IpNetwork>,
    /// Don't ask.
    #[arg(long)]
    pub yes: bool,
}

#[derive(ClapArgs, Debug)]
pub struct Geo {
    #[command(subcommand)]
    pub verb: GeoVerb,
}

#[derive(Subcommand, Debug)]
pub enum GeoVerb {
    /// Print which database is used, whom policies keep out, and what was dropped by country.
    Status,
    /// Print whom a change of countries would cut off, and how many networks it takes. Changes nothing.
    ///
    /// The JSON object (--json) has: mode, scope, endpoint; countries and missing (not in the database)
    /// as ISO codes; database, age_days; networks {v4, v6, v4_addresses, v6_sites} of the countries
    /// named; live (a daemon answered); phones, peers and entries (of the allowlist), each a list of
    /// {source, country, who, cut_off, allowed_by}, or null where no daemon answers.
    Preview(Preview),
    /// Set countries, at once in force and in the file. 'sipprot geo preview' tells whom it cuts off.
    Set(GeoSet),
    /// Keep no country out any more.
    Off(GeoOff),
    /// Replace the database by a FILE, or by what a URL (http, https) names: a MaxMind-format database,
    /// as it is or packed by gzip. The one before is kept beside it.
    Update {
        #[arg(value_name = "FILE|URL")]
        source: String,
    },
}

#[derive(ClapArgs, Debug)]
pub struct Preview {
    /// deny (the countries are kept out), allow (all others are) or off.
    #[arg(long, value_parser = geo_mode)]
    pub mode: GeoMode,
    /// ISO codes, English names, continents, with commas between.
    #[arg(long, value_delimiter = ',', value_name = "LIST", add = ArgValueCompleter::new(complete::countries))]
    pub countries: Vec<String>,
    /// All traffic, or only that to SIP ports.
    #[arg(long, value_parser = geo_scope, default_value = "all")]
    pub scope: RuleScope,
    /// The endpoint whose policy it is; the host's otherwise.
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::endpoints))]
    pub endpoint: Option<String>,
}

#[derive(ClapArgs, Debug)]
pub struct Filter {
    #[command(subcommand)]
    pub verb: FilterVerb,
}

#[derive(Subcommand, Debug)]
pub enum FilterVerb {
    /// Print the filters that are built in.
    List,
    /// Print a filter that is built in, to be read or copied.
    Show { name: String },
    /// Tell what a filter makes of each line of a file; needs neither a daemon nor root.
    ///
    /// The JSON object (--json) has: filter; lines; matched; ignored; unmatched; signals {name: lines};
    /// matches [{line, signal, address, port, account, method, status, path, transport, times}];
    /// unmatched_lines [{line, text}]; each at most 10,000.
    Test {
        /// A filter that is built in, or a TOML file of one's own.
        filter: String,
        /// The log; - is stdin.
        file: PathBuf,
    },
    /// Make a token for an endpoint's logs, and print it with the line for the configuration.
    Token,
}

#[derive(ClapArgs, Debug)]
pub struct Replay {
    /// A pcap or pcapng file.
    pub file: PathBuf,
    /// Addresses of PBXs in the capture, beside those of the configuration; without any, whoever
    /// answers on a SIP port.
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub endpoints: Vec<IpNetwork>,
}

#[derive(ClapArgs, Debug)]
pub struct Rescue {
    #[command(subcommand)]
    pub verb: RescueVerb,
}

#[derive(Subcommand, Debug)]
pub enum RescueVerb {
    /// What is in the kernel.
    Status,
    /// Lift every block, hold, containment and denial of an address.
    Unblock {
        #[arg(add = ArgValueCompleter::new(complete::blocked))]
        address: IpAddr,
    },
    /// Drop nothing any more; count only.
    Observe,
    /// Take the filter out of the kernel.
    Detach,
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "expected a time such as 90s, 10m, 1h or 7d".to_owned())
}

fn scope(text: &str) -> Result<Scope, String> {
    use crate::config::Choice;
    Scope::from_name(text).ok_or_else(|| "expected all, sip, ssh or http".to_owned())
}

fn geo_scope(text: &str) -> Result<RuleScope, String> {
    use crate::config::Choice;
    RuleScope::from_name(text).ok_or_else(|| "expected all or sip".to_owned())
}

fn geo_mode(text: &str) -> Result<GeoMode, String> {
    use crate::config::Choice;
    GeoMode::from_name(text).ok_or_else(|| "expected deny, allow or off".to_owned())
}

/// `h` is `help`; `-allow` and `–allow` are accepted for `--allow`, and so on: operators have these in their
/// fingers and scripts.
pub fn accept_seed_forms(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    const LONG: [&str; 4] = ["allow", "deny", "dynamic", "all"];
    // The program's name comes first, and the value of a global option is no verb.
    let (mut is_verb_to_come, mut is_value) = (true, true);
    arguments
        .map(|argument| {
            let text = argument.to_str().unwrap_or_default();
            let may_be_verb = is_verb_to_come && !is_value && !text.starts_with('-');
            is_value = matches!(text, "--config" | "--log");
            if may_be_verb {
                is_verb_to_come = false;
                return if text == "h" { "help".into() } else { argument };
            }
            let word = text.strip_prefix(['-', '\u{2013}']);
            match word.filter(|word| LONG.contains(word)) {
                Some(word) => format!("--{word}").into(),
                None => argument,
            }
        })
        .collect()
}
