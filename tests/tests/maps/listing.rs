//! Lists and countries in the kernel: tables and tries together.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use ipnetwork::IpNetwork;
use sipprot_common::abi::{
    CONFIG_HAS_ALLOW, CONFIG_HAS_DENY, GEO_DENY, MODE_ENFORCE, Policy, SCOPE_SIP, maps,
};
use sipprot_common::policy::follow_geo;
use sipprot_common::reason::Reason;
use sipprot_ctl::datapath::{Datapath, DatapathError, List, ListItem};

use super::fixture::{Fixture, in_namespace, send_udp, veth};
use super::{items, network, used};

fn denies(datapath: &Datapath, address: &str) -> bool {
    datapath.denies(address.parse().unwrap()).unwrap()
}

/// With the entries that cover it or lie in it.
fn remove(datapath: &Datapath, text: &str, others: &[&str]) {
    datapath.remove_entry(List::Deny, network(text), 0, &items(others)).unwrap();
}

#[test]
fn lists_are_replaced_as_a_whole() {
    let Some(fixture) = Fixture::new() else { return };
    let datapath = fixture.open();
    let both = CONFIG_HAS_ALLOW | CONFIG_HAS_DENY;
    let deny = ["198.51.100.0/24", "2001:db8::/32", "2002:c000:207::/48"];
    datapath.replace_lists(&items(&["192.0.2.0/24"]), &items(&deny)).unwrap();
    assert_eq!(datapath.config().unwrap().flags & both, both);
    for (address, denied) in
        [("198.51.100.9", true), ("2001:db8::1", true), ("192.0.2.7", true), ("192.0.2.8", false)]
    {
        assert_eq!(denies(&datapath, address), denied, "{address}");
    }
    // The IPv4 address inside another has another name: the tables know one.
    assert_eq!(used(&datapath, maps::DENY).0, 1);

    let item = ListItem { scope: SCOPE_SIP, policy: 3, ..ListItem::host(network("203.0.113.9")) };
    assert!(datapath.add_entry(List::Deny, &item).unwrap());
    assert!(!datapath.add_entry(List::Deny, &ListItem { expires_ns: 5, ..item }).unwrap());
    let found = datapath.entries(List::Deny).unwrap();
    assert!(found.contains(&ListItem { expires_ns: 5, ..item }));
    let covers = |list, address: &str| datapath.covers(list, address.parse().unwrap()).unwrap();
    // One endpoint's, the host's, none; and the other list.
    for (address, allowed, denied) in [
        ("203.0.113.9", false, true),
        ("198.51.100.9", false, true),
        ("203.0.113.8", false, false),
        ("192.0.2.8", true, false),
    ] {
        let found = (covers(List::Allow, address), covers(List::Deny, address));
        assert_eq!(found, (allowed, denied), "{address}");
    }
    datapath.remove_entry(List::Deny, item.network, 0, &[]).unwrap();
    assert_eq!(used(&datapath, maps::DENY).0, 2);
    datapath.remove_entry(List::Deny, item.network, 3, &[]).unwrap();
    assert_eq!(used(&datapath, maps::DENY).0, 1);

    datapath.replace_lists(&[], &items(&["203.0.113.0/24", "203.0.113.0/24"])).unwrap();
    assert!(denies(&datapath, "203.0.113.5") && !denies(&datapath, "198.51.100.9"));
    assert_eq!(datapath.config().unwrap().flags & both, 0, "all of it is in the table");
    assert_eq!((used(&datapath, maps::DENY).0, used(&datapath, maps::ALLOW).0), (0, 0));
}

#[test]
fn single_entries_come_and_go_beside_the_table() {
    let Some(fixture) = Fixture::new() else { return };
    let mut datapath = fixture.open();
    let deny = ["192.0.0.0/16", "192.0.2.0/24", "192.0.2.7", "2001:db8::/47", "2001:db8:1::/48"];
    datapath.replace_lists(&[], &items(&deny)).unwrap();
    datapath.add_entry(List::Deny, &ListItem::host(network("203.0.113.9"))).unwrap();
    let check = |datapath: &Datapath, denied: [bool; 6]| {
        let addresses =
            ["192.0.9.9", "192.0.2.9", "192.0.2.7", "2001:db8::1", "2001:db8:1::1", "203.0.113.9"];
        assert_eq!(addresses.map(|address| denies(datapath, address)), denied);
    };
    check(&datapath, [true; 6]);
    remove(&datapath, "192.0.0.0/16", &["192.0.2.0/24", "192.0.2.7"]);
    check(&datapath, [false, true, true, true, true, true]);
    remove(&datapath, "192.0.2.0/24", &["192.0.2.7"]);
    check(&datapath, [false, false, true, true, true, true]);
    // A daemon that starts anew finds the table that is in force.
    drop(datapath);
    datapath = fixture.open();
    remove(&datapath, "192.0.2.7", &[]);
    remove(&datapath, "2001:db8::/47", &["2001:db8:1::/48"]);
    remove(&datapath, "203.0.113.9", &[]);
    check(&datapath, [false, false, false, false, true, false]);
}

#[test]
fn a_list_that_does_not_fit_leaves_the_old_one_in_force() {
    let Some(fixture) = Fixture::new() else { return };
    let datapath = fixture.open_with(vec![(maps::DENY, 8)]).unwrap();
    // What is for SIP alone is in the trie.
    let list = |third: u8, count: u8| -> Vec<ListItem> {
        let each = |n| ListItem::host(network(&format!("192.0.{third}.{n}")));
        (0..count).map(|n| ListItem { scope: SCOPE_SIP, ..each(n) }).collect()
    };
    datapath.replace_lists(&items(&["198.51.100.1"]), &list(2, 5)).unwrap();
    let generation = datapath.config().unwrap().lists_generation;
    let error = datapath.replace_lists(&[], &list(3, 5)).err().unwrap();
    assert!(matches!(error, DatapathError::MapFull { map: maps::DENY }), "{error}");
    assert_eq!(datapath.config().unwrap().lists_generation, generation);
    assert_eq!(datapath.entries(List::Deny).unwrap().len(), 5);
    assert_eq!(datapath.entries(List::Allow).unwrap().len(), 1);
    // The room is there again: three fit beside the five.
    datapath.replace_lists(&[], &list(3, 3)).unwrap();
    datapath.replace_lists(&[], &list(4, 5)).unwrap();
    assert_eq!(used(&datapath, maps::DENY), (5, 8));
}

#[test]
fn a_million_networks_are_in_force_at_once() {
    let Some(fixture) = Fixture::new() else { return };
    let datapath = fixture.open();
    let list = |offset: u32| -> Vec<ListItem> {
        (0..1_000_000u32)
            .map(|n| Ipv4Addr::from_bits((n.wrapping_mul(2_654_435_761)) ^ offset))
            .map(|address| ListItem::host(IpNetwork::from(IpAddr::V4(address))))
            .collect()
    };
    for offset in [0, 1] {
        let (items, begin) = (list(offset), Instant::now());
        datapath.replace_lists(&[], &items).unwrap();
        eprintln!("1,000,000 hosts in {:?}", begin.elapsed());
        for item in items.iter().step_by(9973) {
            assert!(datapath.denies(item.network.ip()).unwrap(), "{}", item.network);
        }
    }
    let listed = used(&datapath, maps::DENY).0;
    assert!(listed < 1_000, "{listed} found no room in the table");
    let geo: Vec<_> = list(2).iter().take(50_000).map(|item| (item.network, 7)).collect();
    datapath.replace_geo(geo).unwrap();
    assert_eq!(used(&datapath, maps::GEO).0, 50_000);
}

#[test]
fn packets_are_judged_by_table_trie_and_country() {
    in_namespace(|fixture| {
        veth("up0");
        let datapath = fixture.open();
        datapath.attach("up0").unwrap();
        let drops = |from: &str| {
            let counters = || {
                let counters = datapath.counters(0).unwrap();
                [Reason::Denied, Reason::Geo].map(|reason| counters.packets[reason as usize])
            };
            let before = counters();
            let from = (from.parse::<Ipv4Addr>().unwrap(), 9);
            send_udp("up0-peer", from, (Ipv4Addr::new(198, 51, 100, 10), 9), b"x");
            let after = counters();
            (after[0] - before[0], after[1] - before[1])
        };
        let mut policy = Policy { mode: MODE_ENFORCE, geo_mode: GEO_DENY, ..Policy::default() };
        policy.geo_countries[0] = 1 << 7;
        datapath.set_policy(0, &policy).unwrap();
        let geo = [("203.0.113.0/24", 7), ("192.0.2.0/25", 7), ("192.0.2.128/25", 8)];
        datapath.replace_geo(geo.map(|(text, country)| (network(text), country))).unwrap();
        datapath.replace_lists(&[], &items(&["198.51.100.7", "10.100.0.0/16"])).unwrap();
        datapath.add_entry(List::Deny, &ListItem::host(network("10.9.9.9"))).unwrap();
        for (from, expected) in [
            ("198.51.100.7", (1, 0)),
            ("198.51.100.8", (0, 0)),
            ("10.100.3.4", (1, 0)),
            ("10.9.9.9", (1, 0)),
            ("10.9.9.8", (0, 0)),
            ("203.0.113.9", (0, 1)),
            ("192.0.2.9", (0, 1)),
            ("192.0.2.200", (0, 0)),
            ("10.8.8.8", (0, 0)),
        ] {
            assert_eq!(drops(from), expected, "{from}");
        }
        // Without countries nobody is asked for one.
        datapath.set_policy(0, &Policy { mode: MODE_ENFORCE, ..Policy::default() }).unwrap();
        datapath.replace_geo([]).unwrap();
        assert_eq!(drops("203.0.113.9"), (0, 0));
        assert_eq!(drops("10.9.9.9"), (1, 0));
        // And with them again.
        datapath.set_policy(0, &policy).unwrap();
        datapath.replace_geo([(network("203.0.113.0/24"), 7)]).unwrap();
        assert_eq!(drops("203.0.113.9"), (0, 1));
        assert_eq!(drops("192.0.2.9"), (0, 0));
    });
}

#[test]
fn what_an_endpoint_newly_keeps_out_is_learned() {
    in_namespace(|fixture| {
        let datapath = fixture.open();
        let off = Policy { mode: MODE_ENFORCE, ..Policy::default() };
        let mut deny = Policy { geo_mode: GEO_DENY, ..off };
        deny.geo_countries[0] = 1 << 7;
        let tell = |policies: &[Policy], endpoints: &[(IpNetwork, u32)]| {
            let followed = datapath.followed(policies, endpoints, &[], follow_geo).unwrap();
            for (index, policy) in (0..).zip(&followed) {
                datapath.set_policy(index, policy).unwrap();
            }
            datapath.set_endpoints(endpoints, &[]).unwrap();
            followed
        };
        let [one, two] = ["192.0.2.11", "192.0.2.12"].map(network);
        let first = tell(&[off, deny], &[(one, 1)]);
        assert_eq!(first[0].geo_from_ns, 0);
        assert!(first[1].geo_from_ns > 0 && first[1].geo_learning[0] == 1 << 7);
        // Another endpoint takes its number: it keeps its time, and the other begins.
        let second = tell(&[off, deny, deny], &[(two, 1), (one, 2)]);
        assert_eq!(second[2].geo_from_ns, first[1].geo_from_ns);
        assert_eq!(second[2].geo_epoch, first[1].geo_epoch);
        assert!(second[1].geo_from_ns >= first[1].geo_from_ns);
        assert_eq!(second[1].geo_learning[0], 1 << 7);
    });
}
