//! Trust: who earns it, who keeps it, and who does not get it.

use super::*;
use crate::rules::{State, TrustKind};

#[test]
fn a_registration_with_credentials_earns_trust_for_seven_days() {
    let mut scene = Scene::new();
    scene.play(0, &accepted(OFFICE, "100"));
    scene.expect("trust", &["trust 203.0.113.7 Registered"]);
    scene.play(MINUTE, &accepted(OFFICE, "100"));
    scene.expect("known", &[]);
    scene.play(2 * HOUR, &accepted(OFFICE, "100"));
    scene.expect("told again", &["trust 203.0.113.7 Registered again"]);
    scene.tick(7 * DAY + 2 * HOUR - MINUTE);
    scene.expect("still", &[]);
    scene.tick(7 * DAY + 2 * HOUR + MINUTE);
    scene.expect("no more", &["distrust 203.0.113.7 Expired"]);
}

#[test]
fn a_trunk_earns_trust_by_answering_an_endpoint() {
    for method in [Method::Register, Method::Options, Method::Invite] {
        let mut scene = Scene::new();
        scene.play(0, &call(method, TRUNK, "pbx").outbound().gets(200));
        scene.expect("2xx", &["trust 198.51.100.200 Trunk"]);
    }
    let nothing = [
        call(Method::Options, TRUNK, "pbx").outbound().gets(404),
        call(Method::Options, TRUNK, "pbx").outbound().gets(100),
        call(Method::Message, TRUNK, "pbx").outbound().gets(200),
        options(TRUNK).gets(200),
        invite(TRUNK, "100").gets(200),
        register(TRUNK, "100").gets(200),
    ];
    for act in &nothing {
        let mut scene = Scene::new();
        scene.play(0, act);
        scene.expect("nothing shown", &[]);
    }
}

#[test]
fn a_forged_answer_earns_nothing() {
    let mut scene = Scene::new();
    let Act::Call(question) = options(TRUNK).outbound().gets(200) else { unreachable!() };
    scene.observe(question.request(time(0), 1));
    let Observation::Response(answer) = question.response(time(1), 1, 200) else { unreachable!() };
    let wrong_source = Response { source: EVE.parse().unwrap(), ..answer.clone() };
    scene.observe(Observation::Response(wrong_source));
    let wrong_call = Response { call_id: "guessed".into(), ..answer };
    scene.observe(Observation::Response(wrong_call));
    scene.expect("neither", &[]);
}

#[test]
fn a_trusted_trunk_may_probe_and_dial_wrong_numbers() {
    let mut scene = Scene::new();
    scene.play(0, &options(TRUNK).outbound().gets(200));
    scene.expect("qualified", &["trust 198.51.100.200 Trunk"]);
    for number in 0..400u64 {
        let pbx = format!("192.0.2.{}:5060", 10 + number % 40);
        let endpoint = (number % 40) as u16;
        scene.play(number, &options(TRUNK).to(&pbx, endpoint).gets(404));
        scene.play(number, &invite(TRUNK, &number.to_string()).to(&pbx, endpoint).gets(404));
        let refused = invite(TRUNK, &number.to_string()).by(Proof::Tcp).to(&pbx, endpoint);
        scene.play(number, &refused.gets(403));
    }
    scene.tick(MINUTE);
    scene.expect("40 endpoints, 404s for ported numbers, 403s over TCP", &[]);
}

#[test]
fn a_trunks_port_is_never_quarantined() {
    let mut scene = Scene::new();
    scene.play(0, &options(TRUNK).outbound().gets(200));
    scene.repeat(SECOND, 100, 10, &guess(TRUNK, "100").gets(401));
    let expected = ["trust 198.51.100.200 Trunk", "alert 198.51.100.200 stale password 100"];
    scene.expect("alert only", &expected);
}

#[test]
fn a_phone_that_the_pbx_qualifies_has_no_trunks_port() {
    let mut scene = Scene::new();
    scene.play(0, &accepted(OFFICE, "100"));
    scene.play(SECOND, &options(OFFICE).outbound().gets(200));
    scene.repeat(2 * SECOND, 100, 11, &guess(OFFICE, "100").gets(401));
    let expected = [
        "trust 203.0.113.7 Registered",
        "quarantine 203.0.113.7:5060 100@pbx",
        "alert 203.0.113.7 stale password 100",
    ];
    scene.expect("still its own", &expected);
}

#[test]
fn configured_peers_are_trusted() {
    let settings =
        Settings { peers: vec!["198.51.100.200/32".parse().unwrap()], ..Settings::default() };
    let mut scene = Scene::with(settings);
    scene.repeat(0, 10, 100, &invite(TRUNK, "100").gets(404));
    scene.repeat(0, 10, 100, &forged(TRUNK, "100").gets(401));
    scene.expect("no consequence", &[]);
    assert!(scene.engine.explain(key(TRUNK), time(0)).peer);
}

#[test]
fn an_acceptance_after_three_proven_failures_is_a_possible_break_in() {
    let mut scene = Scene::new();
    scene.repeat(0, MINUTE, 2, &guess(EVE, "100").gets(401));
    scene.play(5 * MINUTE, &accepted(EVE, "100"));
    scene.expect("two", &["trust 198.51.100.66 Registered"]);

    let mut scene = Scene::new();
    scene.repeat(0, MINUTE, 3, &guess(EVE, "100").gets(401));
    scene.play(5 * MINUTE, &accepted(EVE, "100"));
    scene.expect("three", &["alert 198.51.100.66 possible break-in 100 3 1"]);
    scene.play(6 * MINUTE, &accepted("198.51.100.77:5060", "100"));
    scene.play(23 * HOUR, &accepted(EVE, "100"));
    scene.expect("no new trust by this account for 24 h, from anywhere", &[]);
    scene.play(6 * MINUTE, &accepted(EVE, "500"));
    scene.expect("but by others", &["trust 198.51.100.66 Registered"]);
    scene.play(25 * HOUR, &accepted("198.51.100.77:5060", "100"));
    scene.expect("afterwards", &["trust 198.51.100.77 Registered"]);
}

#[test]
fn neither_forged_nor_free_nor_old_failures_make_a_break_in() {
    let mut scene = Scene::new();
    scene.repeat(0, MINUTE, 5, &forged(EVE, "100").gets(401));
    scene.play(6 * MINUTE, &accepted(EVE, "100"));
    scene.expect("forged", &["trust 198.51.100.66 Registered"]);

    let mut scene = Scene::new();
    scene.play(0, &accepted(EVE, "100"));
    scene.repeat(MINUTE, MINUTE, 3, &guess(EVE, "100").gets(401));
    scene.play(6 * MINUTE, &accepted(EVE, "100"));
    scene.expect("one of three was free", &["trust 198.51.100.66 Registered"]);

    let mut scene = Scene::new();
    scene.repeat(0, MINUTE, 3, &guess(EVE, "100").gets(401));
    scene.play(63 * MINUTE, &accepted(EVE, "100"));
    scene.expect("an hour ago", &["trust 198.51.100.66 Registered"]);
}

#[test]
fn an_acceptance_while_many_attack_the_account_is_a_possible_break_in() {
    let mut scene = Scene::new();
    scene.play(0, &accepted(OFFICE, "100"));
    for source in 1..=5 {
        scene.play(source, &guess(&format!("198.51.100.{source}:5060"), "100").gets(401));
    }
    scene.play(MINUTE, &accepted("192.0.2.200:5060", "100"));
    scene.play(2 * MINUTE, &accepted(OFFICE, "100"));
    let expected = [
        "trust 203.0.113.7 Registered",
        "alert 198.51.100.5 under attack 100 5",
        "alert 192.0.2.200 possible break-in 100 0 5",
        "alert 203.0.113.7 possible break-in 100 0 5",
    ];
    scene.expect("five sources", &expected);
    assert!(scene.engine.is_trusted("203.0.113.7".parse().unwrap()), "trust already held stays");
}

#[test]
fn revoked_trust_comes_back_after_a_day() {
    let mut scene = Scene::new();
    scene.play(0, &accepted(OFFICE, "100"));
    let revoked = scene.engine.revoke_trust(key(OFFICE), time(SECOND)).unwrap();
    assert_eq!(line(&revoked), "distrust 203.0.113.7 Revoked");
    assert!(scene.engine.revoke_trust(key(OFFICE), time(SECOND)).is_none());
    scene.play(MINUTE, &accepted(OFFICE, "100"));
    scene.play(25 * HOUR, &accepted(OFFICE, "100"));
    let trust = "trust 203.0.113.7 Registered";
    scene.expect("once before, once after", &[trust, trust]);
}

#[test]
fn each_account_of_an_office_is_to_be_written_soon() {
    let mut scene = Scene::new();
    scene.play(0, &guess(OFFICE, "100").gets(401));
    assert!(!scene.engine.take_new_accounts(), "a failure");
    for account in ["100", "101"] {
        scene.play(SECOND, &accepted(OFFICE, account));
        assert!(scene.engine.take_new_accounts(), "{account}");
        scene.play(MINUTE, &accepted(OFFICE, account));
        assert!(!scene.engine.take_new_accounts(), "{account} again");
    }
}

#[test]
fn what_must_survive_a_restart_does() {
    let mut scene = Scene::new();
    for phone in 0..3 {
        let desk = format!("203.0.113.7:{}", 5060 + phone);
        scene.play(phone, &accepted(&desk, &format!("10{phone}")));
        scene.play(phone, &accepted("203.0.113.7:6000", &format!("10{phone}")));
    }
    for block in 0..2 {
        scene.repeat(block * 2 * HOUR, 100, 10, &guess(EVE, "100").gets(401));
    }
    scene.engine.unblock(key(TRUNK), time(2 * HOUR));
    scene.engine.revoke_trust(key(TRUNK), time(2 * HOUR));
    scene.repeat(2 * HOUR, 10, 3, &guess("192.0.2.200:5060", "300").gets(401));
    scene.play(2 * HOUR + SECOND, &accepted("192.0.2.200:5060", "300"));

    let text = serde_json::to_string(&scene.engine.state()).unwrap();
    let state: State = serde_json::from_str(&text).unwrap();
    let mut scene = Scene::new();
    let now = 2 * HOUR + MINUTE;
    scene.engine.restore(state, time(now));

    let office = scene.engine.explain(key(OFFICE), time(now));
    assert_eq!(office.trust.unwrap().kind, TrustKind::Registered);
    assert_eq!(office.accounts.len(), 3);
    let eve = scene.engine.explain(key(EVE), time(now));
    assert_eq!(eve.blocks.len(), 2);
    assert_eq!(eve.block.unwrap().start, time(2 * HOUR + 901));
    assert!(scene.engine.explain(key(TRUNK), time(now)).grace_until.is_some());

    scene.repeat(now, 10, 11, &guess("203.0.113.7:6000", "102").gets(401));
    scene.expect("a shared port is still known", &["alert 203.0.113.7 stale password 102"]);
    scene.repeat(now + MINUTE, 10, 10, &guess("203.0.113.7:5062", "102").gets(401));
    scene.expect("an own one too", &["quarantine 203.0.113.7:5062 102@pbx"]);
    scene.repeat(5 * HOUR, 10, 10, &guess(EVE, "100").gets(401));
    scene.expect("and the count", &["block 198.51.100.66 BRUTEFORCE:register 3/5"]);
    scene.play(6 * HOUR, &accepted(TRUNK, "200"));
    scene.play(6 * HOUR, &accepted("192.0.2.201:5060", "300"));
    scene.expect("revoked trust and a broken account give none", &[]);
    scene.play(27 * HOUR, &accepted(TRUNK, "200"));
    scene.play(27 * HOUR, &accepted("192.0.2.201:5060", "300"));
    let expected = ["trust 198.51.100.200 Registered", "trust 192.0.2.201 Registered"];
    scene.expect("for a day", &expected);
}

#[test]
fn a_clock_that_is_set_costs_nobody_trust_and_no_count_lasts() {
    const SLOW: &str = "198.51.100.67:5060";
    let (before, day_ns) = (4000 * DAY, 86_400_000_000_000);
    for (way, after, days) in [("ahead", 8000 * DAY, 4000), ("back", DAY, -3999)] {
        let mut scene = Scene::new();
        scene.play(before, &accepted(OFFICE, "100"));
        scene.repeat(before, 100, 10, &guess(EVE, "100").gets(401));
        scene.repeat(before, 100, 9, &guess(SLOW, "100").gets(401));
        scene.expect(
            way,
            &["trust 203.0.113.7 Registered", "block 198.51.100.66 BRUTEFORCE:register 1/5"],
        );
        scene.engine.clock_was_set(days * day_ns);
        scene.tick(after + MINUTE);
        let now = time(after + MINUTE);
        let trust = scene.engine.explain(key(OFFICE), now).trust.unwrap();
        let told = (trust.since.as_secs(), trust.until.as_secs());
        assert_eq!(told, (time(after).as_secs(), time(after + 7 * DAY).as_secs()), "{way}");
        let eve = scene.engine.explain(key(EVE), now);
        assert!(eve.block.unwrap().is_in_force(now), "{way}");
        assert_eq!(eve.blocks.len(), 1, "{way}");
        scene.repeat(after + HOUR, HOUR, 20, &guess(SLOW, "100").gets(401));
        scene.expect(way, &[]);
        scene.repeat(after + 2 * DAY, 100, 10, &guess(EVE, "100").gets(401));
        scene.expect(way, &["block 198.51.100.66 BRUTEFORCE:register 2/5"]);
        scene.tick(after + 7 * DAY + MINUTE);
        scene.expect(way, &["distrust 203.0.113.7 Expired"]);
    }
}
