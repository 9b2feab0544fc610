//! `sipprot doctor`.

use std::time::Duration;

use super::{CliError, Context, socket};
use crate::api::{Status, Top};
use crate::config::{Config, Daemon};
use crate::doctor::{Checkup, Surroundings, look};
use crate::message::clean;

use super::client::Client;

const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn run(context: &Context) -> Result<(), CliError> {
    let checkup = checkup(context);
    context.print(&checkup, text)?;
    match checkup.problems {
        0 => Ok(()),
        count => Err(CliError::Failed(counted(count, "problem"))),
    }
}

/// What it would print.
pub(super) fn told(context: &Context) -> String {
    text(&checkup(context))
}

fn checkup(context: &Context) -> Checkup {
    let loaded = Config::load(context.config.as_deref());
    let socket = socket(context.config.as_deref()).unwrap_or_else(|_| Daemon::default().socket);
    let client = Client::new(socket).waiting(PATIENCE);
    let status: Result<Status, CliError> = client.get("/status");
    let top: Option<Top> = status.is_ok().then(|| client.get("/top?limit=0").ok()).flatten();
    look(&Surroundings {
        loaded: loaded.as_ref(),
        status: status.as_ref().map_err(ToString::to_string),
        top: top.as_ref(),
    })
}

fn text(checkup: &Checkup) -> String {
    let mut text = String::new();
    for finding in &checkup.findings {
        let what = clean(finding.what.as_bytes(), 300);
        text += &format!("{:<8} {:<14} {what}\n", finding.state.name(), finding.check);
        if let Some(remedy) = &finding.remedy {
            text += &format!("{:<24}→ {remedy}\n", "");
        }
    }
    let Checkup { warnings, problems, .. } = checkup;
    text + &format!("{}, {}\n", counted(*problems, "problem"), counted(*warnings, "warning"))
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
