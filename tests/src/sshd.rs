//! OpenSSH: a server on the protected host that logs into a file, and clients with a right key or a wrong
//! password.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    namespace::Namespace,
    process::{Process, write_program},
};

const PROGRAM: &str = "/usr/sbin/sshd";
const START_LIMIT: Duration = Duration::from_secs(10);

/// A running server; dropping it ends it.
#[derive(Debug)]
pub struct Sshd {
    directory: PathBuf,
    port: u16,
    process: Process,
}

impl Sshd {
    /// On port 22; none where there is no OpenSSH.
    pub fn start(namespace: &Namespace, directory: &Path) -> Result<Option<Self>> {
        Self::start_at(namespace, 22, directory)
    }

    pub fn start_at(namespace: &Namespace, port: u16, directory: &Path) -> Result<Option<Self>> {
        if !Path::new(PROGRAM).exists() {
            println!("skipped: needs {PROGRAM} (openssh-server)");
            return Ok(None);
        }
        let directory = directory.join(format!("sshd-{port}"));
        std::fs::create_dir(&directory).context("make sshd's directory")?;
        // Where its unprivileged part is locked up.
        std::fs::create_dir_all("/run/sshd").context("make /run/sshd")?;
        for key in ["host", "own"] {
            let mut command = Command::new("ssh-keygen");
            command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(directory.join(key));
            ensure!(command.status().context("run ssh-keygen")?.success(), "ssh-keygen failed");
        }
        let at = |name: &str| directory.join(name).display().to_string();
        let config = format!(
            "HostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\nPort {port}\n\
             PasswordAuthentication yes\nKbdInteractiveAuthentication no\nPermitRootLogin yes\nMaxAuthTries 6\n",
            at("host"),
            at("own.pub")
        );
        std::fs::write(directory.join("config"), config).context("write sshd's configuration")?;
        let script = directory.join("password");
        write_program(&script, "#!/bin/sh\necho wrong\n")?;
        let mut command = namespace.command(PROGRAM);
        command.args(["-D", "-e", "-f"]).arg(directory.join("config"));
        let process = Process::start(command, &directory.join("log"))?;
        let mut sshd = Self { directory, port, process };
        sshd.wait_until_it_listens()?;
        Ok(Some(sshd))
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        let start = Instant::now();
        while !self.process.output().contains("Server listening") {
            ensure!(self.process.ended()?.is_none(), "sshd: {}", self.process.last_words());
            if start.elapsed() > START_LIMIT {
                bail!("sshd does not listen: {}", self.process.last_words());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    pub fn log_file(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// Logs in with the right key.
    pub fn log_in(&self, from: &Namespace, source: IpAddr, host: IpAddr) -> Result<bool> {
        let mut command = self.client(from, source, host);
        command.arg("-i").arg(self.directory.join("own")).args(["-o", "BatchMode=yes"]);
        Ok(command.arg("true").output().context("run ssh")?.status.success())
    }

    /// Three wrong passwords in one connection. False if there was none.
    pub fn fail(&self, from: &Namespace, source: IpAddr, host: IpAddr) -> Result<bool> {
        let mut command = self.client(from, source, host);
        command.args(["-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=3"]);
        command.env("SSH_ASKPASS", self.directory.join("password"));
        command.env("SSH_ASKPASS_REQUIRE", "force").env("DISPLAY", "none");
        let output = command.arg("true").output().context("run ssh")?;
        Ok(String::from_utf8_lossy(&output.stderr).contains("Permission denied"))
    }

    /// Whether a client's connection is answered at all.
    pub fn is_reached(&self, from: &Namespace, source: IpAddr, host: IpAddr) -> Result<bool> {
        let mut command = self.client(from, source, host);
        command.args(["-o", "BatchMode=yes", "-o", "PreferredAuthentications=none"]);
        let output = command.arg("true").output().context("run ssh")?;
        let said = String::from_utf8_lossy(&output.stderr);
        let (refused, silent) = (said.contains("Permission denied"), said.contains("timed out"));
        ensure!(refused != silent, "ssh said {said}");
        Ok(refused)
    }

    fn client(&self, from: &Namespace, source: IpAddr, host: IpAddr) -> Command {
        let mut command = from.command("ssh");
        command.args(["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "ConnectTimeout=2"]);
        command.args(["-o", "UserKnownHostsFile=/dev/null", "-b", &source.to_string()]);
        command.args(["-p", &self.port.to_string()]).arg(format!("root@{host}"));
        command
    }
}
