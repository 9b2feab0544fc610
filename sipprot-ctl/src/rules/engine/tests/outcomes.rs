//! Every cell of the table of outcomes, through the engine: twelve of each a second apart, from an
//! untrusted source, and what that leads to within a minute.

use super::*;

const BLOCK: &str = "block 198.51.100.66 BRUTEFORCE:register 1/5";
const CONTAIN: &str = "contain 198.51.100.66 BRUTEFORCE:register 60s";
const CALLS: &str = "contain 198.51.100.66 FRAUD:invite 60s";

fn check(name: &str, act: &Act, expected: &[&str]) {
    let mut scene = Scene::new();
    scene.repeat(0, SECOND, 12, act);
    scene.tick(50 * SECOND);
    scene.expect(name, expected);
}

#[test]
fn a_register_is_challenged() {
    // The challenge stays unanswered here: it is no failure before its 32 s are over.
    for status in [401, 407] {
        let challenged = [
            register(EVE, "100").gets(status),
            register(EVE, "100").brings(Brings::Empty).gets(status),
            register(EVE, "100").brings(Brings::OtherRealm).gets(status),
        ];
        for act in &challenged {
            let mut scene = Scene::new();
            scene.repeat(0, SECOND, 12, act);
            scene.tick(32 * SECOND);
            scene.expect("not yet", &[]);
            scene.tick(50 * SECOND);
            scene.expect("unanswered", &[CONTAIN]);
        }
    }
    check("unanswered over TCP", &register(EVE, "100").by(Proof::Tcp).gets(401), &[BLOCK]);
}

#[test]
fn a_stale_nonce_is_a_challenge() {
    check("each is answered by the next", &guess(EVE, "100").stale().gets(401), &[]);
}

#[test]
fn a_challenge_is_answered_by_credentials_whatever_their_call_id() {
    let mut scene = Scene::new();
    scene.repeat(0, 10, 12, &register(EVE, "100").gets(401));
    scene.play(31 * SECOND, &guess(EVE, "100").gets_nothing());
    scene.tick(50 * SECOND);
    scene.expect("in time", &[]);

    let late = [("late", guess(EVE, "100"), 33), ("another account", guess(EVE, "101"), 31)];
    let elsewhere = ("another realm", register(EVE, "100").brings(Brings::OtherRealm), 31);
    for (name, answer, second) in late.into_iter().chain([elsewhere]) {
        let mut scene = Scene::new();
        scene.repeat(0, 10, 12, &register(EVE, "100").gets(401));
        scene.tick(32 * SECOND + 500);
        scene.play(second * SECOND, &answer.gets_nothing());
        scene.tick(50 * SECOND);
        scene.expect(name, &[CONTAIN]);
    }
}

#[test]
fn a_register_is_rejected() {
    for status in [401, 407, 403, 404] {
        check("proven", &guess(EVE, "100").gets(status), &[BLOCK]);
        check("TCP", &guess(EVE, "100").by(Proof::Tcp).gets(status), &[BLOCK]);
        check("unproven", &forged(EVE, "100").gets(status), &[CONTAIN]);
    }
    for status in [403, 404] {
        check("without credentials", &register(EVE, "100").gets(status), &[CONTAIN]);
    }
    let made_up = guess(EVE, "100").brings(Brings::OtherRealm).gets(401);
    check("a made-up realm on our nonce", &made_up, &[BLOCK]);
}

#[test]
fn an_invite_is_rejected() {
    for status in [403, 404, 484, 604] {
        check("untrusted", &invite(EVE, "100").gets(status), &[CALLS]);
    }
    for status in [401, 407] {
        let wrong = invite(EVE, "100").brings(Brings::Response);
        check("wrong password", &wrong.gets(status), &[CALLS]);
        check("only challenged", &invite(EVE, "100").gets(status), &[]);
    }
}

#[test]
fn an_acceptance_is_no_failure() {
    check("REGISTER", &register(EVE, "100").gets(200), &[]);
    check("INVITE", &invite(EVE, "100").gets(200), &[]);
    let trusted = "trust 198.51.100.66 Registered";
    check("REGISTER with credentials", &guess(EVE, "100").gets(200), &[trusted]);
    let call = invite(EVE, "100").brings(Brings::Response).by(Proof::Nonce);
    check("INVITE with credentials gives no trust", &call.gets(200), &[]);
}

#[test]
fn some_answers_never_count() {
    for status in [408, 423, 480, 481, 486, 487, 488, 500, 503, 600, 603] {
        check("REGISTER", &guess(EVE, "100").gets(status), &[]);
        check("INVITE", &invite(EVE, "100").by(Proof::Tcp).gets(status), &[]);
    }
    use Method::{Message, Notify, Publish, Subscribe};
    for method in [Subscribe, Notify, Publish, Message] {
        let mut scene = Scene::new();
        for status in [404, 489] {
            scene.repeat(0, 100, 40, &call(method, EVE, "100").gets(status));
        }
        scene.tick(50 * SECOND);
        scene.expect("subscriptions", &[]);
    }
    for method in [Method::Ack, Method::Cancel] {
        check("no outcome", &call(method, EVE, "100").brings(Brings::Response).gets(403), &[]);
    }
}

#[test]
fn a_request_without_an_answer_never_fails() {
    for act in [guess(EVE, "100"), forged(EVE, "100"), invite(EVE, "100"), register(EVE, "100")] {
        let mut scene = Scene::new();
        scene.repeat(0, 100, 3000, &act.gets_nothing());
        scene.tick(10 * MINUTE);
        scene.expect("PBX down", &[]);
    }
}

#[test]
fn a_provisional_answer_is_no_answer() {
    let mut scene = Scene::new();
    scene.play(0, &guess(EVE, "100").named("a").gets(100));
    scene.expect("trying", &[]);
    scene.repeat(10, 10, 10, &guess(EVE, "100").gets(401));
    scene.expect("ten others", &[BLOCK]);
}

#[test]
fn retransmissions_count_once() {
    let same = guess(EVE, "100").brings(Brings::Same).named("same");
    check("one request twelve times", &same.clone().gets(401), &[]);

    let mut scene = Scene::new();
    scene.repeat(0, 33 * SECOND, 12, &same.gets(401));
    scene.expect("too late for a retransmission, but too slow for the rule", &[]);

    let new_digests = guess(EVE, "100").named("repeated").gets(401);
    check("same Call-ID, CSeq and branch, new digests", &new_digests, &[BLOCK]);
}

#[test]
fn the_failure_is_charged_to_the_source_of_the_request() {
    let without_rport = guess("198.51.100.66:40001", "100").answered_at("198.51.100.66:5060");
    check("no rport", &without_rport.gets(401), &[BLOCK]);
    let maddr = guess(EVE, "100").answered_at(OFFICE);
    check("maddr points at the office", &maddr.gets(401), &[BLOCK]);
}

#[test]
fn the_rejection_after_an_acceptance_is_free_every_time() {
    let mut scene = Scene::new();
    for minute in 0..60 {
        let start = minute * 6 * SECOND;
        scene.play(start, &accepted(OFFICE, "100"));
        scene.play(start + 100, &guess(OFFICE, "100").gets(401));
    }
    scene.expect("nothing but trust", &["trust 203.0.113.7 Registered"]);
    assert_eq!(scene.engine.explain(key(OFFICE), time(HOUR)).windows, []);

    scene.play(HOUR, &accepted(OFFICE, "100"));
    scene.repeat(HOUR, 100, 10, &guess(OFFICE, "100").gets(401));
    scene.tick(HOUR + SECOND);
    scene.expect("one is free, nine are not enough", &["trust 203.0.113.7 Registered again"]);
    scene.play(HOUR + 2 * SECOND, &guess(OFFICE, "100").gets(401));
    let expected = ["quarantine 203.0.113.7:5060 100@pbx", "alert 203.0.113.7 stale password 100"];
    scene.expect("the eleventh is the tenth that counts", &expected);
}

#[test]
fn an_own_account_in_to_hides_no_guess_at_another() {
    let mut scene = Scene::new();
    for number in 0..10 {
        scene.play(number * 200, &guess(EVE, "100").gets(200));
        let victim = format!("2{number}");
        scene.play(number * 200 + 100, &guess(EVE, "100").user(&victim).gets(401));
    }
    let expected = [
        "trust 198.51.100.66 Registered",
        "block 198.51.100.66 BRUTEFORCE:accounts 1/5",
        "alert 198.51.100.66 KnownPeerBlocked",
    ];
    scene.expect("five other accounts", &expected);
}
