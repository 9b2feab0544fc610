//! Starting programs: with a clear error, as root where needed, and never with our own chatter on
//! standard output, which belongs to the result of a verb.
//!
//! It must not know what the programs are for.

use std::{
    env,
    ffi::OsStr,
    fmt::Display,
    io,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, anyhow, bail};

/// Administrators' directories, which an ordinary user's PATH lacks.
const SYSTEM_DIRS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Tells the person at the terminal what happens.
pub fn say(message: impl Display) {
    eprintln!("xtask: {message}");
}

/// Runs a command to its end, its output on standard error.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command
        .stdout(Stdio::from(io::stderr()))
        .status()
        .with_context(|| format!("cannot start {}", described(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", described(command));
    }
    Ok(())
}

/// Runs a command that must succeed and returns what it printed; what it has to say is passed on.
pub fn printed_aloud(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {}", described(command)))?;
    if !output.status.success() {
        bail!("{} failed ({})", described(command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command and returns what it printed, whatever its exit status.
pub fn printed(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", described(command)))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Becomes the command: signals, standard output and exit code are then its own. Returns only the
/// reason why that wasn't possible.
pub fn become_command(mut command: Command) -> anyhow::Error {
    let error = command.exec();
    anyhow!(error).context(format!("cannot start {}", described(&command)))
}

/// Finds a program in PATH or among the system's directories.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(SYSTEM_DIRS.iter().map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|candidate| candidate.is_file())
}

/// How a command can be run as root here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    Root,
    Sudo,
    None,
}

impl Privilege {
    /// `/proc/self` belongs to the effective user, which spares an unsafe call of geteuid.
    pub fn of_this_process() -> Self {
        match std::fs::metadata("/proc/self") {
            Ok(metadata) if metadata.uid() == 0 => Self::Root,
            _ if find_program("sudo").is_some() => Self::Sudo,
            _ => Self::None,
        }
    }
}

/// A command that runs `program` as root, with this process's environment.
pub fn as_root(program: impl AsRef<OsStr>) -> Result<Command> {
    match Privilege::of_this_process() {
        Privilege::Root => Ok(Command::new(program)),
        Privilege::Sudo => {
            let mut command = Command::new("sudo");
            command.arg("--preserve-env").arg("--").arg(program);
            Ok(command)
        }
        Privilege::None => {
            bail!("{} needs root: neither root nor sudo here", program.as_ref().display())
        }
    }
}

/// Program and arguments for messages, cut where a script or a long list would hide the point.
pub fn described(command: &Command) -> String {
    const LENGTH_MAX: usize = 160;
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let line = line.lines().next().unwrap_or_default();
    match line.char_indices().nth(LENGTH_MAX) {
        Some((end, _)) => format!("`{}…`", &line[..end]),
        None => format!("`{line}`"),
    }
}
