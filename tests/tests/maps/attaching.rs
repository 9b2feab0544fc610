//! Programs on interfaces, in a namespace of the test's own.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use sipprot_common::abi::{
    ABI_VERSION, EVENT_REQUEST, MODE_ENFORCE, PORT_SIP, PROTOCOL_TCP, PROTOCOL_UDP, Policy, PortSet,
};
use sipprot_ctl::datapath::{Change, Datapath, DatapathError, Egress, Mode, Options, rescue};

use super::fixture::{in_namespace, ip, send_udp, veth};

const PHONE: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 7), 40_000);
const PBX: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 5060);

/// Packets that the ingress program has counted for the host.
fn packets(datapath: &Datapath) -> u64 {
    datapath.counters(0).unwrap().packets.iter().sum()
}

fn output(command: &str) -> String {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_restart_replaces_the_program_through_the_link() {
    in_namespace(|fixture| {
        veth("up0");
        let datapath = fixture.open();
        let attachment = datapath.attach("up0").unwrap();
        assert_eq!((attachment.mode, attachment.replaced), (Mode::Native, false));
        eprintln!("egress: {:?}", attachment.egress);
        send_udp("up0-peer", PHONE, PBX, b"x");
        let before = packets(&datapath);
        assert!(before > 0, "the ingress program sees packets");
        drop(datapath);
        send_udp("up0-peer", PHONE, PBX, b"x");
        let datapath = fixture.open();
        assert!(packets(&datapath) > before, "it does so with nobody running");
        let attachment = datapath.attach("up0").unwrap();
        assert_eq!((attachment.mode, attachment.replaced), (Mode::Native, true));
        let found = datapath.attachments();
        assert_eq!((found.len(), found[0].mode), (1, Mode::Native));
        assert_eq!(found[0].egress, attachment.egress);
        assert!(datapath.detach("up0").unwrap());
        assert!(datapath.attachments().is_empty());
        let before = packets(&datapath);
        send_udp("up0-peer", PHONE, PBX, b"x");
        assert_eq!(packets(&datapath), before);
        assert!(!datapath.detach("up0").unwrap());
    });
}

#[test]
fn maps_given_up_are_replaced_under_the_running_program() {
    in_namespace(|fixture| {
        veth("up0");
        let sizes = vec![(sipprot_common::abi::maps::BLOCKS, 16)];
        fixture.open_with(sizes).unwrap().attach("up0").unwrap();
        let datapath = fixture.open();
        send_udp("up0-peer", PHONE, PBX, b"x");
        assert_eq!(packets(&datapath), 0, "the old program still counts in its own maps");
        assert!(datapath.attach("up0").unwrap().replaced);
        send_udp("up0-peer", PHONE, PBX, b"x");
        assert!(packets(&datapath) > 0);
    });
}

#[test]
fn generic_where_the_driver_has_no_xdp() {
    in_namespace(|fixture| {
        ip("link add bridge0 type bridge");
        let datapath = fixture.open();
        let attachment = datapath.attach("bridge0").unwrap();
        assert_eq!(attachment.mode, Mode::Generic);
        assert!(attachment.fallback.unwrap().starts_with("native XDP: "));
        veth("up0");
        drop(datapath);
        let forced = Options { force_generic: true, ..fixture.options() };
        let datapath = Datapath::open(&forced).unwrap();
        let attachment = datapath.attach("up0").unwrap();
        assert_eq!((attachment.mode, attachment.fallback), (Mode::Generic, None));
        let modes: Vec<_> = datapath.attachments().iter().map(|found| found.mode).collect();
        assert_eq!(modes, [Mode::Generic, Mode::Generic]);
    });
}

#[test]
fn one_filter_in_the_clsact() {
    in_namespace(|fixture| {
        veth("up0");
        let clsact = Options { force_clsact: true, ..fixture.options() };
        let count = || {
            let filters = output("tc filter show dev up0 egress");
            filters.lines().filter(|line| line.contains("sipprot_egress")).count()
        };
        let datapath = Datapath::open(&clsact).unwrap();
        let attachment = match datapath.attach("up0") {
            Err(DatapathError::Attach { what: "clsact", source, .. }) => {
                eprintln!("skipped: the kernel has no clsact: {source}");
                return;
            }
            other => other.unwrap(),
        };
        assert_eq!((attachment.egress, count()), (Egress::Clsact, 1));
        drop(datapath);
        assert_eq!(count(), 1, "it stays when the daemon goes");
        let datapath = Datapath::open(&clsact).unwrap();
        assert_eq!((datapath.attach("up0").unwrap().egress, count()), (Egress::Clsact, 1));
        assert_eq!(datapath.attachments()[0].egress, Egress::Clsact);
        drop(datapath);
        let datapath = fixture.open();
        if datapath.attach("up0").unwrap().egress == Egress::Tcx {
            assert_eq!(count(), 0, "TCX takes over and leaves no filter behind");
        }
        drop(datapath);
        let datapath = Datapath::open(&clsact).unwrap();
        assert_eq!((datapath.attach("up0").unwrap().egress, count()), (Egress::Clsact, 1));
        assert_eq!(datapath.attachments()[0].egress, Egress::Clsact);
        datapath.detach_all().unwrap();
        assert_eq!(count(), 0);
    });
}

#[test]
fn another_program_is_named_and_left_alone() {
    in_namespace(|fixture| {
        veth("up0");
        let first = fixture.open();
        first.attach("up0").unwrap();
        let other = super::Fixture::new().unwrap();
        let error = other.open().attach("up0").err().unwrap();
        let DatapathError::Occupied { interface, id, name } = &error else {
            panic!("{error}");
        };
        assert_eq!((interface.as_str(), name.as_str()), ("up0", "sipprot_ingress"));
        assert!(*id > 0);
        assert_eq!(first.attachments()[0].mode, Mode::Native);
    });
}

#[test]
fn an_interface_that_is_missing_goes_and_comes_back() {
    in_namespace(|fixture| {
        let datapath = fixture.open();
        let error = datapath.attach("up0.100").err().unwrap();
        assert_eq!(error.to_string(), "there is no interface up0.100");
        datapath.expect("up0.100");
        assert!(datapath.reconcile().is_empty());
        // A name like that of a VLAN; bpffs allows no dots.
        veth("up0.100");
        let changes = datapath.reconcile();
        assert!(matches!(&changes[..], [Change::Attached(_)]), "{changes:?}");
        assert!(datapath.reconcile().is_empty());
        assert_eq!(datapath.attachments()[0].interface, "up0.100");
        ip("link del up0.100");
        let changes = datapath.reconcile();
        assert!(matches!(&changes[..], [Change::Gone { .. }]), "{changes:?}");
        assert!(datapath.reconcile().is_empty());
        veth("up0.100");
        let changes = datapath.reconcile();
        assert!(matches!(&changes[..], [Change::Attached(_)]), "{changes:?}");
        // Gone and back between two looks.
        ip("link del up0.100");
        veth("up0.100");
        let changes = datapath.reconcile();
        assert!(matches!(&changes[..], [Change::Attached(_)]), "{changes:?}");
        // Somebody takes the pins away, and with them the programs.
        rescue::detach(&fixture.pin_dir).unwrap();
        let changes = datapath.reconcile();
        assert!(matches!(&changes[..], [Change::Attached(_)]), "{changes:?}");
    });
}

#[test]
fn rescue_detaches_with_the_daemon_dead() {
    in_namespace(|fixture| {
        veth("up0");
        fixture.open().attach("up0").unwrap();
        let status = rescue::status(&fixture.pin_dir).unwrap();
        assert_eq!(status.attachments[0].mode, Mode::Native);
        assert_eq!(rescue::detach(&fixture.pin_dir).unwrap(), ["up0"]);
        assert!(rescue::status(&fixture.pin_dir).unwrap().attachments.is_empty());
        assert!(!output("ip link show dev up0").contains("xdp"));
    });
}

#[test]
fn links_of_another_version_are_taken_over() {
    in_namespace(|fixture| {
        veth("up0");
        fixture.open().attach("up0").unwrap();
        let version = |number: u32| fixture.pin_dir.join(format!("v{number}"));
        std::fs::rename(version(ABI_VERSION), version(0)).unwrap();
        let datapath = fixture.open();
        assert!(datapath.attach("up0").unwrap().replaced);
        assert!(version(ABI_VERSION).join("links/up0-xdp").exists() && !version(0).exists());
        send_udp("up0-peer", PHONE, PBX, b"x");
        assert!(packets(&datapath) > 0);
    });
}

#[test]
fn events_come_in_batches() {
    in_namespace(|fixture| {
        veth("up0");
        let datapath = fixture.open();
        let mut ports = Box::new(PortSet::EMPTY);
        ports.set(5060, PORT_SIP);
        datapath.set_port_set(0, &ports).unwrap();
        let policy = Policy {
            mode: MODE_ENFORCE,
            protocols: PROTOCOL_UDP | PROTOCOL_TCP,
            attempt_limit: 1_000,
            ..Policy::default()
        };
        datapath.set_policy(0, &policy).unwrap();
        datapath.attach("up0").unwrap();
        let request = b"REGISTER sip:x SIP/2.0\r\nCSeq: 1 REGISTER\r\n\r\n";
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut reader = datapath.events().unwrap();
            for _ in 0..10 {
                send_udp("up0-peer", PHONE, PBX, request);
            }
            let (mut seen, mut largest) = (0, 0);
            while seen < 10 {
                let waiting = reader.batch(4, |event| {
                    if event.header.kind == EVENT_REQUEST {
                        assert_eq!(event.payload, request);
                        assert_eq!(event.header.source.to_ip(), PHONE.0);
                    }
                });
                let batch = tokio::time::timeout(Duration::from_secs(2), waiting).await;
                let batch = batch.expect("more events").unwrap();
                assert_eq!(batch.malformed, 0);
                (seen, largest) = (seen + batch.events, largest.max(batch.events));
            }
            assert!(largest <= 4);
            let waiting = reader.batch(4, |_| {});
            assert!(tokio::time::timeout(Duration::from_millis(50), waiting).await.is_err());
        });
        let counts = datapath.event_counts().unwrap();
        eprintln!("suppressed {}, lost {}", counts.suppressed, counts.lost);
    });
}
