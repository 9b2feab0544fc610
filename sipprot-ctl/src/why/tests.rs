//! Facts and what is said of them.

use super::*;
use crate::api::{MomentKind, PacketView, PeerView, Scope};
use crate::rules::{Method, Proof};

const NOW: i64 = 1_700_000_000;

fn nothing() -> Facts {
    let check = Check::nothing([198, 51, 100, 7].into(), "198.51.100.7");
    Facts {
        now: NOW,
        check,
        blocks: Vec::new(),
        hold_until: None,
        trust: None,
        windows: Vec::new(),
        failures: None,
        shut_out_at: Vec::new(),
        observed: false,
        learning: false,
        would: Vec::new(),
        alerts: Vec::new(),
        past: Vec::new(),
    }
}

fn packet(at_ms: i64) -> PacketView {
    PacketView {
        at_ms,
        port: 5060,
        method: Some(Method::Register),
        status: Some(401),
        account: Some("100@pbx".to_owned()),
        user_agent: Some("cracker".to_owned()),
        proof: Proof::Nonce,
        line: None,
        proven_by: Proof::Nonce.by().to_owned(),
    }
}

fn block(kind: BlockKind, started_at: i64) -> BlockView {
    BlockView {
        source: "198.51.100.7".to_owned(),
        kind,
        port: (kind == BlockKind::Quarantine).then_some(5066),
        endpoint: Some("pbx1".to_owned()),
        victim: None,
        scope: Scope::All,
        also: Vec::new(),
        rule: "BRUTEFORCE:register".to_owned(),
        reason: "10 guesses within 1m, the limit is 10".to_owned(),
        proven: kind != BlockKind::Containment,
        started_at,
        expires_at: started_at + 3600,
        duration_s: 3600,
        renewals: 0,
        reaction_us: None,
        user_agent: None,
        account: Some("100@pbx".to_owned()),
        country: None,
        country_name: None,
        evidence: Some(EvidenceView {
            count: 10,
            limit: Some(10),
            window_s: Some(60),
            first: packet(started_at * 1000 - 500),
            last: packet(started_at * 1000),
            accounts: vec!["100@pbx".to_owned()],
        }),
        escalated: false,
        lifted_at: None,
        lifted_by: None,
        refused: false,
    }
}

fn entry(list: List, ip: &str) -> Entry {
    Entry {
        version: String::new(),
        ip: ip.to_owned(),
        note: "a note".to_owned(),
        time: NOW - 10,
        added_by: "ann".to_owned(),
        geo_data: None,
        list,
        endpoint: None,
        scope: Scope::All,
        origin: "manual".to_owned(),
        expires_at: None,
    }
}

fn trust(accounts: usize) -> TrustView {
    TrustView {
        peak: 12,
        ceiling: 2000,
        source: "198.51.100.7".to_owned(),
        kind: "registered".to_owned(),
        accounts: (0..accounts).map(|number| format!("{number}@pbx")).collect(),
        since: NOW - 100,
        last_seen: NOW,
        country: None,
        endpoints: Vec::new(),
    }
}

fn check(facts: Facts, verdict: Verdict, sentence: &str, undo: Option<&str>) -> Why {
    let why = tell(facts);
    assert_eq!((why.verdict, why.sentence.as_str()), (verdict, sentence));
    assert_eq!(why.undo.as_deref(), undo);
    why
}

#[test]
fn the_innocent_and_the_trusted() {
    let sentence = "nothing against 198.51.100.7; no account registered";
    check(nothing(), Verdict::Nothing, sentence, None);
    let mut trusted = nothing();
    trusted.check.trusted = true;
    trusted.trust = Some(trust(3));
    let sentence = "nothing against 198.51.100.7, a trusted peer; 3 accounts registered";
    let revoke = Some("sipprot trust revoke 198.51.100.7");
    check(trusted.clone(), Verdict::Trusted, sentence, revoke);
    trusted.check.peers.push(PeerView {
        rate: None,
        network: "198.51.100.0/24".parse().unwrap(),
        configured_in: Some("sipprot.toml:3".to_owned()),
        note: String::new(),
        added_at: None,
        added_by: None,
    });
    let sentence = "nothing against 198.51.100.7, a trusted peer by the operator's word \
                    (198.51.100.0/24); 3 accounts registered";
    let undo = "take it out of 'peers' at sipprot.toml:3, then: sipprot reload";
    check(trusted, Verdict::Trusted, sentence, Some(undo));
}

#[test]
fn how_near_to_a_limit() {
    let window = |rule: &str, count, limit, window_s| WindowView {
        rule: rule.to_owned(),
        counts: "guesses".to_owned(),
        count,
        proven: count,
        limit,
        window_s,
    };
    let windows = vec![window("a", 7, 30, 3600), window("b", 7, 10, 60), window("c", 7, 100, 600)];
    let facts = Facts { windows: windows.clone(), ..nothing() };
    let sentence = "nothing against 198.51.100.7; no account registered; 7 of 10 guesses in the \
                    last minute";
    check(facts, Verdict::Nothing, sentence, None);
    assert!(window_words(&windows[0]).ends_with("in the last hour"));
    assert!(window_words(&windows[2]).ends_with("in the last 10 minutes"));
}

#[test]
fn the_blocked_the_contained_and_the_quarantined() {
    let undo = Some("sipprot unblock 198.51.100.7");
    let mut facts = Facts { blocks: vec![block(BlockKind::Dynamic, NOW - 600)], ..nothing() };
    facts.check.blocked = true;
    let sentence = "198.51.100.7 is blocked for 50m more: 10 guesses within 1m, the limit is 10; \
                    proven by a nonce sent to this source alone";
    let why = check(facts.clone(), Verdict::Blocked, sentence, undo);
    assert_eq!(why.ends_at, Some(NOW + 3000));
    let observed = tell(Facts { observed: true, ..facts });
    assert!(observed.sentence.ends_with("; the host only observes, so nothing is dropped"));

    let mut facts = Facts { blocks: vec![block(BlockKind::Containment, NOW)], ..nothing() };
    facts.check.contained = true;
    let sentence = "198.51.100.7 is contained for 1h more: 10 guesses within 1m, the limit is 10; \
                    nothing proves who sent them, so only its SIP is held back, but for a trickle, \
                    and it ends by itself";
    check(facts, Verdict::Contained, sentence, undo);

    let blocks = vec![block(BlockKind::Quarantine, NOW)];
    let mut facts = Facts { blocks, trust: Some(trust(2)), ..nothing() };
    facts.check.trusted = true;
    let sentence = "198.51.100.7 is a trusted peer and passes, but source port 5066 is quarantined \
                    for 1h more, since 100@pbx fails through it";
    check(facts, Verdict::Quarantined, sentence, undo);
}

#[test]
fn the_listed() {
    let mut facts = nothing();
    facts.check.denied = true;
    facts.check.entries = vec![entry(List::Deny, "198.51.100.0/24")];
    let sentence = "198.51.100.7 is denied for good: 198.51.100.0/24 is on the denylist, added by \
                    ann (a note)";
    let remove = "sipprot deny remove 198.51.100.0/24";
    check(facts.clone(), Verdict::Denied, sentence, Some(remove));
    facts.check.entries.push(entry(List::Deny, "198.51.100.7"));
    let both = format!("{remove} && sipprot unblock 198.51.100.7");
    let why = check(facts.clone(), Verdict::Denied, sentence, Some(&both));
    assert!(why.timeline.iter().all(|moment| moment.kind == MomentKind::Listed));
    facts.check.entries.push(entry(List::Allow, "198.51.100.7"));
    let sentence = "198.51.100.7 is always let in: 198.51.100.7 is on the allowlist, added by ann \
                    (a note)";
    check(facts, Verdict::Allowed, sentence, Some("sipprot allow remove 198.51.100.7"));
    let mut abroad = Facts { shut_out_at: vec!["pbx1".to_owned()], ..nothing() };
    abroad.check.country_name = Some("Palestine".to_owned());
    let sentence = "198.51.100.7 is shut out at pbx1 for its country, Palestine";
    check(abroad, Verdict::Country, sentence, Some("sipprot allow add 198.51.100.7"));
}

#[test]
fn the_past_is_told_newest_first_and_bounded() {
    let lifted = BlockView {
        lifted_at: Some(NOW - 5000),
        lifted_by: Some("ann".to_owned()),
        ..block(BlockKind::Dynamic, NOW - 6000)
    };
    let escalated =
        BlockView { escalated: true, duration_s: 0, ..block(BlockKind::Dynamic, NOW - 20) };
    let past = vec![
        escalated,
        lifted,
        BlockView { renewals: 2, ..block(BlockKind::Dynamic, NOW - 90_000) },
        block(BlockKind::Containment, NOW - 99_000),
    ];
    let mut facts = Facts { past, ..nothing() };
    facts.check.denied = true;
    facts.check.entries =
        vec![Entry { origin: "escalation".to_owned(), ..entry(List::Deny, "198.51.100.7") }];
    let why = tell(facts);
    let told: Vec<_> = why.timeline.iter().map(|moment| (moment.kind, moment.at - NOW)).collect();
    let expected = [
        (MomentKind::Escalated, -20),
        (MomentKind::Lifted, -5000),
        (MomentKind::Blocked, -6000),
        (MomentKind::Ended, -86_400),
        (MomentKind::Blocked, -90_000),
        (MomentKind::Ended, -95_400),
        (MomentKind::Contained, -99_000),
    ];
    assert_eq!(told, expected);
    assert!(why.escalation.is_some() && !why.timeline_cut);
    let what = "blocked for 1h: BRUTEFORCE:register at pbx1, 100@pbx, proven, renewed 2 times";
    assert_eq!(why.timeline[4].what, what);

    let past = (0..=PAST_MAX as i64).map(|n| block(BlockKind::Dynamic, NOW - n)).collect();
    let why = tell(Facts { past, ..nothing() });
    assert!(why.timeline.len() == PAST_MAX && why.timeline_cut);
}

#[test]
fn rules_in_words() {
    let dynamic = block(BlockKind::Dynamic, NOW);
    let words = rule_words(&dynamic.rule, dynamic.evidence.as_ref());
    let expected = "BRUTEFORCE:register: 10 rejected attempts and unanswered challenges of \
                    one source within a minute";
    assert_eq!(words, expected);
    assert_eq!(rule_words("MANUAL:operator", None), "MANUAL:operator");
}
