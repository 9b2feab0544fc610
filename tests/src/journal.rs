//! systemd's journal without systemd: journald in a mount namespace of its own, so that it writes nowhere
//! but there.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::{
    patience::wait_for,
    process::{Process, write_program},
};

const JOURNALD: &str = "/usr/lib/systemd/systemd-journald";
/// What it writes to lies in memory, and goes with the namespace.
const SCRIPT: &str = "for place in /run/systemd /run/log /var/log/journal; do \
     mkdir -p $place && mount -t tmpfs none $place || exit 1; done; \
     rmdir /var/log/journal 2>/dev/null; mkdir /run/systemd/journal && exec ";

/// A running journald; dropping it ends it.
#[derive(Debug)]
pub struct Journal {
    process: Process,
    /// In front of others in a PATH: a `journalctl` that reads this journal.
    pub programs: PathBuf,
}

impl Journal {
    /// None where there is no systemd.
    pub fn start(directory: &Path) -> Result<Option<Self>> {
        for needed in [JOURNALD, "/usr/bin/journalctl", "/etc/machine-id"] {
            if !Path::new(needed).exists() {
                println!("skipped: needs {needed}");
                return Ok(None);
            }
        }
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c"]);
        command.arg(format!("{SCRIPT}{JOURNALD}"));
        let process = Process::start(command, &directory.join("journald.log"))?;
        let programs = directory.join("programs");
        std::fs::create_dir(&programs).context("make a directory of programs")?;
        let journalctl = programs.join("journalctl");
        let inside = format!("nsenter --mount=/proc/{}/ns/mnt", process.id());
        let script = format!("#!/bin/sh\nexec {inside} /usr/bin/journalctl \"$@\"\n");
        write_program(&journalctl, script)?;
        let journal = Self { process, programs };
        wait_for("journald", || Ok(journal.write("lab", "it runs\n").is_ok().then_some(())))?;
        Ok(Some(journal))
    }

    /// Lines of a program, as its unit's output gets there.
    pub fn write(&self, program: &str, lines: &str) -> Result<()> {
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.process.id()));
        command.args(["systemd-cat", "--identifier", program]).stdin(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().context("run systemd-cat")?;
        // It may have ended for want of a journal.
        let written = child.stdin.take().context("stdin")?.write_all(lines.as_bytes());
        let status = child.wait().context("wait for systemd-cat")?;
        written.context("write to the journal")?;
        ensure!(status.success(), "systemd-cat: {status}");
        Ok(())
    }
}
