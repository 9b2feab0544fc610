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
        rule: "BRUTEFORCE:register".to_owned(),
        reason: "12 failed registrations within a minute, more than 10".to_owned(),
        user_agent: Some("friendly-scanner".to_owned()),
        account: Some("100".to_owned()),
        country: Some("PS".to_owned()),
        proven: true,
        evidence_first: time(started - 9),
        evidence_last: time(started),
        renewals: 0,
        reaction_us: Some(420),
        lifted: None,
    }
}

fn trust(address: &str) -> TrustRecord {
    TrustRecord {
        address: address.parse().unwrap(),
        kind: TrustKind::Registration,
        endpoint: Some("pbx1".to_owned()),
        account: Some("100".to_owned()),
        since: time(0),
        last_seen: time(5),
        no_new_trust_until: None,
    }
}

fn standing(source: &str) -> SourceStanding {
    SourceStanding {
        source: network(source),
        blocks: vec![time(0), time(10)],
        containments: Vec::new(),
        grace_until: Some(time(3600)),
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

fn database_file(directory: &TempDir) -> PathBuf {
    directory.path().join("store/db")
}

/// After `damage`, opening brings everything back that the export has.
#[track_caller]
fn check(damage: impl FnOnce(&TempDir), recovers: bool) {
    let (directory, before) = filled();
    damage(&directory);
    let (store, report) = open(directory.path());
    assert_eq!(report.recovery.is_some(), recovers, "{report}");
    assert_eq!(state(&store), before, "{report}");
    if let Some(recovery) = &report.recovery {
        assert!(recovery.set_aside.exists() && recovery.from_export, "{report}");
        assert_eq!((recovery.list_entries, recovery.blocks), (50, 50));
        assert!(report.to_string().contains("set aside as"));
    }
    // It works on, and the next opening finds nothing to say.
    store.put_list_entry(entry("192.0.2.99", List::Deny)).unwrap();
    drop(store);
    let (store, report) = open(directory.path());
    assert_eq!(report, OpenReport::default());
    assert_eq!(state(&store).len(), before.len() + 1);
}

#[test]
fn an_undamaged_store_opens_as_it_was() {
    check(|_| {}, false);
}

#[test]
fn a_zero_length_database_is_recovered() {
    check(|it| fs::write(database_file(it), "").unwrap(), true);
}

#[test]
fn a_missing_database_is_recovered() {
    check(|it| fs::remove_file(database_file(it)).unwrap(), true);
}

#[test]
fn a_database_of_noise_is_recovered() {
    check(|it| fs::write(database_file(it), vec![0xa5; 1 << 20]).unwrap(), true);
}

#[test]
fn a_truncated_database_is_recovered() {
    check(
        |it| {
            let file = fs::OpenOptions::new().write(true).open(database_file(it)).unwrap();
            file.set_len(3000).unwrap();
        },
        true,
    );
}

#[test]
fn a_torn_temporary_snapshot_is_ignored() {
    check(
        |it| {
            let name = "store/snap.FFFFFFFFFFFFFFF0.generating";
            fs::write(it.path().join(name), "torn").unwrap();
        },
        false,
    );
}

#[test]
fn a_broken_snapshot_is_recovered() {
    check(
        |it| fs::write(it.path().join("store/snap.FFFFFFFFFFFFFFF0"), "broken snapshot").unwrap(),
        true,
    );
}

#[test]
fn a_missing_or_broken_export_is_written_anew() {
    let path = |it: &TempDir| it.path().join(open::EXPORT_NAME);
    check(|it| fs::remove_file(path(it)).unwrap(), false);
    check(|it| fs::write(path(it), "\0\0\0").unwrap(), false);
    check(|it| fs::write(path(it).with_extension("tmp"), "half").unwrap(), false);
    check(
        |it| {
            let mut text = fs::read(path(it)).unwrap();
            text.extend(b"{\"put_list\":{\"netw");
            fs::write(path(it), text).unwrap();
        },
        false,
    );
}

#[test]
fn flipped_bytes_never_cost_an_entry() {
    let (directory, before) = filled();
    let whole = fs::read(database_file(&directory)).unwrap();
    let used = whole.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    for step in 0..24 {
        let copy = tempfile::tempdir().unwrap();
        copy_tree(directory.path(), copy.path());
        let mut bytes = whole.clone();
        bytes[used * step / 24 + step] ^= 0x5a;
        fs::write(database_file(&copy), bytes).unwrap();
        let (store, report) = open(copy.path());
        assert_eq!(state(&store), before, "byte {}: {report}", used * step / 24 + step);
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn history_is_carried_over_when_the_database_only_lags() {
    let (directory, before) = filled();
    let export = directory.path().join(open::EXPORT_NAME);
    let text = fs::read_to_string(&export).unwrap();
    // A batch that only the export knows: the database has lost it.
    let lost = serde_json::to_string(&Change::RemoveList(entry("203.0.113.8", List::Deny).key()));
    fs::write(&export, format!("{text}{}\n{{\"commit\":999}}\n", lost.unwrap())).unwrap();
    let (store, report) = open(directory.path());
    assert_eq!(report.recovery.unwrap().history, 50);
    assert_eq!(state(&store).len(), before.len() - 1);
    assert_eq!(store.history(time(0)..time(100)).count(), 50);
}

#[test]
fn without_an_export_an_emptied_database_is_said() {
    let (directory, _) = filled();
    fs::write(database_file(&directory), "").unwrap();
    fs::remove_file(directory.path().join(open::EXPORT_NAME)).unwrap();
    let (store, report) = open(directory.path());
    assert_eq!(state(&store).len(), 0);
    let recovery = report.recovery.unwrap();
    assert!(!recovery.from_export && recovery.reason.contains("export is missing"));
}

#[test]
fn only_the_newest_broken_databases_are_kept() {
    let (directory, _) = filled();
    for _ in 0..5 {
        fs::write(database_file(&directory), "").unwrap();
        assert!(open(directory.path()).1.recovery.is_some());
    }
    let broken = fs::read_dir(directory.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("broken"));
    assert_eq!(broken.count(), 3);
}

#[test]
fn a_second_opening_names_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let _first = open(directory.path());
    let error = Store::open(directory.path()).err().unwrap();
    let process = std::process::id();
    let text = format!("another sipprot (process {process}) uses {}", directory.path().display());
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_directory_that_can_not_be_is_an_error_and_no_recovery() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Store::open(&file.join("state")).err().unwrap();
    assert!(matches!(error, StoreError::Unusable { .. }), "{error}");
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
    assert!(matches!(error, StoreError::TooLarge(_, _, RECORD_BYTES_MAX)), "{error}");
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
    let limits = Limits { history_rows: 10, attack_rows: 8, attack_rows_a_day: 3 };
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

#[test]
fn a_value_of_a_newer_version_is_counted_and_kept() {
    let (directory, before) = filled();
    {
        let sled = sled::open(directory.path().join("store")).unwrap();
        let key = codec::list_key(&entry("203.0.113.1", List::Deny).key());
        sled.insert(key, b"\x02{}").unwrap();
        sled.flush().unwrap();
    }
    let (store, report) = open(directory.path());
    assert_eq!((report.unreadable_records, &report.recovery), (1, &None));
    assert_eq!(state(&store).len(), before.len() - 1);
}
