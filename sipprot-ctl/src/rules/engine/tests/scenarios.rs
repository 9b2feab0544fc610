//! Whole stories: crackers, offices, storms, floods.

use super::*;

/// A phone's normal registration: challenged, then accepted.
fn handshake(scene: &mut Scene, at: u64, source: &str, account: &str) {
    scene.play(at, &register(source, account).gets(401));
    scene.play(at + 2, &guess(source, account).gets(200));
}

/// Phone number `phone` of the office, on its own port.
fn desk(phone: u64) -> (String, String) {
    (format!("203.0.113.7:{}", 20_000 + phone), format!("{}", 1000 + phone))
}

#[test]
fn a_cracker_is_blocked_at_its_tenth_rejection() {
    let variants = [
        ("one nonce", guess(EVE, "100")),
        ("one Call-ID, CSeq and branch", guess(EVE, "100").named("same")),
        ("TCP", guess(EVE, "100").by(Proof::Tcp)),
    ];
    for (name, attempt) in variants {
        let mut scene = Scene::new();
        scene.repeat(0, 0, 9, &attempt.clone().gets(401));
        scene.expect(name, &[]);
        scene.repeat(1, 0, 4_991, &attempt.gets(401));
        scene.expect(name, &["block 198.51.100.66 BRUTEFORCE:register 1/5"]);
    }
}

#[test]
fn a_pipelining_cracker_is_blocked_when_its_answers_come() {
    let mut scene = Scene::new();
    let Act::Call(attempt) = guess(EVE, "100").named("same").gets(401) else { unreachable!() };
    for serial in 0..5_000 {
        scene.observe(attempt.request(time(0), serial));
    }
    for serial in 0..9 {
        scene.observe(attempt.response(time(1), serial, 401));
    }
    scene.expect("nine answers", &[]);
    scene.observe(attempt.response(time(2), 9, 401));
    scene.expect("ten", &["block 198.51.100.66 BRUTEFORCE:register 1/5"]);
}

#[test]
fn a_cracker_on_many_ports_is_one_source() {
    let mut scene = Scene::new();
    for number in 0..10 {
        let source = format!("198.51.100.66:{}", 40_000 + number);
        scene.play(number, &guess(&source, "100").gets(401));
    }
    scene.expect("one", &["block 198.51.100.66 BRUTEFORCE:register 1/5"]);

    let mut scene = Scene::new();
    for number in 0..10 {
        let source = format!("[2001:db8:a::{number:x}]:5060");
        scene.play(number, &guess(&source, "100").gets(401));
    }
    scene.expect("one /64", &["block 2001:db8:a::9 BRUTEFORCE:register 1/5"]);
}

#[test]
fn an_office_of_five_hundred_phones_is_never_blocked() {
    let mut scene = Scene::new();
    for phone in 0..500 {
        let (source, account) = desk(phone);
        handshake(&mut scene, phone * 10, &source, &account);
    }
    for round in 1..=3 {
        for phone in 0..500 {
            let (source, account) = desk(phone);
            let start = round * MINUTE + phone * 10;
            scene.play(start, &guess(&source, &account).gets(401));
            scene.play(start + 2, &guess(&source, &account).gets(200));
        }
    }
    scene.tick(10 * MINUTE);
    scene.expect("storms of expired nonces", &["trust 203.0.113.7 Registered"]);
    assert_eq!(scene.engine.explain(key(OFFICE), time(10 * MINUTE)).accounts.len(), 500);
}

#[test]
fn five_hundred_phones_wake_up_together() {
    let mut scene = Scene::new();
    for phone in 0..500 {
        let (source, account) = desk(phone);
        scene.play(phone, &register(&source, &account).gets(401));
    }
    for phone in 0..500 {
        let (source, account) = desk(phone);
        scene.play(SECOND + phone, &guess(&source, &account).gets(200));
    }
    scene.tick(MINUTE);
    scene.expect("after a power cut, at a new address", &["trust 203.0.113.7 Registered"]);
}

#[test]
fn a_dead_pbx_blocks_none_of_its_customers() {
    let mut scene = Scene::new();
    for phone in 0..500 {
        let (source, account) = desk(phone);
        for minute in 0..5 {
            let start = minute * MINUTE + phone * 100;
            scene.play(start, &register(&source, &account).gets_nothing());
            scene.play(start + 20, &guess(&source, &account).gets_nothing());
            scene.play(start + 40, &options(&source).gets_nothing());
            scene.play(start + 60, &guess(&source, &account).gets(503));
        }
    }
    for phone in 0..500 {
        let (source, account) = desk(phone);
        handshake(&mut scene, 6 * MINUTE + phone, &source, &account);
    }
    scene.tick(10 * MINUTE);
    scene.expect("five minutes", &["trust 203.0.113.7 Registered"]);
}

#[test]
fn twelve_forged_packets_contain_a_stranger_at_most() {
    let mut scene = Scene::new();
    scene.repeat(0, 10, 12, &forged(OFFICE, "100").gets(401));
    scene.expect("a nonce fetched elsewhere", &["contain 203.0.113.7 BRUTEFORCE:register 60s"]);
    handshake(&mut scene, SECOND, OFFICE, "100");
    let proved = ["trust 203.0.113.7 Registered", "release 203.0.113.7 Accepted"];
    scene.expect("the office proves itself", &proved);
    scene.repeat(2 * SECOND, 10, 1200, &forged(OFFICE, "100").gets(401));
    scene.expect("and is safe from then on", &[]);
}

#[test]
fn a_username_scanner_is_contained_or_blocked() {
    let scan = |proof| {
        let mut scene = Scene::new();
        for number in 0..100u64 {
            let probe = register(EVE, &format!("{number}")).named("svwar").by(proof);
            scene.play(number * 10, &probe.gets(404));
        }
        scene.lines
    };
    assert_eq!(scan(Proof::None), ["contain 198.51.100.66 BRUTEFORCE:accounts 60s"]);
    assert_eq!(scan(Proof::Tcp), ["block 198.51.100.66 BRUTEFORCE:accounts 1/5"]);
}

#[test]
fn a_world_behind_a_nat_is_spared() {
    let gateway = "10.0.0.1:5060";
    let mut scene = Scene::new();
    for phone in 0..100 {
        handshake(&mut scene, phone * 500, gateway, &format!("{}", 1000 + phone % 20));
    }
    scene.tick(2 * MINUTE);
    for number in 0..50 {
        scene.play(2 * MINUTE + number, &guess(gateway, &format!("{number}")).gets(401));
    }
    let expected = [
        "trust 10.0.0.1 Registered",
        "alert 10.0.0.1 WorldBehindNat",
        "alert 10.0.0.1 Spared { rule: Accounts }",
        "alert 10.0.0.1 Spared { rule: Register }",
    ];
    scene.expect("spared", &expected);

    let mut scene = Scene::new();
    scene.repeat(0, 1000, 120, &guess(gateway, "100").gets(401));
    assert_eq!(scene.lines[0], "block 10.0.0.1 BRUTEFORCE:register 1/5", "a cracker on the LAN");
}

#[test]
fn a_forged_flood_neither_fills_memory_nor_hides_a_cracker() {
    let mut scene = Scene::new();
    scene.play(0, &accepted(OFFICE, "100"));
    scene.repeat(0, 1, 9, &guess(EVE, "100").gets(401));
    scene.expect("before", &["trust 203.0.113.7 Registered"]);
    for number in 0..100_000u32 {
        let [_, a, b, c] = number.to_be_bytes();
        let source = format!("11.{a}.{b}.{c}:5060");
        scene.play(10 + u64::from(number / 100), &forged(&source, "100").gets(401));
    }
    scene.expect("flood", &[]);
    let memory = scene.engine.memory();
    assert!(memory.sources <= 65_536 && memory.sources_dropped > 0, "{memory:?}");
    assert!(scene.engine.is_trusted("203.0.113.7".parse().unwrap()));
    scene.play(10 * SECOND, &guess(EVE, "100").gets(401));
    scene.expect("after", &["block 198.51.100.66 BRUTEFORCE:register 1/5"]);
}

#[test]
fn events_slightly_out_of_order_change_nothing() {
    let mut scene = Scene::new();
    let Act::Call(attempt) = guess(EVE, "100").gets(401) else { unreachable!() };
    for serial in 0..10u64 {
        let jitter = [3, 0, 5, 1][serial as usize % 4];
        scene.observe(attempt.request(time(100 + serial + jitter), serial));
        scene.observe(attempt.response(time(100 + serial - jitter), serial, 401));
    }
    scene.expect("ten all the same", &["block 198.51.100.66 BRUTEFORCE:register 1/5"]);
}
