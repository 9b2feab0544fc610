//! `sipprot run` and `sipprot setup`.

use super::args::Run;
use super::{CliError, Context, log};
use crate::api::Done;
use crate::config::LogLevel;
use crate::daemon::{self, Options};
use crate::store::{Store, StoreError};

pub(super) fn run(context: &Context, run: Run) -> Result<(), CliError> {
    let loaded = context.load_config()?;
    let level = if context.debug { LogLevel::Debug } else { loaded.config.daemon.log };
    log::start(&context.log, level)?;
    let options = Options {
        config_path: context.config.clone(),
        loaded,
        interfaces: run.interfaces,
        observe: run.observe,
        detach_on_exit: run.detach_on_exit,
    };
    daemon::run(options).map_err(|error| CliError::Failed(format!("{error:#}")))
}

pub(super) fn setup(context: &Context) -> Result<(), CliError> {
    let directory = context.load_config()?.config.daemon.state_dir;
    let shown = directory.display();
    let message = match Store::open(&directory) {
        Ok((_, report)) if report.created => format!("the store is ready in {shown}"),
        Ok((_, report)) if report.recovery.is_some() => report.to_string().trim_end().to_owned(),
        Ok(_) => format!("the store in {shown} is there already: nothing to do"),
        Err(StoreError::InUse { .. }) => {
            format!("the store in {shown} is there already, and a daemon uses it: nothing to do")
        }
        Err(error) => return Err(CliError::Failed(error.to_string())),
    };
    context.print(&Done { done: true, message }, |done| format!("{}\n", done.message))
}
