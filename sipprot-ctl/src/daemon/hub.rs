//! The hub that runs beside the daemon: asked through its socket, in the name of who asks the daemon, so that
//! its pages stand behind the same logins. The hub keeps the record of what it was told.
//!
//! Every so often it is asked how its hosts fare, so that one of which nothing is heard is an alarm here.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::de::DeserializeOwned;

use super::answers::Reply;
use super::core::Core;
use crate::api::{Answer, Command, Fault, FleetHosts};
use crate::cli::CliError;
use crate::cli::client::{Client, query_of};
use crate::fleet::Home;

/// Seconds between looks at the hub.
const LOOK_EVERY: u64 = 5;
/// Silent hosts that are named.
const NAMED_MAX: usize = 5;

/// The hub beside this daemon, as of the last look.
#[derive(Clone, Default)]
pub struct Beside(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    /// It is being asked.
    asking: bool,
    hosts: Option<Result<BTreeMap<String, u64>, String>>,
    silent: Vec<String>,
}

impl Beside {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, directory: &Path) {
        let found: Result<FleetHosts, _> =
            Client::new(Home::new(directory).socket()).get("/fleet/hosts");
        let mut seen = self.seen();
        seen.asking = false;
        seen.silent.clear();
        seen.hosts = Some(match found {
            Err(error) => Err(error.to_string()),
            Ok(FleetHosts { hosts }) => {
                let is_silent = |it: &&crate::api::FleetHost| it.health == "silent";
                seen.silent = hosts.iter().filter(is_silent).map(|it| it.name.clone()).collect();
                let mut counts = BTreeMap::new();
                hosts.into_iter().for_each(|it| *counts.entry(it.health).or_default() += 1);
                Ok(counts)
            }
        });
    }

    pub fn problem(&self) -> Option<String> {
        let seen = self.seen();
        if let Some(Err(why)) = &seen.hosts {
            return Some(format!("the fleet's hub does not answer: {why}"));
        }
        let named: Vec<&str> = seen.silent.iter().take(NAMED_MAX).map(String::as_str).collect();
        let more = match seen.silent.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        (!named.is_empty()).then(|| format!("nothing is heard of {}{more}", named.join(", ")))
    }
}

impl Core {
    /// Once a second.
    pub(super) fn look_at_hub(&mut self) {
        if !self.seconds.is_multiple_of(LOOK_EVERY) {
            return;
        }
        let Some(directory) = self.config.fleet.hub.clone() else {
            *self.beside.seen() = Seen::default();
            return;
        };
        if !std::mem::replace(&mut self.beside.seen().asking, true) {
            let beside = self.beside.clone();
            tokio::task::spawn_blocking(move || beside.look(&directory));
        }
    }

    pub(super) fn hub_metrics(&self) {
        let metrics = &self.metrics.fleet;
        metrics.hosts.reset();
        metrics.hub_up.reset();
        let seen = self.beside.seen();
        let Some(hosts) = &seen.hosts else { return };
        metrics.hub_up.with_label_values::<&str>(&[]).set(hosts.is_ok().into());
        for (health, count) in hosts.iter().flatten() {
            metrics
                .hosts
                .with_label_values(&[health])
                .set(i64::try_from(*count).unwrap_or(i64::MAX));
        }
    }
}

impl Core {
    pub(super) fn ask_hub(&self, command: Command, reply: Reply) {
        let Some(directory) = &self.config.fleet.hub else {
            let message = "no fleet's hub is here: 'sipprot hub' runs one, and fleet.hub names it";
            let _ = reply.send(Err(Fault::not_found(message)));
            return;
        };
        let client = Client::new(Home::new(directory).socket());
        tokio::task::spawn_blocking(move || {
            let _ = reply.send(ask(client, command).map_err(fault));
        });
    }
}

fn ask(client: Client, command: Command) -> Result<Answer, CliError> {
    fn get<T: DeserializeOwned>(client: &Client, path: &str) -> Result<T, CliError> {
        client.get(&format!("/fleet{path}"))
    }
    Ok(match command {
        Command::FleetHub => Answer::Fleet(Box::new(get(&client, "")?)),
        Command::FleetHosts => Answer::FleetHosts(get(&client, "/hosts")?),
        Command::FleetSources { query } => {
            Answer::FleetSources(get(&client, &format!("/sources{}", query_of(&query)?))?)
        }
        Command::FleetLog { query } => {
            Answer::FleetLog(get(&client, &format!("/log{}", query_of(&query)?))?)
        }
        Command::FleetJudge(judge) => {
            Answer::Done(client.acting_for(judge.by.clone()).post("/fleet/judge", &judge)?)
        }
        Command::FleetProtect(protect) => {
            Answer::Done(client.acting_for(protect.by.clone()).post("/fleet/protect", &protect)?)
        }
        _ => return Err(Fault::internal().into()),
    })
}

fn fault(error: CliError) -> Fault {
    match error {
        CliError::Fault(fault) => fault,
        other => Fault::unavailable(format!("the hub does not answer: {other}")),
    }
}
