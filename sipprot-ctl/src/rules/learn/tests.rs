//! Observations while learning, and the proposal that they lead to.

use super::*;
use crate::rules::engine::tests::*;
use crate::rules::{Method, Proof, Settings};

const HOME: &str = "203.0.113.50:5060";

fn learning() -> Scene {
    let mut scene = Scene::new();
    scene.engine.learn(Learning::new(time(0)));
    scene
}

/// The proposal, one line each.
fn proposed(scene: &Scene) -> Vec<String> {
    let learning = scene.engine.learning().unwrap();
    let Proposal { peers, limits } = learning.proposal(scene.engine.settings());
    let peers = peers.iter().map(|peer| {
        let would = peer.would.map(|what| format!(", else {what:?}")).unwrap_or_default();
        format!("peer {} {:?} {} {}{would}", peer.source_ip, peer.kind, peer.accounts, peer.calls)
    });
    let limits = limits.iter().map(|limit| {
        let LimitProposal { rule, now, proposed, reached, source_ip } = limit;
        format!("{rule} {now} → {proposed}, {reached} of {source_ip}")
    });
    peers.chain(limits).collect()
}

/// What would have been, one line each.
fn would(scene: &Scene) -> Vec<String> {
    let rows = scene.engine.learning().unwrap().would();
    let mut lines: Vec<String> = rows
        .map(|row| format!("{} {:?} {:?} {}", row.source_ip, row.what, row.cause, row.count))
        .collect();
    lines.sort();
    lines
}

fn check(name: &str, acts: impl Fn(&mut Scene), expected_would: &[&str], expected: &[&str]) {
    let mut scene = learning();
    acts(&mut scene);
    assert_eq!(would(&scene), expected_would, "{name}");
    assert_eq!(proposed(&scene), expected, "{name}");
    let consequences = ["block", "deny", "contain", "quarantine"];
    let carried =
        scene.lines.iter().find(|line| consequences.iter().any(|it| line.starts_with(it)));
    assert_eq!(carried, None, "{name}: nothing is carried out");
}

#[test]
fn what_would_have_been_is_kept_and_not_done() {
    let attack = guess(EVE, "100").gets(401);
    check(
        "a cracker",
        |scene| scene.repeat(0, 100, 30, &attack),
        &["198.51.100.66 Blocked Rule(Register) 1"],
        &[],
    );
    check(
        "and escalation",
        |scene| (0..6).for_each(|hour| scene.repeat(hour * 2 * HOUR, 100, 10, &attack)),
        &["198.51.100.66 Blocked Rule(Register) 4", "198.51.100.66 Denied Rule(Register) 2"],
        &[],
    );
    check(
        "forged",
        |scene| scene.repeat(0, 100, 10, &forged(EVE, "100").gets(401)),
        &["198.51.100.66 Contained Rule(Register) 1"],
        &[],
    );
    let kernel = |reason| Act::Kernel(reason, EVE, 3, Proof::None);
    check(
        "what the kernel would have dropped",
        |scene| {
            scene.repeat(0, 10, 2, &kernel(Reason::UserAgent));
            scene.play(100, &kernel(Reason::SourceCeiling));
            scene.play(100, &kernel(Reason::Held));
        },
        &[
            "198.51.100.66 Dropped Ceiling 3",
            "198.51.100.66 Dropped Rule(UserAgent) 6",
            "198.51.100.66 Held Rule(KernelAttempts) 3",
        ],
        &[],
    );
}

#[test]
fn a_customer_that_would_have_been_blocked_leads_to_a_proposal() {
    let mistyped = |count: u64| {
        move |scene: &mut Scene| {
            scene.repeat(0, 100, count, &forged(HOME, "100").gets(401));
            scene.play(MINUTE, &accepted(HOME, "101"));
        }
    };
    check(
        "one household: the limit",
        mistyped(14),
        &["203.0.113.50 Contained Rule(Register) 1"],
        &["BRUTEFORCE:register 10 → 21, 14 of 203.0.113.50"],
    );
    check("below the limit", mistyped(9), &[], &[]);
    check(
        "far above it: no limit fits",
        mistyped(150),
        &["203.0.113.50 Contained Rule(Register) 1"],
        &[],
    );
    check(
        "an office: a peer",
        |scene| {
            scene.repeat(0, 100, 14, &forged(OFFICE, "100").gets(401));
            (0..5).for_each(|phone| {
                scene.play(MINUTE + phone, &accepted(OFFICE, &format!("10{phone}")))
            });
        },
        &["203.0.113.7 Contained Rule(Register) 1"],
        &["peer 203.0.113.7 Office 5 0, else Contained"],
    );
    check(
        "a guesser that guessed right is no customer",
        |scene| {
            scene.repeat(0, 100, 14, &guess(EVE, "100").gets(401));
            scene.play(MINUTE, &accepted(EVE, "100"));
        },
        &["198.51.100.66 Blocked Rule(Register) 1"],
        &[],
    );
    check(
        "one phone of an office with an old password needs nothing",
        |scene| {
            (0..5).for_each(|phone| scene.play(phone, &accepted(OFFICE, &format!("10{phone}"))));
            let desk = "203.0.113.7:5099";
            scene.repeat(SECOND, 100, 40, &guess(desk, "100").gets(401));
        },
        &["203.0.113.7 Quarantined Rule(Register) 1"],
        &[],
    );
    check(
        "an office that sets up five new phones",
        |scene| {
            (0..5).for_each(|phone| scene.play(phone, &accepted(OFFICE, &format!("10{phone}"))));
            for phone in 0..6 {
                let new = guess("203.0.113.7:7000", &format!("20{phone}")).gets(401);
                scene.play(SECOND + phone * 100, &new);
            }
        },
        &["203.0.113.7 Blocked Rule(Accounts) 1"],
        &["BRUTEFORCE:accounts 5 → 9, 6 of 203.0.113.7"],
    );
}

#[test]
fn trunks_are_proposed_as_peers() {
    check(
        "it answered",
        |scene| scene.play(0, &options(TRUNK).outbound().gets(200)),
        &[],
        &["peer 198.51.100.200 Trunk 0 0"],
    );
    check(
        "it failed before it answered",
        |scene| {
            scene.repeat(0, 100, 6, &invite(TRUNK, "7000").by(Proof::Tcp).gets(404));
            scene.play(MINUTE, &options(TRUNK).outbound().gets(200));
        },
        &["198.51.100.200 Blocked Rule(Invite) 1"],
        &["peer 198.51.100.200 Trunk 0 0, else Blocked"],
    );
    check(
        "it only calls",
        |scene| scene.repeat(0, SECOND, 4, &invite(TRUNK, "7000").gets(200)),
        &[],
        &["peer 198.51.100.200 Caller 0 4"],
    );
    check(
        "a phone that is asked whether it is there",
        |scene| {
            scene.play(0, &accepted(HOME, "100"));
            scene.play(SECOND, &call(Method::Options, HOME, "pbx").outbound().gets(200));
        },
        &[],
        &[],
    );
    let mut scene = learning();
    scene
        .engine
        .apply(Settings { peers: vec!["198.51.100.0/24".parse().unwrap()], ..Settings::default() });
    scene.play(0, &options(TRUNK).outbound().gets(200));
    assert!(proposed(&scene).is_empty(), "a peer already");
}

#[test]
fn what_was_learned_survives() {
    let mut scene = learning();
    scene.repeat(0, 100, 14, &forged(HOME, "100").gets(401));
    scene.play(MINUTE, &accepted(HOME, "101"));
    scene.play(MINUTE, &options(TRUNK).outbound().gets(200));
    scene.engine.learning_mut().unwrap().note_endpoint(EndpointId(1), 40, 7);
    let (would_be, lines) = (would(&scene), proposed(&scene));
    let rows = scene.engine.learning().unwrap().since(time(0));
    assert!(scene.engine.learning().unwrap().since(time(HOUR)).len() <= 1, "endpoints alone");

    let text = |row: &Learned| match row {
        Learned::Would(would) => serde_json::to_string(would).unwrap(),
        Learned::Seen(seen) => serde_json::to_string(seen).unwrap(),
        Learned::Endpoint(_, peak) => serde_json::to_string(peak).unwrap(),
    };
    let again = rows.iter().map(|row| match row {
        Learned::Would(_) => Learned::Would(serde_json::from_str(&text(row)).unwrap()),
        Learned::Seen(_) => Learned::Seen(serde_json::from_str(&text(row)).unwrap()),
        Learned::Endpoint(id, _) => {
            Learned::Endpoint(*id, serde_json::from_str(&text(row)).unwrap())
        }
    });
    let mut scene = Scene::new();
    scene.engine.learn(Learning::restore(time(0), again));
    assert_eq!((would(&scene), proposed(&scene)), (would_be, lines));
}

#[test]
fn what_was_only_judged_is_not_held_against_anyone_afterwards() {
    let mut scene = Scene::new();
    scene.repeat(0, 100, 10, &guess(EVE, "100").gets(401));
    scene.expect("enforced", &["block 198.51.100.66 BRUTEFORCE:register 1/5"]);
    scene.engine.learn(Learning::new(time(2 * HOUR)));
    for hour in 1..5 {
        scene.repeat(hour * 2 * HOUR, 100, 10, &guess(EVE, "100").gets(401));
    }
    scene.expect("learned", &[]);
    assert!(scene.engine.end_learning().is_some());
    scene.repeat(11 * HOUR, 100, 10, &guess(EVE, "100").gets(401));
    scene.expect("the second that counts", &["block 198.51.100.66 BRUTEFORCE:register 2/5"]);
}

#[test]
fn a_forged_flood_neither_fills_memory_nor_hides_what_is_proven() {
    let mut scene = learning();
    scene.repeat(0, 100, 10, &guess(EVE, "100").gets(401));
    let learning = scene.engine.learning_mut().unwrap();
    let row = learning.would().next().unwrap().clone();
    for number in 0..100_000u32 {
        let source_ip = IpAddr::from(number.to_be_bytes());
        learning.keep(Would { source_ip, proven: false, ..row.clone() });
        learning.source(source_ip, time(1));
    }
    assert!(learning.would().count() <= WOULD_MAX && learning.left_out() > 90_000);
    assert!(learning.sources.len() <= SOURCES_MAX);
    assert!(learning.would_of(key(EVE)).next().is_some());
}
