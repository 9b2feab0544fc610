//! The hub that runs beside the daemon: asked through its socket, in the name of who asks the daemon, so that
//! its pages stand behind the same logins. The hub keeps the record of what it was told.

use serde::de::DeserializeOwned;

use super::answers::Reply;
use super::core::Core;
use crate::api::{Answer, Command, Fault};
use crate::cli::CliError;
use crate::cli::client::{Client, query_of};
use crate::fleet::Home;

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
