//! The audit log: what was there before and after, in order, bounded, and there after a crash.

use super::*;

fn record(what: &str, second: i64, undoes: Option<u64>) -> AuditRecord {
    AuditRecord {
        number: 0,
        at: time(second),
        who: "ann".to_owned(),
        from: "socket".to_owned(),
        what: what.to_owned(),
        target: "203.0.113.1".to_owned(),
        pairs: Vec::new(),
        left_out: None,
        undoes,
        undone_by: None,
    }
}

fn done(store: &Store, what: &str, changes: Vec<Change>) {
    store.apply(&[Change::audited(record(what, 0, None), changes)]).unwrap();
}

#[test]
fn before_and_after_are_what_the_store_had() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let one = entry("203.0.113.1", List::Deny);
    let other = ListEntry { note: "another".to_owned(), ..one.clone() };
    done(&store, "list.add", vec![Change::PutList(one.clone())]);
    done(&store, "list.edit", vec![Change::PutList(other.clone())]);
    done(&store, "list.edit", vec![Change::PutList(other.clone())]);
    // The second is in the first one's batch, and sees it.
    store
        .apply(&[
            Change::PutList(one.clone()),
            Change::audited(record("list.remove", 1, None), vec![Change::RemoveList(one.key())]),
        ])
        .unwrap();
    drop(store);
    let (store, report) = open(directory.path());
    assert_eq!(report, OpenReport::default());
    let all: Vec<AuditRecord> = store.audit().map(Result::unwrap).collect();
    let told: Vec<_> =
        all.iter().map(|it| (it.number, it.what.as_str(), it.pairs.clone())).collect();
    let pair = |before: Option<&ListEntry>, after: Option<&ListEntry>| Pair::List {
        before: before.cloned(),
        after: after.cloned(),
    };
    let expected = [
        (4, "list.remove", vec![pair(Some(&one), None)]),
        (3, "list.edit", vec![]),
        (2, "list.edit", vec![pair(Some(&one), Some(&other))]),
        (1, "list.add", vec![pair(None, Some(&one))]),
    ];
    assert_eq!(told, expected);
    assert_eq!(all[0].pairs[0].thing(), "deny 203.0.113.1");
    assert_eq!(store.list(List::Deny).count(), 0);
}

#[test]
fn an_undo_marks_what_it_undoes_and_its_own_undo_unmarks_it() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let undone = |number| store.audit_record(number).unwrap().unwrap().undone_by;
    let put = || vec![Change::PutList(entry("203.0.113.1", List::Deny))];
    done(&store, "list.add", put());
    store.apply(&[Change::audited(record("undo", 1, Some(1)), put())]).unwrap();
    assert_eq!((undone(1), undone(2)), (Some(2), None));
    store.apply(&[Change::audited(record("undo", 2, Some(2)), put())]).unwrap();
    assert_eq!((undone(1), undone(2), undone(3)), (None, Some(3), None));
}

#[test]
fn it_is_bounded_by_number_age_and_size() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { audit_rows: 5, ..Limits::default() };
    let (store, _) = Store::open_with(directory.path(), limits).unwrap();
    for second in 0..9 {
        store.apply(&[Change::audited(record("confirm", second, None), Vec::new())]).unwrap();
    }
    let numbers =
        |store: &Store| -> Vec<u64> { store.audit().map(|it| it.unwrap().number).collect() };
    assert_eq!(numbers(&store), [9, 8, 7, 6, 5]);
    store.apply(&[Change::TrimAudit { records_max: 4, before: time(6) }]).unwrap();
    assert_eq!(numbers(&store), [9, 8, 7]);
    store.apply(&[Change::TrimAudit { records_max: 4, before: time(99) }]).unwrap();
    assert_eq!(numbers(&store), [9], "or numbers would begin anew");
    let many = |count: u8| {
        (0..count).flat_map(|low| {
            let note = "x".repeat(800);
            (0..16).map(move |high| {
                let entry = entry(&format!("198.51.{high}.{low}"), List::Deny);
                Change::PutList(ListEntry { note: note.clone(), ..entry })
            })
        })
    };
    done(&store, "list.import", many(10).collect());
    done(&store, "list.import", many(100).collect());
    let last = |number| store.audit_record(number).unwrap().unwrap();
    assert_eq!((last(10).pairs.len(), last(10).left_out), (160, None));
    assert!(last(11).pairs.is_empty());
    assert_eq!(last(11).left_out.unwrap(), "1440 changes, too many to be kept");
    drop(store);
    let (store, _) = Store::open_with(directory.path(), limits).unwrap();
    assert_eq!(numbers(&store), [11, 10, 9]);
}

#[test]
fn what_is_audited_is_exported_like_anything_else() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    done(&store, "list.add", vec![Change::PutList(entry("203.0.113.1", List::Deny))]);
    drop(store);
    fs::remove_dir_all(directory.path().join("store")).unwrap();
    let (store, report) = open(directory.path());
    assert!(report.recovery.is_some());
    assert_eq!(store.list(List::Deny).count(), 1);
}
