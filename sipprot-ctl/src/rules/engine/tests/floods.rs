//! A million sources that may be forged: what is kept of them is bounded, and costs nobody else.

use super::*;

/// A build without optimisation takes a minute for a million: there an eighth, as slowly as it fits.
const FORGED: u32 = if cfg!(debug_assertions) { 1 << 17 } else { 1 << 20 };
/// A million as fast as two CPUs tell of unknown sources.
const PER_SECOND: u64 = (400 * FORGED as u64) >> 20;

/// What each table may keep: entries, and MiB. ARCHITECTURE has the same table.
const CAPS: [(&str, usize, usize); 8] = [
    ("requests", 32_768, 10),
    ("invites", 32_768, 10),
    ("challenges", 32_768, 7),
    ("tenancies", 65_536, 13),
    ("sources", 32_768, 32),
    ("records", 65_536, 20),
    ("targets", 16_384, 4),
    ("told", 16_384, 1),
];

fn kept(engine: &Engine) -> [(usize, usize); 8] {
    [
        engine.requests.bytes(),
        engine.invites.bytes(),
        engine.challenges.bytes(),
        engine.tenancies.bytes(),
        engine.sources.bytes(),
        engine.records.bytes(),
        engine.targets.bytes(),
        engine.told.bytes(),
    ]
}

fn assert_bounded(engine: &Engine) {
    for ((name, entries_max, mib_max), (entries, bytes)) in CAPS.into_iter().zip(kept(engine)) {
        println!("{name}: {entries} entries, {} KiB", bytes >> 10);
        assert!(entries <= entries_max && bytes <= mib_max << 20, "{name}: {entries}, {bytes}");
    }
}

/// A /64 of its own.
fn network(number: u32) -> String {
    format!("[2001:db8:{:x}:{:x}::5]:5060", number >> 16, number & 0xFFFF)
}

/// Everything that somebody says in the names of others, in turn.
fn forgery(number: u32) -> Act {
    let source = network(number);
    let account = (1000 + number % 9000).to_string();
    match number % 4 {
        0 | 1 => forged(&source, &account).gets(401),
        2 => call(Method::Invite, &source, &account).brings(Brings::Response).gets(407),
        _ => options(&source).gets_nothing(),
    }
}

#[test]
fn a_million_forged_sources_cost_what_is_said_and_hide_nobody() {
    let mut scene = Scene::new();
    for phone in 0..5 {
        scene.play(0, &accepted(&format!("203.0.113.7:{}", 20_000 + phone), &phone.to_string()));
    }
    scene.lines.clear();
    // Slow enough for every limit but that of an hour, which it reaches in the middle of the flood.
    let guess = guess(EVE, "100").gets(401);
    let mut blocked = Vec::new();
    for number in 0..FORGED {
        let at = SECOND + u64::from(number) * SECOND / PER_SECOND;
        scene.play(at, &forgery(number));
        if number % (60 * PER_SECOND as u32) == 0 {
            scene.play(at, &guess);
        }
        blocked.append(&mut scene.lines);
    }
    assert_bounded(&scene.engine);
    assert_eq!(blocked, ["block 198.51.100.66 BRUTEFORCE:register-hour 1/5"]);
    let now = scene.engine.now;
    let office = scene.engine.explain(key(OFFICE), now);
    assert_eq!((office.accounts.len(), office.trust.is_some()), (5, true));
    assert!(scene.engine.explain(key(EVE), now).block.is_some());
}

#[test]
fn who_fails_in_every_way_keeps_to_its_share() {
    let mut scene = Scene::new();
    for number in 0..50_000u32 {
        // Of a thousand sources, each on hundreds of accounts, with proof.
        let source = network(number % 1000);
        let account = (number / 1000).to_string();
        scene.play(u64::from(number) * 100, &guess(&source, &account).gets(401));
    }
    assert_bounded(&scene.engine);
}
