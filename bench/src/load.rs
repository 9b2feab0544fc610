//! A million prefixes, from text to enforced.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use ipnetwork::IpNetwork;
use sipprot_common::table::ListTable;

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
