//! SIPVicious as Debian packages it, with its agent shown or hidden.
//!
//! It speaks UDP only, and takes whatever source address the route gives it: only one of these runs
//! at a time. It has no option for its agent. `-c` writes compact headers and leaves the agent out;
//! otherwise the packaged code is run with another default in the one function that writes
//! requests, as anybody would who edits the file.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{lab::Lab, process::Process};

/// Runs the packaged program named first with the agent named second.
const RENAMED: &str = "\
import importlib, sys
import sipvicious.libs.svhelper as helper
names = helper.makeRequest.__code__.co_varnames[:helper.makeRequest.__code__.co_argcount]
defaults = list(helper.makeRequest.__defaults__)
defaults[names.index('useragent') - len(names)] = sys.argv[2]
helper.makeRequest.__defaults__ = tuple(defaults)
program = importlib.import_module('sipvicious.' + sys.argv[1])
sys.argv = sys.argv[1:2] + sys.argv[3:]
program.main()
";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tool {
    /// Guesses the password of one account.
    Svcrack,
    /// Looks for accounts; needs a PBX that answers unknown ones differently.
    Svwar,
    /// Looks for PBXs.
    Svmap,
}

impl Tool {
    pub fn name(self) -> &'static str {
        match self {
            Self::Svcrack => "svcrack",
            Self::Svwar => "svwar",
            Self::Svmap => "svmap",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Agent {
    /// `friendly-scanner`, which every list has.
    Shown,
    /// No such header, and all others compact.
    Compact,
    /// Somebody else's.
    Renamed(&'static str),
}

/// Who attacks whom, and how.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub tool: Tool,
    pub agent: Agent,
    pub source: Ipv4Addr,
    pub target: Ipv4Addr,
    /// Where svmap looks.
    pub network: &'static str,
    /// How many passwords or accounts to try.
    pub tries: u32,
    /// Without the pause of 5 ms between two requests.
    pub fast: bool,
    /// It is killed then.
    pub limit: Duration,
}

impl Plan {
    pub fn new(tool: Tool, source: Ipv4Addr, target: Ipv4Addr) -> Self {
        let (agent, limit) = (Agent::Shown, Duration::from_secs(10));
        let network = crate::topology::NEIGHBOURHOOD;
        Self { tool, agent, source, target, network, tries: 500, fast: false, limit }
    }

    #[must_use]
    pub fn disguised(self, agent: Agent) -> Self {
        Self { agent, ..self }
    }

    fn arguments(&self) -> Vec<String> {
        // `-x` saves it from looking up its own name.
        let mut arguments = format!("-P 5060 -x {}", self.source);
        if self.agent == Agent::Compact {
            arguments += " -c";
        }
        if self.fast {
            arguments += " -t 0";
        }
        // Accounts and passwords are numbers; those tried as passwords are nobody's.
        let tries = self.tries.saturating_sub(1);
        arguments += &match self.tool {
            Tool::Svcrack => format!(" --maximumtime 3 -u 1000 -r 200000-{}", 200_000 + tries),
            Tool::Svwar => format!(" --maximumtime 3 -m REGISTER -e 900-{}", 900 + tries),
            Tool::Svmap => String::new(),
        };
        let target = match self.tool {
            Tool::Svcrack | Tool::Svwar => self.target.to_string(),
            Tool::Svmap => self.network.to_owned(),
        };
        arguments.split_whitespace().map(str::to_owned).chain([target]).collect()
    }
}

/// Attacks until it is done or its limit comes; returns what it printed.
pub fn attack(lab: &Lab, plan: &Plan) -> Result<String> {
    let name = plan.tool.name();
    let path = find(name).with_context(|| format!("{name} is not installed"))?;
    let attackers = &lab.net.attackers;
    let mut command = match plan.agent {
        Agent::Shown | Agent::Compact => attackers.command(path),
        Agent::Renamed(agent) => {
            let mut command = attackers.command(interpreter(&path)?);
            command.args(["-c", RENAMED, name, agent]).env("PYTHONPATH", package(&path)?);
            command
        }
    };
    command.args(plan.arguments()).current_dir(lab.directory()).env("HOME", lab.directory());
    let log = lab.directory().join(format!("{name}-{}.log", plan.source));
    lab.attack_as(plan.source, || {
        let mut process = Process::start(command, &log)?;
        process.wait_or_kill(plan.limit)?;
        Ok(process.output())
    })
}

/// Where the packaged code lies: beside the script that the link in the PATH leads to.
fn package(program: &Path) -> Result<PathBuf> {
    let script = program.canonicalize().with_context(|| format!("find {}", program.display()))?;
    Ok(script.parent().unwrap_or(Path::new("/")).to_owned())
}

/// The Python that the packaged program runs with.
fn interpreter(program: &Path) -> Result<String> {
    let text =
        std::fs::read_to_string(program).with_context(|| format!("read {}", program.display()))?;
    let first = text.lines().next().and_then(|line| line.strip_prefix("#!"));
    first.map(str::to_owned).with_context(|| format!("{} is no script", program.display()))
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|at| at.is_file())
}
