//! `sipprot rescue`: the kernel's maps alone, for when nothing else works.

use super::args::Rescue;
use super::{CliError, Context};

pub(super) fn run(_context: &Context, _rescue: Rescue) -> Result<(), CliError> {
    Err(CliError::Failed("no datapath in this build".to_owned()))
}
