//! Wires the rooms together: events in, decisions carried out.

use std::path::PathBuf;

use crate::config::Loaded;

/// What `sipprot run` was told.
pub struct Options {
    pub config_path: Option<PathBuf>,
    pub loaded: Loaded,
    /// Beside those of the configuration.
    pub interfaces: Vec<String>,
    pub observe: bool,
    pub detach_on_exit: bool,
}

pub fn run(_options: Options) -> anyhow::Result<()> {
    anyhow::bail!("no datapath in this build")
}
