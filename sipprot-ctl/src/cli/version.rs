//! Which version this is.

use std::sync::LazyLock;

use super::{CliError, Context};
use crate::api::Version;

/// `0.1.0+rev.1b112e5` when the build knows its revision.
pub static VERSION: LazyLock<String> = LazyLock::new(|| {
    let version = env!("CARGO_PKG_VERSION");
    match option_env!("SIPPROT_REVISION") {
        Some(revision) if !revision.is_empty() => format!("{version}+rev.{revision}"),
        _ => version.to_owned(),
    }
});

pub fn version() -> Version {
    Version { name: "sipPROT".to_owned(), version: VERSION.clone() }
}

pub(super) fn run(context: &Context) -> Result<(), CliError> {
    context.print(&version(), |it| format!("{} : {}\n", it.name, it.version))
}
