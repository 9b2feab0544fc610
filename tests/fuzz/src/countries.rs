//! Country databases, MaxMind's format and text: read to the end in bounded time, and networks that hold what an
//! address is asked for.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::LazyLock;

use sipprot_ctl::geo::Geo;

/// Each process writes its own.
static DIRECTORY: LazyLock<PathBuf> = LazyLock::new(|| {
    let directory = std::env::temp_dir().join(format!("sipprot-fuzz-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory");
    directory
});

const ADDRESSES: [&str; 5] =
    ["198.51.100.7", "1.2.3.4", "203.0.113.255", "2001:db8::1", "2002:c633:6407::1"];

pub fn check(bytes: &[u8]) {
    for name in ["countries.mmdb", "countries"] {
        let path = DIRECTORY.join(format!("{:?}-{name}", std::thread::current().id()));
        fs::write(&path, bytes).expect("a file");
        let geo = Geo::open(std::slice::from_ref(&path));
        fs::remove_file(&path).expect("the file");
        assert!(
            geo.database().is_some() != geo.problems().iter().any(|it| it.contains("countries"))
        );
        let mut before: Option<IpAddr> = None;
        for (network, _) in geo.all_networks().take(1 << 16) {
            let first = network.network();
            assert!(before.is_none_or(|before| before < first), "{network} is out of order");
            before = Some(network.broadcast());
            assert!(network.prefix() > 0 || first.is_ipv6() || geo.database().is_some());
        }
        for address in ADDRESSES.map(|it| it.parse::<IpAddr>().expect("an address")) {
            let _ = geo.country(address);
        }
    }
}

const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";

/// The half of all addresses that begins with 1 is France; a text says so of some.
pub fn seeds() -> Vec<Vec<u8>> {
    let text = |text: &str| [&[0x40 | text.len() as u8], text.as_bytes()].concat();
    let short = |number: u8| vec![0xa2, 0, number];
    let map = |pairs: &[(&str, Vec<u8>)]| {
        let mut bytes = vec![0xe0 | pairs.len() as u8];
        pairs.iter().for_each(|(key, value)| bytes.extend([text(key), value.clone()].concat()));
        bytes
    };
    // The nodes; then the gap, the data and what it is.
    let database = |version: u8, nodes: &[[u8; 2]]| {
        let tree: Vec<u8> = nodes.iter().flatten().flat_map(|record| [0, 0, *record]).collect();
        let record = map(&[("country", map(&[("iso_code", text("FR"))]))]);
        let about = map(&[
            ("node_count", vec![0xc4, 0, 0, 0, nodes.len() as u8]),
            ("record_size", short(24)),
            ("ip_version", short(version)),
            ("database_type", text("Test-Country")),
            ("languages", vec![0x00, 0x04]),
            ("binary_format_major_version", short(2)),
            ("binary_format_minor_version", short(0)),
            ("build_epoch", vec![0x04, 0x02, 0x65, 0, 0, 0]),
            ("description", map(&[])),
        ]);
        [&tree[..], &[0; 16], &record, MARKER, &about].concat()
    };
    let ranges = "# Generated: Thu, 25 Jun 2026 04:33:59 GMT\n16777216,16777471,AU\n1.2.3.0,1.2.3.255,JP\n\
         2001:db8::,2001:db8:ffff:ffff:ffff:ffff:ffff:ffff,FR\n16778240,16778495,??\n";
    // Nothing to the left, the first record to the right.
    let half = [[1, 1 + 16]];
    // Each node is both children of the one before.
    let bomb: Vec<_> = (1..=100).map(|next| [next, next]).collect();
    vec![database(4, &half), database(6, &half), database(6, &bomb), ranges.into()]
}
