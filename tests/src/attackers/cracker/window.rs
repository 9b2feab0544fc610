//! A TCP receive window of a few bytes, which no socket option gives.

use std::{
    io::Write,
    net::Ipv4Addr,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::{namespace::Namespace, pbx::SIP_PORT};

/// While it lives, what a source tells PBXs of its window is so many bytes. A peer sends that much
/// for each acknowledgement: Linux at once if it is 36 or more, else when it probes the window.
#[derive(Debug)]
pub struct TinyWindow {
    namespace: Namespace,
    table: String,
}

impl TinyWindow {
    /// For connections that begin from now on. Without scaling, which counts in other units.
    pub fn of(namespace: &Namespace, source: Ipv4Addr, bytes: u16) -> Result<Self> {
        namespace.sysctl("net/ipv4/tcp_window_scaling", "0")?;
        let table = format!("window-{}", source.to_string().replace('.', "-"));
        let rules = format!(
            "table ip {table} {{\nchain out {{\ntype filter hook output priority 0\n\
             ip saddr {source} tcp dport {SIP_PORT} tcp window set {bytes}\n}}\n}}\n"
        );
        nft(namespace, &rules)?;
        Ok(Self { namespace: namespace.clone(), table })
    }
}

impl Drop for TinyWindow {
    fn drop(&mut self) {
        // With the namespace goes the table.
        let _ = nft(&self.namespace, &format!("delete table ip {}\n", self.table));
    }
}

fn nft(namespace: &Namespace, rules: &str) -> Result<()> {
    let mut command: Command = namespace.command("nft");
    let mut child = command
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("run nft")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(rules.as_bytes()).context("write to nft")?;
    }
    let output = child.wait_with_output().context("wait for nft")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "nft: {}", complaint.trim());
    Ok(())
}
