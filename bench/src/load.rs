//! A million prefixes: from text to enforced, and through the daemon to the disk.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use ipnetwork::IpNetwork;
use sipprot_common::table::ListTable;
use sipprot_tests::daemon::Daemon;

use crate::objects::Objects;
use crate::prefixes::{self, MILLION};
use crate::shipped::Shipped;

pub struct Load {
    pub seconds: f64,
    pub mib: f64,
}

/// The best of some loads, each over the one before it, as an update would be.
pub fn measure(objects: &Objects, runs: u32) -> Result<Load> {
    let shipped = Shipped::open(objects)?;
    let mut text = String::new();
    for network in prefixes::v4(MILLION) {
        writeln!(text, "{network}")?;
    }
    let last: IpNetwork = text.lines().last().context("a line")?.parse()?;
    let mut seconds = f64::MAX;
    for _ in 0..runs {
        let start = Instant::now();
        let networks: Vec<IpNetwork> = text.lines().map(str::parse).collect::<Result<_, _>>()?;
        shipped.load_denied(&networks)?;
        seconds = seconds.min(start.elapsed().as_secs_f64());
        ensure!(shipped.datapath.denies(last.ip())?, "{last} isn't in force");
    }
    // The table, and what the trie beside it holds: the one in force, and the room of an entry.
    let bytes = size_of::<ListTable>() as u64 + shipped.tries_bytes()?;
    Ok(Load { seconds, mib: bytes as f64 / f64::from(1 << 20) })
}

pub struct Import {
    /// In seconds.
    pub durable: f64,
    pub what: String,
}

/// As an operator does it: a file, by the command line.
pub fn import(daemon: &Daemon, directory: &Path) -> Result<Import> {
    let mut text = String::from("IP_ADDRESS,NOTE\n");
    // Nobody may deny the host's own loopback.
    let holds_us = |network: &IpNetwork| network.contains(Ipv4Addr::LOCALHOST.into());
    for network in prefixes::v4(MILLION + 1).iter().filter(|it| !holds_us(it)).take(MILLION) {
        writeln!(text, "{network},a note")?;
    }
    let file = directory.join("million.csv");
    std::fs::write(&file, &text).context("write the file")?;
    let answer = daemon.json(&["deny", "import", &file.to_string_lossy()])?;
    let seconds = |name: &str| answer[name].as_f64().with_context(|| format!("{name}: {answer}"));
    let (enforced, durable) = (seconds("enforced_s")?, seconds("durable_s")?);
    let status =
        daemon.process_id().map(|id| std::fs::read_to_string(format!("/proc/{id}/status")));
    let status = status.context("the daemon's process")??;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let what = format!("import_1m_seconds: enforced after {enforced:.2} s, peak {}", peak.trim());
    Ok(Import { durable, what })
}
