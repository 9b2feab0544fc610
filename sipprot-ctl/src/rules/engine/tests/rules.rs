//! Every rule, on both sides of its limit.

use super::*;
use crate::rules::{Rule, RuleId};

/// `count` acts, `gap` milliseconds apart, lead to nothing; one more leads to `expected`.
fn check(name: &str, count: u64, gap: u64, act: impl Fn(u64) -> Act, expected: &[&str]) {
    let mut scene = Scene::new();
    for number in 0..count {
        scene.play(number * gap, &act(number));
    }
    scene.expect(&format!("{name}: below the limit"), &[]);
    scene.play(count * gap, &act(count));
    scene.expect(&format!("{name}: at the limit"), expected);
}

fn never(name: &str, count: u64, gap: u64, act: impl Fn(u64) -> Act) {
    let mut scene = Scene::new();
    for number in 0..count {
        scene.play(number * gap, &act(number));
    }
    scene.tick(count * gap + 50 * SECOND);
    scene.expect(&format!("{name}: too slow"), &[]);
}

#[test]
fn ten_registrations_a_minute() {
    let act = |_| guess(EVE, "100").gets(401);
    check("register", 9, 100, act, &["block 198.51.100.66 BRUTEFORCE:register 1/5"]);
    check("register, in 59.9 s", 9, 6_655, act, &["block 198.51.100.66 BRUTEFORCE:register 1/5"]);
    never("register", 29, 6_670, act);
}

#[test]
fn thirty_an_hour_and_a_hundred_a_day_for_one_account() {
    let act = |_| guess(EVE, "100").gets(401);
    let hour = ["block 198.51.100.66 BRUTEFORCE:register-hour 1/5"];
    check("hour", 29, 2 * MINUTE, act, &hour);
    never("hour", 99, 2 * MINUTE + 5 * SECOND, act);
    let day = ["block 198.51.100.66 BRUTEFORCE:register-day 1/5"];
    check("day", 99, 14 * MINUTE, act, &day);
    never("day", 300, 14 * MINUTE + 33 * SECOND, act);
    let spread = |number| guess(EVE, &format!("{}", number % 2)).gets(401);
    never("two accounts have two windows", 58, 2 * MINUTE, spread);
}

#[test]
fn five_strange_accounts_in_ten_minutes() {
    let act = |number| guess(EVE, &format!("10{number}")).gets(401);
    let block = ["block 198.51.100.66 BRUTEFORCE:accounts 1/5"];
    check("accounts", 4, 2 * MINUTE, act, &block);
    never("accounts", 30, 150 * SECOND + 1, act);
    let contain = ["contain 198.51.100.66 BRUTEFORCE:accounts 60s"];
    let forged = |number| register(EVE, &format!("10{number}")).gets(404);
    check("forged accounts", 4, SECOND, forged, &contain);
    let caller = |number| invite(EVE, &format!("10{number}")).gets(404);
    never("callers' numbers are no accounts", 20, 16 * SECOND, caller);
}

#[test]
fn five_invites_a_minute_per_endpoint() {
    let act = |_| invite(EVE, "100").gets(404);
    check("invite", 4, SECOND, act, &["contain 198.51.100.66 FRAUD:invite 60s"]);
    let proven = |_| invite(EVE, "100").by(Proof::Tcp).gets(404);
    check("invite over TCP", 4, SECOND, proven, &["block 198.51.100.66 FRAUD:invite 1/5"]);
    never("invite", 30, 15_100, act);
    let spread = |number: u64| invite(EVE, "100").to(PBX, 1 + number as u16 % 2).gets(404);
    check("two endpoints", 8, SECOND, spread, &["contain 198.51.100.66 FRAUD:invite 60s"]);
}

#[test]
fn thirty_probes_a_minute_per_endpoint() {
    let act = |_| options(EVE).gets(404);
    check("probe", 29, SECOND, act, &["contain 198.51.100.66 SCANNER:probe 60s"]);
    never("probe", 60, 2_100, act);
    never("answered 2xx", 100, 100, |_| options(EVE).gets(200));
    never("one address that doesn't answer", 100, 100, |_| options(EVE).gets_nothing());
    let guesses =
        |_| call(Method::Subscribe, EVE, "100").brings(Brings::Response).by(Proof::Nonce).gets(401);
    check("guesses by SUBSCRIBE", 29, SECOND, guesses, &["block 198.51.100.66 SCANNER:probe 1/5"]);
}

#[test]
fn calls_that_never_answer_their_challenge_are_probes() {
    let mut scene = Scene::new();
    scene.repeat(0, SECOND, 31, &invite(EVE, "100").gets(401));
    scene.tick(50 * SECOND);
    scene.expect("not all are due", &[]);
    scene.tick(70 * SECOND);
    scene.expect("thirty", &["contain 198.51.100.66 SCANNER:probe 60s"]);
}

#[test]
fn five_probed_addresses_in_ten_seconds() {
    let to = |number: u64| options(EVE).to(&format!("192.0.2.{}:5060", 20 + number), 0);
    let contain = ["contain 198.51.100.66 SCANNER:addresses 60s"];
    check("refused", 4, SECOND, |number| to(number).gets(404), &contain);
    never("refused", 30, 2_600, |number| to(number).gets(404));
    never("answered 2xx", 30, 100, |number| to(number).gets(200));

    let mut scene = Scene::new();
    for number in 0..5 {
        scene.play(number * 10, &to(number).gets_nothing());
    }
    scene.expect("an answer may still come", &[]);
    scene.tick(SECOND);
    scene.expect("none came", &contain);
}

#[test]
fn thirty_packets_that_are_not_sip() {
    let act = |_| Act::Kernel(Reason::NotSip, EVE, 1, Proof::None);
    check("not SIP", 29, SECOND, act, &["contain 198.51.100.66 ABUSE:not-sip 60s"]);
    never("not SIP", 60, 2_100, act);
    let many = |_| Act::Kernel(Reason::NotSip, EVE, 30, Proof::Tcp);
    check("counted by the kernel", 0, 0, many, &["block 198.51.100.66 ABUSE:not-sip 1/5"]);
}

#[test]
fn twenty_requests_of_a_listed_agent_are_contained_and_never_banned() {
    for proof in [Proof::None, Proof::Tcp] {
        let act = |_| Act::Kernel(Reason::UserAgent, EVE, 1, proof);
        check("agent", 19, SECOND, act, &["contain 198.51.100.66 SCANNER:user-agent 60s"]);
    }
    let settings = Settings { escalate_unproven: true, ..Settings::default() };
    let mut scene = Scene::with(settings);
    for hour in 0..5 {
        scene.play(hour * 2 * HOUR, &Act::Kernel(Reason::UserAgent, EVE, 20, Proof::None));
    }
    scene.expect("hour by hour", &["contain 198.51.100.66 SCANNER:user-agent 60s"; 5]);
}

/// Five sources fail twice each on account 100, within ten minutes.
fn attack_from_five(scene: &mut Scene) {
    for source in 1..=5 {
        let source = format!("198.51.100.{source}:5060");
        scene.repeat(source.len() as u64, 100, 2, &guess(&source, "100").gets(401));
    }
}

#[test]
fn an_account_attacked_from_five_sources_lowers_the_limit_to_three() {
    let mut scene = Scene::new();
    scene.repeat(0, 100, 4, &guess(EVE, "100").gets(401));
    scene.expect("four are no block as long as it is alone", &[]);

    let mut scene = Scene::new();
    attack_from_five(&mut scene);
    scene.expect("five sources", &["alert 198.51.100.5 under attack 100 5"]);
    scene.repeat(SECOND, 100, 2, &guess(EVE, "100").gets(401));
    scene.repeat(SECOND, 100, 4, &guess(EVE, "200").gets(401));
    scene.expect("two, and four on another account", &[]);
    scene.play(2 * SECOND, &guess(EVE, "100").gets(401));
    scene.expect("three", &["block 198.51.100.66 BRUTEFORCE:attacked-account 1/5"]);
}

#[test]
fn unproven_failures_put_no_account_under_attack() {
    let mut scene = Scene::new();
    for source in 1..=50 {
        let source = format!("198.51.100.{source}:5060");
        scene.repeat(0, 100, 2, &forged(&source, "100").gets(401));
    }
    scene.expect("forged", &[]);
}

/// Limits of endpoints by their numbers.
fn own<const N: usize>(limits: [(u16, RuleId, u32); N]) -> Settings {
    let mut settings = Settings::default();
    for (endpoint, rule, limit) in limits {
        let own = settings.endpoints.entry(EndpointId(endpoint)).or_default();
        own.limits.insert(rule, limit);
    }
    settings
}

#[test]
fn an_endpoint_may_have_its_own_limit() {
    let settings = own([(1, RuleId::Register, 3), (2, RuleId::Register, 20)]);
    let at = |endpoint| guess(EVE, "100").to(PBX, endpoint).gets(401);
    let block = "block 198.51.100.66 BRUTEFORCE:register 1/5";
    for (endpoint, limit) in [(1, 3), (2, 20), (3, 10)] {
        let mut scene = Scene::with(settings.clone());
        scene.repeat(0, 100, limit - 1, &at(endpoint));
        scene.expect("below", &[]);
        scene.play(5 * SECOND, &at(endpoint));
        scene.expect("at the limit", &[block]);
    }
    let mut scene = Scene::with(settings);
    scene.repeat(0, 100, 9, &at(3));
    scene.repeat(0, 100, 2, &at(1));
    scene.expect("they are counted apart", &[]);
}

/// A tenant with a limit of 3, and one with 8.
#[test]
fn every_limit_may_be_an_endpoint_s_own() {
    let logged = |told, endpoint: u16| {
        let tenant = Speaker::Tenant(EndpointId(endpoint));
        Act::Log(told, tenant, Carrier::Hidden, EVE)
    };
    let failed_call = |endpoint| {
        let call = invite(EVE, "9").to(PBX, endpoint).by(Proof::Tcp).brings(Brings::Response);
        call.gets(403)
    };
    let probe = |endpoint| options(EVE).to(PBX, endpoint).by(Proof::Tcp).gets(404);
    let cases: [(RuleId, &dyn Fn(u16) -> Act); 6] = [
        (RuleId::Register, &|endpoint| guess(EVE, "100").to(PBX, endpoint).gets(401)),
        (RuleId::Invite, &failed_call),
        (RuleId::Probe, &probe),
        (RuleId::Ssh, &|endpoint| logged(Told::SshFailed, endpoint)),
        (RuleId::HttpScan, &|endpoint| logged(Told::HttpScan, endpoint)),
        (RuleId::HttpMissed, &|endpoint| logged(Told::HttpMissed, endpoint)),
    ];
    for (rule, act) in cases {
        let settings = own([(1, rule, 3), (2, rule, 8)]);
        for (endpoint, limit) in [(1, 3), (2, 8)] {
            let mut scene = Scene::with(settings.clone());
            scene.repeat(0, 100, limit - 1, &act(endpoint));
            scene.expect("below", &[]);
            scene.play(5 * SECOND, &act(endpoint));
            let [line] = &scene.lines[..] else { panic!("{rule}: {:?}", scene.lines) };
            assert!(line.starts_with("block") && line.contains(rule.signature()), "{line}");
        }
        let mut scene = Scene::with(settings);
        scene.repeat(0, 100, 7, &act(2));
        scene.repeat(SECOND, 100, 2, &act(1));
        scene.expect("they are counted apart", &[]);
    }
}

#[test]
fn an_endpoint_s_blocks_may_be_shorter_and_hold_for_it_alone() {
    let alone = OwnRules {
        block_time: Some(Duration::from_secs(60)),
        blocks_alone: true,
        ..OwnRules::default()
    };
    let settings = Settings {
        endpoints: [(EndpointId(1), alone)].into(),
        block_threshold: 3,
        ..Settings::default()
    };
    let at = |endpoint| guess(EVE, "100").to(PBX, endpoint).gets(401);
    let mut scene = Scene::with(settings);
    for second in 0..9 {
        scene.play(second * 100, &at(1));
    }
    scene.play(SECOND, &at(1));
    scene.expect("at one endpoint", &["block at 1: 198.51.100.66 BRUTEFORCE:register 1/3"]);
    // Others know nothing of it: what it does there counts, and is a block of its own.
    scene.repeat(2 * SECOND, 100, 10, &at(2));
    scene.expect("at another", &["block 198.51.100.66 BRUTEFORCE:register 2/3"]);
    // After the minute it is still the host's block that holds.
    scene.repeat(70 * SECOND, 100, 10, &at(1));
    scene.expect("the host's covers both", &[]);
    scene.repeat(2 * HOUR, 100, 10, &at(1));
    scene.expect("the third", &["deny at 1: 198.51.100.66 BRUTEFORCE:register 3"]);
}

#[test]
fn a_changed_limit_takes_effect_at_once() {
    let mut scene = Scene::new();
    scene.repeat(0, 100, 4, &guess(EVE, "100").gets(401));
    let mut settings = Settings::default();
    for rule in settings.rules.iter_mut().filter(|rule| rule.id == RuleId::Register) {
        rule.limit = 5;
    }
    scene.engine.apply(settings);
    scene.play(SECOND, &guess(EVE, "100").gets(401));
    scene.expect("the fifth", &["block 198.51.100.66 BRUTEFORCE:register 1/5"]);
}

#[test]
fn every_default_rule_is_there_once() {
    let mut rules: Vec<_> = Rule::defaults().iter().map(|rule| rule.id).collect();
    let count = rules.len();
    rules.sort();
    rules.dedup();
    assert_eq!((count, rules.len()), (14, 14));
}
