//! Who is cut off by a change of countries, and who isn't.

use super::*;
use crate::config::RuleScope;

/// 198.51.100.0/24 is French, 203.0.113.0/24 German.
fn geo() -> (tempfile::TempDir, Geo) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ranges.csv");
    let text = "3325256704,3325256959,FR\n3405803776,3405804031,DE\n";
    std::fs::write(&path, text).unwrap();
    let geo = Geo::open(&[path]);
    assert_eq!(geo.problems(), [""; 0]);
    (directory, geo)
}

fn change(mode: GeoMode, countries: &[&str]) -> GeoChange {
    let countries = countries.iter().map(|text| (*text).to_owned()).collect();
    GeoChange { mode, countries, scope: RuleScope::All, endpoint: None }
}

fn known() -> Known {
    let all = |texts: &[&str]| {
        texts
            .iter()
            .map(|text| Guest::new(text.parse().unwrap(), "who".to_owned()))
            .collect::<Vec<_>>()
    };
    Known {
        phones: all(&["198.51.100.7/32", "203.0.113.7/32", "203.0.113.200/32", "10.0.0.1/32"]),
        peers: all(&["192.0.2.0/24"]),
        allowed: all(&["203.0.113.128/25"]),
    }
}

#[test]
fn both_modes_name_who_is_cut_off() {
    let (_directory, geo) = geo();
    let check = |mode, countries: &[&str], phones: &[&str], peers: usize, entries: usize| {
        let found = preview(&geo, &change(mode, countries), Some(&known())).unwrap();
        let all = found.phones.unwrap();
        let cut: Vec<_> = all.iter().filter(|it| it.cut_off).map(|it| &*it.source).collect();
        assert_eq!(cut, phones, "{mode} {countries:?}");
        assert_eq!(found.peers.unwrap().len(), peers);
        assert_eq!(found.entries.unwrap().iter().filter(|it| !it.cut_off).count(), entries);
    };
    check(GeoMode::Deny, &["FR"], &["198.51.100.7"], 0, 0);
    check(GeoMode::Deny, &["Germany"], &["203.0.113.7"], 0, 1);
    check(GeoMode::Allow, &["FR"], &["203.0.113.7"], 1, 1);
    check(GeoMode::Allow, &["Europe"], &[], 1, 0);
    check(GeoMode::Off, &[], &[], 0, 0);
}

#[test]
fn the_database_alone_says_how_much_it_is() {
    let (_directory, geo) = geo();
    let found = preview(&geo, &change(GeoMode::Deny, &["FR", "KP", "FR"]), None).unwrap();
    assert_eq!(
        (found.countries, found.missing),
        (vec!["FR".into(), "KP".into()], vec!["KP".into()])
    );
    assert_eq!((found.networks.v4, found.networks.v4_addresses, found.networks.v6), (1, 256, 0));
    assert_eq!((found.live, found.phones, found.peers), (false, None, None));
}

#[test]
fn what_names_no_country_is_refused() {
    let (_directory, geo) = geo();
    for countries in [&["Atlantis"][..], &[]] {
        assert!(preview(&geo, &change(GeoMode::Allow, countries), None).is_err());
    }
    assert!(preview(&Geo::none(), &change(GeoMode::Deny, &["FR"]), None).is_err());
}
