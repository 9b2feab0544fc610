//! The past of one source, records of earlier versions, and peers.

use super::*;

#[test]
fn the_past_of_a_source_newest_first() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    for n in 0..20 {
        store.put_block(block("203.0.113.5", n * 10)).unwrap();
        store.put_block(block("203.0.113.50", n * 10 + 1)).unwrap();
        store.put_block(block("2001:db8::/64", n * 10 + 2)).unwrap();
    }
    let own = store.history_of(network("203.0.113.5"), 3).unwrap();
    let starts: Vec<_> = own.iter().map(|row| row.started_at).collect();
    assert_eq!(starts, [time(190), time(180), time(170)]);
    assert_eq!(store.history_of(network("2001:db8::/64"), 99).unwrap().len(), 20);
    assert!(store.history_of(network("2001:db8::"), 99).unwrap().is_empty());

    let key = own[0].key();
    store.end_block(key.clone()).unwrap();
    let lifted = Lifted { at: time(500), by: "ann".to_owned() };
    let note = Change::NoteLift { key: key.clone(), started_at: time(190), lifted: lifted.clone() };
    store.apply(&[note]).unwrap();
    let own = store.history_of(network("203.0.113.5"), 1).unwrap();
    assert_eq!((own[0].lifted.as_ref(), store.block(&key).unwrap()), (Some(&lifted), None));
}

#[test]
fn records_of_earlier_versions_are_readable() {
    let old = r#"{"source":"203.0.113.5/32","kind":"dynamic","endpoint":null,"victim":null,
        "started_at":"2026-01-01T00:00:00Z","expires_at":"2026-01-01T01:00:00Z","duration_s":3600,
        "scope":"all","rule":"BRUTEFORCE:register","reason":"10 of them","proven":true,
        "evidence_first":"2026-01-01T00:00:00Z","evidence_last":"2026-01-01T00:00:00Z"}"#;
    let record: BlockRecord = serde_json::from_str(old).unwrap();
    assert!(record.evidence.is_none() && !record.escalated && record.proven);
}

#[test]
fn peers_survive_the_database() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let peer = |text: &str| PeerRecord {
        rate: None,
        network: network(text),
        note: "the trunk".to_owned(),
        added_at: time(0),
        added_by: "ann".to_owned(),
    };
    for text in ["203.0.113.0/28", "198.51.100.9", "2001:db8::/48"] {
        store.apply(&[Change::PutPeer(peer(text))]).unwrap();
    }
    store.apply(&[Change::RemovePeer(network("203.0.113.0/28"))]).unwrap();
    drop(store);
    fs::remove_dir_all(directory.path().join("store")).unwrap();
    let (store, report) = open(directory.path());
    assert!(report.recovery.is_some(), "{report}");
    assert_eq!(store.peers().unwrap(), [peer("198.51.100.9"), peer("2001:db8::/48")]);
}
