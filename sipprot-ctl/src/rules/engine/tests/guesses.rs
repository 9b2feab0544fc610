//! Guesses that come another way than by a whole REGISTER: by INVITE, cut short, or answered late.

use super::*;

/// A call with a password, on a nonce that was sent to this source alone.
fn proven_call(source: &str, account: &str) -> Call {
    invite(source, account).brings(Brings::Response).by(Proof::Nonce)
}

#[test]
fn a_trusted_source_can_not_guess_by_calls() {
    const CUT: [&str; 2] =
        ["quarantine 203.0.113.7:7000 103@pbx", "alert 203.0.113.7 stale password 103"];
    let table: [(&str, &str, u16, u64, &[&str]); 7] = [
        // name, from, status, how many, decisions
        ("an accepted account through another port", "203.0.113.7:7000", 401, 10 + 1, &CUT),
        ("refused, not challenged", "203.0.113.7:7000", 403, 10 + 1, &CUT),
        ("fewer than the limit", "203.0.113.7:7000", 401, 9 + 1, &[]),
        (
            "an old password of the phone itself",
            "203.0.113.7:5063",
            401,
            10 + 1,
            &["quarantine 203.0.113.7:5063 103@pbx", CUT[1]],
        ),
        ("barred numbers dialled where the account is at home", "203.0.113.7:5063", 403, 500, &[]),
        ("numbers that are not in use", "203.0.113.7:5063", 404, 500, &[]),
        ("busy", "203.0.113.7:5063", 486, 500, &[]),
    ];
    for (name, source, status, count, expected) in table {
        let mut scene = with_office();
        scene.repeat(SECOND, 100, count, &proven_call(source, "103").gets(status));
        scene.expect(name, expected);
    }
    let mut scene = with_office();
    let strange = |number: u64| proven_call(&desk(9), &format!("20{number}")).gets(401);
    (0..5).for_each(|number| scene.play(SECOND + number * 100, &strange(number)));
    let expected =
        ["block 203.0.113.7 BRUTEFORCE:accounts 1/5", "alert 203.0.113.7 KnownPeerBlocked"];
    scene.expect("five accounts that it never had", &expected);
}

#[test]
fn a_trunk_and_an_office_behind_one_port_may_be_refused_calls() {
    let mut scene = Scene::new();
    for phone in 0..50 {
        scene.play(phone, &accepted(OFFICE, &format!("1{phone:02}")));
    }
    scene.play(SECOND, &options(TRUNK).outbound().gets(200));
    scene.expect("known", &["trust 203.0.113.7 Registered", "trust 198.51.100.200 Trunk"]);
    for number in 0..300u64 {
        let at = 2 * SECOND + number * 20;
        scene.play(at, &proven_call(OFFICE, &format!("1{:02}", number % 50)).gets(403));
        scene.play(at, &invite(TRUNK, &number.to_string()).by(Proof::Tcp).gets(403));
        scene.play(at, &invite(TRUNK, &number.to_string()).by(Proof::Tcp).gets(404));
    }
    scene.expect("dialplan", &[]);
}

#[test]
fn who_rings_long_is_still_answered() {
    let check = |name: &str, rings: bool, minutes: u64, expected: &[&str]| {
        let mut scene = Scene::new();
        let Act::Call(call) = invite(TRUNK, "pbx").outbound().gets(200) else { unreachable!() };
        scene.observe(call.request(time(0), 1));
        scene.observe(call.response(time(50), 1, 100));
        if rings {
            scene.observe(call.response(time(SECOND), 1, 180));
        }
        scene.repeat(SECOND, MINUTE / 2, 2 * minutes, &options(OFFICE).gets(200));
        scene.observe(call.response(time(minutes * MINUTE), 1, 200));
        scene.expect(name, expected);
    };
    let trust = ["trust 198.51.100.200 Trunk"];
    check("three minutes", false, 3, &trust);
    check("five without a sound", false, 5, &[]);
    check("five, ringing", true, 5, &trust);
    check("fourteen, ringing", true, 14, &trust);
    check("for ever", true, 20, &[]);
}

#[test]
fn what_is_too_long_to_be_seen_is_judged_by_its_answer() {
    let long = |source: &str| register(source, "100").brings(Brings::Unseen);
    let mut scene = Scene::new();
    scene.repeat(0, 100, 10, &long(EVE).gets(401));
    scene.expect("guesses", &["contain 198.51.100.66 BRUTEFORCE:register 60s"]);

    let mut scene = Scene::new();
    scene.repeat(0, 100, 10, &long(EVE).by(Proof::Tcp).gets(401));
    scene.expect("over TCP", &["block 198.51.100.66 BRUTEFORCE:register 1/5"]);

    let mut scene = Scene::new();
    for phone in 0..50u64 {
        let at = phone * 200;
        scene.play(at, &register(OFFICE, &format!("1{phone:02}")).gets(401));
        let account = format!("1{phone:02}");
        scene.play(at + 50, &register(OFFICE, &account).brings(Brings::Unseen).gets(200));
    }
    scene.tick(2 * MINUTE);
    scene.expect("phones whose password lies behind what is seen", &[]);
    for phone in 0..50u64 {
        let account = format!("1{phone:02}");
        let whole = || register(OFFICE, &account).brings(Brings::Unseen);
        scene.play(5 * MINUTE + phone * 100, &whole().gets(401));
        scene.play(5 * MINUTE + phone * 100 + 50, &whole().gets(200));
    }
    scene.tick(7 * MINUTE);
    scene.expect("and that are too long without it, too, once they were accepted", &[]);
}

#[test]
fn a_quarantine_shows_what_came_through_its_port() {
    let mut scene = with_office();
    let mut quarantined = Vec::new();
    for number in 0..12u64 {
        let phone = number % 2;
        let act = guess(&desk(phone), &format!("10{phone}")).gets(401);
        let Act::Call(call) = act else { unreachable!() };
        let at = time(SECOND + number * 100);
        scene.engine.observe(&call.request(at, 100 + number));
        quarantined.extend(scene.engine.observe(&call.response(at, 100 + number, 401)));
    }
    let mut ports = Vec::new();
    for decision in &quarantined {
        let Decision::Quarantine(quarantine) = decision else { continue };
        let evidence = &quarantine.case.evidence;
        let seen = [evidence.opening.port, evidence.closing.port];
        assert_eq!(seen, [quarantine.port; 2]);
        assert_eq!(evidence.accounts, std::slice::from_ref(&quarantine.account));
        assert_eq!(evidence.count, 5, "one of six was free");
        ports.push(quarantine.port);
    }
    ports.sort_unstable();
    assert_eq!(ports, [5060, 5061]);
}
