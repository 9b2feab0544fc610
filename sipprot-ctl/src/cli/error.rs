//! Why a command failed, and the exit code that says so.

use std::path::PathBuf;

use crate::api::{Code, Fault};

pub const EXIT_FAILURE: u8 = 1;
pub const EXIT_USAGE: u8 = 2;
pub const EXIT_NOT_RUNNING: u8 = 3;
pub const EXIT_NOT_FOUND: u8 = 4;
/// The configuration is wrong.
pub const EXIT_CONFIG: u8 = 5;
/// For safety: it would cut off what must not be cut off.
pub const EXIT_REFUSED: u8 = 6;

/// All of them, for the manual.
pub const EXIT_CODES: [(u8, &str); 7] = [
    (0, "Done."),
    (EXIT_FAILURE, "It failed."),
    (EXIT_USAGE, "The command line is wrong."),
    (EXIT_NOT_RUNNING, "The daemon is not running."),
    (EXIT_NOT_FOUND, "There is no such thing."),
    (EXIT_CONFIG, "The configuration is wrong."),
    (EXIT_REFUSED, "Refused for safety: it would cut off what must not be cut off."),
];

#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error("{0}")]
    Failed(String),
    #[error("{0}")]
    Usage(String),
    #[error(
        "the daemon is not running (nobody answers on {}): start it with 'sipprot run'; 'sipprot rescue' works without it",
        .0.display()
    )]
    NotRunning(PathBuf),
    /// Of files, or of what a daemon was told to read again.
    #[error("{0}")]
    Config(String),
    /// The daemon said no.
    #[error("{0}")]
    Fault(#[from] Fault),
}

impl CliError {
    pub fn exit_code(&self) -> u8 {
        match self {
            CliError::Fault(fault) if fault.code == Code::NotFound => EXIT_NOT_FOUND,
            CliError::Fault(fault) if fault.code == Code::Refused => EXIT_REFUSED,
            CliError::Fault(fault) if fault.field.as_deref() == Some("config") => EXIT_CONFIG,
            CliError::Failed(_) | CliError::Fault(_) => EXIT_FAILURE,
            CliError::Usage(_) => EXIT_USAGE,
            CliError::Config(_) => EXIT_CONFIG,
            CliError::NotRunning(_) => EXIT_NOT_RUNNING,
        }
    }
}
