//! What is told and when, in which words, and what becomes of what fails.

use std::time::Duration;

use jiff::Timestamp;

use super::group::{Group, Happened, Seen, notice};
use super::mail::{self, Letter};
use super::notice::{
    Alarm, Attack, Change, Country, Endpoint, Notice, NoticeKind, ROWS_MAX, Summary, Surge,
};
use super::queue::{Failure, Queue, WAITING_MAX};
use super::render::{Renderer, TEMPLATES};
use super::surge::Rate;
use super::webhook::signature;
use crate::config::{Choice, Language, Mail, MailWay, Notify, Severity, WebhookFormat};
use crate::store::{DeliveryRecord, DeliveryState, RECORD_BYTES_MAX};

const HOUR: i64 = 3600;

fn attack(source: &str) -> Attack {
    Attack {
        at: 1_772_000_000,
        source: source.to_owned(),
        what: "block".to_owned(),
        rule: "SIP:REGISTER".to_owned(),
        times: 1,
        ..Attack::default()
    }
}

fn alarm(kind: &str) -> Happened {
    let source = Some("192.0.2.9".to_owned());
    Happened::Alarm(Alarm { kind: kind.to_owned(), source, ..Alarm::default() })
}

#[test]
fn the_first_goes_at_once_and_the_rest_together_an_hour_later() {
    let (settings, mut group) = (Notify::default(), Group::default());
    let add = |group: &mut Group, source, now| {
        group.add(Severity::Warning, Happened::Attack(attack(source)), &settings, now)
    };
    assert!(add(&mut group, "192.0.2.1", 0).is_none());
    assert_eq!(group.due(&settings, false, 1).map(|it| it.total), Some(1));
    for now in 2..100 {
        add(&mut group, "192.0.2.2", now);
        add(&mut group, "192.0.2.3", now);
        assert_eq!(group.due(&settings, false, now), None, "{now}");
    }
    assert_eq!(group.due(&settings, true, HOUR + 1), None, "the quiet wait");
    let told = group.due(&settings, false, HOUR + 1).unwrap();
    assert_eq!(
        (told.total, told.attacks.len(), told.attacks[0].times, told.since),
        (196, 2, 98, 2)
    );
    assert_eq!(group.due(&settings, false, 9 * HOUR), None, "nothing is told twice");
}

#[test]
fn what_cannot_wait_does_not_and_is_not_repeated() {
    let (settings, mut group) = (Notify::default(), Group::default());
    let mut add = |severity, happened, now| group.add(severity, happened, &settings, now);
    assert!(add(Severity::Warning, Happened::Attack(attack("192.0.2.1")), 0).is_none());
    assert!(add(Severity::Critical, alarm("possible-break-in"), 1).is_some());
    assert!(add(Severity::Critical, alarm("possible-break-in"), 2).is_none());
    assert!(add(Severity::Critical, alarm("service-cut"), 2).is_some(), "another one");
    assert!(add(Severity::Critical, alarm("possible-break-in"), HOUR + 2).is_some());
    assert!(add(Severity::Info, alarm("spared"), 3).is_none());
    // The repeated one is in the next message, what is below the floor in none.
    let told = group.due(&settings, false, HOUR + 2).unwrap();
    assert_eq!((told.total, told.alarms_total, told.severity), (1, 1, Severity::Critical));
}

#[test]
fn a_message_is_bounded() {
    let mut group = Group::default();
    let settings = Notify::default();
    for number in 0..10_000 {
        let long = "\u{1f980}".repeat(160);
        let source = format!("2001:db8::{number:x}");
        let attack = Attack { user_agent: Some(long.clone()), reason: long, ..attack(&source) };
        group.add(Severity::Warning, Happened::Attack(attack), &settings, 5);
    }
    let told = group.due(&settings, false, 5).unwrap();
    assert_eq!((told.total, told.attacks.len()), (10_000, ROWS_MAX));
    let bounded = told.bounded();
    assert!(serde_json::to_string(&bounded).unwrap().len() < RECORD_BYTES_MAX);
    assert!(!bounded.attacks.is_empty() && bounded.total == 10_000);
}

#[test]
fn what_the_store_tells_again_is_known() {
    let mut seen = Seen::until(100);
    let mut told =
        |at, source: &str| seen.is_new(&Happened::Attack(Attack { at, ..attack(source) }));
    assert!(told(100, "192.0.2.1"));
    assert!(!told(100, "192.0.2.1"));
    assert!(told(100, "192.0.2.2"));
    assert!(told(101, "192.0.2.1"));
    assert!(!told(101, "192.0.2.1"));
}

#[test]
fn a_surge_is_far_above_the_usual_and_told_once() {
    let mut rate = Rate::default();
    for minute in 0..120 {
        assert_eq!(rate.add(5, 30, 10, minute * 60), None, "the usual");
    }
    assert_eq!(rate.add(44, 30, 10, 7200), None);
    assert_eq!(rate.add(6, 30, 10, 7201), Some((50, 5)));
    assert_eq!(rate.add(500, 30, 10, 7202), None, "told already");
    let mut fresh = Rate::default();
    assert_eq!(fresh.add(29, 30, 10, 0), None, "too few to matter");
    assert!(fresh.add(1, 30, 10, 1).is_some());
}

fn delivery(number: u64, target: &str) -> DeliveryRecord {
    DeliveryRecord {
        number,
        at: at(0),
        target: target.to_owned(),
        kind: "attacks".to_owned(),
        message_id: "<1@pbx.example.net>".to_owned(),
        state: DeliveryState::Waiting,
        tries: 0,
        when: at(0),
        error: None,
        notice: Some(Notice::default()),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn what_fails_waits_longer_each_time_and_holds_its_like() {
    let settings = Notify::default();
    let down = || Err(Failure { what: "refused".to_owned(), concerns_all: true });
    let mut queue = Queue::default();
    for (number, target) in [(1, "mail:a@example.net"), (2, "mail:b@example.net"), (3, "webhook")] {
        assert!(queue.push(delivery(number, target)));
    }
    let next = |queue: &Queue, second| queue.next(at(second)).map(|it| it.number);
    assert_eq!(next(&queue, 0), Some(1));
    let kept = queue.tried(1, down(), &settings, at(0)).unwrap();
    assert_eq!((kept.state, kept.tries, kept.when), (DeliveryState::Waiting, 1, at(30)));
    assert_eq!(next(&queue, 0), Some(3), "the other mail would fail as well");
    assert!(queue.tried(3, Ok(()), &settings, at(0)).is_some());
    let mut waits = Vec::new();
    let mut now = 0;
    while now < HOUR {
        let due = (now..).find(|second| next(&queue, *second).is_some()).unwrap();
        waits.push(due - now);
        let number = next(&queue, due).unwrap();
        queue.tried(number, down(), &settings, at(due)).unwrap();
        now = due;
    }
    assert!(waits.iter().all(|wait| *wait <= 15 * 60), "{waits:?}");
    assert_eq!(queue.len(), 2, "an hour later nothing is lost");
    let due = at(now + HOUR);
    for number in [1, 2] {
        let done = queue.tried(number, Ok(()), &settings, due).unwrap();
        assert_eq!((done.state, done.notice), (DeliveryState::Delivered, None));
        assert_eq!(queue.tried(number, Ok(()), &settings, due), None, "nothing is told twice");
    }
}

#[test]
fn one_recipient_that_is_refused_holds_nobody_and_is_given_up_in_the_end() {
    let settings = Notify::default();
    let mut queue = Queue::default();
    queue.push(delivery(1, "mail:a@example.net"));
    queue.push(delivery(2, "mail:b@example.net"));
    let unknown = || Err(Failure { what: "550 unknown".to_owned(), concerns_all: false });
    queue.tried(1, unknown(), &settings, at(0));
    assert_eq!(queue.next(at(0)).map(|it| it.number), Some(2));
    let late = at(3 * 86_400);
    assert_eq!(queue.tried(1, unknown(), &settings, late).unwrap().state, DeliveryState::GivenUp);
}

#[test]
fn the_queue_is_bounded() {
    let mut queue = Queue::default();
    let all = (0..1000).filter(|number| queue.push(delivery(*number, "webhook"))).count();
    assert_eq!((all, queue.len()), (WAITING_MAX, WAITING_MAX));
}

/// As `openssl dgst -sha256 -hmac secret` has it of `1772000000.{"a":1}`.
#[test]
fn the_signature_is_of_time_and_body() {
    let expected = "sha256=a1009ab9ee547e3f1e0e786efcf299afa487d90cb7e054e2254cc15cda759002";
    assert_eq!(signature("secret", 1_772_000_000, "{\"a\":1}"), expected);
}

const HOSTILE: &str = "</td><script>alert(1)</script>\"'{{ 7*7 }}";

fn all_kinds() -> Vec<Notice> {
    let hostile = || Attack {
        user_agent: Some(HOSTILE.to_owned()),
        account: Some("1000".to_owned()),
        country: Some("France".to_owned()),
        endpoint: Some("pbx1".to_owned()),
        reason: HOSTILE.to_owned(),
        ..attack("192.0.2.1")
    };
    let alarm = Alarm {
        kind: "possible-break-in".to_owned(),
        source: Some("192.0.2.9".to_owned()),
        accounts: vec!["1000".to_owned()],
        what: HOSTILE.to_owned(),
        ..Alarm::default()
    };
    let summary = Summary {
        day: "2026-02-28".to_owned(),
        attackers_total: 12,
        attackers: vec![hostile()],
        countries: vec![Country { name: "France".to_owned(), attackers: 12, drops: 99 }],
        endpoints: vec![Endpoint { name: "pbx1".to_owned(), attackers: 12, blocks: 3, drops: 99 }],
        changes: vec![Change { who: HOSTILE.to_owned(), ..Change::default() }],
        changes_total: 1,
        ..Summary::default()
    };
    NoticeKind::ALL
        .iter()
        .map(|kind| {
            let empty = notice(*kind, Severity::Warning, 1_772_000_000);
            let empty = Notice { host: "pbx.example.net".to_owned(), dropped: 3, ..empty };
            match kind {
                NoticeKind::Attacks => {
                    let (attacks, alarms) = (vec![hostile()], vec![alarm.clone()]);
                    Notice { attacks, alarms, total: 7, alarms_total: 1, ..empty }
                }
                NoticeKind::Alarm => {
                    Notice { alarms: vec![alarm.clone()], alarms_total: 1, ..empty }
                }
                NoticeKind::Surge => Notice {
                    surge: Some(Surge { is_of_packets: true, now: 90, usual: 3 }),
                    ..empty
                },
                NoticeKind::Summary => Notice { summary: Some(summary.clone()), ..empty },
                NoticeKind::Test => empty,
            }
        })
        .collect()
}

#[test]
fn every_message_has_words_in_both_languages_and_what_is_hostile_stays_text() {
    for language in Language::ALL {
        let renderer = Renderer::new(&Notify { language: *language, ..Notify::default() });
        assert!(renderer.complaints.is_empty(), "{:?}", renderer.complaints);
        for notice in all_kinds() {
            let subject = renderer.subject(&notice).unwrap();
            assert!(subject.starts_with("[SIPprot] pbx.example.net: "), "{subject}");
            let (text, html) = renderer.mail(&notice).unwrap();
            assert!(text.contains(&subject) && text.contains("pbx.example.net"), "{text}");
            assert!(!html.contains("<script>") && !html.contains(" 49"), "{html}");
            let is_french = text.contains("Hôte");
            assert_eq!(is_french, *language == Language::French, "{text}");
            for format in WebhookFormat::ALL {
                let body = renderer.webhook(&notice, *format).unwrap();
                assert!(!body.trim().is_empty(), "{format} {}", notice.kind);
                if *format != WebhookFormat::Ntfy {
                    let json = serde_json::from_str::<serde_json::Value>(&body);
                    assert!(json.is_ok(), "{format}: {body}");
                }
            }
        }
    }
}

#[test]
fn templates_of_ones_own_take_their_place_and_wrong_ones_do_not() {
    let directory = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    put("subject.txt", "ours {{ n.host }}");
    put("mail.html", "{% for %}");
    let templates = Some(directory.path().to_owned());
    let renderer = Renderer::new(&Notify { templates, ..Notify::default() });
    let [complaint] = renderer.complaints.as_slice() else { panic!("{:?}", renderer.complaints) };
    assert!(complaint.starts_with("notify.templates: mail.html"), "{complaint}");
    let test = all_kinds().pop().unwrap();
    assert_eq!(renderer.subject(&test).unwrap(), "ours pbx.example.net");
    assert!(renderer.mail(&test).unwrap().1.contains("<!doctype html>"));
    assert_eq!(TEMPLATES.len(), 9);
}

#[test]
fn waits_double_up_to_the_longest() {
    let settings = Notify {
        retry_after: Duration::from_secs(1),
        retry_longest: Duration::from_secs(4),
        ..Notify::default()
    };
    let mut queue = Queue::default();
    queue.push(delivery(1, "webhook"));
    for (tries, wait) in [(1, 1), (2, 2), (3, 4), (4, 4)] {
        let failure = Failure { what: String::new(), concerns_all: true };
        let kept = queue.tried(1, Err(failure), &settings, at(100)).unwrap();
        assert_eq!((kept.tries, kept.when), (tries, at(100 + wait)));
    }
}

#[test]
fn sendmail_is_given_the_message_and_its_failure_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let check = |script: &str, expected: Result<(), &str>| {
        let program = directory.path().join("sendmail");
        let file = directory.path().join("taken");
        std::fs::write(
            &program,
            format!("#!/bin/sh\n{script}\n").replace("FILE", file.to_str().unwrap()),
        )
        .unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mail = Mail { way: MailWay::Sendmail, sendmail: program, ..Mail::default() };
        let letter = Letter {
            to: "root",
            host: "pbx.example.net",
            message_id: "<1@pbx.example.net>",
            at: 1_772_000_000,
            subject: "é".to_owned(),
            text: "text".to_owned(),
            html: "<p>html</p>".to_owned(),
        };
        match (mail::send(&mail, letter), expected) {
            (Ok(()), Ok(())) => std::fs::read_to_string(file).unwrap(),
            (Err(failure), Err(part)) => {
                assert!(failure.what.contains(part), "{}", failure.what);
                String::new()
            }
            (found, expected) => panic!("{found:?}, not {expected:?}"),
        }
    };
    let taken = check("echo \"$@\" > FILE; cat >> FILE", Ok(()));
    let (arguments, message) = taken.split_once('\n').unwrap();
    assert_eq!(arguments, "-i -f sipprot@pbx.example.net -- root@pbx.example.net");
    for line in ["Message-ID: <1@pbx.example.net>", "Subject: =?utf-8?", "text/html"] {
        assert!(message.contains(line), "{line} in {message}");
    }
    check("cat > /dev/null; echo no such user >&2; exit 67", Err("no such user"));
}
