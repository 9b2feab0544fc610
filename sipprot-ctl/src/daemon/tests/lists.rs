//! Lists by hand: edits, many entries at once, moves, aggregates, and whom they may not cut off.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::*;
use crate::api::{
    Aggregate, BlocksAnswer, Code, DenyBlocks, EditEntry, Entry, FoundMerges, ListQuery,
    MoveEntries, RemoveEntries, Right,
};

const OPERATOR: &str = "203.0.113.7";

fn operator(confirm: bool) -> Consent {
    Consent { confirm, operator: Some(OPERATOR.parse().unwrap()) }
}

fn nets(texts: &[&str]) -> Vec<IpNetwork> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn ann() -> String {
    "ann".to_owned()
}

async fn entries(core: &mut Core, list: List, query: ListQuery) -> Vec<Entry> {
    match ask(core, Command::Entries { list, query }).await.unwrap() {
        Answer::Entries(Entries { entries, .. }) => entries,
        other => panic!("{other:?}"),
    }
}

async fn one(core: &mut Core, list: List, address: &str) -> Entry {
    let query = ListQuery { covers: Some(address.parse().unwrap()), ..ListQuery::default() };
    entries(core, list, query).await.remove(0)
}

async fn shown(core: &mut Core, list: List) -> Vec<String> {
    let all = entries(core, list, ListQuery::default()).await;
    all.into_iter().map(|entry| entry.ip).collect()
}

async fn told(core: &mut Core, command: Command) -> String {
    match ask(core, command).await.unwrap() {
        Answer::Done(done) => done.message,
        other => panic!("{other:?}"),
    }
}

async fn fault(core: &mut Core, command: Command, code: Code, says: &str) {
    let fault = ask(core, command).await.unwrap_err();
    assert!(fault.code == code && fault.to_string().contains(says), "{fault:?}");
}

fn edit(network: &str) -> EditEntry {
    EditEntry {
        network: network.parse().unwrap(),
        endpoint: None,
        note: None,
        scope: None,
        expires_in_s: None,
        to: None,
        version: None,
        by: ann(),
    }
}

fn edit_of(list: List, edit: EditEntry) -> Command {
    Command::EditEntry { list, edit, consent: operator(false) }
}

#[tokio::test]
async fn an_entry_is_edited_and_lasts() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    ask(&mut core, add(List::Deny, "198.51.100.9")).await.unwrap();
    let before = one(&mut core, List::Deny, "198.51.100.9").await;
    let change = EditEntry {
        note: Some("moved".to_owned()),
        scope: Some(Scope::Sip),
        expires_in_s: Some(3600),
        to: Some("198.51.100.0/28".parse().unwrap()),
        version: Some(before.version.clone()),
        ..edit("198.51.100.9")
    };
    let message = told(&mut core, edit_of(List::Deny, change.clone())).await;
    assert_eq!(message, "198.51.100.9 is changed to 198.51.100.0/28");
    fault(&mut core, edit_of(List::Deny, change), Code::NotFound, "not on the denylist").await;
    let after = one(&mut core, List::Deny, "198.51.100.3").await;
    assert_eq!((after.note.as_str(), after.scope), ("moved", Scope::Sip));
    assert!(after.version != before.version && after.expires_at.is_some());
    let forever = EditEntry { expires_in_s: Some(0), ..edit("198.51.100.0/28") };
    told(&mut core, edit_of(List::Deny, forever)).await;
    core.finish(false).unwrap();
    let mut core = start(state.path(), ENDPOINT);
    assert_eq!(shown(&mut core, List::Deny).await, ["198.51.100.0/28"]);
    assert_eq!(one(&mut core, List::Deny, "198.51.100.3").await.expires_at, None);
    assert_eq!(status(&mut core).await.lists.deny, 1);
}

#[tokio::test]
async fn of_two_editors_the_second_is_told() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    ask(&mut core, add(List::Deny, "198.51.100.9")).await.unwrap();
    let version = Some(one(&mut core, List::Deny, "198.51.100.9").await.version);
    let by = |note: &str| EditEntry {
        note: Some(note.to_owned()),
        version: version.clone(),
        ..edit("198.51.100.9")
    };
    // Both at once: what the first changed is not stored yet when the second is asked.
    let (first, second) = (edit_of(List::Deny, by("first")), edit_of(List::Deny, by("second")));
    let (reply, answer) = oneshot::channel();
    core.answer(Call { who: Who::socket("root"), command: first, reply });
    fault(&mut core, second, Code::Conflict, "was changed meanwhile").await;
    answer.await.unwrap().unwrap();
    assert_eq!(one(&mut core, List::Deny, "198.51.100.9").await.note, "first");
}

#[tokio::test]
async fn edits_that_make_no_sense_change_nothing() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    ask(&mut core, add(List::Deny, "198.51.100.9")).await.unwrap();
    ask(&mut core, add(List::Deny, "198.51.100.10")).await.unwrap();
    ask(&mut core, add(List::Allow, OPERATOR)).await.unwrap();
    let to = |text: &str| EditEntry { to: Some(text.parse().unwrap()), ..edit("198.51.100.9") };
    for (list, change, code, says) in [
        (List::Deny, to("0.0.0.0/0"), Code::Invalid, "to: 0.0.0.0/0 is every address"),
        (List::Deny, to("127.0.0.0/8"), Code::Refused, "holds"),
        (List::Deny, to("198.51.100.10"), Code::Conflict, "on the denylist already"),
        (List::Deny, to("203.0.113.0/24"), Code::Invalid, ""),
        (
            List::Deny,
            EditEntry { note: Some("x".repeat(1 << 20)), ..edit("198.51.100.9") },
            Code::Invalid,
            "note: longer than",
        ),
        (
            List::Deny,
            EditEntry { expires_in_s: Some(u64::MAX), ..edit("198.51.100.9") },
            Code::Invalid,
            "expires_in_s",
        ),
        (
            List::Allow,
            EditEntry { scope: Some(Scope::Sip), ..edit(OPERATOR) },
            Code::Invalid,
            "scope: what is let in",
        ),
        (List::Allow, edit("192.0.2.99"), Code::NotFound, "not on the allowlist"),
    ] {
        let allowed_by_its_entry = says.is_empty();
        if allowed_by_its_entry {
            continue;
        }
        fault(&mut core, edit_of(list, change), code, says).await;
    }
    assert_eq!(shown(&mut core, List::Deny).await, ["198.51.100.9", "198.51.100.10"]);
}

#[tokio::test]
async fn edits_may_not_cut_off_the_operator() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    ask(&mut core, add(List::Deny, "203.0.113.64/26")).await.unwrap();
    let wider =
        EditEntry { to: Some("203.0.113.0/24".parse().unwrap()), ..edit("203.0.113.64/26") };
    let says = "would cut off 203.0.113.7";
    fault(&mut core, edit_of(List::Deny, wider.clone()), Code::Refused, says).await;
    let confirmed = Command::EditEntry { list: List::Deny, edit: wider, consent: operator(true) };
    assert!(told(&mut core, confirmed).await.contains("taken back"));
    let cancel = Command::Confirm { cancel: true, right: Right::Lists, by: ann() };
    told(&mut core, cancel).await;
    assert_eq!(shown(&mut core, List::Deny).await, ["203.0.113.64/26"]);
}

#[tokio::test]
async fn many_go_or_none() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    for network in ["198.51.100.9", "198.51.100.10", "2001:db8::/32"] {
        ask(&mut core, add(List::Deny, network)).await.unwrap();
    }
    let remove = |networks: &[&str]| Command::RemoveEntries {
        list: List::Deny,
        removal: RemoveEntries { networks: nets(networks), by: ann(), ..Default::default() },
        consent: Consent::default(),
    };
    let absent = remove(&["198.51.100.9", "192.0.2.99"]);
    fault(&mut core, absent, Code::NotFound, "192.0.2.99 is not on the denylist; nothing is").await;
    fault(&mut core, remove(&[]), Code::Invalid, "networks").await;
    assert_eq!(shown(&mut core, List::Deny).await.len(), 3);
    let both = remove(&["198.51.100.9", "2001:db8::7/32", "198.51.100.9"]);
    let message = told(&mut core, both).await;
    assert_eq!(message, "198.51.100.9 and 2001:db8::/32 are no longer on the denylist");
    assert_eq!(shown(&mut core, List::Deny).await, ["198.51.100.10"]);

    // The host's own stays, or goes alone.
    let Command::AddEntry { entry, .. } = add(List::Deny, "198.51.100.10") else { panic!() };
    let entry = crate::api::NewEntry { endpoint: Some("pbx1".to_owned()), ..entry };
    let of_pbx = Command::AddEntry { list: List::Deny, entry, consent: Consent::default() };
    ask(&mut core, of_pbx).await.unwrap();
    let of = |endpoint: &str| Command::RemoveEntries {
        list: List::Deny,
        removal: RemoveEntries {
            networks: nets(&["198.51.100.10"]),
            endpoint: Some(endpoint.to_owned()),
            by: ann(),
            ..Default::default()
        },
        consent: Consent::default(),
    };
    told(&mut core, of("host")).await;
    assert_eq!(shown(&mut core, List::Deny).await.len(), 1);
    fault(&mut core, of("host"), Code::NotFound, "is not on the denylist").await;
    told(&mut core, of("pbx1")).await;
    assert!(shown(&mut core, List::Deny).await.is_empty());
    assert_eq!(status(&mut core).await.lists.deny, 0);
}

#[tokio::test]
async fn entries_move_between_the_lists() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    ask(&mut core, add(List::Deny, "198.51.100.9")).await.unwrap();
    ask(&mut core, add(List::Allow, OPERATOR)).await.unwrap();
    let moving = |list, network: &str, to, confirm| Command::MoveEntries {
        list,
        entries: MoveEntries { networks: nets(&[network]), to, by: "bob".to_owned() },
        consent: operator(confirm),
    };
    let message = told(&mut core, moving(List::Deny, "198.51.100.9", List::Allow, false)).await;
    assert_eq!(message, "198.51.100.9 is on the allowlist now");
    let entry = one(&mut core, List::Allow, "198.51.100.9").await;
    assert_eq!((entry.added_by.as_str(), entry.note.as_str()), ("bob", "a note\u{fffd}[0m"));
    let same = moving(List::Allow, OPERATOR, List::Allow, false);
    fault(&mut core, same, Code::Invalid, "to").await;
    let cutting = moving(List::Allow, OPERATOR, List::Deny, false);
    fault(&mut core, cutting, Code::Refused, "would cut off 203.0.113.7").await;
    told(&mut core, moving(List::Allow, OPERATOR, List::Deny, true)).await;
    told(&mut core, Command::Confirm { cancel: true, right: Right::Lists, by: ann() }).await;
    assert_eq!(shown(&mut core, List::Allow).await, ["198.51.100.9", OPERATOR]);
    assert!(shown(&mut core, List::Deny).await.is_empty());
    let lists = status(&mut core).await.lists;
    assert_eq!((lists.allow, lists.deny), (2, 0));
}

#[tokio::test]
async fn a_block_becomes_a_denial_in_the_words_that_are_known() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    (0..12).for_each(|number| guess(&mut core, number));
    assert!(check(&mut core, ATTACKER).await.blocked);
    let deny = |address: &str| Command::DenyBlocks {
        blocks: DenyBlocks {
            addresses: vec![address.parse().unwrap()],
            note: String::new(),
            by: ann(),
        },
        consent: Consent::default(),
    };
    fault(&mut core, deny("192.0.2.99"), Code::NotFound, "192.0.2.99 is not blocked").await;
    assert_eq!(told(&mut core, deny(ATTACKER)).await, "198.51.100.9 is on the denylist now");
    let found = check(&mut core, ATTACKER).await;
    assert!(found.denied && !found.blocked, "{found:?}");
    let note = &found.entries[0].note;
    assert!(
        note.starts_with(
            "IP address has been added by an administrator due to suspicious activity. The IP had \
             made 10 unauthorized registration attempts within a minute, reaching the blocking \
             rule threshold of 10."
        ),
        "{note}"
    );
}

#[tokio::test]
async fn whoever_blocks_themselves_is_asked() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), "confirm_within = \"30s\"\n");
    let block = |confirm, scope| Command::Block {
        block: NewBlock {
            address: OPERATOR.parse().unwrap(),
            duration_s: None,
            reason: String::new(),
            by: ann(),
            scope,
        },
        consent: operator(confirm),
    };
    let says = "the block of 203.0.113.7 would cut off 203.0.113.7";
    fault(&mut core, block(false, Scope::All), Code::Refused, says).await;
    told(&mut core, block(true, Scope::All)).await;
    assert!(check(&mut core, OPERATOR).await.blocked);
    assert_eq!(core.guard_items().len(), 1);
    told(&mut core, Command::Confirm { cancel: true, right: Right::Lists, by: ann() }).await;
    assert!(!check(&mut core, OPERATOR).await.blocked);
    // Their SIP is not what they work by.
    told(&mut core, block(false, Scope::Sip)).await;
    assert!(check(&mut core, OPERATOR).await.blocked);

    // A daemon that died takes it back when it starts.
    told(&mut core, Command::UnblockAll { kind: None, by: ann() }).await;
    told(&mut core, block(true, Scope::All)).await;
    let mut pending = core.guard.pending.clone().unwrap();
    pending.until = core.clock.timestamp_now();
    core.journal.write(vec![crate::store::Change::PutPending(pending)]);
    core.finish(false).unwrap();
    let mut core = start(state.path(), "");
    assert!(!check(&mut core, OPERATOR).await.blocked);
}

#[tokio::test]
async fn all_blocks_are_lifted_at_once() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    for address in ["192.0.2.201", "192.0.2.202", "2001:db8::1"] {
        let block = NewBlock {
            address: address.parse::<IpAddr>().unwrap(),
            duration_s: None,
            reason: "a test".to_owned(),
            by: ann(),
            scope: Scope::All,
        };
        ask(&mut core, by_hand(block)).await.unwrap();
    }
    let query = ListQuery { limit: Some(1), note: Some("A TEST".to_owned()), ..Default::default() };
    let Answer::Blocks(BlocksAnswer { blocks, total: 3 }) =
        ask(&mut core, Command::Blocks { query }).await.unwrap()
    else {
        panic!()
    };
    assert_eq!(blocks.len(), 1);
    let all = |by: &str| Command::UnblockAll { kind: None, by: by.to_owned() };
    assert_eq!(told(&mut core, all("ann")).await, "3 blocks are lifted");
    assert_eq!(told(&mut core, all("ann")).await, "nobody was blocked");
    core.finish(false).unwrap();
    let mut core = start(state.path(), ENDPOINT);
    assert_eq!(status(&mut core).await.lists.dynamic, 0);
}

async fn look_for_merges(core: &mut Core, endpoint: Option<&str>) -> FoundMerges {
    let endpoint = endpoint.map(str::to_owned);
    let wanted = Aggregate { endpoint, by: ann(), ..Default::default() };
    match ask(core, Command::Aggregate { list: List::Deny, wanted }).await.unwrap() {
        Answer::MergesFound(found) => found,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn aggregation_is_done_when_it_is_asked_for() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    for network in ["198.51.100.8", "198.51.100.9", "198.51.100.12", "2001:db8::/32"] {
        ask(&mut core, add(List::Deny, network)).await.unwrap();
    }
    let ending = NewEntry { expires_in_s: Some(600), ..entry("198.51.100.13") };
    let add_of = |entry| Command::AddEntry { list: List::Deny, entry, consent: Consent::default() };
    ask(&mut core, add_of(ending)).await.unwrap();
    let found = look_for_merges(&mut core, None).await;
    let answer = &found.answer;
    assert_eq!((answer.before, answer.after, answer.merges), (5, 4, 1));
    assert_eq!(answer.merged[0].network, "198.51.100.8/31");
    assert_eq!(shown(&mut core, List::Deny).await.len(), 5, "only looked for");
    assert_eq!(look_for_merges(&mut core, Some("pbx1")).await.answer.merges, 0);

    let message = told(&mut core, Command::Merge { found: found.clone() }).await;
    assert_eq!(message, "5 entries of the denylist are 4 now");
    let all = ["198.51.100.8/31", "198.51.100.12", "198.51.100.13", "2001:db8::/32"];
    assert_eq!(shown(&mut core, List::Deny).await, all);
    assert_eq!(status(&mut core).await.lists.deny, 4);

    ask(&mut core, add(List::Deny, "198.51.100.10/31")).await.unwrap();
    let found = look_for_merges(&mut core, None).await;
    ask(&mut core, add(List::Deny, "192.0.2.200")).await.unwrap();
    fault(&mut core, Command::Merge { found }, Code::Conflict, "try again").await;
    core.finish(false).unwrap();
    let mut core = start(state.path(), ENDPOINT);
    assert_eq!(shown(&mut core, List::Deny).await.len(), 6);
}

#[tokio::test]
async fn an_abuse_desk_is_told_what_it_asks_for() {
    let state = tempfile::tempdir().unwrap();
    let text = format!("abuse_contact = \"ann@example.net\"\n{ENDPOINT}");
    let mut core = start(state.path(), &text);
    let abuse = |address: &str| Command::Abuse { address: address.parse().unwrap() };
    fault(&mut core, abuse("2001:db8::9"), Code::NotFound, "nothing is known against").await;
    (0..12).for_each(|number| guess(&mut core, number));
    let Answer::Abuse(report) = ask(&mut core, abuse(ATTACKER)).await.unwrap() else { panic!() };
    assert_eq!(report.reporter.as_deref(), Some("ann@example.net"));
    assert_eq!((report.zone.as_str(), report.evidence.len()), ("UTC", 1));
    let row = &report.evidence[0];
    assert!(row.proven && row.count == 10 && row.accounts == 1, "{row:?}");
    assert_eq!(row.first.as_ref().map(|it| it.port), Some(5060));
    assert_eq!(report.user_agents, ["cracker"]);
    assert!(report.handled[0].what.starts_with("blocked for"), "{:?}", report.handled);
}
