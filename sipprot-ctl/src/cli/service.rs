//! `sipprot run`.

use super::args::Run;
use super::{CliError, Context, log};
use crate::config::LogLevel;
use crate::daemon::{self, Options};
use crate::datapath::DatapathError;

pub(super) fn run(context: &Context, run: Run) -> Result<(), CliError> {
    // What it makes is its own, however careless the shell: files, and the pins of its maps. What others may
    // read or use is given its mode by name.
    // SAFETY: umask takes a mask and cannot fail.
    unsafe { libc::umask(0o077) };
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
