//! SIPp: one run of a scenario, its bounds and its counts.
//!
//! Scenarios are files of their own, compiled in. Every run is bounded twice: SIPp's own time-out,
//! and the owner's.

use std::{
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{namespace::Namespace, pbx, process::Process};

pub const REGISTER: Scenario = ("register", include_str!("../scenarios/register.xml"));
pub const STEADFAST: Scenario = ("steadfast", include_str!("../scenarios/steadfast.xml"));
pub const STALE: Scenario = ("stale_password", include_str!("../scenarios/stale_password.xml"));
pub const CALL: Scenario = ("call", include_str!("../scenarios/call.xml"));
pub const TRUNK_CALL: Scenario = ("trunk_call", include_str!("../scenarios/trunk_call.xml"));
pub const CALL_IN_VAIN: Scenario = ("vain", include_str!("../scenarios/call_in_vain.xml"));
pub const ANSWER: Scenario = ("answer", include_str!("../scenarios/answer.xml"));
pub const ANSWER_OPTIONS: Scenario =
    ("answer_options", include_str!("../scenarios/answer_options.xml"));

/// A name and the XML.
pub type Scenario = (&'static str, &'static str);

/// After its own time-out SIPp still says good-bye.
const GRACE: Duration = Duration::from_secs(5);
/// A lost answer is a failure after this.
const ANSWER_LIMIT_MS: u128 = 8000;

/// So many repetitions that a phone never gives up.
const NO_END: &str = "1000000";

static RUNS: AtomicU32 = AtomicU32::new(0);

/// One who takes part: account, credentials as SIPp wants them, number to call (or how many times).
#[derive(Clone, Debug)]
pub struct Line {
    pub account: String,
    pub credentials: String,
    pub callee: String,
}

impl Line {
    /// An account with its right password.
    pub fn of(account: u16, callee: impl ToString) -> Self {
        Self::with_password(account, &pbx::password(account), callee)
    }

    pub fn with_password(account: u16, password: &str, callee: impl ToString) -> Self {
        Self {
            account: account.to_string(),
            credentials: format!("[authentication username={account} password={password}]"),
            callee: callee.to_string(),
        }
    }
}

/// From where SIPp sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ports {
    /// All on this one.
    One(u16),
    /// Each call on one of its own, as phones behind a NAT.
    Each,
}

/// What one run does.
#[derive(Clone, Debug)]
pub struct Plan {
    pub scenario: Scenario,
    pub local: IpAddr,
    pub ports: Ports,
    /// How many calls (a call is what the scenario tells), the lines taken in turn.
    pub calls: u32,
    pub calls_per_second: u32,
    pub lines: Vec<Line>,
    /// What the scenario's pauses take.
    pub pause: Duration,
    pub limit: Duration,
}

/// How many calls came to the scenario's end, and how many didn't.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Calls {
    pub ok: u32,
    pub failed: u32,
}

impl std::ops::Add for Calls {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { ok: self.ok + other.ok, failed: self.failed + other.failed }
    }
}

/// A run under way. Dropping it kills it.
#[derive(Debug)]
pub struct Sipp {
    process: Process,
    statistics: PathBuf,
    calls: u32,
    limit: Duration,
}

impl Sipp {
    /// Starts a caller towards `to`.
    pub fn call(
        namespace: &Namespace,
        directory: &Path,
        to: SocketAddr,
        plan: &Plan,
    ) -> Result<Self> {
        let files = Files::new(directory, plan.scenario)?;
        files.write_lines(&plan.lines)?;
        let mut command = files.command(namespace, plan.local);
        match plan.ports {
            Ports::One(port) => command.args(["-t", "u1", "-p", &port.to_string()]),
            // Sockets are not shared as long as there may be one for each call.
            Ports::Each => command.args(["-t", "un", "-max_socket", "1000"]),
        };
        let limit_s = plan.limit.as_secs().max(1).to_string();
        command.arg("-inf").arg(&files.lines);
        command.args(["-m", &plan.calls.to_string(), "-r", &plan.calls_per_second.to_string()]);
        command.args(["-d", &plan.pause.as_millis().to_string()]);
        if [CALL, TRUNK_CALL, STEADFAST].contains(&plan.scenario) {
            // What comes out of turn ends no call: a 180 that the 200 overtook on its way through
            // the PBX's processes, an answer to what was repeated meanwhile. What never comes does.
            command.args(["-default_behaviors", "all,-abortunexp"]);
        }
        let answer_limit_ms = if plan.scenario == STEADFAST {
            command.args(["-max_non_invite_retrans", NO_END, "-max_retrans", NO_END]);
            plan.limit.as_millis()
        } else {
            ANSWER_LIMIT_MS
        };
        command.args(["-timeout", &limit_s, "-recv_timeout", &answer_limit_ms.to_string()]);
        command.arg(to.to_string());
        let process = Process::start(command, &files.log)?;
        let limit = plan.limit + GRACE;
        Ok(Self { process, statistics: files.statistics, calls: plan.calls, limit })
    }

    /// Starts somebody who answers on a port, as the scenario tells, until the run is dropped.
    pub fn answer(
        namespace: &Namespace,
        directory: &Path,
        at: SocketAddr,
        scenario: Scenario,
    ) -> Result<Process> {
        let files = Files::new(directory, scenario)?;
        let mut command = files.command(namespace, at.ip());
        command.args(["-t", "u1", "-p", &at.port().to_string()]);
        Process::start(command, &files.log)
    }

    /// Waits for the end and counts. What SIPp left unfinished has failed.
    pub fn finish(mut self) -> Result<Calls> {
        let status = self.process.wait(self.limit)?;
        let text = std::fs::read_to_string(&self.statistics).unwrap_or_default();
        let ok = column(&text, "SuccessfulCall(C)").with_context(|| {
            format!("sipp ({status}) left no statistics: {}", self.process.last_words())
        })?;
        let calls = Calls { ok, failed: self.calls.saturating_sub(ok) };
        if calls.failed > 0 {
            self.tell_first_failure(calls);
        }
        Ok(calls)
    }

    /// Why a call failed is what one wants to know, and the lab's files are soon gone.
    fn tell_first_failure(&self, calls: Calls) {
        let directory = self.statistics.parent().unwrap_or(Path::new(""));
        let errors = std::fs::read_to_string(directory.join("errors")).unwrap_or_default();
        let first: Vec<&str> = errors.lines().take(12).collect();
        eprintln!("{}: {calls:?}\n  {}", directory.display(), first.join("\n  "));
    }
}

/// The files of one run.
struct Files {
    scenario: PathBuf,
    lines: PathBuf,
    statistics: PathBuf,
    log: PathBuf,
    directory: PathBuf,
}

impl Files {
    fn new(directory: &Path, (name, xml): Scenario) -> Result<Self> {
        let number = RUNS.fetch_add(1, Ordering::Relaxed);
        let directory = directory.join(format!("sipp-{number}-{name}"));
        std::fs::create_dir(&directory).with_context(|| format!("make {}", directory.display()))?;
        let file = |name: &str| directory.join(name);
        let files = Self {
            scenario: file("scenario.xml"),
            lines: file("lines.csv"),
            statistics: file("statistics.csv"),
            log: file("log"),
            directory: directory.clone(),
        };
        std::fs::write(&files.scenario, xml).context("write the scenario")?;
        Ok(files)
    }

    fn write_lines(&self, lines: &[Line]) -> Result<()> {
        let mut text = String::from("SEQUENTIAL\n");
        for Line { account, credentials, callee } in lines {
            writeln!(text, "{account};{credentials};{callee}").context("write a line")?;
        }
        std::fs::write(&self.lines, text).context("write the lines")
    }

    fn command(&self, namespace: &Namespace, local: IpAddr) -> std::process::Command {
        let mut command = namespace.command("sipp");
        command.current_dir(&self.directory).env("TERM", "dumb");
        command.arg("-sf").arg(&self.scenario).args(["-nostdin", "-i", &local.to_string()]);
        command.args(["-trace_stat", "-fd", "1", "-stf"]).arg(&self.statistics);
        command.args(["-trace_err", "-error_file"]).arg(self.directory.join("errors"));
        command
    }
}

/// A column of the last line of SIPp's statistics.
fn column(statistics: &str, name: &str) -> Option<u32> {
    let mut lines = statistics.lines();
    let index = lines.next()?.split(';').position(|title| title == name)?;
    lines.next_back()?.split(';').nth(index)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::column;

    #[test]
    fn the_last_line_counts() {
        let text = "Start;SuccessfulCall(P);SuccessfulCall(C);\nx;1;1;\ny;2;3;\n";
        assert_eq!(column(text, "SuccessfulCall(C)"), Some(3));
        assert_eq!(column(text, "Nothing"), None);
        assert_eq!(column("", "Start"), None);
        assert_eq!(column("Start;\n", "Start"), None);
    }
}
