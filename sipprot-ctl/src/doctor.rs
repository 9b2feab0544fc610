//! What may be wrong on this host, and what to do about it.
//!
//! Looks at the machine, at the configuration, and at what a daemon says, if one answers; changes
//! nothing. Each look is a function from facts to findings, beside the one that gathers the facts.

mod daemon;
mod host;
mod interface;
mod kernel;
mod sip;
mod ssh;
mod web;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::{Status, Top};
use crate::config::{Config, ConfigError, Loaded};
use crate::datapath::probe;

#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    /// Nobody can tell without what is missing.
    Unknown,
    Warning,
    Problem,
}

impl State {
    pub const fn name(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Unknown => "unknown",
            State::Warning => "warning",
            State::Problem => "problem",
        }
    }
}

/// What one look found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// What was looked at: `kernel`, `interface`, `ssh` and so on.
    pub check: String,
    pub state: State,
    /// One line.
    pub what: String,
    pub remedy: Option<String>,
}

impl Finding {
    fn new(check: &str, state: State, what: impl Into<String>, remedy: Option<String>) -> Self {
        Self { check: check.to_owned(), state, what: what.into(), remedy }
    }

    fn ok(check: &str, what: impl Into<String>) -> Self {
        Self::new(check, State::Ok, what, None)
    }

    fn unknown(check: &str, what: impl Into<String>) -> Self {
        Self::new(check, State::Unknown, what, None)
    }

    fn warning(check: &str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(check, State::Warning, what, Some(remedy.into()))
    }

    fn problem(check: &str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(check, State::Problem, what, Some(remedy.into()))
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Checkup {
    pub findings: Vec<Finding>,
    pub warnings: usize,
    pub problems: usize,
}

/// What is known beside the machine itself.
pub struct Surroundings<'a> {
    pub loaded: Result<&'a Loaded, &'a ConfigError>,
    /// Absent where no daemon answers, with the reason.
    pub status: Result<&'a Status, String>,
    pub top: Option<&'a Top>,
}

/// All looks, from the ground up.
pub fn look(surroundings: &Surroundings<'_>) -> Checkup {
    let defaults = Config::default();
    let config = surroundings.loaded.map_or(&defaults, |loaded| &loaded.config);
    let status = surroundings.status.as_ref().ok().copied();
    let mut findings = kernel::look(config);
    findings.extend(daemon::look_at_configuration(surroundings.loaded));
    findings.extend(interface::look(config, status));
    findings.extend(daemon::look(surroundings.status.as_ref().copied().map_err(|it| &**it)));
    findings.extend(daemon::look_at_traffic(surroundings.top));
    findings.extend(daemon::look_at_countries(config, status));
    findings.extend(host::look(config, surroundings.loaded.ok()));
    findings.extend(ssh::look(config));
    findings.extend(sip::look(config));
    findings.extend(web::look(config));
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let (warnings, problems) = (count(State::Warning), count(State::Problem));
    Checkup { findings, warnings, problems }
}

pub use interface::default_route;
pub use sip::pbxs;

/// Names of the host's interfaces.
pub fn interfaces() -> Vec<String> {
    probe::received().into_iter().map(|(name, _)| name).collect()
}

/// What a child said on stdout, if it could be started and ended well.
fn output_of(programs: &[&str], arguments: &[&str]) -> Option<String> {
    programs.iter().find_map(|program| {
        let output = std::process::Command::new(program)
            .args(arguments)
            .stdin(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success().then_some(text)
    })
}

#[cfg(test)]
mod tests;
