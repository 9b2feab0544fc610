//! The store as its callers see it; `faults` is about its files.

mod audit;
mod faults;
mod noted;
mod past;

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::config::Scope;

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn network(text: &str) -> IpNetwork {
    text.parse().unwrap()
}

fn entry(text: &str, list: List) -> ListEntry {
    ListEntry {
        network: network(text),
        list,
        endpoint: None,
        note: "a \"note\", with\na line".to_owned(),
        added_at: time(0),
        added_by: "Administrator (admin@example.com)".to_owned(),
        expires_at: None,
        scope: Scope::All,
        origin: Origin::Manual,
    }
}

fn block(source: &str, started: i64) -> BlockRecord {
    BlockRecord {
        source: network(source),
        kind: BlockKind::Dynamic,
        port: None,
        endpoint_only: false,
        endpoint: Some("pbx1".to_owned()),
        victim: Some("192.0.2.10".parse().unwrap()),
        started_at: time(started),
        expires_at: time(started + 3600),
        duration_s: 3600,
        scope: Scope::All,
        also: Vec::new(),
        rule: "BRUTEFORCE:register".to_owned(),
        reason: "12 failed registrations within a minute, more than 10".to_owned(),
        user_agent: Some("friendly-scanner".to_owned()),
        account: Some("100".to_owned()),
        country: Some("PS".to_owned()),
        proven: true,
        evidence_first: time(started - 9),
        evidence_last: time(started),
        evidence: None,
        renewals: 0,
        reaction_us: Some(420),
        escalated: false,
        lifted: None,
        refused: false,
    }
}

fn trust(address: &str) -> TrustRecord {
    TrustRecord {
        peak: crate::rules::Peak::default(),
        address: address.parse().unwrap(),
        kind: TrustKind::Registration,
        endpoint: Some("pbx1".to_owned()),
        account: Some("100".to_owned()),
        since: time(0),
        last_seen: time(5),
        no_new_trust_until: None,
        ports: vec![5060],
    }
}

fn standing(source: &str) -> SourceStanding {
    SourceStanding {
        source: network(source),
        blocks: vec![time(0), time(10)],
        containments: Vec::new(),
        login_at: Some(time(1)),
        grace_until: Some(time(3600)),
        distrusted_until: Some(time(7200)),
        suspects: vec![SuspectRecord {
            account: "100@pbx".to_owned(),
            no_new_trust_until: time(9),
        }],
    }
}

fn attack(source: &str, day: &str, drops: u64) -> AttackRecord {
    AttackRecord {
        day: day.parse().unwrap(),
        source: network(source),
        method: "SCANNER:friendly-scanner".to_owned(),
        victim: Some("192.0.2.10".parse().unwrap()),
        endpoint: None,
        country: None,
        user_agent: None,
        drops,
        observed: 0,
        first: time(drops as i64),
        last: time(drops as i64),
    }
}

fn open(directory: &Path) -> (Store, OpenReport) {
    Store::open(directory).unwrap()
}

/// Everything the export must bring back, in words.
fn state(store: &Store) -> Vec<String> {
    let lists = [List::Allow, List::Deny]
        .map(|list| store.list(list).map(|it| format!("{:?}", it.unwrap())).collect::<Vec<_>>());
    let mut all = lists.concat();
    all.extend(store.blocks().unwrap().iter().map(|it| format!("{it:?}")));
    all.extend(store.trust().unwrap().iter().map(|it| format!("{it:?}")));
    all.extend(store.standings().unwrap().iter().map(|it| format!("{it:?}")));
    all
}

/// A store with some of everything, closed; its directory and its state.
fn filled() -> (TempDir, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    let (store, report) = open(directory.path());
    assert!(report.created);
    store.put_list_entry(entry("198.51.100.0/24", List::Allow)).unwrap();
    for n in 0..50 {
        store.put_list_entry(entry(&format!("203.0.113.{n}"), List::Deny)).unwrap();
        store.put_block(block(&format!("2001:db8:{n}::/64"), n)).unwrap();
    }
    store.remove_list_entry(entry("203.0.113.7", List::Deny).key()).unwrap().unwrap();
    store
        .apply(&[
            Change::PutTrust(trust("198.51.100.7")),
            Change::PutStanding(standing("203.0.113.9")),
        ])
        .unwrap();
    let state = state(&store);
    assert_eq!(state.len(), 1 + 49 + 50 + 2);
    (directory, state)
}

#[test]
fn list_entries_are_put_replaced_found_and_removed() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    for text in ["10.0.0.0/8", "2001:db8::/32", "10.1.0.0/16", "10.1.2.3"] {
        store.put_list_entry(entry(text, List::Deny)).unwrap();
    }
    store.put_list_entry(entry("10.1.2.3", List::Allow)).unwrap();
    store
        .put_list_entry(ListEntry {
            endpoint: Some("pbx1".to_owned()),
            ..entry("10.1.2.3", List::Deny)
        })
        .unwrap();
    store
        .put_list_entry(ListEntry { note: "new".to_owned(), ..entry("10.1.0.0/16", List::Deny) })
        .unwrap();
    let listed: Vec<_> = store.list(List::Deny).map(|it| it.unwrap().network.to_string()).collect();
    assert_eq!(
        listed,
        ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "10.1.2.3/32", "2001:db8::/32"]
    );

    let covering = store.covering(List::Deny, "10.1.2.3".parse().unwrap()).unwrap();
    let covering: Vec<_> = covering
        .iter()
        .map(|it| (it.network.prefix(), it.endpoint.as_deref(), it.note.as_str() == "new"))
        .collect();
    assert_eq!(
        covering,
        [(32, None, false), (32, Some("pbx1"), false), (16, None, true), (8, None, false)]
    );

    // Host bits don't make another network.
    let key = ListKey { list: List::Deny, network: network("10.9.9.9/8"), endpoint: None };
    assert_eq!(
        store.remove_list_entry(key.clone()).unwrap().unwrap().network,
        network("10.0.0.0/8")
    );
    assert_eq!(store.remove_list_entry(key).unwrap(), None);
}

#[test]
fn a_list_has_a_length_and_pages_from_either_end() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let named = |number: u32| entry(&format!("192.0.2.{number}"), List::Deny);
    let many: Vec<_> = (0..10).map(|number| Change::PutList(named(number))).collect();
    store.apply(&many).unwrap();
    store.put_list_entry(entry("192.0.2.3", List::Allow)).unwrap();
    // Put again, it is no other one.
    store.put_list_entry(named(4)).unwrap();
    store.remove_list_entry(named(9).key()).unwrap();
    let check = |store: &Store| {
        assert_eq!([List::Allow, List::Deny].map(|list| store.list_length(list)), [1, 9]);
        for (offset, limit) in [(0, 3), (3, 3), (4, 9), (5, 2), (7, 2), (8, 5), (9, 1), (20, 5)] {
            let page = store.list_page(List::Deny, offset, limit).unwrap();
            let expected: Vec<_> = (0..9).skip(offset as usize).take(limit as usize).collect();
            let expected: Vec<_> = expected.into_iter().map(named).collect();
            assert_eq!(page, expected, "{offset} {limit}");
        }
    };
    check(&store);
    drop(store);
    check(&open(directory.path()).0);
}

#[test]
fn blocks_are_renewed_lifted_and_remembered() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let first = block("203.0.113.5", 0);
    store.put_block(first.clone()).unwrap();
    let renewed = BlockRecord { renewals: 1, expires_at: time(9000), ..first.clone() };
    store.put_block(renewed.clone()).unwrap();
    let quarantine =
        BlockRecord { kind: BlockKind::Quarantine, port: Some(5066), ..block("203.0.113.5", 1) };
    let tenant = BlockRecord { endpoint_only: true, ..block("203.0.113.5", 2) };
    store.apply(&[Change::PutBlock(quarantine), Change::PutBlock(tenant.clone())]).unwrap();
    assert_eq!(store.blocks_of(first.source).unwrap().len(), 3);
    assert_eq!(store.block(&first.key()).unwrap(), Some(renewed));

    let lifted = Lifted { at: time(5), by: "root".to_owned() };
    let ended = store.lift_block(first.key(), lifted.clone()).unwrap().unwrap();
    assert_eq!((ended.renewals, ended.lifted.as_ref()), (1, Some(&lifted)));
    assert_eq!(store.lift_block(first.key(), lifted).unwrap(), None);
    store.end_block(tenant.key()).unwrap();
    assert_eq!(store.blocks().unwrap().len(), 1);

    let history: Vec<_> = store.history(time(0)..time(2)).map(Result::unwrap).collect();
    assert_eq!(history.len(), 2);
    assert_eq!(history[0], ended);
    assert_eq!(store.history(time(2)..time(0)).count(), 0);
}

#[test]
fn a_batch_happens_as_a_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let huge = ListEntry { note: "x".repeat(1 << 20), ..entry("10.0.0.2", List::Deny) };
    let changes = [Change::PutList(entry("10.0.0.1", List::Deny)), Change::PutList(huge)];
    let error = store.apply(&changes).unwrap_err();
    assert!(matches!(error, StoreError::TooLarge(_)), "{error}");
    assert_eq!(store.list(List::Deny).count(), 0);

    // A later change of a batch sees an earlier one.
    let lifted = Lifted { at: time(5), by: "root".to_owned() };
    let it = block("203.0.113.5", 0);
    let key = it.key();
    store.apply(&[Change::PutBlock(it), Change::LiftBlock { key, lifted }]).unwrap();
    assert_eq!(store.blocks().unwrap(), []);
    assert!(store.history(time(0)..time(1)).next().unwrap().unwrap().lifted.is_some());
}

#[test]
fn history_and_attacks_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits {
        history_rows: 10,
        attack_rows: 8,
        attack_rows_a_day: 3,
        alert_rows: 5,
        ..Limits::default()
    };
    let (store, _) = Store::open_with(directory.path(), limits).unwrap();
    for n in 0..25 {
        store.put_block(block(&format!("203.0.113.{n}"), n)).unwrap();
    }
    let starts: Vec<_> =
        store.history(time(0)..time(99)).map(|it| it.unwrap().started_at).collect();
    assert_eq!(starts, (15..25).map(time).collect::<Vec<_>>());
    assert_eq!(store.blocks().unwrap().len(), 25);

    for day in ["2026-01-01", "2026-01-02", "2026-01-03"] {
        let attacks = (0..9).map(|n| attack(&format!("203.0.113.{n}"), day, n)).collect();
        store.add_attacks(attacks).unwrap();
    }
    let days = "2026-01-01".parse().unwrap()..="2026-01-03".parse().unwrap();
    let rows: Vec<_> = store.attacks(days).map(Result::unwrap).collect();
    assert_eq!(rows.len(), 8);
    let last =
        rows.iter().filter(|row| row.day == "2026-01-03".parse().unwrap()).collect::<Vec<_>>();
    assert_eq!(last.iter().map(|row| row.drops).sum::<u64>(), 36);
    assert_eq!((last[0].source, last[0].drops), (network("0.0.0.0/0"), 3 + 4 + 5 + 6 + 7 + 8));
}

#[test]
fn what_reports_are_made_of_is_kept_as_long_as_is_wanted() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let day = 86_400;
    let date = |number: i64| time(number * day).to_zoned(jiff::tz::TimeZone::UTC).date();
    for number in 0..6 {
        store.put_block(block(&format!("203.0.113.{number}"), number * day)).unwrap();
        let of_day = |source: &str| attack(source, &date(number).to_string(), 1);
        store.add_attacks(vec![of_day("203.0.113.1"), of_day("203.0.113.2")]).unwrap();
    }
    let count = || {
        let attacks = store.attacks(date(0)..=date(9)).count();
        (store.history(time(0)..time(9 * day)).count(), attacks)
    };
    assert_eq!(count(), (6, 12));
    let trim = |rows_max, number| {
        store.apply(&[Change::TrimReport { rows_max, before: time(number * day) }]).unwrap();
    };
    trim(1000, 2);
    assert_eq!(count(), (4, 8));
    trim(3, 2);
    assert_eq!(count(), (3, 3));
    trim(3, 5);
    assert_eq!(count(), (1, 2));
}

#[test]
fn attacks_add_up() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let day = "2026-01-01";
    store.add_attacks(vec![attack("203.0.113.1", day, 5), attack("203.0.113.1", day, 7)]).unwrap();
    store.add_attacks(vec![attack("203.0.113.1", day, 1)]).unwrap();
    store.sync().unwrap();
    let day = day.parse().unwrap();
    let rows: Vec<_> = store.attacks(day..=day).map(Result::unwrap).collect();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].drops, rows[0].first, rows[0].last), (13, time(1), time(7)));
}

#[test]
fn the_export_is_rewritten_before_it_is_mostly_past() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    for n in 0..700 {
        store.put_block(BlockRecord { renewals: n, ..block("203.0.113.5", 0) }).unwrap();
    }
    let lines = fs::read_to_string(store.export_path()).unwrap().lines().count();
    assert!(lines < 1010 && store.is_exported(), "{lines}");
    let clock = ClockBase { boot_id: "b".to_owned(), booted_at: time(0) };
    store.put_clock_base(clock.clone()).unwrap();
    drop(store);
    let (store, report) = open(directory.path());
    assert_eq!(report, OpenReport::default());
    assert_eq!(store.blocks().unwrap()[0].renewals, 699);
    assert_eq!(store.clock_base().unwrap(), Some(clock));
}

/// sled's threads may hold a database for a moment after it was closed.
#[test]
fn a_database_that_is_still_held_is_waited_for_and_not_set_aside() {
    use std::os::fd::AsRawFd;
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    store.put_list_entry(entry("10.0.0.1", List::Allow)).unwrap();
    drop(store);
    let held = fs::File::open(directory.path().join("store/db")).unwrap();
    let lock = |how| {
        // SAFETY: flock takes an open descriptor and touches no memory.
        let done = unsafe { libc::flock(held.as_raw_fd(), how) };
        assert_eq!(done, 0);
    };
    lock(libc::LOCK_EX);
    std::thread::scope(|scope| {
        let opening = scope.spawn(|| open(directory.path()));
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert!(!opening.is_finished());
        lock(libc::LOCK_UN);
        let (store, report) = opening.join().unwrap();
        assert_eq!(report, OpenReport::default());
        assert_eq!(store.list(List::Allow).count(), 1);
    });
}

#[test]
fn a_bulk_change_happens_as_a_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    store.put_list_entry(entry("10.0.0.1", List::Allow)).unwrap();
    let count = BULK_PART + 10;
    let changes = |note: &str| -> Vec<Change> {
        let numbered = |n: usize| entry(&format!("11.0.{}.{}", n / 256, n % 256), List::Deny);
        let note = |n: usize| if n + 1 == count { note.to_owned() } else { "x".to_owned() };
        (0..count).map(|n| Change::PutList(ListEntry { note: note(n), ..numbered(n) })).collect()
    };
    let before = fs::read(store.export_path()).unwrap();
    store.apply(&changes(&"x".repeat(RECORD_BYTES_MAX))).unwrap_err();
    assert_eq!(fs::read(store.export_path()).unwrap(), before);
    assert_eq!(store.list(List::Deny).count(), 0);

    store.apply(&changes("y")).unwrap();
    store.put_list_entry(entry("10.0.0.2", List::Allow)).unwrap();
    drop(store);
    let (store, report) = open(directory.path());
    assert_eq!(report, OpenReport::default());
    assert_eq!(store.list(List::Deny).count(), count);

    // Only the export has the batch: a crash before its parts reached the database.
    drop(store);
    fs::remove_dir_all(directory.path().join("store")).unwrap();
    let other = tempfile::tempdir().unwrap();
    drop(open(other.path()));
    faults::copy_tree(&other.path().join("store"), &directory.path().join("store"));
    let (store, report) = open(directory.path());
    assert_eq!(report.recovery.unwrap().list_entries, count as u64 + 2);
    assert_eq!(store.list(List::Deny).count(), count);
}

#[test]
fn records_of_earlier_versions_are_read() {
    let standing: SourceStanding =
        super::codec::decode(b"\x01{\"source\":\"192.0.2.7/32\",\"blocks\":[]}").unwrap();
    assert_eq!((standing.distrusted_until, standing.suspects.len()), (None, 0));
    let trust: TrustRecord = super::codec::decode(
        b"\x01{\"address\":\"192.0.2.7\",\"kind\":\"trunk\",\"since\":\"2026-01-01T00:00:00Z\",\
          \"last_seen\":\"2026-01-01T00:00:00Z\"}",
    )
    .unwrap();
    assert!(trust.ports.is_empty());
}
