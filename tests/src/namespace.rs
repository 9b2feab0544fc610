//! A network namespace under `/run/netns`, and how to run something inside it.
//!
//! Children enter it with setns(2) between fork and exec rather than through `ip netns exec`, which
//! remounts /sys and so hides bpffs. Nothing here knows what the namespace is for.

use std::{
    fs::File,
    io::Write,
    os::{fd::AsRawFd, unix::process::CommandExt},
    process::{Command, Stdio},
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A named network namespace. Clones share it; the janitor of the lab removes it.
#[derive(Clone, Debug)]
pub struct Namespace {
    name: String,
    file: Arc<File>,
}

impl Namespace {
    /// Makes it, with its loopback up and IPv6 addresses usable at once.
    pub fn create(name: &str) -> Result<Self> {
        let status = Command::new("ip").args(["netns", "add", name]).status().context("run ip")?;
        ensure!(status.success(), "ip netns add {name}: {status}");
        let path = format!("/run/netns/{name}");
        let file = File::open(&path).with_context(|| format!("open {path}"))?;
        let namespace = Self { name: name.to_owned(), file: Arc::new(file) };
        namespace.sysctl("net/ipv6/conf/all/accept_dad", "0")?;
        namespace.sysctl("net/ipv6/conf/default/accept_dad", "0")?;
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run inside.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        let file = Arc::clone(&self.file);
        // SAFETY: setns is a plain system call on a descriptor that the closure keeps open; nothing
        // is allocated and no lock is taken between fork and exec.
        unsafe { command.pre_exec(move || enter(&file)) };
        command
    }

    /// Runs `work` on a thread of its own inside; sockets that it returns stay inside.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                enter(&self.file).with_context(|| format!("enter namespace {}", self.name))?;
                work()
            });
            thread.join().map_err(|_| anyhow::anyhow!("a thread in {} panicked", self.name))?
        })
    }

    /// Runs lines of `ip` commands (without the word `ip`) inside, all or none.
    pub fn ip(&self, lines: &str) -> Result<()> {
        let mut child = Command::new("ip")
            .args(["-n", &self.name, "-batch", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("run ip")?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(lines.as_bytes()).context("write to ip")?;
        }
        let output = child.wait_with_output().context("wait for ip")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ip in {}: {}", self.name, complaint.trim());
        Ok(())
    }

    /// Sets a key below /proc/sys, which shows the namespace of whoever writes.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        self.run(|| {
            std::fs::write(format!("/proc/sys/{key}"), value).with_context(|| format!("set {key}"))
        })
    }

    /// What `ip` tells of an interface, with its counters.
    pub fn link(&self, interface: &str) -> Result<Value> {
        let arguments = ["-n", &self.name, "-json", "-s", "link", "show", "dev", interface];
        let output = Command::new("ip").args(arguments).output().context("run ip")?;
        let mut links: Vec<Value> =
            serde_json::from_slice(&output.stdout).context("what ip shows")?;
        links.pop().with_context(|| format!("no {interface} in {}", self.name))
    }

    pub fn hardware_address(&self, interface: &str) -> Result<[u8; 6]> {
        let link = self.link(interface)?;
        let address = link["address"].as_str().context("an address")?;
        let mut bytes = [0; 6];
        for (byte, digits) in bytes.iter_mut().zip(address.split(':')) {
            *byte = u8::from_str_radix(digits, 16)?;
        }
        Ok(bytes)
    }

    /// Packets as they are on a wire: valid checksums, no super-packets, VLAN tags in the frame.
    pub fn plain_packets(&self, interface: &str) -> Result<()> {
        let features = ["tx", "tso", "gso", "gro", "txvlan", "rxvlan"];
        let mut command = self.command("ethtool");
        command.arg("-K").arg(interface);
        for feature in features {
            command.args([feature, "off"]);
        }
        let output = command.output().context("run ethtool")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ethtool -K {interface}: {}", complaint.trim());
        Ok(())
    }
}

fn enter(file: &File) -> std::io::Result<()> {
    // SAFETY: setns takes a descriptor, which `file` keeps open, and a flag.
    match unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
