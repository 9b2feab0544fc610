//! Lists that others keep: one address or network a line, as APIBAN's and FireHOL's are.
//!
//! Reads such a text within limits, and leaves out what must not be denied by a stranger's word. Where the
//! text comes from, and what follows from it, is not known here.

use std::io::{self, BufRead};
use std::net::IpAddr;

use ipnetwork::IpNetwork;

use crate::config::{Blocklist, unmapped};
use crate::geo::exempt_networks;

/// Longer lines are no entries, and are not read to their end at once.
const LINE_MAX: u64 = 512;

/// What a text holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Listed {
    /// In order, each once.
    pub networks: Vec<IpNetwork>,
    /// Lines that are neither entries nor remarks.
    pub unreadable: u64,
    /// Networks wider than the operator takes in.
    pub too_wide: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("more than {0} entries")]
    TooMany(u32),
    #[error("no entries")]
    Empty,
}

/// Reads a text to its end.
pub fn read(mut text: impl BufRead, limits: &Blocklist) -> Result<Listed, ListError> {
    let mut listed = Listed::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        if io::Read::take(&mut text, LINE_MAX).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let Some(entry) = entry(&line) else { continue };
        match network(entry) {
            None => listed.unreadable += 1,
            Some(network) if is_wide(network, limits) => listed.too_wide += 1,
            Some(network) => listed.networks.push(network),
        }
        if listed.networks.len() as u64 > u64::from(limits.entries_max) {
            return Err(ListError::TooMany(limits.entries_max));
        }
    }
    listed.networks.sort_unstable();
    listed.networks.dedup();
    if listed.networks.is_empty() { Err(ListError::Empty) } else { Ok(listed) }
}

/// What stands before a remark; `None` for a line without an entry.
fn entry(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let end = line.iter().position(|byte| matches!(byte, b'#' | b';')).unwrap_or(line.len());
    Some(line[..end].trim_ascii()).filter(|entry| !entry.is_empty())
}

fn network(entry: &[u8]) -> Option<IpNetwork> {
    let network: IpNetwork = std::str::from_utf8(entry).ok()?.parse().ok()?;
    let network = unmapped(network);
    IpNetwork::new(network.network(), network.prefix()).ok()
}

fn is_wide(network: IpNetwork, limits: &Blocklist) -> bool {
    let widest = if network.is_ipv4() { limits.widest_v4 } else { limits.widest_v6 };
    u32::from(network.prefix()) < widest
}

/// Networks of which no part may be denied by a stranger's word.
pub struct Spared {
    /// First and last address of each, in order and apart.
    ranges: Vec<(IpAddr, IpAddr)>,
}

impl Spared {
    /// These, and all that lies in no country: private, loopback, link-local.
    pub fn new(networks: impl Iterator<Item = IpNetwork>) -> Self {
        let all = networks.chain(exempt_networks().iter().copied());
        let mut ranges: Vec<_> =
            all.map(unmapped).map(|network| (network.network(), network.broadcast())).collect();
        ranges.sort_unstable();
        ranges.dedup_by(|later, earlier| {
            // Networks lie within one another or apart.
            later.0 <= earlier.1 && later.0.is_ipv4() == earlier.0.is_ipv4()
        });
        Self { ranges }
    }

    pub fn overlaps(&self, network: IpNetwork) -> bool {
        let (first, last) = (network.network(), network.broadcast());
        let behind = self.ranges.partition_point(|range| range.0 <= last);
        behind > 0 && self.ranges[behind - 1].1 >= first
    }
}

/// Is an address on an ordered list?
pub fn has(networks: &[IpNetwork], address: IpAddr) -> bool {
    overlapping(networks, address.into()).next().is_some()
}

/// The networks of an ordered list that hold an address, or hold or lie in a network.
pub fn overlapping(networks: &[IpNetwork], wanted: IpNetwork) -> impl Iterator<Item = IpNetwork> {
    let wider = (0..wanted.prefix()).filter_map(move |prefix| {
        let network = IpNetwork::new(wanted.network(), prefix).ok()?;
        let network = IpNetwork::new(network.network(), prefix).ok()?;
        networks.binary_search(&network).is_ok().then_some(network)
    });
    let start = networks.partition_point(|it| *it < wanted);
    let last = wanted.broadcast();
    let within = networks[start..].iter().take_while(move |it| it.network() <= last).copied();
    wider.chain(within)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Vec<IpNetwork> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn check(text: &str, expected: Result<(&[&str], u64, u64), &str>) {
        let limits = Blocklist { entries_max: 4, ..Blocklist::default() };
        let found = read(text.as_bytes(), &limits);
        match expected {
            Ok((entries, unreadable, too_wide)) => {
                let listed = Listed { networks: networks(entries), unreadable, too_wide };
                assert_eq!(found.unwrap(), listed, "{text:?}");
            }
            Err(says) => assert!(found.unwrap_err().to_string().contains(says), "{text:?}"),
        }
    }

    #[test]
    fn what_lists_look_like() {
        let firehol = "#\n# firehol_level1\n#\n203.0.113.0/24\n198.51.100.7\n";
        check(firehol, Ok((&["198.51.100.7", "203.0.113.0/24"], 0, 0)));
        let drop = "; DROP\n203.0.113.0/24 ; SBL1\r\n\r\n2001:db8::/32;SBL2\r\n";
        check(drop, Ok((&["203.0.113.0/24", "2001:db8::/32"], 0, 0)));
        check("198.51.100.7\n::ffff:198.51.100.7\n198.51.100.7/32", Ok((&["198.51.100.7"], 0, 0)));
        check("198.51.100.7/24\n<html>\n1 2\n", Ok((&["198.51.100.0/24"], 2, 0)));
        check("0.0.0.0/0\n::/0\n128.0.0.0/9\n198.51.100.7\n", Ok((&["198.51.100.7"], 0, 3)));
        check("", Err("no entries"));
        check("<html>not found</html>\n", Err("no entries"));
        check("1.1.1.1\n1.1.1.2\n1.1.1.3\n1.1.1.4\n1.1.1.5\n", Err("more than 4 entries"));
    }

    #[test]
    fn what_is_spared() {
        let own = networks(&["192.0.2.1/32", "192.0.2.0/26", "198.51.100.0/24", "2001:db8::/48"]);
        let spared = Spared::new(own.into_iter());
        for (network, expected) in [
            ("192.0.2.0/24", true),
            ("192.0.2.63", true),
            ("192.0.2.64", false),
            ("198.51.0.0/16", true),
            ("198.51.101.0/24", false),
            ("10.1.2.3", true),
            ("192.168.0.0/24", true),
            ("2001:db8:0:1::/64", true),
            ("2001:db8:1::/48", false),
            ("fe80::1", true),
            ("::/0", true),
        ] {
            assert_eq!(spared.overlaps(network.parse().unwrap()), expected, "{network}");
        }
    }

    #[test]
    fn what_overlaps() {
        let list = networks(&["192.0.2.0/24", "192.0.2.0/26", "192.0.2.7", "192.0.3.0/24"]);
        let found = |wanted: &str| overlapping(&list, wanted.parse().unwrap()).collect::<Vec<_>>();
        assert_eq!(found("192.0.2.7"), networks(&["192.0.2.0/24", "192.0.2.0/26", "192.0.2.7"]));
        assert_eq!(found("192.0.2.64/26"), networks(&["192.0.2.0/24"]));
        assert_eq!(found("192.0.2.0/23").len(), 4);
        assert_eq!(found("198.51.100.1"), []);
    }
}
