//! The datapath module against a real kernel: what is pinned, reused, refused and removed.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

#[path = "maps/attaching.rs"]
mod attaching;
#[path = "maps/fixture.rs"]
mod fixture;
#[path = "maps/listing.rs"]
mod listing;

use std::collections::BTreeSet;
use std::time::Duration;

use fixture::Fixture;
use ipnetwork::IpNetwork;
use sipprot_common::abi::{
    Block, CONFIG_HAS_ENDPOINTS, CONFIG_TRACK_FLOWS, Contained, MODE_ENFORCE, MODE_OBSERVE, Policy,
    TRUST_QUARANTINED, maps,
};
use sipprot_common::source::SourceKey;
use sipprot_ctl::datapath::{
    BlockTarget, Datapath, DatapathError, ListItem, Object, OnMismatch, Opened, Options,
    Quarantined, monotonic_ns, rescue,
};

fn network(text: &str) -> IpNetwork {
    text.parse().unwrap()
}

fn source(text: &str) -> SourceKey {
    SourceKey::from(text.parse::<std::net::IpAddr>().unwrap())
}

fn items(texts: &[&str]) -> Vec<ListItem> {
    texts.iter().map(|text| ListItem::host(network(text))).collect()
}

fn block_for(seconds: u64) -> Block {
    let now_ns = monotonic_ns();
    let duration_ns = seconds * 1_000_000_000;
    Block { started_ns: now_ns, expires_ns: now_ns + duration_ns, duration_ns, ..Block::default() }
}

fn used(datapath: &Datapath, map: &str) -> (usize, usize) {
    let fill = datapath.fill().unwrap();
    let found = fill.iter().find(|fill| fill.map == map).unwrap();
    (found.used, found.max)
}

#[test]
fn maps_outlive_the_daemon() {
    let Some(fixture) = Fixture::new() else { return };
    let target = BlockTarget::host(source("192.0.2.7"));
    let datapath = fixture.open();
    assert_eq!(*datapath.opened(), Opened::Made);
    let seed = datapath.config().unwrap().seed;
    assert_ne!(seed, 0);
    datapath.put_block(target, &block_for(60)).unwrap();
    datapath.set_flags(CONFIG_TRACK_FLOWS, true).unwrap();
    datapath.set_event_rate(7, 8).unwrap();
    datapath.set_user_agents(&["friendly-scanner".into()]).unwrap();
    drop(datapath);
    let datapath = fixture.open();
    assert_eq!(*datapath.opened(), Opened::Reused);
    let config = datapath.config().unwrap();
    assert_eq!((config.seed, config.event_interval_ns, config.event_burst_ns), (seed, 7, 8));
    assert_eq!(config.flags, CONFIG_TRACK_FLOWS);
    assert!(datapath.block(target).unwrap().is_some());
    let [ingress, egress] = datapath.verified_instructions();
    eprintln!("verified instructions: ingress {ingress:?}, egress {egress:?}");
}

#[test]
fn maps_of_another_build_are_refused_or_given_up() {
    let Some(fixture) = Fixture::new() else { return };
    let target = BlockTarget::host(source("192.0.2.7"));
    let datapath = fixture.open_with(vec![(maps::BLOCKS, 16)]).unwrap();
    let seed = datapath.config().unwrap().seed;
    datapath.put_block(target, &block_for(60)).unwrap();
    drop(datapath);
    let refuse = Options { on_mismatch: OnMismatch::Refuse, ..fixture.options() };
    let error = Datapath::open(&refuse).err().unwrap().to_string();
    assert_eq!(error, "the pinned map BLOCKS is of another build: room 16, not 131072");
    // Refusing has harmed nothing.
    let datapath = fixture.open_with(vec![(maps::BLOCKS, 16)]).unwrap();
    assert!(datapath.block(target).unwrap().is_some());
    drop(datapath);
    let datapath = fixture.open();
    let difference = "BLOCKS: room 16, not 131072".to_string();
    assert_eq!(*datapath.opened(), Opened::Replaced { difference });
    assert_ne!(datapath.config().unwrap().seed, seed);
    assert!(datapath.block(target).unwrap().is_none());
    assert!(!fixture.pin_dir.join("v1/maps-aside").exists());
}

#[test]
fn an_object_that_does_not_load_leaves_the_maps_as_they_were() {
    let Some(fixture) = Fixture::new() else { return };
    let target = BlockTarget::host(source("192.0.2.7"));
    fixture.open().put_block(target, &block_for(60)).unwrap();
    // No LPM trie may have this room: creating it fails after others were made.
    let too_big = vec![(maps::BLOCKS, 16), (maps::DENY, 0)];
    let error = fixture.open_with(too_big).err().unwrap();
    assert!(matches!(&error, DatapathError::Load(_)), "{error}");
    let datapath = fixture.open();
    assert_eq!(*datapath.opened(), Opened::Reused);
    assert!(datapath.block(target).unwrap().is_some());
}

#[test]
fn a_second_daemon_is_told_about_the_first() {
    let Some(fixture) = Fixture::new() else { return };
    let _first = fixture.open();
    let error = Datapath::open(&fixture.options()).err().unwrap();
    let (pid, pins) = (std::process::id(), fixture.pin_dir.display());
    assert_eq!(error.to_string(), format!("another sipprot (pid {pid}) runs with {pins}"));
}

#[test]
fn without_root_it_says_so() {
    let Some(fixture) = Fixture::new() else { return };
    let options = fixture.options();
    let thread = std::thread::spawn(move || {
        // The raw call changes this thread alone, which loses its capabilities by it.
        // SAFETY: no addresses.
        assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534) }, 0);
        let opened = Datapath::open(&options).err().unwrap().to_string();
        let rescued = rescue::status(&options.pin_dir).err().unwrap().to_string();
        assert_eq!(
            (opened.as_str(), rescued.as_str()),
            ("needs root (CAP_BPF, CAP_NET_ADMIN)", opened.as_str())
        );
    });
    thread.join().unwrap();
}

#[test]
fn the_embedded_object_is_loaded() {
    let Some(fixture) = Fixture::new() else { return };
    let options = Options { object: Object::Embedded, ..fixture.options() };
    match Datapath::open(&options) {
        Err(DatapathError::NoObject) => eprintln!("skipped: built without SIPPROT_EBPF_OBJECT"),
        other => assert_eq!(*other.unwrap().opened(), Opened::Made),
    }
}

#[test]
fn blocks_are_refused_when_there_is_no_room() {
    let Some(fixture) = Fixture::new() else { return };
    let datapath = fixture.open_with(vec![(maps::BLOCKS, 4)]).unwrap();
    let target = |n: u8| BlockTarget::host(source(&format!("192.0.2.{n}")));
    for n in 0..4 {
        datapath.put_block(target(n), &block_for(60)).unwrap();
    }
    let error = datapath.put_block(target(4), &block_for(60)).err().unwrap();
    assert!(matches!(error, DatapathError::MapFull { map: maps::BLOCKS }), "{error}");
    // An entry that is there can still be changed.
    datapath.put_block(target(3), &Block { drops: 9, ..block_for(0) }).unwrap();
    assert_eq!(used(&datapath, maps::BLOCKS), (4, 4));
    std::thread::sleep(Duration::from_millis(200));
    let ended = datapath.take_ended_blocks().unwrap();
    assert_eq!(ended.iter().map(|(t, b)| (*t, b.drops)).collect::<Vec<_>>(), [(target(3), 9)]);
    assert!(datapath.remove_block(target(0)).unwrap());
    assert!(!datapath.remove_block(target(0)).unwrap());
    assert_eq!(datapath.blocks().unwrap().len(), 2);
}

#[test]
fn the_quarantine_flag_follows_the_ports() {
    let Some(fixture) = Fixture::new() else { return };
    let datapath = fixture.open();
    let phone = source("192.0.2.7");
    let flagged = |datapath: &Datapath| {
        let trusted = datapath.trusted().unwrap();
        trusted.iter().any(|(key, trust)| *key == phone && trust.flags & TRUST_QUARANTINED != 0)
    };
    assert!(datapath.trust(phone, 50).unwrap());
    assert!(!datapath.trust(phone, 60).unwrap());
    assert_eq!(datapath.trusted().unwrap()[0].1.rate, 60);
    let late = monotonic_ns() + 60_000_000_000;
    for (port, expires_ns) in [(5060, late), (5062, late), (5064, 1)] {
        datapath.quarantine(Quarantined { source: phone, port, expires_ns }).unwrap();
    }
    assert!(flagged(&datapath));
    assert_eq!(datapath.take_ended_quarantines().unwrap().len(), 1);
    assert!(datapath.release_port(phone, 5060).unwrap() && flagged(&datapath));
    assert!(datapath.release_port(phone, 5062).unwrap() && !flagged(&datapath));
    assert!(datapath.distrust(phone).unwrap() && !datapath.is_trusted(phone).unwrap());
}

#[test]
fn endpoints_follow_the_configuration() {
    let Some(fixture) = Fixture::new() else { return };
    let datapath = fixture.open();
    let mut last = datapath.config().unwrap().endpoints_generation;
    let mut set = |wanted: &[(&str, u32)]| {
        let wanted: Vec<_> = wanted.iter().map(|(text, policy)| (network(text), *policy)).collect();
        datapath.set_endpoints(&wanted, &[]).unwrap();
        let found = datapath.endpoints().unwrap();
        assert_eq!(BTreeSet::from_iter(found), BTreeSet::from_iter(wanted.iter().copied()));
        let config = datapath.config().unwrap();
        assert_eq!(config.flags & CONFIG_HAS_ENDPOINTS != 0, !wanted.is_empty());
        assert_ne!(
            config.endpoints_generation,
            std::mem::replace(&mut last, config.endpoints_generation)
        );
    };
    set(&[("192.0.2.10/32", 1), ("2001:db8::10/128", 1), ("192.0.2.11/32", 2)]);
    set(&[("192.0.2.10/32", 3), ("192.0.2.12/32", 2)]);
    set(&[]);
    assert!(datapath.set_endpoints(&[(network("192.0.2.1"), 512)], &[]).is_err());
}

#[test]
fn rescue_works_on_the_pins_alone() {
    let Some(fixture) = Fixture::new() else { return };
    let datapath = fixture.open();
    let attacker = source("198.51.100.7");
    for (index, mode) in [(0, MODE_ENFORCE), (1, MODE_OBSERVE), (2, MODE_ENFORCE)] {
        datapath.set_policy(index, &Policy { mode, ..Policy::default() }).unwrap();
    }
    for policy in [0, 5] {
        let target = BlockTarget { source: attacker, policy };
        datapath.put_block(target, &block_for(60)).unwrap();
    }
    let until_ns = monotonic_ns() + 60_000_000_000;
    datapath.contain(attacker, &Contained { until_ns, ..Contained::default() }).unwrap();
    let deny = items(&["198.51.100.7", "198.51.100.0/24", "203.0.113.0/24"]);
    datapath.replace_lists(&[], &deny).unwrap();
    drop(datapath);

    let status = rescue::status(&fixture.pin_dir).unwrap().maps.unwrap();
    assert_eq!((status.enforcing, status.observing), (2, 1));
    assert_eq!((status.blocks, status.contained, status.deny_entries), (2, 1, 3));
    let done = rescue::unblock(&fixture.pin_dir, "198.51.100.7".parse().unwrap()).unwrap();
    assert_eq!((done.blocks, done.contained, done.held), (2, true, false));
    let denied: Vec<_> = done.denied.iter().map(|(network, _)| network.to_string()).collect();
    assert_eq!(denied, ["198.51.100.7/32", "198.51.100.0/24"]);
    assert_eq!(
        rescue::unblock(&fixture.pin_dir, "198.51.100.8".parse().unwrap()).unwrap().denied,
        []
    );
    assert_eq!(rescue::observe(&fixture.pin_dir).unwrap(), 2);
    let status = rescue::status(&fixture.pin_dir).unwrap().maps.unwrap();
    assert_eq!((status.enforcing, status.observing), (0, 3));
    assert_eq!((status.blocks, status.contained, status.deny_entries), (0, 0, 1));
}
