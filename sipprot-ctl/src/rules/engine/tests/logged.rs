//! What logs tell, and in whose name.

use super::*;
use crate::rules::Scope;
use crate::rules::observation::Carrier::{Hidden, Stream, Unproven};
use crate::rules::observation::Speaker::{Host, Watched};
use crate::rules::observation::Told::{
    HttpMissed, HttpScan, SipAccepted, SipRejected, SshAccepted, SshFailed,
};

const TENANT: Speaker = Speaker::Tenant(EndpointId(1));
const NEIGHBOUR: Speaker = Speaker::Tenant(EndpointId(2));

fn log(told: Told, speaker: Speaker) -> Act {
    Act::Log(told, speaker, Hidden, EVE)
}

/// So many lines, a second apart, from a time on; every decision.
#[track_caller]
fn check(name: &str, start: u64, count: u64, act: &Act, scene: &mut Scene, expected: &[&str]) {
    scene.repeat(start, SECOND, count, act);
    scene.expect(name, expected);
}

#[test]
fn limits_from_both_sides() {
    for (told, limit, line) in [
        (SshFailed, 6, "block 198.51.100.66 BRUTEFORCE:ssh 1/5"),
        (HttpScan, 3, "block 198.51.100.66 SCANNER:http-folders 1/5"),
        (HttpMissed, 30, "block 198.51.100.66 SCANNER:http-rate 1/5"),
        (SipRejected, 10, "block 198.51.100.66 BRUTEFORCE:register 1/5"),
    ] {
        let (mut scene, act) = (Scene::new(), log(told, Host));
        check("below", 0, limit - 1, &act, &mut scene, &[]);
        check("at", limit * SECOND, 1, &act, &mut scene, &[line]);
        let slow = 10 * MINUTE / (limit - 1);
        let mut scene = Scene::new();
        scene.repeat(0, slow, 2 * limit, &act);
        scene.expect("slower than the window", &[]);
    }
}

#[test]
fn an_ssh_login_keeps_rules_off_for_a_week() {
    let mut scene = Scene::new();
    scene.play(0, &log(SshAccepted, TENANT));
    scene.expect("a tenant spares nobody", &[]);
    scene.play(1, &log(SshAccepted, Host));
    scene.expect("the host's own", &["remember 198.51.100.66"]);
    let spared = ["alert 198.51.100.66 Spared { rule: Ssh }"];
    check("spared", SECOND, 20, &log(SshFailed, Host), &mut scene, &spared);
    let state = scene.engine.state();
    let mut later = Scene::new();
    later.engine.restore(state, time(DAY));
    let act = log(SshFailed, Host);
    check("after a restart", DAY, 6, &act, &mut later, &spared);
    let line = ["block 198.51.100.66 BRUTEFORCE:ssh 1/5"];
    check("after a week", 7 * DAY + SECOND, 6, &act, &mut later, &line);
}

#[test]
fn what_the_wire_shows_counts_once() {
    for carrier in [Unproven, Stream] {
        let told = Act::Log(SipRejected, Host, carrier, EVE);
        let mut scene = Scene::new();
        for number in 0..9 {
            scene.play(number * SECOND, &guess(EVE, "100").gets(403));
            scene.play(number * SECOND + 5, &told);
        }
        scene.tick(20 * SECOND);
        scene.expect("nine, each seen twice", &[]);
        scene.play(21 * SECOND, &guess(EVE, "100").gets(403));
        scene.expect("the tenth", &["block 198.51.100.66 BRUTEFORCE:register 1/5"]);
    }
    let mut scene = Scene::new();
    for number in 0..9 {
        scene.play(number * SECOND, &Act::Log(SipRejected, Host, Stream, EVE));
        scene.play(number * SECOND + 5, &guess(EVE, "100").gets(403));
    }
    scene.tick(20 * SECOND);
    scene.expect("the log was first", &[]);
}

#[test]
fn what_the_wire_does_not_show_counts_by_its_carrier() {
    for (carrier, expected) in [
        (Hidden, "block 198.51.100.66 BRUTEFORCE:register 1/5"),
        (Stream, "block 198.51.100.66 BRUTEFORCE:register 1/5"),
        (Unproven, "contain 198.51.100.66 BRUTEFORCE:register 60s"),
    ] {
        let mut scene = Scene::new();
        scene.repeat(0, SECOND, 10, &Act::Log(SipRejected, Host, carrier, EVE));
        scene.tick(20 * SECOND);
        scene.expect("ten", &[expected]);
    }
}

#[test]
fn an_acceptance_over_tls_trusts_and_is_free_once() {
    let mut scene = Scene::new();
    scene.play(0, &log(SipAccepted, TENANT));
    scene.expect("a tenant trusts nobody", &[]);
    scene.play(1, &Act::Log(SipAccepted, Host, Unproven, EVE));
    scene.expect("nor does what may be forged", &[]);
    scene.play(2, &log(SipAccepted, Host));
    scene.expect("the host's own", &["trust 198.51.100.66 Registered"]);
    scene.repeat(SECOND, SECOND, 10, &log(SipRejected, Host));
    scene.expect("nine count", &[]);
}

#[test]
fn a_trusted_source_loses_the_service_alone() {
    let mut scene = Scene::new();
    scene.play(0, &accepted(EVE, "100"));
    scene.lines.clear();
    let cut = "block 198.51.100.66 BRUTEFORCE:ssh Ssh";
    check(
        "ssh",
        SECOND,
        6,
        &log(SshFailed, Host),
        &mut scene,
        &[cut, "alert 198.51.100.66 ServiceCut { rule: Ssh }"],
    );
    check("it goes on", MINUTE, 12, &log(SshFailed, Host), &mut scene, &[]);
    assert!(
        !scene.engine.is_blocked(key(EVE), EndpointId(1), Scope::Sip, time(2 * MINUTE)),
        "its SIP goes on"
    );
}

#[test]
fn a_tenant_s_word_acts_for_its_endpoint_alone() {
    let mut scene = Scene::new();
    let own = "block for 1: 198.51.100.66 BRUTEFORCE:register";
    check("alone", 0, 30, &log(SipRejected, TENANT), &mut scene, &[own]);
    assert!(!scene.engine.is_blocked(key(EVE), EndpointId(1), Scope::Sip, time(MINUTE)));
    scene.repeat(MINUTE, SECOND, 9, &log(SipRejected, Host));
    scene.expect("its words fill no other window", &[]);
}

#[test]
fn two_endpoints_or_the_wire_make_it_the_host_s() {
    let wide = "block 198.51.100.66 BRUTEFORCE:register 1/5";
    let mut scene = Scene::new();
    let own = "block for 1: 198.51.100.66 BRUTEFORCE:register";
    check("one", 0, 10, &log(SipRejected, TENANT), &mut scene, &[own]);
    check("another", MINUTE, 10, &log(SipRejected, NEIGHBOUR), &mut scene, &[wide]);
    for (failures, expected) in [(2, own), (3, wide)] {
        let mut scene = Scene::new();
        scene.repeat(0, SECOND, failures, &guess(EVE, "100").gets(403));
        check("with the wire", MINUTE, 10, &log(SipRejected, TENANT), &mut scene, &[expected]);
    }
    let mut scene = Scene::new();
    scene.repeat(0, SECOND, 9, &forged(EVE, "100").gets(403));
    check(
        "what anybody may forge bears out nothing",
        MINUTE,
        10,
        &log(SipRejected, TENANT),
        &mut scene,
        &[own],
    );
}

#[test]
fn a_tenant_can_not_harm_the_customers_of_others() {
    let mut scene = Scene::new();
    scene.play(0, &accepted(EVE, "100"));
    scene.lines.clear();
    check("a trusted phone", SECOND, 40, &log(SipRejected, TENANT), &mut scene, &[]);
    let act = Act::Log(SipRejected, TENANT, Unproven, "198.51.100.77:5060");
    scene.repeat(MINUTE, SECOND, 40, &act);
    scene.tick(3 * MINUTE);
    scene.expect("nothing proven", &[]);
    let spared =
        Settings { never_blocked: vec!["198.51.100.0/24".parse().unwrap()], ..Settings::default() };
    let mut scene = Scene::with(spared);
    scene.repeat(0, SECOND, 40, &log(SipRejected, TENANT));
    scene.expect("spared", &["alert 198.51.100.66 Spared { rule: Register }"]);
}

#[test]
fn a_trusted_source_loses_the_service_at_the_tenant_that_says_so() {
    let mut scene = Scene::new();
    scene.play(0, &accepted(EVE, "100"));
    scene.lines.clear();
    let cut = "block 198.51.100.66 BRUTEFORCE:ssh Ssh";
    check("ssh", SECOND, 30, &log(SshFailed, TENANT), &mut scene, &[cut]);
    check("another's", MINUTE, 6, &log(SshFailed, NEIGHBOUR), &mut scene, &[cut]);
}

#[test]
fn a_watched_log_only_tells() {
    let mut scene = Scene::new();
    let told = ["alert 198.51.100.66 Watched { rule: Ssh }"];
    check("watched", 0, 30, &log(SshFailed, Watched), &mut scene, &told);
    scene.repeat(MINUTE, SECOND, 5, &log(SshFailed, Host));
    scene.expect("it counts apart", &[]);
}
