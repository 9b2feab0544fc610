//! `sipprot run`.

use super::args::Run;
use super::{CliError, Context, log};
use crate::config::LogLevel;
use crate::daemon::{self, Options};
use crate::datapath::DatapathError;

/// What a daemon makes is its own, however careless the shell that starts it: files, and the pins of maps. What others
/// may read or use is given its mode by name.
pub(super) fn keep_files_to_itself() {
    // SAFETY: umask takes a mask and cannot fail.
    unsafe { libc::umask(0o077) };
}

pub(super) fn run(context: &Context, run: Run) -> Result<(), CliError> {
    keep_files_to_itself();
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
    daemon::run(options).map_err(|error| {
        let unfit = error.downcast_ref().is_some_and(DatapathError::is_for_good);
        let said = format!("{error:#}");
        if unfit { CliError::Unfit(said) } else { CliError::Failed(said) }
    })
}
