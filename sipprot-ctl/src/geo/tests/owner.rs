//! Databases of autonomous systems, of the makers that there are.

use std::fs;

use super::super::Owners;
use super::writer::{Data, write_database};

#[test]
fn every_maker_s_record_tells_the_owner() {
    let text = |key, text: &str| Data::map([(key, Data::text(text))]);
    let networks = [
        (
            "198.51.100.0/24",
            Data::map([
                ("autonomous_system_number", Data::Number(64_500)),
                ("autonomous_system_organization", Data::text("Example Networks")),
            ]),
        ),
        (
            "203.0.113.0/24",
            Data::map([("asn", Data::text("AS64501")), ("as_name", Data::text("Other\u{1b} Net"))]),
        ),
        ("2001:db8::/32", text("autonomous_system_organization", "No Number")),
        ("192.0.2.0/24", text("country_code", "FR")),
        ("10.0.0.0/8", text("as_name", "Nobody")),
    ];
    let root = tempfile::tempdir().unwrap();
    let owner = |address: &str| Owners::open_below(root.path()).owner(address.parse().unwrap());
    assert_eq!(owner("198.51.100.7"), None);
    let directory = root.path().join("var/lib/GeoIP");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("GeoLite2-ASN.mmdb"), write_database(&networks, 24, 1)).unwrap();
    for (address, expected) in [
        ("198.51.100.7", Some("AS64500 Example Networks")),
        ("203.0.113.9", Some("AS64501 Other\u{fffd} Net")),
        ("2001:db8::1", Some("No Number")),
        ("192.0.2.1", None),
        ("10.0.0.1", None),
        ("198.18.0.1", None),
    ] {
        assert_eq!(owner(address).as_deref(), expected, "{address}");
    }
    // One that is broken is as none.
    fs::write(directory.join("GeoLite2-ASN.mmdb"), b"no database").unwrap();
    assert_eq!(owner("198.51.100.7"), None);
}
