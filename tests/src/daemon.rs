//! sipprot itself, as a child process on the protected host and as a command line.
//!
//! Its configuration keys are in [`Daemon::configuration`] and its answers in [`Check`], each in
//! that one place.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use sipprot_common::reason::{Class, Reason};

use crate::{
    namespace::Namespace,
    patience::stretched,
    process::Process,
    topology::{PBXS, UPLINK},
};

const START_LIMIT: Duration = Duration::from_secs(45);
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// A database of countries that knows none of the lab's addresses.
const COUNTRIES: &str = "countries";
/// The host's namespace has a loopback of its own: no other daemon listens there.
const METRICS: &str = "127.0.0.1:9160";

/// sipprot on the host of a lab. Dropping it kills it; programs and maps stay until the lab goes.
#[derive(Debug)]
pub struct Daemon {
    host: Namespace,
    program: PathBuf,
    directory: PathBuf,
    process: Option<Process>,
    environment: Vec<(String, OsString)>,
    starts: u32,
}

/// What a test wants otherwise than by default.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Rejected registrations a minute that are still no attack.
    pub register_limit: u32,
    pub enforce: bool,
    /// Lines of the configuration file, keys dotted: `rules.block_time = "5s"`.
    pub lines: Vec<String>,
    /// What each endpoint has of its own.
    pub endpoints: [Vec<String>; 2],
    /// Whole tables, behind those of the endpoints.
    pub tables: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        let (endpoints, tables) = Default::default();
        Self { register_limit: 10, enforce: true, lines: Vec::new(), endpoints, tables }
    }
}

impl Settings {
    /// The default ones, and these lines.
    pub fn of(lines: &[&str]) -> Self {
        Self { lines: owned(lines), ..Self::default() }
    }
}

pub fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|&line| line.to_owned()).collect()
}

impl Daemon {
    /// Configured with the default settings, in a bpffs and directories of its own.
    pub(crate) fn new(host: &Namespace, program: &Path, lab: &Path) -> Result<Self> {
        Self::named("sipprot", host, program, lab)
    }

    /// One of several in a lab, each with its own host and directory.
    pub fn named(name: &str, host: &Namespace, program: &Path, lab: &Path) -> Result<Self> {
        ensure!(program.is_file(), "no sipprot at {}", program.display());
        let program = program.canonicalize().context("find sipprot")?;
        mount_bpffs(&lab.join("bpf"))?;
        let directory = lab.join(name);
        std::fs::create_dir_all(directory.join("state")).context("make the state directory")?;
        let (host, environment) = (host.clone(), Vec::new());
        std::fs::write(directory.join(COUNTRIES), "8.8.8.0,8.8.8.255,US\n").context(COUNTRIES)?;
        let daemon = Self { host, program, directory, process: None, environment, starts: 0 };
        daemon.configure(&Settings::default())?;
        Ok(daemon)
    }

    /// Writes the configuration file; a running daemon must be told, or restarted.
    pub fn configure(&self, settings: &Settings) -> Result<()> {
        std::fs::write(self.config_file(), self.configuration(settings)).context("write the config")
    }

    fn configuration(&self, settings: &Settings) -> String {
        let mode = if settings.enforce { "enforce" } else { "observe" };
        let mut text = format!(
            "interfaces = [\"{UPLINK}\"]\n\
             mode = \"{mode}\"\n\
             daemon.state_dir = \"{}\"\n\
             daemon.socket = \"{}\"\n\
             daemon.pin_dir = \"{}\"\n\
             daemon.metrics = \"{METRICS}\"\n",
            self.state_dir().display(),
            self.socket().display(),
            self.pin_dir().display(),
        );
        // A debug build reads the machine's own database for seconds, each time that it starts.
        let names_one = |line: &String| line.starts_with("geo.databases");
        if cfg!(debug_assertions) && !settings.lines.iter().any(names_one) {
            text += &format!("geo.databases = [{:?}]\n", self.directory.join(COUNTRIES));
        }
        text += &format!("rules.register_limit = {}\n", settings.register_limit);
        for line in &settings.lines {
            text += &format!("{line}\n");
        }
        for ((number, pbx), own) in (1..).zip(PBXS).zip(&settings.endpoints) {
            text += &format!(
                "\n[[endpoint]]\nname = \"pbx{number}\"\naddresses = [\"{}\", \"{}\"]\n{}\n",
                pbx.v4,
                pbx.v6,
                own.join("\n")
            );
        }
        for table in &settings.tables {
            text += &format!("\n{table}\n");
        }
        text
    }

    pub fn config_file(&self) -> PathBuf {
        self.directory.join("sipprot.toml")
    }

    pub fn state_dir(&self) -> PathBuf {
        self.directory.join("state")
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.join("sipprot.sock")
    }

    pub fn pin_dir(&self) -> PathBuf {
        let name = self.directory.file_name().unwrap_or_default();
        self.directory.with_file_name("bpf").join(name)
    }

    /// Starts it, and waits for nothing.
    pub fn launch(&mut self) -> Result<&mut Process> {
        self.launch_with(&[])
    }

    fn launch_with(&mut self, arguments: &[&str]) -> Result<&mut Process> {
        self.starts += 1;
        let mut command = self.command();
        command.arg("run").args(arguments).envs(self.environment.iter().cloned());
        let log = self.directory.join(format!("run-{}.log", self.starts));
        Ok(self.process.insert(Process::start(command, &log)?))
    }

    /// Starts it, and waits until it answers and the uplink has its program.
    pub fn start(&mut self) -> Result<()> {
        self.start_with(&[])
    }

    /// The same with more arguments of `run`.
    pub fn start_with(&mut self, arguments: &[&str]) -> Result<()> {
        self.launch_with(arguments)?;
        self.answers_within(START_LIMIT)
    }

    /// The same where a long list must be read, or a database made anew.
    pub fn start_within(&mut self, limit: Duration) -> Result<()> {
        self.launch()?;
        self.answers_within(limit)
    }

    fn answers_within(&mut self, limit: Duration) -> Result<()> {
        let start = Instant::now();
        let mut complaint = String::new();
        while start.elapsed() < stretched(limit) {
            let process = self.process.as_mut().context("it was started")?;
            if let Some(status) = process.ended()? {
                bail!("sipprot run ended with {status}: {}", process.last_words());
            }
            let output = self.cli(&["status", "--json"])?;
            if output.status.success() {
                return Ok(());
            }
            complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            std::thread::sleep(Duration::from_millis(50));
        }
        let said = self.process.as_ref().map(Process::last_words).unwrap_or_default();
        bail!("sipprot does not answer: {}; {said}", complaint.trim())
    }

    /// From the next start on it is another build.
    pub fn upgrade(&mut self, program: &Path) {
        self.program = program.to_owned();
    }

    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Asks it to end, and waits.
    pub fn stop(&mut self) -> Result<()> {
        let mut process = self.process.take().context("sipprot is not running")?;
        let status = process.stop(stretched(STOP_LIMIT))?;
        ensure!(status.success(), "sipprot ended with {status}: {}", process.last_words());
        Ok(())
    }

    /// SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        let mut process = self.process.take().context("sipprot is not running")?;
        process.kill();
        Ok(())
    }

    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| matches!(process.ended(), Ok(None)))
    }

    /// While it runs.
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// What it has logged since its last start.
    pub fn log(&self) -> String {
        let log = self.directory.join(format!("run-{}.log", self.starts));
        std::fs::read_to_string(log).unwrap_or_default()
    }

    /// The command line, configured, without a verb.
    pub fn command(&self) -> Command {
        let mut command = self.host.command(&self.program);
        command.arg("--config").arg(self.config_file());
        command
    }

    /// Runs a verb, whatever comes of it.
    pub fn cli(&self, arguments: &[&str]) -> Result<Output> {
        self.command().args(arguments).output().context("run sipprot")
    }

    /// The same with something on its stdin, which is no terminal.
    pub fn cli_with(&self, arguments: &[&str], stdin: &str) -> Result<Output> {
        let mut command = self.command();
        command.args(arguments).stdin(Stdio::piped());
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("run sipprot")?;
        child.stdin.take().context("stdin")?.write_all(stdin.as_bytes()).context("write")?;
        child.wait_with_output().context("wait for sipprot")
    }

    /// Somebody who may log in.
    pub fn add_user(&self, name: &str, role: &str, password: &str) -> Result<()> {
        let added = self.cli_with(&["user", "add", name, "--role", role], password)?;
        ensure!(added.status.success(), "{added:?}");
        Ok(())
    }

    /// From its next start on it has these variables in its environment.
    pub fn set_environment(&mut self, name: &str, value: impl Into<OsString>) {
        self.environment.push((name.to_owned(), value.into()));
    }

    /// Runs a verb that must succeed; returns what it printed.
    pub fn text(&self, arguments: &[&str]) -> Result<String> {
        let output = self.cli(arguments)?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        let status = output.status;
        ensure!(status.success(), "sipprot {arguments:?}: {status}: {}", complaint.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The same with `--json`.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let arguments = [arguments, &["--json"]].concat();
        let text = self.text(&arguments)?;
        serde_json::from_str(&text).with_context(|| format!("sipprot {arguments:?} said {text}"))
    }

    /// The blocks in force of a source: the endpoint that each is limited to, and its rule.
    pub fn blocks(&self, source: IpAddr) -> Result<Vec<Value>> {
        let why = self.json(&["why", &source.to_string()])?;
        Ok(why["blocks"].as_array().cloned().unwrap_or_default())
    }

    /// What it thinks of a source.
    pub fn check(&self, source: IpAddr) -> Result<Check> {
        let value = self.json(&["check", &source.to_string()])?;
        serde_json::from_value(value.clone()).with_context(|| format!("read {value}"))
    }

    /// Attacks by address of the endpoint: the rows that the report has of it.
    pub fn attacks(&self) -> Result<BTreeMap<String, u64>> {
        let report = self.json(&["report"])?;
        let mut attacks = BTreeMap::new();
        for row in report["rows"].as_array().context("a report without rows")? {
            if let Some(victim) = row["victim"].as_str() {
                *attacks.entry(victim.to_owned()).or_insert(0) += 1;
            }
        }
        Ok(attacks)
    }

    /// How the program hangs on the uplink, as the kernel tells it.
    pub fn xdp_mode(&self) -> Result<String> {
        // XDP_ATTACHED_* of linux/if_link.h.
        Ok(match self.host.link(UPLINK)?.pointer("/xdp/mode").and_then(Value::as_u64) {
            Some(1) => "native",
            Some(2) => "generic",
            Some(3) => "offloaded",
            Some(4) => "several",
            _ => "none",
        }
        .to_owned())
    }

    /// Packets dropped so far, by reason, as `/metrics` counts them; what nobody was dropped for is
    /// left out.
    pub fn dropped(&self) -> Result<BTreeMap<String, u64>> {
        let mut dropped = BTreeMap::new();
        for line in self.metrics()?.lines() {
            let Some((labels, count)) = series(line, "sipprot_packets_total") else { continue };
            let reason = labels.split("reason=\"").nth(1).and_then(|rest| rest.split('"').next());
            let known = Reason::ALL.iter().find(|it| Some(it.label()) == reason);
            if let Some(reason) = known
                && reason.class() == Class::Drop
                && count > 0
            {
                *dropped.entry(reason.label().to_owned()).or_default() += count;
            }
        }
        Ok(dropped)
    }

    /// `/metrics`, as Prometheus would fetch it.
    pub fn metrics(&self) -> Result<String> {
        self.host.run(|| {
            let address: SocketAddr = METRICS.parse().context("metrics address")?;
            let limit = Duration::from_secs(2);
            let mut stream =
                TcpStream::connect_timeout(&address, limit).context("connect to /metrics")?;
            stream.set_read_timeout(Some(limit)).context("set a time-out")?;
            stream
                .write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
                .context("ask for /metrics")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).context("read /metrics")?;
            let (head, body) = answer.split_once("\r\n\r\n").context("an answer without body")?;
            ensure!(head.contains(" 200 "), "/metrics: {}", head.lines().next().unwrap_or(head));
            Ok(body.to_owned())
        })
    }
}

/// Labels and value of a line of `/metrics`, if it is of that name.
fn series<'a>(line: &'a str, name: &str) -> Option<(&'a str, u64)> {
    let (labels, value) = line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once("} ")?;
    Some((labels, value.parse().ok()?))
}

/// A bpffs of the lab's own: its pins go when the janitor unmounts it.
fn mount_bpffs(at: &Path) -> Result<()> {
    if at.exists() {
        return Ok(());
    }
    std::fs::create_dir(at).context("make the bpffs directory")?;
    let mounted = Command::new("mount").args(["-t", "bpf", "bpf"]).arg(at).output();
    let output = mounted.context("run mount")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "mount a bpffs: {}", complaint.trim());
    Ok(())
}

/// What `check ADDRESS --json` says. What it leaves out is taken as not so.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Check {
    pub allowed: bool,
    pub denied: bool,
    pub blocked: bool,
    pub contained: bool,
    /// The kernel's own hold.
    pub held: bool,
    /// Packets dropped, by reason.
    pub drops: BTreeMap<String, u64>,
    pub block: Option<Block>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Block {
    pub kind: String,
    pub rule: String,
    /// From the packet that broke the limit to the block in the kernel's map.
    pub reaction_us: Option<u64>,
}

impl Check {
    /// Whether any of its packets would be dropped now for who sent them.
    pub fn is_cut_off(&self) -> bool {
        self.denied || self.blocked || self.contained || self.held
    }

    pub fn dropped(&self) -> u64 {
        self.drops.values().sum()
    }
}
