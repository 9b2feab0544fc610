//! Captures to verdicts.

mod recording;

use super::capture::{Capture, CaptureError};
use super::outcome::{Blocked, Contained, Quarantined, Summary};
use super::*;
use recording::{Connection, Recording, Register};

const PBX: &str = "192.0.2.11:5060";
const CRACKER: &str = "198.51.100.77:5070";
const REGISTER: &str = "BRUTEFORCE:register";

fn outcome(recording: &Recording, config: &Config) -> Outcome {
    let open = || Capture::new("test.pcap".to_owned(), recording.bytes.as_slice());
    let (outcome, fault) = run(open, config, &[]).unwrap();
    assert!(fault.is_none(), "{fault:?}");
    outcome
}

fn replayed(recording: &Recording) -> Summary {
    outcome(recording, &Config::default()).summary()
}

fn blocked(source: &str) -> Vec<Blocked> {
    vec![Blocked { source: source.to_owned(), rule: REGISTER, proven: true }]
}

fn register<'a>(user: &'a str, call: &'a str, cseq: u32) -> Register<'a> {
    Register { user, cseq, credentials: None, agent: "Acme Phone 1.0", call }
}

/// One challenge, and as many guesses on its nonce.
fn crack(recording: &mut Recording, from: &str, pbx: &str, guesses: u32) {
    let first = register("1000", "crack", 1);
    recording.udp(from, pbx, &first.text());
    recording.udp(pbx, from, &first.answer("401 Unauthorized", Some("n0")));
    for guess in 0..guesses {
        let response = format!("{guess:032x}");
        let credentials = Some(("n0", response.as_str()));
        let tried = Register { credentials, ..register("1000", "crack", guess + 2) };
        recording.udp(from, pbx, &tried.text());
        recording.udp(
            pbx,
            from,
            &tried.answer("401 Unauthorized", Some(&format!("n{}", guess + 1))),
        );
    }
}

/// Challenge, credentials, 200: what every phone does.
fn handshake(recording: &mut Recording, from: &str, pbx: &str, user: &str, nonce: &str) {
    let first = register(user, user, 1);
    recording.udp(from, pbx, &first.text());
    recording.udp(pbx, from, &first.answer("401 Unauthorized", Some(nonce)));
    let second = Register { credentials: Some((nonce, "right")), ..register(user, user, 2) };
    recording.udp(from, pbx, &second.text());
    recording.udp(pbx, from, &second.answer("200 OK", None));
}

/// Fifty phones behind one address.
fn office(recording: &mut Recording, address: &str, pbx: &str) {
    for phone in 0..50 {
        let from = format!("{address}:{}", 20_000 + phone);
        handshake(recording, &from, pbx, &format!("2{phone:03}"), &format!("office{phone}"));
    }
}

#[test]
fn a_cracker_over_udp() {
    for vlans in 0..=2 {
        let mut recording = Recording::tagged(vlans);
        crack(&mut recording, CRACKER, PBX, 40);
        let summary = replayed(&recording);
        assert_eq!(summary.blocked, blocked("198.51.100.77/32"), "{vlans} tags");
        assert!(summary.contained.is_empty() && summary.trusted.is_empty(), "{summary:?}");
        assert_eq!((summary.endpoints, summary.guessed), (vec!["192.0.2.11/32".to_owned()], true));
        assert_eq!(summary.dropped.get("blocked"), Some(&30), "ten guesses went through");
    }
}

#[test]
fn a_cracker_over_ipv6() {
    let mut recording = Recording::tagged(1);
    crack(&mut recording, "[2001:db8:a00::66]:5070", "[2001:db8:c::11]:5060", 20);
    assert_eq!(replayed(&recording).blocked, blocked("2001:db8:a00::/64"));
}

#[test]
fn a_cracker_who_does_not_wait_is_held_first() {
    let mut recording = Recording::new();
    let first = register("1000", "crack", 1);
    recording.udp(CRACKER, PBX, &first.text());
    recording.udp(PBX, CRACKER, &first.answer("401 Unauthorized", Some("n0")));
    let guesses: Vec<String> = (0..30).map(|guess| format!("{guess:032x}")).collect();
    let tried = |number: usize| Register {
        credentials: Some(("n0", guesses[number].as_str())),
        ..register("1000", "crack", number as u32 + 2)
    };
    (0..30).for_each(|number| recording.udp(CRACKER, PBX, &tried(number).text()));
    for number in 0..30 {
        let answer = tried(number).answer("401 Unauthorized", Some("n1"));
        recording.udp(PBX, CRACKER, &answer);
    }
    let summary = replayed(&recording);
    assert_eq!(summary.blocked, blocked("198.51.100.77/32"));
    assert!(summary.contained.is_empty());
    assert_eq!((summary.held.len(), summary.held[0].times), (1, 1));
    assert_eq!(summary.dropped.get("held"), Some(&20));
}

/// Guesses over TCP, in pieces both ways; answers come `at_once` together.
fn crack_tcp(recording: &mut Recording, pieces: [usize; 2], at_once: u32) {
    let mut connection = Connection::open(recording, CRACKER, PBX);
    let first = register("1000", "crack", 1);
    connection.send(recording, 0, &first.text(), pieces[0]);
    connection.send(recording, 1, &first.answer("401 Unauthorized", Some("n0")), pieces[1]);
    let mut answers = String::new();
    for guess in 1..=24 {
        let response = format!("{guess:032x}");
        let credentials = Some(("n0", response.as_str()));
        let tried = Register { credentials, ..register("1000", "crack", guess + 1) };
        connection.send(recording, 0, &tried.text(), pieces[0]);
        answers += &tried.answer("401 Unauthorized", Some("n1"));
        if guess % at_once == 0 {
            connection.send(recording, 1, &std::mem::take(&mut answers), pieces[1]);
        }
    }
}

#[test]
fn a_cracker_over_tcp() {
    for (pieces, at_once) in [([1460, 1460], 1), ([12, 12], 1), ([12, 65_000], 12), ([7, 1], 3)] {
        let mut recording = Recording::new();
        crack_tcp(&mut recording, pieces, at_once);
        let summary = replayed(&recording);
        assert_eq!(
            summary.blocked,
            blocked("198.51.100.77/32"),
            "{pieces:?}, {at_once}: {summary:?}"
        );
        assert!(summary.contained.is_empty(), "{summary:?}");
    }
}

#[test]
fn segments_in_any_order_and_twice() {
    let mut recording = Recording::new();
    let mut connection = Connection::open(&mut recording, CRACKER, PBX);
    for guess in 0..12 {
        let response = format!("{guess:032x}");
        let credentials = Some(("made up", response.as_str()));
        let tried = Register { credentials, ..register("1000", "crack", guess + 1) };
        connection.send_shuffled(&mut recording, 0, &tried.text());
        connection.send_shuffled(&mut recording, 1, &tried.answer("403 Forbidden", None));
    }
    let summary = replayed(&recording);
    assert_eq!(summary.blocked, blocked("198.51.100.77/32"));
    assert_eq!(summary.packets.gaps, 0);
}

#[test]
fn an_office_at_work() {
    let mut recording = Recording::new();
    for _ in 0..3 {
        office(&mut recording, "203.0.113.7", PBX);
        recording.wait(20_000);
    }
    let outcome = outcome(&recording, &Config::default());
    let summary = outcome.summary();
    assert!(summary.blocked.is_empty() && summary.contained.is_empty(), "{summary:?}");
    assert!(summary.quarantined.is_empty() && summary.held.is_empty(), "{summary:?}");
    assert_eq!(summary.trusted, ["203.0.113.7".parse::<IpAddr>().unwrap()]);
    assert_eq!(outcome.entries.len(), 1, "trusted, and that is all: {:?}", outcome.entries);
    assert!(summary.dropped.is_empty());
}

#[test]
fn a_stale_phone_behind_a_trusted_office() {
    let mut recording = Recording::new();
    office(&mut recording, "203.0.113.7", PBX);
    for attempt in 0..12 {
        let (from, nonce) = ("203.0.113.7:25000", format!("stale{attempt}"));
        let first = register("2900", "stale", attempt * 2 + 1);
        recording.udp(from, PBX, &first.text());
        recording.udp(PBX, from, &first.answer("401 Unauthorized", Some(&nonce)));
        let credentials = Some((nonce.as_str(), "last month's"));
        let second = Register { credentials, ..register("2900", "stale", attempt * 2 + 2) };
        recording.udp(from, PBX, &second.text());
        recording.udp(PBX, from, &second.answer("401 Unauthorized", Some("again")));
    }
    let summary = replayed(&recording);
    let source = "203.0.113.7".parse().unwrap();
    let account = "2900@pbx".to_owned();
    assert_eq!(summary.quarantined, [Quarantined { source, port: 25_000, account }]);
    assert!(summary.blocked.is_empty() && summary.contained.is_empty(), "{summary:?}");
    assert_eq!(summary.dropped.get("quarantined"), Some(&4), "two attempts came after it");
}

#[test]
fn forged_guesses_are_contained() {
    let mut recording = Recording::new();
    for guess in 0..40 {
        let response = format!("{guess:032x}");
        let credentials = Some(("made up", response.as_str()));
        let tried = Register { credentials, ..register("1000", "forged", guess + 1) };
        recording.udp(CRACKER, PBX, &tried.text());
        recording.udp(PBX, CRACKER, &tried.answer("401 Unauthorized", Some("own")));
    }
    let summary = replayed(&recording);
    let source = "198.51.100.77/32".to_owned();
    assert_eq!(summary.contained, [Contained { source, rule: REGISTER }]);
    assert!(summary.blocked.is_empty() && summary.held.is_empty(), "{summary:?}");
}

#[test]
fn a_nonce_given_to_two_proves_nothing() {
    let mut recording = Recording::new();
    let probe = register("1000", "probe", 1);
    for from in ["198.51.100.78:5070", CRACKER] {
        recording.udp(from, PBX, &probe.text());
        recording.udp(PBX, from, &probe.answer("401 Unauthorized", Some("n0")));
    }
    crack(&mut recording, CRACKER, PBX, 20);
    let summary = replayed(&recording);
    assert!(summary.blocked.is_empty(), "{summary:?}");
    assert_eq!(summary.contained.len(), 1);
}

#[test]
fn a_trunk_is_trusted_and_a_listed_agent_is_dropped() {
    let mut recording = Recording::new();
    let trunk = "203.0.113.130:5060";
    let options = "OPTIONS sip:trunk SIP/2.0\r\nVia: SIP/2.0/UDP y;branch=z9hG4bKq\r\n\
                   From: <sip:pbx>;tag=1\r\nTo: <sip:trunk>\r\nCall-ID: q\r\nCSeq: 1 OPTIONS\r\n\r\n";
    recording.udp(PBX, trunk, options);
    let answer = options.replacen("OPTIONS sip:trunk SIP/2.0", "SIP/2.0 200 OK", 1);
    recording.udp(trunk, PBX, &answer);
    office(&mut recording, "203.0.113.7", PBX);
    let scan = Register { agent: "friendly-scanner", ..register("100", "scan", 1) };
    for _ in 0..3 {
        recording.udp(CRACKER, PBX, &scan.text());
    }
    let outcome = outcome(&recording, &Config::default());
    let summary = outcome.summary();
    assert_eq!(summary.trusted.len(), 2, "{summary:?}");
    assert_eq!(summary.dropped.get("user_agent"), Some(&3));
    let drops = outcome.entries.iter().filter(|it| matches!(it.happening, Happening::Drop { .. }));
    assert_eq!(drops.count(), 1, "a source's drops are told once");
}

#[test]
fn unanswered_challenges_are_due_on_the_captures_clock() {
    let mut recording = Recording::new();
    for user in 0..12 {
        let name = format!("3{user:03}");
        let asked = register(&name, &name, 1);
        recording.udp(CRACKER, PBX, &asked.text());
        recording.udp(PBX, CRACKER, &asked.answer("401 Unauthorized", Some(&name)));
    }
    assert!(replayed(&recording).contained.is_empty(), "it may still answer");
    recording.wait(40_000);
    recording.udp("198.51.100.9:9", "192.0.2.9:9", "anything");
    let outcome = outcome(&recording, &Config::default());
    assert_eq!(outcome.summary().contained.len(), 1);
    let seconds = outcome.entries[0].at.since(outcome.first).as_secs();
    assert!((32..=33).contains(&seconds), "after {seconds} s");
}

#[test]
fn endpoints_that_are_told() {
    let mut recording = Recording::new();
    crack(&mut recording, CRACKER, PBX, 20);
    let open = || Capture::new("test.pcap".to_owned(), recording.bytes.as_slice());
    let told: IpNetwork = "192.0.2.0/24".parse().unwrap();
    let (outcome, _) = run(open, &Config::default(), &[told]).unwrap();
    let summary = outcome.summary();
    assert_eq!(
        (summary.guessed, summary.endpoints.as_slice()),
        (false, ["192.0.2.0/24".to_owned()].as_slice())
    );
    assert_eq!(summary.blocked, blocked("198.51.100.77/32"));
    let json = serde_json::to_string(&summary).unwrap();
    let expected = "{\"blocked\":[{\"source\":\"198.51.100.77/32\",\
                    \"rule\":\"BRUTEFORCE:register\",\"proven\":true}],\"contained\":[],\
                    \"quarantined\":[],\"trusted\":[],";
    assert!(json.starts_with(expected), "{json}");
}

#[test]
fn what_was_read_before_a_fault_is_replayed() {
    let mut recording = Recording::new();
    crack(&mut recording, CRACKER, PBX, 20);
    let whole = recording.bytes.len();
    recording.bytes.extend([0; 9]);
    let open = || Capture::new("cut.pcap".to_owned(), recording.bytes.as_slice());
    let (outcome, fault) = run(open, &Config::default(), &[]).unwrap();
    assert_eq!(outcome.summary().blocked, blocked("198.51.100.77/32"));
    assert!(
        matches!(fault, Some(CaptureError::Truncated { offset, .. }) if offset == whole as u64)
    );
}
