//! A child process that never outlives its owner, its output in a file.
//!
//! It leads a process group of its own, so that ending it by its id also ends what it forked.

use std::{
    fs::{self, File},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

const POLL: Duration = Duration::from_millis(5);

/// A running child. Dropping it kills its whole group.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts it with nothing to read, and stdout and stderr in `log`.
    ///
    /// The kernel kills the child when the *thread* that started it ends: start long-lived children
    /// from a thread that lives as long.
    pub fn start(mut command: Command, log: &Path) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let out = File::create(log).with_context(|| format!("create {}", log.display()))?;
        let err = out.try_clone().context("share the log")?;
        command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
        adopt_orphans();
        // SAFETY: prctl is a plain system call; nothing is allocated between fork and exec.
        unsafe { command.pre_exec(die_with_parent) };
        let child = command.spawn().with_context(|| format!("start {name}"))?;
        Ok(Self { child, name, log: log.to_owned() })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The exit status, once it has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("wait for {}", self.name))
    }

    /// Waits for its end, at most so long; then it is killed, and that is an error.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.wait_or_kill(limit)?.with_context(|| {
            format!("{} did not end within {limit:?}: {}", self.name, self.last_words())
        })
    }

    /// Waits for its end, at most so long; then it is killed, and there is no status.
    pub fn wait_or_kill(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        let start = Instant::now();
        while start.elapsed() < limit {
            if let Some(status) = self.ended()? {
                return Ok(Some(status));
            }
            std::thread::sleep(POLL);
        }
        self.kill();
        Ok(None)
    }

    /// Asks it to end (SIGTERM), and kills it when it doesn't within `grace`.
    pub fn stop(&mut self, grace: Duration) -> Result<ExitStatus> {
        signal_group(self.id(), libc::SIGTERM);
        self.wait(grace)
    }

    /// SIGKILL to its whole group, at once.
    pub fn kill(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            signal_group(self.id(), libc::SIGKILL);
        }
        // Reaps; a child that is already gone is what we want.
        drop(self.child.wait());
    }

    /// All it has said so far.
    pub fn output(&self) -> String {
        std::fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// The end of its output, for error messages.
    pub fn last_words(&self) -> String {
        let output = self.output();
        let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(5)..].join(" | ")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Also after its leader has ended: Kamailio's workers are in the group.
        signal_group(self.id(), libc::SIGKILL);
        self.kill();
        reap_group(self.id());
    }
}

/// Writes a program: a script, or bytes that the kernel runs.
pub fn write_program(path: &Path, contents: impl AsRef<[u8]>) -> Result<()> {
    fs::write(path, contents).with_context(|| format!("write {}", path.display()))?;
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(path, mode).with_context(|| format!("let {} be run", path.display()))
}

fn signal_group(leader: u32, signal: i32) {
    // SAFETY: kill is a plain system call; the negative id names the group that the child leads.
    unsafe { libc::kill(-(leader as i32), signal) };
}

/// What our children leave behind becomes ours to reap, where init may never do it.
fn adopt_orphans() {
    // SAFETY: prctl with PR_SET_CHILD_SUBREAPER takes a flag; it cannot fail on Linux since 3.4.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
}

/// Waits for all of a killed group, which no longer contains its leader.
fn reap_group(leader: u32) {
    // SAFETY: waitpid takes an id and may have no status to write to. It ends with ECHILD.
    while unsafe { libc::waitpid(-(leader as i32), std::ptr::null_mut(), 0) } > 0 {}
}

fn die_with_parent() -> std::io::Result<()> {
    // SAFETY: prctl with PR_SET_PDEATHSIG takes a signal number.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
