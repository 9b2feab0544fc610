//! The lab's cracker, to be run by hand inside a namespace (`demo --hold` says how).

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Parser;
use sipprot_tests::attackers::cracker::{self, Plan, Transport};

/// Fetches one nonce and sends guesses on it as fast as the socket takes them
#[derive(Parser)]
struct Options {
    /// Whom to attack: ADDRESS:PORT
    target: SocketAddr,
    /// The source address
    #[arg(long)]
    source: IpAddr,
    /// The first source port; 0 lets the system choose
    #[arg(long, default_value_t = 0)]
    source_port: u16,
    /// UDP: how many source ports take turns
    #[arg(long, default_value_t = 1)]
    source_ports: u16,
    #[arg(long, value_enum, default_value = "udp")]
    transport: Transport,
    #[arg(long, default_value = "1000")]
    user: String,
    #[arg(long)]
    user_agent: Option<String>,
    #[arg(long, default_value_t = 5000)]
    guesses: u32,
    /// Make the nonce up instead of asking for one
    #[arg(long)]
    forge_nonce: bool,
    /// TCP: bytes in each segment, whatever they split
    #[arg(long)]
    segment_bytes: Option<usize>,
    /// Guesses a second, instead of as many as possible
    #[arg(long)]
    per_second: Option<u32>,
    /// Seconds until it gives up
    #[arg(long, default_value_t = 20)]
    limit: u64,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let plain = Plan::new(options.source, options.target);
    let plan = Plan {
        source_port: options.source_port,
        source_ports: options.source_ports,
        transport: options.transport,
        user: options.user,
        user_agent: options.user_agent.unwrap_or_else(|| plain.user_agent.clone()),
        guesses: options.guesses,
        forge_nonce: options.forge_nonce,
        segment_bytes: options.segment_bytes,
        per_second: options.per_second,
        limit: Duration::from_secs(options.limit),
        ..plain
    };
    let report = cracker::attack(&plan)?;
    println!("{}", serde_json::to_string(&report).context("write the report")?);
    Ok(())
}
