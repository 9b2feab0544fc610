//! Alerts are bounded; what was learned lasts until it is forgotten.

use super::*;
use crate::rules::{EndpointId, EndpointPeak, Learned};
use crate::store::{AlertRecord, LearningRecord};

fn alert(source: &str, second: i64) -> AlertRecord {
    AlertRecord {
        at: time(second),
        source: network(source),
        kind: "stale-password".to_owned(),
        endpoint: None,
        what: "an old password".to_owned(),
        accounts: vec!["100@pbx".to_owned()],
    }
}

#[test]
fn alerts_are_bounded_and_found_by_time_and_source() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { alert_rows: 5, ..Limits::default() };
    for start in [0, 4] {
        let (store, _) = Store::open_with(directory.path(), limits).unwrap();
        for second in start..start + 4 {
            let source = format!("203.0.113.{}", second % 2);
            store.apply(&[Change::AddAlert(alert(&source, second))]).unwrap();
        }
    }
    let (store, _) = Store::open_with(directory.path(), limits).unwrap();
    let seconds = |rows: Vec<AlertRecord>| -> Vec<i64> {
        rows.iter().map(|row| row.at.as_second() - time(0).as_second()).collect()
    };
    let all = store.alerts(time(0)..time(99)).map(Result::unwrap).collect();
    assert_eq!(seconds(all), [3, 4, 5, 6, 7]);
    assert_eq!(seconds(store.alerts_of(network("203.0.113.1"), 2).unwrap()), [7, 5]);
    assert_eq!(store.alerts_of(network("203.0.113.9"), 2).unwrap(), []);
}

#[test]
fn what_was_learned_lasts_until_it_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let record = LearningRecord {
        started_at: time(0),
        until: time(9),
        started_by: "ann".to_owned(),
        ended: None,
    };
    let row = |drops| Learned::Endpoint(EndpointId(1), EndpointPeak { requests: 7, drops });
    store.apply(&[Change::PutLearning(record.clone())]).unwrap();
    store.put_learned(vec![row(1), row(2)]).unwrap();
    store.sync().unwrap();
    drop(store);
    let (store, report) = open(directory.path());
    assert_eq!(report, OpenReport::default());
    assert_eq!((store.learning().unwrap(), store.learned().unwrap()), (Some(record), vec![row(2)]));
    let again = [Change::PutLearned(row(3)), Change::RemoveLearning];
    store.apply(&again).unwrap();
    assert_eq!((store.learning().unwrap(), store.learned().unwrap()), (None, vec![]));
}

#[test]
fn that_the_host_learns_survives_a_destroyed_database() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let record = LearningRecord {
        started_at: time(0),
        until: time(9),
        started_by: "ann".to_owned(),
        ended: None,
    };
    store.apply(&[Change::PutLearning(record.clone())]).unwrap();
    drop(store);
    fs::remove_dir_all(directory.path().join("store")).unwrap();
    let (store, report) = open(directory.path());
    assert!(report.recovery.is_some());
    assert_eq!(store.learning().unwrap(), Some(record), "or it would enforce by surprise");
}
