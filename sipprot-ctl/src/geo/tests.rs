//! Databases as files: both record shapes, text ranges, what is found where, what is broken.

mod owner;
mod update;
mod writer;

use std::fs;

use tempfile::TempDir;

use super::*;
use writer::{Data, write_database};

fn country(code: &str) -> Country {
    Country::from_code(code).unwrap()
}

fn nested(code: &str) -> Data {
    Data::map([("country", Data::map([("iso_code", Data::text(code))]))])
}

fn flat(code: &str) -> Data {
    Data::map([("country_code", Data::text(code)), ("country", Data::text("A Name"))])
}

/// The same networks in one shape of record.
fn database(shape: fn(&str) -> Data) -> Vec<(&'static str, Data)> {
    vec![
        ("198.51.100.0/24", shape("FR")),
        ("198.51.101.0/24", shape("FR")),
        ("203.0.113.0/25", shape("DE")),
        ("2001:db8::/32", shape("NL")),
        ("192.168.0.0/16", shape("US")),
    ]
}

/// A database that says it was made so many seconds after 1970.
pub fn database_built(built: u32) -> Vec<u8> {
    write_database(&database(nested), 24, built)
}

fn open(root: &TempDir) -> Geo {
    Geo::open_below(root.path(), &[])
}

/// Puts a file below the root and opens what is found.
fn put(root: &TempDir, path: &str, bytes: &[u8]) {
    let path = root.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

#[track_caller]
fn check(geo: &Geo, address: &str, expected: Option<&str>) {
    let found = geo.country(address.parse().unwrap());
    assert_eq!(found.map(Country::code), expected, "{address}");
}

#[track_caller]
fn check_networks(geo: &Geo, countries: &[&str], expected: &[&str]) {
    let countries: Vec<_> = countries.iter().map(|code| country(code)).collect();
    let found: Vec<_> =
        geo.networks(&countries).map(|(network, country)| format!("{network} {country}")).collect();
    assert_eq!(found, expected);
}

#[test]
fn both_shapes_of_record_are_read() {
    let two_letters: fn(&str) -> Data = |code| Data::map([("country", Data::text(code))]);
    let registered: fn(&str) -> Data =
        |code| Data::map([("registered_country", Data::map([("iso_code", Data::text(code))]))]);
    for shape in [nested, flat, two_letters, registered] {
        for record_bits in [24, 28, 32] {
            let root = tempfile::tempdir().unwrap();
            let bytes = write_database(&database(shape), record_bits, 1_700_000_000);
            put(&root, "usr/share/GeoIP/GeoLite2-Country.mmdb", &bytes);
            let geo = open(&root);
            assert_eq!(geo.problems(), [""; 0]);
            check(&geo, "198.51.100.7", Some("FR"));
            check(&geo, "203.0.113.127", Some("DE"));
            check(&geo, "203.0.113.128", None);
            check(&geo, "2001:db8::1", Some("NL"));
            check(&geo, "2001:db9::1", None);
            check(&geo, "::ffff:198.51.100.7", Some("FR"));
            check(&geo, "2002:c633:6407::1", Some("FR"));
            check(&geo, "192.168.0.1", None);
            check_networks(&geo, &["FR", "NL"], &["198.51.100.0/23 FR", "2001:db8::/32 NL"]);
            check_networks(&geo, &["KP"], &[]);
            // 192.168.0.0/16 is exempt, whatever a database says.
            assert_eq!(geo.all_networks().count(), 3);
        }
    }
}

#[test]
fn a_database_tells_its_name_and_age() {
    let root = tempfile::tempdir().unwrap();
    let bytes = write_database(&database(nested), 24, 1_700_000_000);
    put(&root, "var/lib/GeoIP/dbip-country-lite.mmdb", &bytes);
    let geo = open(&root);
    let database = geo.database().unwrap();
    assert_eq!(database.name, "Test-Country");
    assert_eq!(database.built, Timestamp::from_second(1_700_000_000).ok());
    assert!(database.paths[0].ends_with("var/lib/GeoIP/dbip-country-lite.mmdb"));
    let built = database.built.unwrap();
    assert!(!database.is_old(built + SignedDuration::from_hours(24 * 179)));
    assert!(database.is_old(built + SignedDuration::from_hours(24 * 181)));
}

const TEXT: &str = "# Generated: Thu, 25 Jun 2026 04:33:59 GMT\n16777216,16777471,AU\n16777472,16778239,CN\n16778240,16778495,??\n";
const TEXT6: &str = "#\n2001:200::,2001:200:ffff:ffff:ffff:ffff:ffff:ffff,JP\n";

#[test]
fn text_ranges_are_the_last_resort() {
    let root = tempfile::tempdir().unwrap();
    put(&root, "usr/share/tor/geoip", TEXT.as_bytes());
    put(&root, "usr/share/tor/geoip6", TEXT6.as_bytes());
    let geo = open(&root);
    check(&geo, "1.0.0.1", Some("AU"));
    check(&geo, "1.0.1.1", Some("CN"));
    check(&geo, "1.0.4.1", None);
    check(&geo, "2001:200::1", Some("JP"));
    check_networks(&geo, &["CN"], &["1.0.1.0/24 CN", "1.0.2.0/23 CN"]);
    let database = geo.database().unwrap();
    assert_eq!((database.name.as_str(), database.paths.len()), ("geoip", 2));
    assert_eq!(database.built.unwrap().to_string(), "2026-06-25T04:33:59Z");

    put(&root, "usr/share/GeoIP/country.mmdb", &write_database(&database_of("1.0.0.0/24"), 24, 1));
    check(&open(&root), "1.0.0.1", Some("FR"));
}

fn database_of(network: &'static str) -> Vec<(&'static str, Data)> {
    vec![(network, nested("FR"))]
}

#[test]
fn without_a_database_nothing_has_a_country() {
    let root = tempfile::tempdir().unwrap();
    for geo in [open(&root), Geo::none()] {
        assert_eq!(geo.database(), None);
        check(&geo, "198.51.100.7", None);
        check_networks(&geo, &["FR"], &[]);
    }
}

#[test]
fn what_is_broken_is_told_and_the_next_is_used() {
    let root = tempfile::tempdir().unwrap();
    let whole = write_database(&database(nested), 24, 1);
    put(&root, "usr/share/GeoIP/empty-country.mmdb", b"");
    put(&root, "usr/share/GeoIP/torn-city.mmdb", &whole[..whole.len() / 2]);
    put(&root, "usr/share/GeoIP/asn.mmdb", &whole);
    put(&root, "usr/share/tor/geoip", TEXT.as_bytes());
    put(&root, "usr/share/tor/geoip6", b"2001:200::,banana,JP\n");
    let geo = open(&root);
    assert_eq!(geo.problems().len(), 3, "{:?}", geo.problems());
    assert!(geo.problems()[2].ends_with("geoip6: line 1 is no range of addresses and country"));
    check(&geo, "1.0.0.1", Some("AU"));
}

#[test]
fn named_databases_go_before_the_usual_places() {
    let root = tempfile::tempdir().unwrap();
    put(&root, "usr/share/GeoIP/country.mmdb", &write_database(&database_of("1.0.0.0/24"), 24, 1));
    put(&root, "own.mmdb", &write_database(&database(flat), 28, 1));
    put(&root, "own.csv", TEXT.as_bytes());
    let geo = Geo::open_below(root.path(), &[root.path().join("own.mmdb")]);
    check(&geo, "198.51.100.7", Some("FR"));
    check(&geo, "1.0.0.1", None);
    let geo = Geo::open_below(root.path(), &[root.path().join("own.csv")]);
    check(&geo, "1.0.0.1", Some("AU"));
    let geo = Geo::open_below(root.path(), &[root.path().join("nowhere.mmdb")]);
    assert_eq!((geo.database(), geo.problems().len()), (None, 1));
}

#[test]
fn a_change_is_seen() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("own.mmdb");
    let geo = Geo::open(std::slice::from_ref(&path));
    assert!(!geo.has_changed());
    fs::write(&path, write_database(&database(nested), 24, 1)).unwrap();
    assert!(geo.has_changed());
    let geo = Geo::open(std::slice::from_ref(&path));
    assert!(!geo.has_changed());
    // Replaced by a file of the same length, as updaters do.
    let other = root.path().join("new.mmdb");
    fs::write(&other, write_database(&database(nested), 24, 2)).unwrap();
    fs::rename(&other, &path).unwrap();
    assert!(geo.has_changed());
}

#[test]
fn a_damaged_database_never_panics() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("own.mmdb");
    let whole = write_database(&database(nested), 24, 1);
    for at in 0..whole.len() {
        for damage in [0x01, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= damage;
            fs::write(&path, bytes).unwrap();
            let geo = Geo::open(std::slice::from_ref(&path));
            geo.country("198.51.100.7".parse().unwrap());
            geo.all_networks().take(1000).count();
        }
    }
}
