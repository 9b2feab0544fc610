//! What a crash, a bad disk or a second daemon may do to the files.

use super::*;

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

pub(super) fn copy_tree(from: &Path, to: &Path) {
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

#[test]
fn what_was_acknowledged_is_in_every_copy_of_the_files() {
    use std::sync::atomic::{AtomicI64, Ordering};
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let acknowledged = AtomicI64::new(0);
    let starts = |store: &Store| -> std::collections::HashSet<Timestamp> {
        store.blocks().unwrap().iter().map(|block| block.started_at).collect()
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..300 {
                store.put_block(block(&format!("10.0.{}.{}", n / 256, n % 256), n)).unwrap();
                acknowledged.store(n + 1, Ordering::SeqCst);
            }
        });
        while acknowledged.load(Ordering::SeqCst) < 300 {
            let sure = acknowledged.load(Ordering::SeqCst);
            let copy = tempfile::tempdir().unwrap();
            copy_tree(directory.path(), copy.path());
            let (copied, report) = open(copy.path());
            let found = starts(&copied);
            assert!((0..sure).all(|n| found.contains(&time(n))), "{sure}: {report}");
        }
    });
}
