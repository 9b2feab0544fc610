//! Why a command failed, and the exit code that says so.

use std::path::PathBuf;

use crate::api::{Code, Fault};
use crate::config::ConfigError;

pub const EXIT_FAILURE: u8 = 1;
pub const EXIT_USAGE: u8 = 2;
pub const EXIT_NOT_RUNNING: u8 = 3;
pub const EXIT_NOT_FOUND: u8 = 4;
/// The configuration is wrong.
pub const EXIT_BAD_CONFIG: u8 = 5;
/// For safety: it would cut off what must not be cut off.
pub const EXIT_REFUSED: u8 = 6;

/// Neither now nor later: the unit doesn't try it again.
pub const EXIT_UNFIT: u8 = 7;

/// All of them, for the manual.
pub const EXIT_CODES: [(u8, &str); 8] = [
    (0, "Done."),
    (EXIT_FAILURE, "It failed."),
    (EXIT_USAGE, "The command line is wrong."),
    (EXIT_NOT_RUNNING, "The daemon is not running."),
    (EXIT_NOT_FOUND, "There is no such thing."),
    (EXIT_BAD_CONFIG, "The configuration is wrong."),
    (EXIT_REFUSED, "Refused for safety: it would cut off what must not be cut off."),
    (EXIT_UNFIT, "This kernel does not take this build: trying again is in vain."),
];

#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error("{0}")]
    Failed(String),
    /// Another kernel is needed, or another build.
    #[error("{0}")]
    Unfit(String),
    #[error("{0}")]
    Usage(String),
    #[error(
        "the daemon is not running (nobody answers on {}): start it with 'sipprot run'; 'sipprot rescue' works without it",
        .0.display()
    )]
    NotRunning(PathBuf),
    /// The files say something wrong, or can't be read.
    #[error(transparent)]
    BadConfig(#[from] ConfigError),
    /// The daemon said no.
    #[error("{0}")]
    Fault(#[from] Fault),
}

impl CliError {
    pub fn exit_code(&self) -> u8 {
        match self {
            CliError::Fault(fault) if fault.code == Code::NotFound => EXIT_NOT_FOUND,
            CliError::Fault(fault) if fault.code == Code::Refused => EXIT_REFUSED,
            CliError::Fault(fault) if fault.field.as_deref() == Some("config") => EXIT_BAD_CONFIG,
            CliError::BadConfig(_) => EXIT_BAD_CONFIG,
            CliError::Failed(_) | CliError::Fault(_) => EXIT_FAILURE,
            CliError::Unfit(_) => EXIT_UNFIT,
            CliError::Usage(_) => EXIT_USAGE,
            CliError::NotRunning(_) => EXIT_NOT_RUNNING,
        }
    }
}
