//! What can be known of the kernel and of interfaces without loading anything.

use std::fs;
use std::path::Path;

use sipprot_common::abi::PROGRAM_INGRESS;

use super::error::Result;
use super::{kernel, netlink, sys};

pub fn privileges() -> Result<()> {
    kernel::check_privileges()
}

pub fn version() -> Result<()> {
    kernel::check_version()
}

/// Whether pins can be made there.
pub fn has_bpf_fs(pin_dir: &Path) -> bool {
    let existing = pin_dir.ancestors().find(|path| path.exists());
    existing.is_some_and(kernel::is_bpf_fs)
}

/// The XDP program on an interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Xdp {
    pub name: String,
    pub generic: bool,
}

impl Xdp {
    pub fn is_ours(&self) -> bool {
        // The kernel keeps fifteen characters of a name.
        !self.name.is_empty() && PROGRAM_INGRESS.starts_with(&self.name)
    }
}

/// `None` where there is no program, or nobody can tell.
pub fn xdp(interface: &str) -> Option<Xdp> {
    let attached = netlink::xdp(netlink::ifindex(interface)?).ok()??;
    let name = sys::program_name(attached.program).unwrap_or_default();
    Some(Xdp { name, generic: attached.generic })
}

/// All interfaces, by /proc/net/dev, with the packets that each has received. Not by /sys, which may be
/// that of another network namespace.
pub fn received() -> Vec<(String, u64)> {
    received_in(&fs::read_to_string("/proc/net/dev").unwrap_or_default())
}

fn received_in(table: &str) -> Vec<(String, u64)> {
    let line = |line: &str| {
        let (name, counts) = line.split_once(':')?;
        let packets = counts.split_whitespace().nth(1)?.parse().ok()?;
        Some((name.trim().to_owned(), packets))
    };
    table.lines().skip(2).filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_and_what_they_received() {
        let table = "Inter-|   Receive\n face |bytes    packets errs\n    lo:  100  7 0 0\neth0: 9 2 0\nx\n";
        let found = received_in(table);
        assert_eq!(found, [("lo".to_owned(), 7), ("eth0".to_owned(), 2)]);
        assert!(received().iter().any(|(name, _)| name == "lo"));
    }

    #[test]
    fn only_our_program_is_ours() {
        let is_ours = |name: &str| Xdp { name: name.to_owned(), generic: false }.is_ours();
        assert_eq!(
            ["sipprot_ingress", "sipprot_ing", "xdp_filter", ""].map(is_ours),
            [true, true, false, false]
        );
    }
}
