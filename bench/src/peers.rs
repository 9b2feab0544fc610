//! What a host would use instead, under the same flood, on the same wire.
//!
//! Each gets what it can do: nftables and ipset a fifth of the prefixes, since a million take them
//! minutes and gigabytes; behind their sets everything is dropped, so that the stack costs them
//! nothing. xdp-filter knows single addresses only, so that it gets one, and a flood from that.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use ipnetwork::IpNetwork;
use sipprot_tests::topology::INTERFACE;

use crate::Effort;
use crate::floods::{self, Attack, Flood};
use crate::objects::Objects;
use crate::shipped::Generator;
use crate::wire::{FIXED_SOURCE, Wire};

const SIP_PORT: u16 = 5060;

/// Runs a program in the receiver's namespace, with text on its standard input.
fn tell(wire: &Wire, program: &str, arguments: &[&str], input: &str) -> Result<()> {
    let mut command: Command = wire.receiver.command(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("run {program}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).with_context(|| format!("write to {program}"))?;
    }
    let output = child.wait_with_output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {}: {}", arguments.join(" "), complaint.trim());
    Ok(())
}

/// One denied address, and the flood from it.
pub fn xdp_filter(wire: &Wire, objects: &Objects, effort: Effort) -> Result<Flood> {
    let mut generator = Generator::load(objects)?;
    tell(wire, "xdp-filter", &["load", "-m", "native", "-f", "ipv4", INTERFACE], "")?;
    let measured = (|| {
        tell(wire, "xdp-filter", &["ip", "-m", "src", FIXED_SOURCE], "")?;
        let attack = Attack { program: "bench_repeat", ..Attack::v4(wire, SIP_PORT) };
        floods::run(wire, &mut generator, &attack, effort, "xdp_filter")
    })();
    tell(wire, "xdp-filter", &["unload", INTERFACE], "")?;
    let what = "one denied address, and only that sends: it has no prefixes".to_owned();
    Ok(Flood { what, ..measured? })
}

/// An interval set, at the better of two hooks.
pub fn nftables(wire: &Wire, objects: &Objects, effort: Effort) -> Result<Flood> {
    let mut best: Option<Flood> = None;
    for (family, hook) in [
        ("inet", "hook prerouting priority -300".to_owned()),
        ("netdev", format!("hook ingress device {INTERFACE} priority -500")),
    ] {
        let elements: Vec<_> = merged(&floods::fifth()).iter().map(IpNetwork::to_string).collect();
        let rules = format!(
            "table {family} bench {{\n\
             set denied {{ type ipv4_addr; flags interval; elements = {{ {} }} }}\n\
             chain forged {{ type filter {hook}; ip saddr @denied drop; meta l4proto udp drop; }}\n}}\n",
            elements.join(", ")
        );
        tell(wire, "nft", &["-f", "-"], &rules)?;
        let measured = bare(wire, objects, effort, "nft_set");
        tell(wire, "nft", &["delete", "table", family, "bench"], "")?;
        let mut flood = measured?;
        flood.what = format!("interval set of {} networks, {family} hook", elements.len());
        if best.as_ref().is_none_or(|best| flood.mpps > best.mpps) {
            best = Some(flood);
        }
    }
    best.context("no hook")
}

/// hash:net behind iptables' raw table.
pub fn ipset(wire: &Wire, objects: &Objects, effort: Effort) -> Result<Flood> {
    let networks = floods::fifth();
    let mut lines = String::from("create denied hash:net maxelem 1048576\n");
    for network in &networks {
        writeln!(lines, "add denied {network} -exist")?;
    }
    tell(wire, "ipset", &["restore"], &lines)?;
    let rule = |matching: &[&str]| {
        let arguments = [&["-t", "raw", "-A", "PREROUTING"], matching, &["-j", "DROP"]].concat();
        tell(wire, "iptables", &arguments, "")
    };
    rule(&["-m", "set", "--match-set", "denied", "src"])?;
    rule(&["-p", "udp"])?;
    let measured = bare(wire, objects, effort, "ipset");
    tell(wire, "iptables", &["-t", "raw", "-F"], "")?;
    tell(wire, "ipset", &["destroy", "denied"], "")?;
    let what = format!("hash:net of {} networks, iptables raw", networks.len());
    Ok(Flood { what, ..measured? })
}

/// The flood on a receiver that has no XDP program.
fn bare(wire: &Wire, objects: &Objects, effort: Effort, name: &'static str) -> Result<Flood> {
    wire.without_xdp()?;
    let mut generator = Generator::load(objects)?;
    floods::run(wire, &mut generator, &Attack::v4(wire, SIP_PORT), effort, name)
}

/// Without those that lie in others: an interval set takes no overlaps.
fn merged(networks: &[IpNetwork]) -> Vec<IpNetwork> {
    let mut sorted = networks.to_vec();
    sorted.sort_by_key(|network| (network.network(), network.prefix()));
    let mut kept: Vec<IpNetwork> = Vec::with_capacity(sorted.len());
    for network in sorted {
        if !kept.last().is_some_and(|last| last.contains(network.network())) {
            kept.push(network);
        }
    }
    kept
}

/// Says early what isn't installed.
pub fn check() -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |name: &&str| std::env::split_paths(&path).any(|dir| dir.join(name).is_file());
    let programs = ["xdp-filter", "nft", "ipset", "iptables", "ethtool", "ip"];
    let absent: Vec<_> = programs.iter().filter(|name| !is_there(name)).copied().collect();
    if absent.is_empty() { Ok(()) } else { bail!("not installed: {}", absent.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_in_others_are_left_out() {
        let networks =
            ["192.0.2.0/24", "192.0.2.7/32", "198.51.100.7/32"].map(|it| it.parse().unwrap());
        let kept = merged(&networks).iter().map(IpNetwork::to_string).collect::<Vec<_>>();
        assert_eq!(kept, ["192.0.2.0/24", "198.51.100.7/32"]);
    }
}
