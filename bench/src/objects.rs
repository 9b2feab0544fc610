//! What was built for the bench: paths, and nothing else.

use std::path::PathBuf;

use clap::Args;

#[derive(Args, Clone)]
pub struct Objects {
    /// The eBPF object that ships
    #[arg(long = "object")]
    pub shipped: PathBuf,
    /// The bench's own eBPF object
    #[arg(long = "own-object")]
    pub own: PathBuf,
    /// The binary `sipprot`; without it what needs the daemon is left out
    #[arg(long)]
    pub sipprot: Option<PathBuf>,
}
