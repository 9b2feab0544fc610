//! Every cell of the table of consequences, and what the sentences carry.

use super::*;
use crate::rules::{RuleId, Scope};

#[test]
fn untrusted_and_proven_is_blocked() {
    let mut scene = Scene::new();
    scene.repeat(0, 100, 10, &guess(EVE, "100").gets(401));
    scene.expect("proven", &["block 198.51.100.66 BRUTEFORCE:register 1/5"]);
}

#[test]
fn untrusted_and_unproven_is_contained() {
    let mut scene = Scene::new();
    scene.repeat(0, 100, 10, &forged(EVE, "100").gets(401));
    scene.expect("unproven", &["contain 198.51.100.66 BRUTEFORCE:register 60s"]);
    scene.repeat(2 * SECOND, 10, 500, &forged(EVE, "100").gets(401));
    scene.expect("in force", &[]);
    scene.repeat(62 * SECOND, 10, 10, &forged(EVE, "100").gets(401));
    scene.expect("twice as long", &["contain 198.51.100.66 BRUTEFORCE:register 120s"]);
    scene.repeat(3 * HOUR, 10, 10, &forged(EVE, "100").gets(401));
    scene.expect("forgotten", &["contain 198.51.100.66 BRUTEFORCE:register 60s"]);
}

#[test]
fn forged_failures_do_not_wash_out_proven_ones() {
    let mut scene = Scene::new();
    for _ in 0..9 {
        scene.play(0, &guess(EVE, "100").gets(401));
        scene.repeat(0, 1, 30, &forged(EVE, "100").gets(401));
    }
    scene.expect("contained", &["contain 198.51.100.66 BRUTEFORCE:register 60s"]);
    scene.play(SECOND, &guess(EVE, "100").gets(401));
    scene.expect("the tenth proven", &["block 198.51.100.66 BRUTEFORCE:register 1/5"]);
}

#[test]
fn unproven_failures_escalate_only_if_the_operator_wants_it() {
    let contain = "contain 198.51.100.66 BRUTEFORCE:register 60s";
    let deny = "deny 198.51.100.66 BRUTEFORCE:register 3 30 days";
    let attack = forged(EVE, "100").gets(401);
    for (escalate_unproven, third) in [(false, contain), (true, deny)] {
        let mut scene = Scene::with(Settings { escalate_unproven, ..Settings::default() });
        for hour in 0..3 {
            scene.repeat(hour * 5 * HOUR, 10, 10, &attack);
        }
        scene.expect("three separate hours", &[contain, contain, third]);
    }
    let mut scene = Scene::with(Settings { escalate_unproven: true, ..Settings::default() });
    for containment in 0..3 {
        scene.repeat(containment * 5 * MINUTE, 10, 10, &attack);
    }
    let longer = "contain 198.51.100.66 BRUTEFORCE:register 120s";
    let longest = "contain 198.51.100.66 BRUTEFORCE:register 240s";
    scene.expect("one hour", &[contain, longer, longest]);
}

#[test]
fn trusted_with_an_old_password_loses_the_port_of_that_phone() {
    let mut scene = with_office();
    scene.repeat(SECOND, 100, 11, &guess(&desk(3), "103").gets(401));
    let expected = ["quarantine 203.0.113.7:5063 103@pbx", "alert 203.0.113.7 stale password 103"];
    scene.expect("one phone", &expected);
    scene.repeat(30 * SECOND, 100, 30, &guess(&desk(3), "103").gets(401));
    scene.expect("not renewed, and not told again within the hour", &[]);
    scene.repeat(6 * MINUTE, 100, 10, &guess(&desk(3), "103").gets(401));
    scene.expect("after its five minutes", &expected[..1]);
    let standing = scene.engine.explain(key(OFFICE), time(6 * MINUTE + SECOND));
    assert_eq!(standing.quarantined.len(), 1);
    assert!(standing.trust.is_some() && standing.block.is_none());
}

#[test]
fn trusted_with_a_few_strange_accounts_is_quarantined() {
    let mut scene = with_office();
    for number in 0..10 {
        let account = format!("30{}", number % 4);
        scene.play(SECOND + number * 100, &guess("203.0.113.7:7000", &account).gets(401));
    }
    let expected =
        ["quarantine 203.0.113.7:7000 301@pbx", "alert 203.0.113.7 stale password 301 300 303 302"];
    scene.expect("four accounts, one port that nobody else uses", &expected);
}

#[test]
fn trusted_behind_one_port_loses_nothing() {
    let mut scene = Scene::new();
    for phone in 0..50 {
        scene.play(phone, &accepted(OFFICE, &format!("1{phone:02}")));
    }
    scene.repeat(SECOND, 100, 11, &guess(OFFICE, "103").gets(401));
    let expected = ["trust 203.0.113.7 Registered", "alert 203.0.113.7 stale password 103"];
    scene.expect("an SBC", &expected);
}

#[test]
fn trusted_with_five_strange_accounts_is_blocked_and_told() {
    let mut scene = with_office();
    for number in 0..5 {
        scene.play(SECOND + number * 100, &guess(&desk(9), &format!("20{number}")).gets(401));
    }
    let expected =
        ["block 203.0.113.7 BRUTEFORCE:accounts 1/5", "alert 203.0.113.7 KnownPeerBlocked"];
    scene.expect("five", &expected);

    let mut scene = with_office();
    for number in 0..4 {
        scene.play(SECOND + number * 100, &guess(&desk(9), &format!("20{number}")).gets(401));
    }
    for phone in 0..5 {
        scene.repeat(2 * SECOND, 1, 2, &guess(&desk(phone), &format!("10{phone}")).gets(401));
    }
    scene.expect("four, and five that were accepted here", &[]);
}

#[test]
fn trusted_is_never_punished_for_forged_packets() {
    let mut scene = with_office();
    for number in 0..1000u64 {
        let account = format!("{}", number % 300);
        scene.play(SECOND + number, &forged(&desk(number % 7), &account).gets(401));
        scene.play(SECOND + number, &register(&desk(number % 7), &account).gets(404));
        scene.play(SECOND + number, &invite(OFFICE, &account).gets(403));
        scene.play(SECOND + number, &options(OFFICE).gets(404));
    }
    scene.play(3 * SECOND, &Act::Kernel(Reason::UserAgent, OFFICE, 500, Proof::None));
    scene.play(3 * SECOND, &Act::Kernel(Reason::NotSip, OFFICE, 500, Proof::None));
    scene.tick(50 * SECOND);
    scene.expect("nothing", &[]);
}

#[test]
fn the_nth_block_is_for_good() {
    let mut scene = Scene::new();
    for block in 0..5 {
        scene.repeat(block * 2 * HOUR, 100, 10, &guess(EVE, "100").gets(401));
    }
    let expected = [
        "block 198.51.100.66 BRUTEFORCE:register 1/5",
        "block 198.51.100.66 BRUTEFORCE:register 2/5",
        "block 198.51.100.66 BRUTEFORCE:register 3/5",
        "block 198.51.100.66 BRUTEFORCE:register 4/5",
        "deny 198.51.100.66 BRUTEFORCE:register 5",
    ];
    scene.expect("five blocks", &expected);
    assert!(scene.engine.explain(key(EVE), time(9 * HOUR)).denied);

    let mut scene = Scene::new();
    for block in 0..9 {
        scene.repeat(block * 8 * DAY, 100, 10, &guess(EVE, "100").gets(401));
    }
    assert_eq!(scene.lines.last().unwrap(), "block 198.51.100.66 BRUTEFORCE:register 4/5");
}

#[test]
fn a_block_renewed_by_proven_attack_counts_each_block_time() {
    let mut scene = Scene::new();
    scene.repeat(0, 100, 10, &guess(EVE, "100").gets(401));
    scene.expect("the first", &["block 198.51.100.66 BRUTEFORCE:register 1/5"]);
    for quarter in 1..=16 {
        let renewed = Act::Kernel(Reason::Blocked, EVE, 11, Proof::Nonce);
        scene.play(SECOND + quarter * 15 * MINUTE, &renewed);
    }
    scene.expect("four hours more", &["deny 198.51.100.66 BRUTEFORCE:register 5"]);

    let mut scene = Scene::new();
    scene.repeat(0, 100, 10, &guess(EVE, "100").gets(401));
    for quarter in 1..=100 {
        scene.play(quarter * 15 * MINUTE, &Act::Kernel(Reason::Blocked, EVE, 11, Proof::None));
    }
    scene.expect("unproven", &["block 198.51.100.66 BRUTEFORCE:register 1/5"]);
}

#[test]
fn an_unblock_clears_and_gives_an_hour() {
    let mut scene = Scene::new();
    scene.repeat(0, 100, 10, &guess(EVE, "100").gets(401));
    scene.expect("blocked", &["block 198.51.100.66 BRUTEFORCE:register 1/5"]);
    scene.engine.unblock(key(EVE), time(MINUTE));
    scene.repeat(2 * MINUTE, 100, 500, &guess(EVE, "100").gets(401));
    scene.repeat(2 * MINUTE, 100, 500, &forged(EVE, "100").gets(401));
    scene.expect("an hour of grace", &[]);
    scene.play(4 * MINUTE, &Act::Kernel(Reason::Contained, EVE, 1, Proof::None));
    scene.expect("not even the kernel", &["release 198.51.100.66 Spared"]);
    let standing = scene.engine.explain(key(EVE), time(5 * MINUTE));
    assert_eq!(standing.grace_until, Some(time(61 * MINUTE)));
    assert!(standing.evidence.is_some() && standing.block.is_none());
    scene.repeat(70 * MINUTE, 100, 10, &guess(EVE, "100").gets(401));
    scene.expect("afterwards", &["block 198.51.100.66 BRUTEFORCE:register 2/5"]);
}

#[test]
fn grace_and_count_age_are_settings() {
    let (count_age, unblock_grace) = (Duration::from_secs(3 * 3600), Duration::from_secs(600));
    let mut scene = Scene::with(Settings { count_age, unblock_grace, ..Settings::default() });
    for hour in [0, 2, 4] {
        scene.repeat(hour * HOUR, 100, 10, &guess(EVE, "100").gets(401));
    }
    let block = |count| format!("block 198.51.100.66 BRUTEFORCE:register {count}/5");
    scene.expect("the third finds the first aged out", &[&block(1), &block(2), &block(2)]);
    scene.engine.unblock(key(EVE), time(4 * HOUR + MINUTE));
    scene.repeat(4 * HOUR + 2 * MINUTE, 100, 10, &guess(EVE, "100").gets(401));
    scene.expect("ten minutes of grace", &[]);
    scene.repeat(4 * HOUR + 12 * MINUTE, 100, 10, &guess(EVE, "100").gets(401));
    scene.expect("and no more", &[&block(3)]);
}

#[test]
fn some_are_never_blocked() {
    let settings =
        Settings { never_blocked: vec!["198.51.100.0/24".parse().unwrap()], ..Settings::default() };
    let mut scene = Scene::with(settings);
    scene.repeat(0, 10, 500, &guess(EVE, "100").gets(401));
    scene.play(6 * SECOND, &Act::Kernel(Reason::Contained, EVE, 1, Proof::None));
    let expected =
        ["alert 198.51.100.66 Spared { rule: Register }", "release 198.51.100.66 Spared"];
    scene.expect("spared", &expected);
}

#[test]
fn a_protected_address_protects_its_slash_64() {
    let never_blocked = vec!["2001:db8:a::1/128".parse().unwrap()];
    let mut scene = Scene::with(Settings { never_blocked, ..Settings::default() });
    scene.repeat(0, 10, 10, &guess("[2001:db8:a::66]:5060", "100").gets(401));
    scene.repeat(0, 10, 10, &guess("[2001:db8:b::66]:5060", "100").gets(401));
    let expected = [
        "alert 2001:db8:a::66 Spared { rule: Register }",
        "block 2001:db8:b::66 BRUTEFORCE:register 1/5",
    ];
    scene.expect("a block is of a /64", &expected);
}

#[test]
fn the_first_block_may_be_for_good() {
    let mut scene = Scene::with(Settings { block_threshold: 1, ..Settings::default() });
    scene.repeat(0, 100, 50, &guess(EVE, "100").gets(401));
    scene.expect("threshold 1", &["deny 198.51.100.66 BRUTEFORCE:register 1"]);
    scene.engine.unblock(key(EVE), time(MINUTE));
    assert!(!scene.engine.explain(key(EVE), time(MINUTE)).denied);
}

#[test]
fn what_the_kernel_contains_is_known_and_renewed() {
    let mut scene = Scene::new();
    let drops = |count| Act::Kernel(Reason::Contained, EVE, count, Proof::None);
    scene.play(0, &drops(1));
    scene.expect("begins", &["contain 198.51.100.66 BRUTEFORCE:attempts 60s"]);
    scene.repeat(0, SECOND, 60, &drops(5));
    scene.expect("goes on to its end", &["contain 198.51.100.66 BRUTEFORCE:attempts 120s"]);
    scene.play(61 * SECOND, &guess(EVE, "100").gets(200));
    let proved = ["trust 198.51.100.66 Registered", "release 198.51.100.66 Accepted"];
    scene.expect("it was a real phone", &proved);
    scene.play(62 * SECOND, &drops(1));
    scene.expect("and is trusted now", &["release 198.51.100.66 Spared"]);
    scene.play(63 * SECOND, &Act::Kernel(Reason::Held, EVE, 9, Proof::Nonce));
    scene.expect("a hold as well", &["release 198.51.100.66 Spared"]);
    scene.play(0, &Act::Kernel(Reason::Held, TRUNK, 9, Proof::Nonce));
    scene.expect("a hold is no containment", &[]);
}

#[test]
fn a_sentence_carries_its_evidence() {
    let mut scene = Scene::new();
    for number in 0..9 {
        scene.play(number * 1000, &guess(EVE, &format!("10{}", number % 3)).gets(403));
    }
    let last = guess("198.51.100.66:6060", "109").to("192.0.2.12:5060", 2);
    let Act::Call(last) = last.gets(401) else { unreachable!() };
    scene.observe(last.request(time(9000), 999));
    let decisions = scene.engine.observe(&last.response(time(9002), 999, 401));
    let [Decision::Block(block)] = &decisions[..] else { panic!("{decisions:?}") };
    assert_eq!((block.scope, block.host_wide, block.known_peer), (Scope::All, true, false));
    assert_eq!(block.duration.as_secs(), 3600);
    let case = &block.case;
    assert_eq!((case.rule, case.proven, case.source), (RuleId::Register, true, key(EVE)));
    assert_eq!((case.endpoint, case.victim.to_string()), (EndpointId(2), "192.0.2.12".into()));
    assert_eq!(case.evidence_at, time(9002));
    let evidence = &case.evidence;
    assert_eq!((evidence.first, evidence.last, evidence.count), (time(1), time(9002), 10));
    assert_eq!((evidence.method, evidence.status), (Some(Method::Register), Some(401)));
    assert_eq!((evidence.proof, evidence.user_agent.as_deref()), (Proof::Nonce, Some("phone")));
    let accounts: Vec<_> = evidence.accounts.iter().map(Account::as_str).collect();
    assert_eq!(accounts, ["109@pbx", "102@pbx", "101@pbx", "100@pbx"]);
}

/// An answer that left in pieces is none that the kernel knows.
#[test]
fn an_acceptance_over_tcp_releases() {
    let call = |proof| invite(EVE, "100").brings(Brings::Response).by(proof).gets(200);
    let mut scene = Scene::new();
    scene.play(0, &call(Proof::Nonce));
    scene.expect("a datagram is whole", &[]);
    scene.play(SECOND, &call(Proof::Tcp));
    scene.expect("over TCP", &["release 198.51.100.66 Accepted"]);
    scene.play(2 * SECOND, &guess(EVE, "100").by(Proof::Tcp).gets(200));
    scene.expect("trust is more", &["trust 198.51.100.66 Registered"]);
    scene.play(3 * SECOND, &call(Proof::Tcp));
    scene.expect("nothing holds it", &[]);
}
