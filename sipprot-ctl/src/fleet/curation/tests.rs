//! What is spread and what is not: tables of reports and decisions.

use std::collections::BTreeSet;
use std::time::Duration;

use ipnetwork::IpNetwork;

use super::book::{Book, Done};
use super::judge::Objection;
use super::record::State;
use crate::api::FleetQuery;
use crate::fleet::message::{Grade, Health, ListChange, Report, Reports};
use crate::fleet::refusal::Refusal;
use crate::fleet::rules::{Rules, Spread};

const NOW: i64 = 1_800_000_000;
const DAY: i64 = 86_400;
const ATTACKER: &str = "198.51.100.7/32";
const WEBMASTER: (&str, &str) = ("webmaster", "");

fn net(text: &str) -> IpNetwork {
    text.parse().unwrap()
}

fn report(source: &str) -> Report {
    Report {
        source: net(source),
        grade: Grade::Proven,
        rule: "BRUTEFORCE:register".to_owned(),
        count: 11,
        first: NOW - 10,
        last: NOW,
        user_agent: Some("friendly-scanner".to_owned()),
        country: Some("FR".to_owned()),
        endpoint: None,
        account: None,
    }
}

struct Fleet {
    book: Book,
    sequence: u64,
}

impl Fleet {
    fn new(rules: Rules) -> Self {
        let mut book = Book::default();
        book.enrol(&["a", "b", "c", "d"].map(str::to_owned).into());
        book.follow(rules, vec![net("192.0.2.250/32")]);
        Self { book, sequence: 0 }
    }

    fn with_quorum() -> Self {
        Self::new(Rules { spread: Spread::Quorum, ..Rules::default() })
    }

    fn tells(&mut self, host: &str, report: Report, now: i64) -> Done {
        self.sequence += 1;
        let (sequence, reports) = (self.sequence, vec![report]);
        let message = Reports { host: host.to_owned(), sequence, sent_at: now, reports };
        self.book.take(host, message, now)
    }

    fn state(&self, network: &str) -> Option<State> {
        self.book.sources.get(&net(network)).map(|it| it.state)
    }

    fn is_listed(&self, network: &str, now: i64) -> bool {
        self.book.listed(now).any(|it| it.network == net(network))
    }

    fn refused(&self, host: &str, why: Refusal) -> u64 {
        self.book.hosts[host].refused.get(&why).copied().unwrap_or_default()
    }
}

#[test]
fn a_quorum_is_distinct_hosts_that_proved_it_lately() {
    let check = |name: &str, told: &[(&str, Grade, i64)], listed: bool| {
        let mut fleet = Fleet::with_quorum();
        for (host, grade, ago) in told {
            let last = NOW - ago;
            let it = Report { grade: *grade, first: last, last, ..report(ATTACKER) };
            fleet.tells(host, it, NOW);
        }
        assert_eq!(fleet.is_listed(ATTACKER, NOW), listed, "{name}");
    };
    use Grade::{Contained, Proven};
    let (a, b, c) = (("a", Proven, 0), ("b", Proven, 0), ("c", Proven, 0));
    check("three", &[a, b, c], true);
    check("two", &[a, b], false);
    check("one says it thrice", &[a, a, a], false);
    check("one of them only suspects", &[a, b, ("c", Contained, 0)], false);
    check("one proved it long ago", &[("a", Proven, DAY + 1), b, c], false);
    check("all of them suspect", &[("a", Contained, 0), ("b", Contained, 0), c], false);
    check("suspicion first, proof then", &[("a", Contained, 0), a, b, c], true);
}

#[test]
fn weights_and_the_size_of_the_fleet_count() {
    let check = |hosts: &[&str], weights: &[(&str, u32)], told: &[&str], listed: bool| {
        let weights = weights.iter().map(|(host, weight)| ((*host).to_owned(), *weight)).collect();
        let rules = Rules { spread: Spread::Quorum, weights, ..Rules::default() };
        let mut fleet = Fleet::new(rules);
        fleet.book.enrol(&hosts.iter().map(|&host| host.to_owned()).collect());
        for host in told {
            fleet.tells(host, report(ATTACKER), NOW);
        }
        assert_eq!(fleet.is_listed(ATTACKER, NOW), listed, "{hosts:?} {told:?}");
    };
    check(&["a"], &[], &["a"], true);
    check(&["a", "b"], &[], &["a"], false);
    check(&["a", "b"], &[], &["a", "b"], true);
    check(&["a", "b", "c", "d"], &[("a", 2)], &["a", "b"], true);
    check(&["a", "b", "c", "d"], &[("a", 0)], &["a", "b", "c"], false);
    // Who left has no voice, and who is left need not be more than there are.
    check(&["a", "b"], &[], &["a", "c"], false);
}

#[test]
fn the_webmaster_decides_by_default() {
    let mut fleet = Fleet::new(Rules::default());
    for host in ["a", "b", "c", "d"] {
        assert_eq!(fleet.tells(host, report(ATTACKER), NOW).list, []);
    }
    assert_eq!(fleet.state(ATTACKER), Some(State::Pending));
    let done = fleet.book.approve(net(ATTACKER), WEBMASTER, None, NOW).unwrap();
    let [ListChange::Put(listed)] = done.list.as_slice() else { panic!("{done:?}") };
    assert_eq!((listed.until, listed.hosts), ((NOW + 7 * DAY) as u32, 4));
    assert!(fleet.is_listed(ATTACKER, NOW));

    let done = fleet.book.recall(net(ATTACKER), WEBMASTER, NOW).unwrap();
    assert_eq!(done.list, [ListChange::Remove(net(ATTACKER))]);
    assert_eq!((fleet.state(ATTACKER), fleet.book.recalled), (Some(State::Recalled), 1));
    assert_eq!(
        fleet.book.recall(net(ATTACKER), WEBMASTER, NOW),
        Err(Objection::NotListed(net(ATTACKER)))
    );
}

#[test]
fn what_was_rejected_or_recalled_does_not_come_back_by_itself() {
    for recall in [false, true] {
        let mut fleet = Fleet::with_quorum();
        fleet.tells("a", report(ATTACKER), NOW);
        if recall {
            fleet.book.approve(net(ATTACKER), WEBMASTER, None, NOW).unwrap();
            fleet.book.recall(net(ATTACKER), WEBMASTER, NOW).unwrap();
        } else {
            fleet.book.reject(net(ATTACKER), WEBMASTER, NOW).unwrap();
        }
        for host in ["a", "b", "c", "d"] {
            assert_eq!(fleet.tells(host, report(ATTACKER), NOW).list, [], "{recall}");
        }
        fleet.book.approve(net(ATTACKER), WEBMASTER, None, NOW).unwrap();
        assert!(fleet.is_listed(ATTACKER, NOW));
    }
}

#[test]
fn an_entry_ends_and_new_proof_renews_it() {
    let rules = Rules { expires: Duration::from_secs(10 * DAY as u64), ..Rules::default() };
    let mut fleet = Fleet::new(Rules { spread: Spread::Quorum, quorum: 1, ..rules });
    let proof_at = |at: i64| Report { first: at, last: at, ..report(ATTACKER) };
    assert_eq!(fleet.tells("a", proof_at(NOW), NOW).list.len(), 1);
    // By less than a tenth: not told again.
    assert_eq!(fleet.tells("a", proof_at(NOW + DAY / 2), NOW + DAY / 2).list, []);
    let later = NOW + 2 * DAY;
    let [ListChange::Put(listed)] = &fleet.tells("a", proof_at(later), later).list[..] else {
        panic!("not renewed")
    };
    assert_eq!(i64::from(listed.until), later + 10 * DAY);
    // Suspicion renews nothing.
    let suspicion = Report { grade: Grade::Contained, ..proof_at(later + 5 * DAY) };
    assert_eq!(fleet.tells("b", suspicion, later + 5 * DAY).list, []);
    assert!(fleet.is_listed(ATTACKER, later + 10 * DAY - 1));
    assert!(!fleet.is_listed(ATTACKER, later + 10 * DAY));
    fleet.book.tend(later + 10 * DAY);
    assert_eq!(fleet.state(ATTACKER), Some(State::Pending));
    fleet.book.tend(later + 60 * DAY);
    assert_eq!(fleet.state(ATTACKER), None);
}

/// What a host may send that is not taken, and under which name it is counted.
#[test]
fn bad_reports_are_refused_and_counted() {
    let check = |change: &dyn Fn(&mut Report), why: Refusal| {
        let mut fleet = Fleet::with_quorum();
        let health = Health {
            host: "b".to_owned(),
            sent_at: NOW,
            spare: ["203.0.113.9/32", "203.0.113.130/32", "192.0.2.77/32"].map(net).to_vec(),
            ..Health::default()
        };
        fleet.book.hear("b", health, NOW);
        fleet.book.protect(net("203.0.113.64/26"), WEBMASTER, NOW);
        let mut bad = report(ATTACKER);
        change(&mut bad);
        let source = bad.source;
        for host in ["a", "c", "d"] {
            assert_eq!(fleet.tells(host, bad.clone(), NOW).list, [], "{bad:?}");
            assert_eq!(fleet.refused(host, why), 1, "{bad:?}");
        }
        assert!(!fleet.book.sources.contains_key(&source), "{bad:?}");
        let shown = fleet.book.answer(NOW);
        assert_eq!(shown.refused.get(&why), Some(&3), "{bad:?}");
        assert_eq!((shown.last_refused[0].why, &*shown.last_refused[0].host), (why, "d"));
    };
    let from = |text: &'static str| move |it: &mut Report| it.source = net(text);
    check(&from("0.0.0.0/0"), Refusal::TooWide);
    check(&from("::/0"), Refusal::TooWide);
    check(&from("198.51.100.0/31"), Refusal::TooWide);
    check(&from("2001:db8:1::/63"), Refusal::TooWide);
    check(&from("10.1.2.3/32"), Refusal::Private);
    check(&from("192.168.1.1/32"), Refusal::Private);
    check(&from("127.0.0.1/32"), Refusal::Private);
    check(&from("fe80::/64"), Refusal::Private);
    // The hub's, another host's, an operator's, a trunk.
    check(&from("192.0.2.250/32"), Refusal::OwnAddress);
    check(&from("203.0.113.9/32"), Refusal::OwnAddress);
    check(&from("192.0.2.77/32"), Refusal::OwnAddress);
    check(&from("203.0.113.130/32"), Refusal::OwnAddress);
    check(&from("203.0.113.65/32"), Refusal::Protected);
    check(&|it| it.last = NOW + 600, Refusal::Future);
    check(&|it| (it.first, it.last) = (NOW - 30 * DAY, NOW - 8 * DAY), Refusal::Old);
    check(&|it| it.first = NOW + 1, Refusal::Malformed);
}

#[test]
fn bad_messages_are_refused_whole() {
    let check = |change: &dyn Fn(&mut Reports), why: Refusal| {
        let mut fleet = Fleet::with_quorum();
        fleet.tells("a", report("198.51.100.1/32"), NOW);
        let mut message = Reports {
            host: "a".to_owned(),
            sequence: fleet.sequence + 1,
            sent_at: NOW,
            reports: vec![report(ATTACKER)],
        };
        change(&mut message);
        assert_eq!(fleet.book.take("a", message, NOW), Done::default());
        assert_eq!(fleet.refused("a", why), 1);
        assert_eq!(fleet.state(ATTACKER), None);
    };
    check(&|it| it.host = "b".to_owned(), Refusal::OtherHost);
    check(&|it| it.sequence -= 1, Refusal::Replayed);
    check(&|it| it.sequence = 0, Refusal::Replayed);
    check(&|it| it.sent_at = NOW + 301, Refusal::Future);

    let mut fleet = Fleet::with_quorum();
    fleet.book.enrol(&BTreeSet::from(["a".to_owned(), "c".to_owned()]));
    assert_eq!(fleet.tells("b", report(ATTACKER), NOW), Done::default());
    assert_eq!(fleet.refused("b", Refusal::Revoked), 1);
    assert_eq!(fleet.tells("stranger", report(ATTACKER), NOW), Done::default());
    assert_eq!(fleet.book.strangers.get(&Refusal::Revoked), Some(&1));
}

#[test]
fn a_host_that_floods_reports_is_cut_short() {
    let mut fleet = Fleet::new(Rules { reports_per_hour: 100, ..Rules::default() });
    for number in 0..1000u32 {
        let source = format!("198.51.{}.{}/32", number / 250, number % 250);
        fleet.tells("a", report(&source), NOW);
    }
    assert_eq!((fleet.book.sources.len(), fleet.refused("a", Refusal::TooMany)), (100, 900));
    // Others are heard, and so is it in the next hour.
    fleet.tells("b", report("203.0.113.1/32"), NOW);
    let later = NOW + 3600;
    let again = Report { last: later, ..report("203.0.113.2/32") };
    fleet.tells("a", again, later);
    assert_eq!(fleet.book.sources.len(), 102);
}

#[test]
fn no_host_shields_the_world() {
    let mut fleet = Fleet::with_quorum();
    let wide = ["0.0.0.0/0", "198.0.0.0/8", "198.51.100.0/23", "::/0"].map(net).to_vec();
    let health = Health { host: "d".to_owned(), sent_at: NOW, spare: wide, ..Health::default() };
    fleet.book.hear("d", health, NOW);
    for host in ["a", "b", "c"] {
        fleet.tells(host, report(ATTACKER), NOW);
    }
    assert!(fleet.is_listed(ATTACKER, NOW));
}

#[test]
fn what_is_protected_is_recalled_and_never_approved() {
    let mut fleet = Fleet::with_quorum();
    for host in ["a", "b", "c"] {
        fleet.tells(host, report(ATTACKER), NOW);
    }
    let done = fleet.book.protect(net("198.51.100.0/28"), WEBMASTER, NOW);
    assert_eq!(done.list, [ListChange::Remove(net(ATTACKER))]);
    let refused = Err(Objection::Refused(net(ATTACKER), Refusal::Protected));
    assert_eq!(fleet.book.approve(net(ATTACKER), WEBMASTER, None, NOW), refused);
    let wide = Err(Objection::Refused(net("198.51.0.0/16"), Refusal::TooWide));
    assert_eq!(fleet.book.approve(net("198.51.0.0/16"), WEBMASTER, None, NOW), wide);
    fleet.book.unprotect(net("198.51.100.0/28")).unwrap();
    assert!(fleet.book.approve(net(ATTACKER), WEBMASTER, None, NOW).is_ok());
}

#[test]
fn networks_are_proposed_never_taken() {
    let mut fleet = Fleet::with_quorum();
    for last in 1..=3 {
        for host in ["a", "b", "c"] {
            fleet.tells(host, report(&format!("198.51.100.{last}/32")), NOW);
            fleet.tells(host, report(&format!("2001:db8:7:{last}::/64")), NOW);
        }
    }
    let proposed: Vec<_> = fleet.book.networks().into_iter().map(|it| it.network).collect();
    assert_eq!(proposed, ["198.51.100.0/24", "2001:db8:7::/48"]);
    assert!(
        fleet
            .book
            .listed(NOW)
            .all(|it| it.network.prefix() >= 32 && !it.network.is_ipv6()
                || it.network.prefix() == 64)
    );
    fleet.book.approve(net("198.51.100.0/24"), WEBMASTER, None, NOW).unwrap();
    assert_eq!(fleet.book.networks().len(), 1);
}

#[test]
fn one_account_attacked_from_many_is_seen() {
    let mut fleet = Fleet::new(Rules::default());
    for (host, last) in [("a", 1), ("b", 2), ("a", 3)] {
        let source = format!("198.51.100.{last}/32");
        let account = Some("1000@pbx.example".to_owned());
        fleet.tells(host, Report { account, ..report(&source) }, NOW);
    }
    let answer = fleet.book.sources_answer(&FleetQuery::default(), |_| None, |_| None);
    let [account] = answer.accounts.as_slice() else { panic!("{:?}", answer.accounts) };
    assert_eq!((account.sources, account.hosts), (3, 2));
}

#[test]
fn silent_hosts_are_shown() {
    let mut fleet = Fleet::new(Rules::default());
    let health = |at: i64| Health {
        host: "a".to_owned(),
        sent_at: at,
        protected: true,
        revision: 4,
        ..Health::default()
    };
    fleet.book.hear("a", health(NOW), NOW);
    // An older one that was recorded and sent again.
    fleet.book.hear("a", health(NOW - 5), NOW);
    assert_eq!(fleet.refused("a", Refusal::Replayed), 1);
    let shown = |now: i64| fleet.book.hosts_answer(9, now).hosts;
    assert_eq!((&*shown(NOW)[0].health, shown(NOW)[0].behind), ("protected", 5));
    assert_eq!(shown(NOW + 61)[0].health, "silent");
    assert_eq!(shown(NOW)[1].health, "unheard");
    assert_eq!(fleet.book.answer(NOW + 61).silent, ["a", "b", "c", "d"]);
}
