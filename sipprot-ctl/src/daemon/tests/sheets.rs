//! Lists as files: what is counted, what is carried out, and what isn't.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::sync::Arc;
use std::time::Instant;

use super::*;
use crate::api::{ReadSheet, Sheet, SheetAnswer, SheetUse};

fn sheet(list: List, usage: SheetUse, text: &str) -> Sheet {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let by = "ann".to_owned();
    let (endpoint, zone, began) = (None, "UTC".to_owned(), Instant::now());
    Sheet { list, usage, file: Arc::new(file), endpoint, zone, by, began }
}

async fn read(core: &mut Core, sheet: Sheet) -> ReadSheet {
    let consent = Consent::default();
    match ask(core, Command::ReadSheet { sheet, consent }).await.unwrap() {
        Answer::Read(read) => read,
        other => panic!("{other:?}"),
    }
}

async fn apply(core: &mut Core, read: ReadSheet) -> SheetAnswer {
    match ask(core, Command::ApplySheet { read, consent: Consent::default() }).await.unwrap() {
        Answer::Sheet(answer) => answer,
        other => panic!("{other:?}"),
    }
}

async fn carry_out(core: &mut Core, list: List, usage: SheetUse, text: &str) -> SheetAnswer {
    let read = read(core, sheet(list, usage, text)).await;
    assert_eq!(read.answer.faults, []);
    apply(core, read).await
}

async fn export(core: &mut Core, list: List) -> String {
    let mut file = tempfile::tempfile().unwrap();
    let into = Arc::new(file.try_clone().unwrap());
    ask(core, Command::ExportList { list, endpoint: None, into }).await.unwrap();
    let mut text = String::new();
    File::rewind(&mut file).unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

const FILE: &str = "IP_ADDRESS,NOTE,TIME,ADDED_BY\n\
                    203.0.113.0/24,a network,2026-02-28 15:44:35,bob\n\
                    203.0.113.7,covered,,\n\
                    198.51.100.1,first,,\n\
                    2001:db8:1::/48,=1+1,,\n\
                    198.51.100.1,last,,\n";

/// new, changed, unchanged, duplicate, covered, removed, absent, invalid
fn counts(answer: &SheetAnswer) -> [u64; 8] {
    let SheetAnswer { new, changed, unchanged, duplicate, covered, .. } = *answer;
    [new, changed, unchanged, duplicate, covered, answer.removed, answer.absent, answer.invalid]
}

#[tokio::test]
async fn a_file_goes_onto_the_list_and_comes_out_again() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    ask(&mut core, add(List::Deny, "198.51.100.1")).await.unwrap();
    ask(&mut core, add(List::Deny, "192.0.2.200")).await.unwrap();
    let looked = read(&mut core, sheet(List::Deny, SheetUse::Import, FILE)).await;
    assert_eq!(counts(&looked.answer), [3, 1, 0, 1, 1, 0, 0, 0]);
    assert_eq!(status(&mut core).await.lists.deny, 2, "only looked at");

    let done = apply(&mut core, looked).await;
    assert!(done.done && done.durable_s >= done.enforced_s, "{done:?}");
    assert_eq!(status(&mut core).await.lists.deny, 5);
    let entries = check(&mut core, "198.51.100.1").await.entries;
    assert_eq!((entries[0].note.as_str(), entries[0].origin.as_str()), ("last", "import"));
    let text = export(&mut core, List::Deny).await;
    assert!(text.contains("203.0.113.0/24,a network,2026-02-28 15:44:35Z,bob\n"), "{text}");
    assert!(text.contains("2001:db8:1::/48,'=1+1,"), "{text}");

    let again = carry_out(&mut core, List::Deny, SheetUse::Import, &text).await;
    assert_eq!(counts(&again), [0, 0, 5, 0, 0, 0, 0, 0]);
    core.finish(false).unwrap();

    let mut core = start(state.path(), ENDPOINT);
    assert_eq!(export(&mut core, List::Deny).await, text, "it lasts");
    let gone = "IP_ADDRESS\n203.0.113.0/24\n198.51.100.1\n192.0.2.99\n";
    let removed = carry_out(&mut core, List::Deny, SheetUse::Remove, gone).await;
    assert_eq!(counts(&removed), [0, 0, 0, 0, 0, 2, 1, 0]);
    assert_eq!(status(&mut core).await.lists.deny, 3);
    assert!(!check(&mut core, "198.51.100.1").await.denied);
}

#[tokio::test]
async fn ends_are_followed() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    let soon = core.clock.timestamp_now() + jiff::SignedDuration::from_secs(1);
    let file = |end: &str| format!("IP_ADDRESS,EXPIRES\n203.0.113.1,{end}\n203.0.113.2,{soon}\n");
    carry_out(&mut core, List::Deny, SheetUse::Import, &file(&soon.to_string())).await;
    let changed = carry_out(&mut core, List::Deny, SheetUse::Import, &file("")).await;
    assert_eq!(counts(&changed)[..3], [0, 1, 1]);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    core.second();
    core.second();
    assert_eq!(status(&mut core).await.lists.deny, 1, "the other has no end any more");
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    let own = core.own.addresses.first().map_or("127.0.0.1".to_owned(), |it| it.ip().to_string());
    let text = format!(
        "IP_ADDRESS,NOTE,EXPIRES\n203.0.113.1,right,\n{own},us,\n203.0.113.9/24,bits,\n\
         203.0.113.2,late,2001-01-01 00:00:00\n"
    );
    let looked = read(&mut core, sheet(List::Deny, SheetUse::Import, &text)).await;
    let faults = looked.answer.faults.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!((looked.answer.rows, looked.answer.invalid, faults.len()), (4, 3, 3));
    assert!(faults[0].starts_with(&format!("line 3, IP_ADDRESS: {own} holds {own}")), "{faults:?}");
    assert!(faults[1].contains("203.0.113.0/24 meant"), "{faults:?}");
    assert_eq!(faults[2], "line 5, EXPIRES: in the past");
    let unknown =
        Sheet { endpoint: Some("pbx9".to_owned()), ..sheet(List::Deny, SheetUse::Import, FILE) };
    let consent = Consent::default();
    let fault = ask(&mut core, Command::ReadSheet { sheet: unknown, consent }).await.unwrap_err();
    assert_eq!(fault.field.as_deref(), Some("endpoint"));
}

#[tokio::test]
async fn a_list_that_changed_meanwhile_is_looked_at_again() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    let looked = read(&mut core, sheet(List::Deny, SheetUse::Import, FILE)).await;
    ask(&mut core, add(List::Deny, "192.0.2.200")).await.unwrap();
    let command = Command::ApplySheet { read: looked, consent: Consent::default() };
    let fault = ask(&mut core, command).await.unwrap_err();
    assert_eq!(fault.code, crate::api::Code::Conflict);
    assert_eq!(status(&mut core).await.lists.deny, 1);
}

#[tokio::test]
async fn one_list_of_many_endpoints() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    ask(&mut core, add(List::Deny, "198.51.100.1")).await.unwrap();
    let own = Sheet {
        endpoint: Some("pbx1".to_owned()),
        ..sheet(List::Deny, SheetUse::Import, "IP_ADDRESS\n198.51.100.1\n198.51.100.2\n")
    };
    let looked = read(&mut core, own).await;
    assert_eq!(counts(&looked.answer)[..2], [2, 0], "the host's is another list");
    apply(&mut core, looked).await;
    assert_eq!(check(&mut core, "198.51.100.1").await.entries.len(), 2);
    assert_eq!(export(&mut core, List::Deny).await.lines().count(), 2);
}

#[tokio::test]
async fn many_rows_are_one_batch() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    let count = crate::store::BULK_PART as u32 * 2 + 5;
    let mut text = "IP_ADDRESS,NOTE\n".to_owned();
    for number in 0..count {
        text += &format!("{},number {number}\n", std::net::Ipv4Addr::from(0x0b00_0000 + number));
    }
    let done = carry_out(&mut core, List::Deny, SheetUse::Import, &text).await;
    assert_eq!(done.new, u64::from(count));
    core.finish(false).unwrap();
    let mut core = start(state.path(), ENDPOINT);
    assert_eq!(status(&mut core).await.lists.deny, u64::from(count));
    assert_eq!(check(&mut core, "11.0.31.255").await.entries[0].note, "number 8191");
}
