//! `sipprot fleet` and `sipprot hub`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};
use ipnetwork::IpNetwork;
use serde::Serialize;

use super::args::duration;
use super::change::operator;
use super::client::{Client, query, query_of};
use super::lists::time;
use super::table::{Align, Table};
use super::{CliError, Context, write_out};
use crate::api::{
    Done, FleetAnswer, FleetDecision, FleetHost, FleetHosts, FleetJudge, FleetLog, FleetLogQuery,
    FleetProtect, FleetSource, FleetSources, Judgement,
};
use crate::config::LogLevel;
use crate::fleet::Home;
use crate::fleet::home::DEFAULT;

#[derive(ClapArgs, Debug)]
pub struct Fleet {
    /// The fleet's directory, on the hub.
    #[arg(long, global = true, value_name = "DIR", default_value = DEFAULT)]
    pub dir: PathBuf,
    #[command(subcommand)]
    pub verb: FleetVerb,
}

#[derive(Subcommand, Debug)]
pub enum FleetVerb {
    /// On the hub: make keys, certificates and the configuration of NATS servers.
    Init {
        /// Where hosts reach a server: ADDRESS or NAME, with :PORT if that isn't 4222. Three make a cluster.
        #[arg(long = "server", value_name = "ADDR", required = true)]
        servers: Vec<String>,
    },
    /// On the hub: print what a new host needs, to be brought to it by a safe way.
    AddHost { name: String },
    /// On the hub: revoke a host. Its key opens nothing any more, and its word counts no more.
    RemoveHost { name: String },
    /// Tell how this host, or with --hub the hub, stands in its fleet.
    Status {
        #[arg(long)]
        hub: bool,
    },
    /// On the hub: how each host fares.
    Hosts,
    /// On the hub: attackers that wait for a decision.
    Pending {
        /// Those that nobody proved, too.
        #[arg(long)]
        unproven: bool,
    },
    /// On the hub: reported attackers, whatever was decided of them.
    Sources {
        /// pending, listed, rejected or recalled.
        #[arg(long, value_parser = ["pending", "listed", "rejected", "recalled"])]
        state: Option<String>,
        /// Only those that hold or lie in it.
        #[arg(long, value_name = "NET")]
        covers: Option<IpNetwork>,
        #[arg(long, value_name = "N")]
        limit: Option<u64>,
        #[arg(long, value_name = "N")]
        offset: Option<u64>,
    },
    /// On the hub: what was decided, by whom, and what became of it.
    Log {
        #[arg(long, value_name = "N")]
        limit: Option<u64>,
        #[arg(long, value_name = "N")]
        offset: Option<u64>,
    },
    /// On the hub: let all hosts drop these; a network no wider than /24 or /48, too.
    Approve {
        #[command(flatten)]
        decision: Decision,
        /// How long, such as 90m or 7d; as the hub is set otherwise.
        #[arg(long = "for", value_name = "TIME", value_parser = duration)]
        time: Option<Duration>,
    },
    /// On the hub: don't spread these, whoever reports them.
    Reject(Decision),
    /// On the hub: let all hosts let these in again.
    Recall(Decision),
    /// On the hub: never spread anything of a network; what is listed of it is recalled.
    Protect {
        network: IpNetwork,
        /// Protect it no more.
        #[arg(long)]
        lift: bool,
        /// Why.
        #[arg(long, default_value = "")]
        note: String,
    },
}

#[derive(ClapArgs, Debug)]
pub struct Decision {
    #[arg(required = true, value_name = "ADDR|NET")]
    pub sources: Vec<IpNetwork>,
    /// Why.
    #[arg(long, default_value = "")]
    pub note: String,
}

/// What a change of the fleet's hosts did.
#[derive(Serialize)]
struct Changed {
    message: String,
    /// Configurations that servers elsewhere must be given.
    to_reload: Vec<PathBuf>,
}

pub(super) fn hub(context: &Context, directory: &Path) -> Result<(), CliError> {
    super::service::keep_files_to_itself();
    let level = if context.debug { LogLevel::Debug } else { LogLevel::Info };
    super::log::start(&context.log, level)?;
    crate::fleet::run_hub(directory).map_err(failed)
}

pub(super) fn run(context: &Context, Fleet { dir, verb }: Fleet) -> Result<(), CliError> {
    let home = Home::new(&dir);
    let hub = || Client::new(home.socket());
    match verb {
        FleetVerb::Init { servers } => init(context, &home, &servers),
        FleetVerb::AddHost { name } => add_host(context, &home, &name),
        FleetVerb::RemoveHost { name } => {
            home.remove_host(&name).map_err(failed)?;
            let to_reload = home.reload_servers().map_err(failed)?;
            let changed = Changed { message: format!("{name} is removed"), to_reload };
            context.print(&changed, |it| format!("{}\n{}", it.message, reloading(&it.to_reload)))
        }
        FleetVerb::Status { hub: false } => {
            let answer: FleetAnswer = context.client()?.get("/fleet")?;
            context.print(&answer, status)
        }
        FleetVerb::Status { hub: true } => {
            let answer: FleetAnswer = hub().get("/fleet")?;
            context.print(&answer, status)
        }
        FleetVerb::Hosts => {
            let hosts: FleetHosts = hub().get("/fleet/hosts")?;
            context.print(&hosts, hosts_table)
        }
        FleetVerb::Pending { unproven } => {
            let unproven = unproven.then_some("true");
            let query = query(&[("state", Some("pending")), ("unproven", unproven)]);
            let sources: FleetSources = hub().get(&format!("/fleet/sources{query}"))?;
            context.print(&sources, sources_table)
        }
        FleetVerb::Sources { state, covers, limit, offset } => {
            let text = |number: Option<u64>| number.map(|number| number.to_string());
            let covers = covers.map(|network| network.to_string());
            let query = query(&[
                ("state", state.as_deref()),
                ("unproven", Some("true")),
                ("covers", covers.as_deref()),
                ("limit", text(limit).as_deref()),
                ("offset", text(offset).as_deref()),
            ]);
            let sources: FleetSources = hub().get(&format!("/fleet/sources{query}"))?;
            context.print(&sources, sources_table)
        }
        FleetVerb::Log { limit, offset } => {
            let query = query_of(&FleetLogQuery { offset, limit })?;
            let log: FleetLog = hub().get(&format!("/fleet/log{query}"))?;
            context.print(&log, log_table)
        }
        FleetVerb::Approve { decision, time } => {
            judge(context, &hub(), Judgement::Approve, decision, time)
        }
        FleetVerb::Reject(decision) => judge(context, &hub(), Judgement::Reject, decision, None),
        FleetVerb::Recall(decision) => judge(context, &hub(), Judgement::Recall, decision, None),
        FleetVerb::Protect { network, lift, note } => {
            let protect = FleetProtect { network, lift, note, by: operator() };
            done(context, &hub().post("/fleet/protect", &protect)?)
        }
    }
}

fn judge(
    context: &Context,
    hub: &Client,
    judgement: Judgement,
    Decision { sources, note }: Decision,
    time: Option<Duration>,
) -> Result<(), CliError> {
    let expires_in_s = time.map(|time| time.as_secs());
    let judge = FleetJudge { judgement, sources, expires_in_s, note, by: operator() };
    done(context, &hub.post("/fleet/judge", &judge)?)
}

fn done(context: &Context, done: &Done) -> Result<(), CliError> {
    context.print(done, |done| format!("{}\n", done.message))
}

fn init(context: &Context, home: &Home, servers: &[String]) -> Result<(), CliError> {
    let identities = home.init(servers).map_err(failed)?;
    let configurations: Vec<PathBuf> =
        (0..identities.servers.len()).map(|index| home.configuration(index)).collect();
    let message = format!("The fleet is in {}.", home.directory().display());
    let changed = Changed { message, to_reload: configurations };
    context.print(&changed, |it| {
        let mut text = format!("{}\nStart the servers, then the hub:\n", it.message);
        for (server, path) in identities.servers.iter().zip(&it.to_reload) {
            text += &format!("  nats-server -c {}    # {server}\n", path.display());
        }
        let directory = home.directory().display();
        text += &format!("  sipprot hub --dir {directory}\n");
        text += "Then give each host what 'sipprot fleet add-host NAME' prints.\n";
        text
    })
}

/// What the host needs alone on stdout, so that it can be sent on.
fn add_host(context: &Context, home: &Home, name: &str) -> Result<(), CliError> {
    let bundle = home.add_host(name).map_err(failed)?;
    let others = home.reload_servers().map_err(failed)?;
    if !context.json {
        eprint!(
            "On {name}, put this into a file that only root may read, and name it by\n\
             'sipprot config set fleet.credentials /etc/sipprot/fleet.toml'. It is shown this once.\n{}",
            reloading(&others)
        );
        return write_out(&bundle.to_text().map_err(failed)?);
    }
    context.print(&bundle, |_| String::new())
}

fn reloading(others: &[PathBuf]) -> String {
    let lines = others.iter().map(|path| {
        format!(
            "No server runs here by {}: give it to the server, and reload that.\n",
            path.display()
        )
    });
    lines.collect()
}

fn failed(error: anyhow::Error) -> CliError {
    CliError::Failed(format!("{error:#}"))
}

fn status(it: &FleetAnswer) -> String {
    let connected = if it.connected { "connected" } else { "NOT connected" };
    let mut text = match it.role.as_str() {
        "hub" => format!(
            "The hub of {} hosts, {connected}; {} decides what is spread.\n",
            it.hosts,
            it.spread.as_deref().unwrap_or("webmaster")
        ),
        "host" => format!(
            "The host {} of a fleet, {connected}; mode {}.\n",
            it.name.as_deref().unwrap_or_default(),
            it.mode.as_deref().unwrap_or_default()
        ),
        _ => "This host belongs to no fleet.\n".to_owned(),
    };
    if let Some(problem) = &it.problem {
        text += &format!("Problem: {problem}\n");
    }
    if it.role == "none" {
        return text;
    }
    text += &format!("Blocklist: revision {}, {} entries", it.revision, it.entries);
    text += &match it.role.as_str() {
        "hub" => "\n".to_owned(),
        _ => format!(", {} of them spared here\nReports that wait: {}\n", it.spared, it.waiting),
    };
    for (state, count) in &it.sources {
        text += &format!("Sources {state}: {count}\n");
    }
    if !it.silent.is_empty() {
        text += &format!("Silent hosts: {}\n", it.silent.join(", "));
    }
    if !it.protected.is_empty() {
        let protected: Vec<String> = it.protected.iter().map(ToString::to_string).collect();
        text += &format!("Protected: {}\n", protected.join(", "));
    }
    if !it.refused.is_empty() {
        let mut table = Table::new([("NOT TAKEN", Align::Left), ("COUNT", Align::Right)]);
        it.refused.iter().for_each(|(why, count)| table.row([why.to_string(), count.to_string()]));
        text += &table.render();
    }
    for it in it.last_refused.iter().take(5) {
        let source = it.source.as_ref().map(|it| format!(" of {it}")).unwrap_or_default();
        text += &format!("{} {}: {}{source}\n", time(it.at), it.host, it.why);
    }
    text
}

fn hosts_table(hosts: &FleetHosts) -> String {
    let mut table = Table::new([
        ("HOST", Align::Left),
        ("HEALTH", Align::Left),
        ("VERSION", Align::Left),
        ("XDP", Align::Left),
        ("ATTACKS", Align::Right),
        ("LAG", Align::Right),
        ("FULLEST MAP", Align::Left),
        ("LIST", Align::Right),
        ("ENTRIES", Align::Right),
        ("HEARD", Align::Left),
    ]);
    for host in &hosts.hosts {
        table.row([
            host.name.clone(),
            host.health.clone(),
            host.version.clone(),
            host.interfaces.iter().map(|(_, xdp)| xdp.as_str()).collect::<Vec<_>>().join(" "),
            host.attacks.to_string(),
            format!("{:.1} ms", host.lag_seconds * 1000.0),
            fullest(host),
            match host.behind {
                0 => host.revision.to_string(),
                behind => format!("{} (-{behind})", host.revision),
            },
            host.entries.to_string(),
            host.heard_at.map(time).unwrap_or_default(),
        ]);
    }
    let mut text = table.render();
    for host in &hosts.hosts {
        for problem in &host.problems {
            text += &format!("{}: {problem}\n", host.name);
        }
        for (why, count) in &host.refused {
            text += &format!("{}: not taken, {why}: {count}\n", host.name);
        }
    }
    text
}

fn fullest(host: &FleetHost) -> String {
    match (&host.fullest_map, host.fullest_percent) {
        (Some(map), Some(percent)) => format!("{map} {percent} %"),
        _ => String::new(),
    }
}

fn sources_table(sources: &FleetSources) -> String {
    let mut table = Table::new([
        ("SOURCE", Align::Left),
        ("STATE", Align::Left),
        ("RULE", Align::Left),
        ("PROVEN BY", Align::Left),
        ("COUNT", Align::Right),
        ("LAST", Align::Left),
        ("COUNTRY", Align::Left),
        ("OWNER", Align::Left),
        ("USER AGENT", Align::Left),
        ("UNTIL", Align::Left),
    ]);
    for it in &sources.sources {
        table.row([
            it.source.clone(),
            it.state.to_string(),
            it.rule.clone(),
            proven_by(it),
            it.count.to_string(),
            Some(it.last).filter(|at| *at > 0).map(time).unwrap_or_default(),
            it.country.clone().unwrap_or_default(),
            it.owner.clone().unwrap_or_default(),
            it.user_agent.clone().unwrap_or_default(),
            it.until.map(time).unwrap_or_default(),
        ]);
    }
    let mut text = table.render();
    if sources.total > sources.sources.len() as u64 {
        text += &format!("{} of {}\n", sources.sources.len(), sources.total);
    }
    for it in &sources.networks {
        text += &format!(
            "{} proven sources lie in {}: 'sipprot fleet approve {}' lists it whole\n",
            it.sources, it.network, it.network
        );
    }
    for it in &sources.accounts {
        let (account, sources, hosts) = (&it.account, it.sources, it.hosts);
        text +=
            &format!("the account {account} is attacked by {sources} sources, at {hosts} hosts\n");
    }
    text
}

fn proven_by(source: &FleetSource) -> String {
    let proven = source.hosts.iter().filter(|it| it.grade == "proven");
    let names: Vec<&str> = proven.map(|it| it.host.as_str()).collect();
    match names.as_slice() {
        [] => "nobody".to_owned(),
        [first, second, third, others @ ..] if !others.is_empty() => {
            format!("{first}, {second}, {third} and {} more", others.len())
        }
        names => names.join(", "),
    }
}

fn log_table(log: &FleetLog) -> String {
    let mut table = Table::new([
        ("TIME", Align::Left),
        ("BY", Align::Left),
        ("DECISION", Align::Left),
        ("OF", Align::Left),
        ("NOTE", Align::Left),
    ]);
    for it in &log.decisions {
        table.row([time(it.at), it.by.clone(), it.what.clone(), decided_of(it), it.note.clone()]);
    }
    let mut text = table.render();
    if log.total > log.decisions.len() as u64 {
        text += &format!("{} of {}\n", log.decisions.len(), log.total);
    }
    text
}

/// The network, and each source with what it was before.
fn decided_of(decision: &FleetDecision) -> String {
    let sources = decision.sources.iter().map(|it| match it.before {
        Some(before) => format!("{} ({before})", it.source),
        None => format!("{} (new)", it.source),
    });
    decision.network.iter().cloned().chain(sources).collect::<Vec<_>>().join(", ")
}
