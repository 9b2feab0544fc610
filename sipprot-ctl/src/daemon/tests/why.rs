//! What the daemon tells of an address, and the peers that were added.

use super::*;
use crate::api::{MomentKind, NewPeer, PeersAnswer, Verdict, Why};
use crate::rules::Proof;

async fn why(core: &mut Core, address: &str) -> Why {
    match ask(core, Command::Why { address: address.parse().unwrap() }).await.unwrap() {
        Answer::Why(why) => *why,
        other => panic!("{other:?}"),
    }
}

fn kinds(why: &Why) -> Vec<MomentKind> {
    why.timeline.iter().map(|moment| moment.kind).collect()
}

#[tokio::test]
async fn an_attack_is_explained_before_and_after_its_block() {
    let state = tempfile::tempdir().unwrap();
    let limits =
        "[[endpoint]]\nname = \"pbx1\"\naddresses = [\"192.0.2.11\"]\nregister_limit = 8\n";
    let mut core = start(state.path(), limits);
    (1..=7).for_each(|number| guess(&mut core, number));
    let near = why(&mut core, ATTACKER).await;
    assert_eq!(near.verdict, Verdict::Nothing);
    let window = near.windows.iter().find(|it| it.rule == "BRUTEFORCE:register").unwrap();
    assert_eq!((window.count, window.limit, window.window_s), (7, 8, 60), "the endpoint's own");
    assert_eq!(near.failures.unwrap().count, 7);

    guess(&mut core, 8);
    let blocked = why(&mut core, ATTACKER).await;
    assert_eq!((blocked.verdict, kinds(&blocked)), (Verdict::Blocked, vec![MomentKind::Blocked]));
    assert!(blocked.sentence.contains("the limit is 8"), "{}", blocked.sentence);
    let evidence = blocked.blocks[0].evidence.as_ref().unwrap();
    assert_eq!((evidence.count, evidence.limit, evidence.window_s), (8, Some(8), Some(60)));
    for packet in [&evidence.first, &evidence.last] {
        assert_eq!((packet.port, packet.status, packet.proof), (5060, Some(403), Proof::Nonce));
        assert_eq!(packet.account.as_deref(), Some("100@pbx"));
        assert_eq!(packet.user_agent.as_deref(), Some("cracker"));
    }
    core.finish(false).unwrap();

    let mut core = start(state.path(), limits);
    assert_eq!(why(&mut core, ATTACKER).await.blocks, blocked.blocks, "kept over a restart");
    let unblock = Command::Unblock { address: ATTACKER.parse().unwrap(), by: "ann".to_owned() };
    ask(&mut core, unblock).await.unwrap();
    let lifted = why(&mut core, ATTACKER).await;
    assert_eq!(kinds(&lifted), [MomentKind::Lifted, MomentKind::Blocked]);
    assert!(lifted.grace_until.is_some() && lifted.undo.is_none());
}

#[tokio::test]
async fn an_escalation_and_its_lift_are_in_the_past() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), &format!("rules.block_threshold = 1\n{ENDPOINT}"));
    (1..=10).for_each(|number| guess(&mut core, number));
    let denied = why(&mut core, ATTACKER).await;
    assert_eq!((denied.verdict, kinds(&denied)), (Verdict::Denied, vec![MomentKind::Escalated]));
    assert!(denied.escalation.is_some_and(|block| block.evidence.is_some()));
    assert_eq!(denied.undo.as_deref(), Some("sipprot unblock 198.51.100.9"));
    let unblock = Command::Unblock { address: ATTACKER.parse().unwrap(), by: "ann".to_owned() };
    ask(&mut core, unblock).await.unwrap();
    let lifted = why(&mut core, ATTACKER).await;
    assert_eq!(lifted.verdict, Verdict::Nothing);
    assert_eq!(kinds(&lifted), [MomentKind::Lifted, MomentKind::Escalated]);
}

fn add(network: &str) -> Command {
    let (note, added_by) = ("the trunk".to_owned(), "ann".to_owned());
    Command::AddPeer(NewPeer { rate: None, network: network.parse().unwrap(), note, added_by })
}

fn remove(network: &str) -> Command {
    Command::RemovePeer { network: network.parse().unwrap(), by: "ann".to_owned() }
}

#[tokio::test]
async fn peers_are_trusted_at_once_and_kept() {
    let state = tempfile::tempdir().unwrap();
    let text = format!("peers = [\"203.0.113.0/24\"]\n{ENDPOINT}");
    let mut core = start(state.path(), &text);
    ask(&mut core, add("198.51.100.0/28")).await.unwrap();
    // Again, by who has nothing to say of it.
    let Command::AddPeer(again) = add("198.51.100.0/28") else { panic!("no peer") };
    ask(&mut core, Command::AddPeer(NewPeer { note: String::new(), ..again })).await.unwrap();
    assert_eq!(core.peers[0].note, "the trunk");
    (1..=20).for_each(|number| guess(&mut core, number));
    let found = check(&mut core, ATTACKER).await;
    assert!(found.trusted && found.peer && !found.blocked, "{found:?}");
    core.finish(false).unwrap();

    let mut core = start(state.path(), &text);
    let told = why(&mut core, "198.51.100.3").await;
    assert_eq!(told.verdict, Verdict::Trusted);
    assert_eq!(told.undo.as_deref(), Some("sipprot peer remove 198.51.100.0/28"));
    let command = Command::Peers { query: Default::default() };
    let Answer::Peers(PeersAnswer { peers, total: 2 }) = ask(&mut core, command).await.unwrap()
    else {
        panic!()
    };
    let shown: Vec<_> = peers.iter().map(|it| (it.network.to_string(), it.note.as_str())).collect();
    assert_eq!(
        shown,
        [("203.0.113.0/24".to_owned(), ""), ("198.51.100.0/28".to_owned(), "the trunk")]
    );

    for (network, code, says) in [
        ("203.0.113.0/24", crate::api::Code::Refused, "sipprot reload"),
        ("198.51.100.3", crate::api::Code::NotFound, "only as part of 198.51.100.0/28"),
        ("192.0.2.77", crate::api::Code::NotFound, "192.0.2.77 is no peer"),
    ] {
        let fault = ask(&mut core, remove(network)).await.unwrap_err();
        assert!(fault.code == code && fault.message.contains(says), "{fault}");
    }
    assert!(ask(&mut core, add("0.0.0.0/0")).await.is_err());
    ask(&mut core, remove("198.51.100.0/28")).await.unwrap();
    assert_eq!(why(&mut core, "198.51.100.3").await.verdict, Verdict::Nothing);
}
