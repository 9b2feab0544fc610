//! Everything that changes something is told, and can be taken back while it is as it was left.

use std::net::IpAddr;

use super::*;
use crate::api::{
    AuditAnswer, AuditNote, AuditQuery, AuditView, Code, EditEntry, LearnStart, NewPeer, Noted,
    ReportQuery, Right,
};

pub async fn log(core: &mut Core) -> Vec<AuditView> {
    match ask(core, Command::Audit { query: AuditQuery::default() }).await.unwrap() {
        Answer::Audit(AuditAnswer { records, .. }) => records,
        other => panic!("{other:?}"),
    }
}

fn undo_of(number: u64) -> Command {
    Command::Undo { number, by: "bob".to_owned(), right: Right::Admin, consent: Consent::default() }
}

async fn undo_last(core: &mut Core) {
    let last = log(core).await[0].number;
    ask(core, undo_of(last)).await.unwrap();
}

fn by() -> String {
    "ann".to_owned()
}

fn remove(list: List, network: &str) -> Command {
    let network = network.parse().unwrap();
    Command::RemoveEntry { list, network, by: by(), consent: Consent::default() }
}

fn edit(network: &str, note: &str) -> Command {
    let edit = EditEntry {
        network: network.parse().unwrap(),
        endpoint: None,
        note: Some(note.to_owned()),
        scope: None,
        expires_in_s: None,
        to: None,
        version: None,
        by: by(),
    };
    Command::EditEntry { list: List::Deny, edit, consent: Consent::default() }
}

async fn noted(core: &mut Core, network: &str) -> Option<String> {
    let address: IpAddr = network.parse().unwrap();
    let entries = check(core, &address.to_string()).await.entries;
    entries.first().map(|entry| entry.note.clone())
}

#[tokio::test]
async fn entries_are_told_and_taken_back() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    ask(&mut core, add(List::Deny, "203.0.113.5")).await.unwrap();
    ask(&mut core, edit("203.0.113.5", "another")).await.unwrap();
    ask(&mut core, remove(List::Deny, "203.0.113.5")).await.unwrap();
    let told: Vec<_> = log(&mut core)
        .await
        .into_iter()
        .map(|it| (it.number, it.who, it.what, it.target, it.changes.len()))
        .collect();
    let row =
        |number, what: &str| (number, by(), what.to_owned(), "deny 203.0.113.5".to_owned(), 1);
    let expected = [row(3, "list.remove"), row(2, "list.edit"), row(1, "list.add")];
    assert_eq!(told, expected.map(|it| (it.0, it.1, it.2, it.3, it.4)));

    let early = ask(&mut core, undo_of(2)).await.unwrap_err();
    let says = "deny 203.0.113.5 was changed by ann since (3)";
    assert_eq!((early.code, early.message.as_str()), (Code::Conflict, says));
    undo_last(&mut core).await;
    assert_eq!(noted(&mut core, "203.0.113.5").await.as_deref(), Some("another"));
    ask(&mut core, undo_of(2)).await.unwrap();
    let first = noted(&mut core, "203.0.113.5").await.unwrap();
    assert!(first.starts_with("a note"), "{first}");
    ask(&mut core, undo_of(1)).await.unwrap();
    assert_eq!(noted(&mut core, "203.0.113.5").await, None);
    let twice = ask(&mut core, undo_of(1)).await.unwrap_err();
    assert_eq!(twice.message, "1 can't be undone: it was undone by 6");
    // And forth again.
    ask(&mut core, undo_of(6)).await.unwrap();
    assert!(check(&mut core, "203.0.113.5").await.denied);
    let missing = ask(&mut core, undo_of(99)).await.unwrap_err();
    assert_eq!(missing.code, Code::NotFound);
}

#[tokio::test]
async fn who_changes_something_is_told_its_number() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    let mut number = async |command| match ask(&mut core, command).await.unwrap() {
        Answer::Done(done) => done.audit,
        other => panic!("{other:?}"),
    };
    assert_eq!(number(add(List::Deny, "203.0.113.5")).await, Some(1));
    assert_eq!(number(edit("203.0.113.5", "another")).await, Some(2));
    assert_eq!(number(undo_of(2)).await, Some(3));
}

#[tokio::test]
async fn an_undo_takes_the_right_that_the_change_took() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    ask(&mut core, add(List::Deny, "203.0.113.5")).await.unwrap();
    let network = "203.0.113.0/28".parse().unwrap();
    let peer = NewPeer { network, rate: None, note: String::new(), added_by: by() };
    ask(&mut core, Command::AddPeer(peer)).await.unwrap();
    let undo = |number| Command::Undo {
        number,
        by: by(),
        right: Right::Lists,
        consent: Consent::default(),
    };
    ask(&mut core, undo(1)).await.unwrap();
    assert_eq!(ask(&mut core, undo(2)).await.unwrap_err().code, Code::Forbidden);
}

#[tokio::test]
async fn an_undo_that_would_cut_off_its_operator_is_refused() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    ask(&mut core, add(List::Deny, "203.0.113.0/24")).await.unwrap();
    ask(&mut core, remove(List::Deny, "203.0.113.0/24")).await.unwrap();
    let operator = Some("203.0.113.7".parse().unwrap());
    let undo = |confirm| Command::Undo {
        number: 2,
        by: by(),
        right: Right::Admin,
        consent: Consent { confirm, operator },
    };
    let refused = ask(&mut core, undo(false)).await.unwrap_err();
    assert!(refused.code == Code::Refused && refused.message.contains("cut off"), "{refused}");
    assert_eq!(log(&mut core).await.len(), 2, "nothing happened, and nothing is told");
    ask(&mut core, undo(true)).await.unwrap();
    assert!(check(&mut core, "203.0.113.7").await.denied);
    core.guard.pending.as_mut().unwrap().until = core.clock.timestamp_now();
    core.second();
    assert!(!check(&mut core, "203.0.113.7").await.denied);
    let last = &log(&mut core).await[0];
    let told = [last.who.as_str(), &last.from, &last.what, &last.changes[0].thing];
    assert_eq!(told, ["sipprot", "for ann", "rollback", "deny 203.0.113.0/24"]);
}

#[tokio::test]
async fn blocks_and_unblocks_are_taken_back() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    let block = NewBlock {
        address: ATTACKER.parse().unwrap(),
        duration_s: None,
        reason: String::new(),
        by: by(),
        scope: Scope::All,
    };
    ask(&mut core, Command::Block { block, consent: Consent::default() }).await.unwrap();
    undo_last(&mut core).await;
    assert!(!check(&mut core, ATTACKER).await.blocked);
    (1..=10).for_each(|number| guess(&mut core, number));
    core.journal.write_for_good(Vec::new()).await.unwrap().unwrap();
    let unblock = Command::Unblock { address: ATTACKER.parse().unwrap(), by: by() };
    ask(&mut core, unblock).await.unwrap();
    let found = check(&mut core, ATTACKER).await;
    assert!(!found.blocked && found.grace_until.is_some());
    undo_last(&mut core).await;
    let found = check(&mut core, ATTACKER).await;
    assert_eq!((found.blocked, found.grace_until), (true, None), "{found:?}");
    assert_eq!(found.block.unwrap().rule, "BRUTEFORCE:register");
    core.finish(false).unwrap();
    let mut core = start(state.path(), ENDPOINT);
    assert!(check(&mut core, ATTACKER).await.blocked);
}

#[tokio::test]
async fn trust_peers_and_learning_are_taken_back() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    let source: IpAddr = ATTACKER.parse().unwrap();
    register(&mut core, 1, 200);
    ask(&mut core, Command::RevokeTrust { address: source, by: by() }).await.unwrap();
    assert!(!core.engine.is_trusted(source));
    let things: Vec<_> =
        log(&mut core).await[0].changes.iter().map(|it| it.thing.clone()).collect();
    assert_eq!(things, ["trust 198.51.100.9", "trust 198.51.100.9 100@pbx"]);
    undo_last(&mut core).await;
    assert!(core.engine.is_trusted(source));
    core.finish(false).unwrap();
    let mut core = start(state.path(), ENDPOINT);
    assert!(core.engine.is_trusted(source), "for good");

    let peer = NewPeer {
        network: "192.0.2.77".parse().unwrap(),
        rate: Some(7),
        note: String::new(),
        added_by: by(),
    };
    ask(&mut core, Command::AddPeer(peer.clone())).await.unwrap();
    ask(&mut core, Command::RemovePeer { network: peer.network, by: by() }).await.unwrap();
    undo_last(&mut core).await;
    assert_eq!(core.peers.iter().map(|it| it.rate).collect::<Vec<_>>(), [Some(7)]);

    ask(&mut core, Command::LearnStart(LearnStart { days: 3, by: by() })).await.unwrap();
    undo_last(&mut core).await;
    assert!(!core.lessons.goes_on() && core.lessons.record.is_none());
    ask(&mut core, Command::LearnStart(LearnStart { days: 3, by: by() })).await.unwrap();
    guess(&mut core, 20);
    ask(&mut core, Command::LearnStop { by: by() }).await.unwrap();
    undo_last(&mut core).await;
    assert!(core.lessons.goes_on() && core.engine.learning().is_some());
    ask(&mut core, Command::LearnDiscard { by: by() }).await.unwrap();
    let last = log(&mut core).await[0].number;
    let fault = ask(&mut core, undo_of(last)).await.unwrap_err();
    assert!(fault.message.ends_with("what was learned is gone"), "{fault}");
}

#[tokio::test]
async fn what_fails_or_only_looks_leaves_no_record() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    ask(&mut core, add(List::Deny, "0.0.0.0/0")).await.unwrap_err();
    ask(&mut core, remove(List::Deny, "203.0.113.9")).await.unwrap_err();
    ask(&mut core, Command::Report { query: ReportQuery::default() }).await.unwrap();
    core.journal.write_for_good(Vec::new()).await.unwrap().unwrap();
    assert_eq!(log(&mut core).await, []);
    let note = AuditNote {
        what: Noted::FailedLogin,
        who: "ann\u{1b}[0m".to_owned(),
        target: String::new(),
    };
    for _ in 0..50 {
        ask(&mut core, Command::Note(note.clone())).await.unwrap();
    }
    core.journal.write_for_good(Vec::new()).await.unwrap().unwrap();
    let told = log(&mut core).await;
    assert!((30..=60).contains(&told.len()), "who guesses doesn't wash out the log");
    assert_eq!((told[0].what.as_str(), told[0].from.as_str()), ("login.failed", "socket"));
    assert!(!told[0].who.contains('\u{1b}'));
}
