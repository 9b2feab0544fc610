//! The commands and their tables.
//!
//! Owns words, exit codes and what people see: data on stdout, messages on stderr. It talks to the
//! daemon by its API and decides nothing; `rescue` alone looks into the kernel's maps, for when
//! there is no daemon.

mod args;
mod ask;
mod audit;
mod change;
mod check;
pub(crate) mod client;
mod complete;
mod config;
mod doctor;
mod error;
mod events;
mod filter;
mod fleet;
mod geo;
mod import;
mod learn;
mod lists;
mod log;
mod man;
mod many;
mod map;
mod notices;
mod people;
mod replay;
mod report;
mod rescue;
mod service;
mod settings;
mod setup;
mod sheets;
mod status;
mod support;
mod table;
#[cfg(test)]
mod tests;
mod top;
mod update;
mod verify;
mod version;
mod why;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use serde::Serialize;

use args::{Args, Verb};
pub use error::{CliError, EXIT_CODES, EXIT_FAILURE, EXIT_NOT_RUNNING, EXIT_USAGE};
pub use version::version;

use crate::config::{Config, ConfigError};
use client::Client;

/// Runs one command line.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    if complete::answer() {
        return ExitCode::SUCCESS;
    }
    let args = match Args::try_parse_from(args::accept_seed_forms(arguments)) {
        Ok(args) => args,
        Err(error) => {
            // Help and version are no errors; clap knows which stream each goes to.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { EXIT_USAGE } else { 0 });
        }
    };
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sipprot: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// The command line's definition.
pub fn command() -> clap::Command {
    Args::command()
}

/// Where the daemon is reached: it runs on with the configuration before a wrong one.
fn socket(config: Option<&Path>) -> Result<PathBuf, ConfigError> {
    match Config::load(config) {
        Err(ConfigError::Wrong(_)) => Config::socket(config),
        loaded => Ok(loaded?.config.daemon.socket),
    }
}

/// What every command may need.
struct Context {
    config: Option<PathBuf>,
    json: bool,
    debug: bool,
    log: log::Target,
}

impl Context {
    fn load_config(&self) -> Result<crate::config::Loaded, CliError> {
        Ok(Config::load(self.config.as_deref())?)
    }

    fn client(&self) -> Result<Client, CliError> {
        Ok(Client::new(socket(self.config.as_deref())?))
    }

    /// Prints an answer: as one JSON object, or as `people` wants it.
    fn print<T: Serialize>(
        &self,
        answer: &T,
        people: impl FnOnce(&T) -> String,
    ) -> Result<(), CliError> {
        if self.json {
            let json = serde_json::to_string(answer)
                .map_err(|error| CliError::Failed(format!("cannot write JSON: {error}")))?;
            return write_out(&(json + "\n"));
        }
        write_out(&people(answer))
    }
}

/// A reader that goes away early (`| head`) is no failure.
fn write_out(text: &str) -> Result<(), CliError> {
    use std::io::{ErrorKind, Write};
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(CliError::Failed(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

fn run(args: Args) -> Result<(), CliError> {
    let context =
        Context { config: args.config, json: args.json, debug: args.debug, log: args.log };
    match args.verb {
        Verb::Run(run) => service::run(&context, run),
        Verb::Status(shown) => status::run(&context, &shown),
        Verb::Report(report) => report::run(&context, &report),
        Verb::List(list) => lists::run(&context, list),
        Verb::Check { address } => check::run(&context, address),
        Verb::Why { address } => why::run(&context, address),
        Verb::Allow(edit) => change::edit(&context, crate::store::List::Allow, edit),
        Verb::Deny(edit) => change::edit(&context, crate::store::List::Deny, edit),
        Verb::Block(block) => many::block(&context, &block),
        Verb::Unblock(unblock) => many::unblock(&context, &unblock),
        Verb::Trust(trust) => change::trust(&context, trust),
        Verb::Peer(peer) => change::peer(&context, peer),
        Verb::Learn(learn) => learn::run(&context, learn.verb),
        Verb::Geo(it) => geo::run(&context, it.verb),
        Verb::Filter(filter) => filter::run(&context, filter.verb),
        Verb::Import(it) => import::run(&context, it.verb),
        Verb::Reload { confirm, dry_run } => change::reload(&context, confirm, dry_run),
        Verb::Confirm { cancel } => change::confirm(&context, cancel),
        Verb::Events(it) => events::run(&context, &it),
        Verb::Doctor => doctor::run(&context),
        Verb::Support(it) => support::run(&context, &it),
        Verb::Top(it) => top::run(&context, &it),
        Verb::Setup(it) => setup::run(&context, &it),
        Verb::Config(verb) => config::run(&context, verb),
        Verb::Notify(it) => notices::run(&context, &it),
        Verb::Audit(it) => audit::run(&context, &it),
        Verb::Undo(it) => audit::undo(&context, &it),
        Verb::Replay(replay) => replay::run(&context, &replay),
        Verb::Rescue(verb) => rescue::run(&context, verb),
        Verb::Verify { repair } => verify::run(&context, repair),
        Verb::Map(map) => map::run(&context, map.verb),
        Verb::User(user) => people::user(&context, user.verb),
        Verb::Token(token) => people::token(&context, token.verb),
        Verb::Fleet(it) => fleet::run(&context, it),
        Verb::Hub { dir } => fleet::hub(&context, &dir),
        Verb::Version => version::run(&context),
        Verb::Update { dry_run } => update::run(&context, dry_run),
        Verb::Completions { shell } => complete::script(shell),
        Verb::Man { directory } => man::write(&directory),
    }
}
