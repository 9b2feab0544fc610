//! `sipprot notify`.

use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};

use super::change::operator;
use super::client::query;
use super::lists::time;
use super::table::{Align, Table};
use super::{CliError, Context};
use crate::api::{DeliveryView, NotifyLog, NotifyStatus, NotifyTest, NotifyTested};
use crate::notify::TEMPLATES;

#[derive(ClapArgs, Debug)]
pub struct Notify {
    #[command(subcommand)]
    pub verb: NotifyVerb,
}

#[derive(Subcommand, Debug)]
pub enum NotifyVerb {
    /// Print who is told, what waits, and what is wrong.
    Status,
    /// Print what became of each message, the newest first.
    Log {
        /// At most so many.
        #[arg(long, value_name = "N")]
        limit: Option<u64>,
    },
    /// Send a test message, and wait until it is delivered. Exits 1 when one isn't.
    Test {
        /// To this mail address, or to 'webhook'; to all that are configured otherwise.
        #[arg(long, value_name = "ADDRESS")]
        to: Vec<String>,
        /// Send today's summary so far.
        #[arg(long)]
        summary: bool,
    },
    /// Write the templates of messages into a directory, to be changed there; files that are there
    /// already stay as they are.
    Templates { directory: PathBuf },
}

pub(super) fn run(context: &Context, notify: &Notify) -> Result<(), CliError> {
    match &notify.verb {
        NotifyVerb::Status => {
            let status: NotifyStatus = context.client()?.get("/notify")?;
            context.print(&status, status_text)
        }
        NotifyVerb::Log { limit } => {
            let limit = limit.map(|limit| limit.to_string());
            let query = query(&[("limit", limit.as_deref())]);
            let log: NotifyLog = context.client()?.get(&format!("/notify/log{query}"))?;
            context.print(&log, log_table)
        }
        NotifyVerb::Test { to, summary } => test(context, to, *summary),
        NotifyVerb::Templates { directory } => templates(context, directory),
    }
}

fn status_text(status: &NotifyStatus) -> String {
    let at = |at: Option<i64>| at.map_or_else(|| "-".to_owned(), time);
    let targets = match status.targets.as_slice() {
        [] => "nobody".to_owned(),
        all => all.join(", "),
    };
    let mut text = format!(
        "notifications   {}\ntold            {targets}\nwaiting         {} messages\n\
         grouped         {} attacks and alerts\nnot told        {}\nlast delivered  {}\n\
         next summary    {}\n",
        if status.enabled { "on" } else { "off" },
        status.waiting,
        status.grouped,
        status.dropped,
        at(status.last_delivered),
        at(status.next_summary),
    );
    for problem in &status.problems {
        text += &format!("problem         {problem}\n");
    }
    text
}

fn log_table(log: &NotifyLog) -> String {
    let mut table = Table::new([
        ("TIME", Align::Left),
        ("KIND", Align::Left),
        ("TO", Align::Left),
        ("STATE", Align::Left),
        ("TRIES", Align::Right),
        ("WHEN", Align::Left),
        ("ERROR", Align::Left),
    ]);
    for it in &log.deliveries {
        let DeliveryView { kind, target, state, error, .. } = it.clone();
        let (tries, error) = (it.tries.to_string(), error.unwrap_or_default());
        table.row([time(it.at), kind, target, state, tries, time(it.when), error]);
    }
    format!("{}{} of {}\n", table.render(), log.deliveries.len(), log.total)
}

fn test(context: &Context, to: &[String], summary: bool) -> Result<(), CliError> {
    let test = NotifyTest { to: to.to_vec(), summary, by: operator() };
    let tested: NotifyTested = context.client()?.post("/notify/test", &test)?;
    context.print(&tested, |tested| {
        let lines = tested.results.iter().map(|it| match &it.error {
            None => format!("{}: delivered\n", it.target),
            Some(error) => format!("{}: NOT delivered: {error}\n", it.target),
        });
        lines.collect()
    })?;
    let failed = tested.results.iter().filter(|it| !it.delivered).count();
    match failed {
        0 => Ok(()),
        _ => Err(CliError::Failed(format!("{failed} of {} failed", tested.results.len()))),
    }
}

#[derive(serde::Serialize)]
struct Written {
    files: Vec<PathBuf>,
}

fn templates(context: &Context, directory: &Path) -> Result<(), CliError> {
    let failed = |path: &Path, error: &std::io::Error| {
        CliError::Failed(format!("cannot write {}: {error}", path.display()))
    };
    std::fs::create_dir_all(directory).map_err(|error| failed(directory, &error))?;
    let mut files = Vec::new();
    for (name, text) in TEMPLATES {
        let path = directory.join(name);
        if !path.exists() {
            std::fs::write(&path, text).map_err(|error| failed(&path, &error))?;
            files.push(path);
        }
    }
    context.print(&Written { files }, |written| {
        written.files.iter().map(|file| format!("{}\n", file.display())).collect()
    })
}
