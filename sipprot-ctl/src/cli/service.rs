//! `sipprot run`.

use super::args::Run;
use super::{CliError, Context, log};
use crate::config::LogLevel;
use crate::daemon::{self, Options};

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
        wait: run.wait,
    };
    daemon::run(options).map_err(|error| CliError::Failed(format!("{error:#}")))
}
