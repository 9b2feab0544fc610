//! Learning: judged and not done, kept over restarts, and accepted.

use std::path::PathBuf;

use super::*;
use crate::api::{
    Accepted, LearnAccept, LearnProposal, LearnStart, LearnState, LearnStatus, ProposedPeer,
    TopAttacker, Why,
};
use crate::rules::{Peak, WouldBe};

const CONFIG: &str = "# ours\ninterfaces = [\"none0\"]\nmode = \"observe\" # for now\n\n[rules]\n\
                      register_limit = 10 # a minute\n";
const BUSY: &str = "203.0.113.50";

fn options_from(directory: &Path) -> Options {
    let file = directory.join("sipprot.toml");
    if !file.exists() {
        let state = directory.join("state");
        let countries = own_countries(&state).replace("geo.", "[geo]\n");
        let own = format!("[daemon]\nstate_dir = {state:?}\n\n{countries}");
        std::fs::write(&file, format!("{CONFIG}\n{own}")).unwrap();
    }
    let loaded = Config::load(Some(&file)).unwrap();
    Options {
        config_path: Some(file),
        loaded,
        interfaces: Vec::new(),
        observe: false,
        detach_on_exit: false,
        wait: false,
    }
}

fn start_from(directory: &Path) -> Core {
    Core::start(options_from(directory), Kernel::default()).unwrap()
}

async fn learn(core: &mut Core) {
    let start = LearnStart { days: 7, by: "ann".to_owned() };
    ask(core, Command::LearnStart(start)).await.unwrap();
}

async fn state(core: &mut Core) -> LearnStatus {
    match ask(core, Command::Learn).await.unwrap() {
        Answer::Learn(status) => status,
        other => panic!("{other:?}"),
    }
}

async fn proposal(core: &mut Core) -> LearnProposal {
    match ask(core, Command::LearnProposal).await.unwrap() {
        Answer::LearnProposal(proposal) => *proposal,
        other => panic!("{other:?}"),
    }
}

async fn accept(core: &mut Core, accept: LearnAccept) -> Result<Accepted, Fault> {
    match ask(core, Command::LearnAccept(accept)).await? {
        Answer::Accepted(accepted) => Ok(accepted),
        other => panic!("{other:?}"),
    }
}

async fn explained(core: &mut Core) -> Why {
    match ask(core, Command::Why { address: ATTACKER.parse().unwrap() }).await.unwrap() {
        Answer::Why(why) => *why,
        other => panic!("{other:?}"),
    }
}

/// A household that fails 14 times without proof, and then remembers; and a trunk that answers.
fn customers(core: &mut Core) {
    for number in 0..14 {
        talk(core, BUSY, Method::Register, Direction::Inbound, (number, 403), Proof::None);
    }
    talk(core, BUSY, Method::Register, Direction::Inbound, (100, 200), Proof::Nonce);
    let trunk = "198.51.100.200";
    talk(core, trunk, Method::Options, Direction::Outbound, (200, 200), Proof::None);
}

#[tokio::test]
async fn what_is_judged_while_learning_is_not_done_and_survives() {
    let directory = tempfile::tempdir().unwrap();
    let mut core = start(directory.path(), "");
    assert_eq!(state(&mut core).await.state, LearnState::Never);
    assert!(ask(&mut core, Command::LearnProposal).await.is_err());
    learn(&mut core).await;
    (0..12).for_each(|number| guess(&mut core, number));
    for restart in 0..2 {
        let status = status(&mut core).await;
        assert_eq!((status.mode.as_str(), status.protected), ("learning", false));
        assert!(!check(&mut core, ATTACKER).await.blocked, "{restart}");
        assert!(core.plan.policies.iter().all(|it| it.observe != 0 && it.mode != 0));
        let proposal = proposal(&mut core).await;
        assert!(proposal.preliminary && proposal.mode.is_none());
        let row = &proposal.would[0];
        assert_eq!((row.source.as_str(), row.what, row.count), (ATTACKER, WouldBe::Blocked, 1));
        assert!(row.proven && !row.customer);
        let top = core.top(10).attackers;
        let attacks = |it: &TopAttacker| (it.source.clone(), it.state.clone(), it.reason.clone());
        let expected = (ATTACKER.to_owned(), "spared".to_owned(), row.rule.clone());
        assert_eq!(top.iter().map(attacks).collect::<Vec<_>>(), [expected]);
        let why = explained(&mut core).await;
        assert!(
            why.sentence.ends_with("; the host learns, so the rules drop nothing"),
            "{}",
            why.sentence
        );
        assert_eq!(why.would.len(), 1);
        core.finish(false).unwrap();
        core = start(directory.path(), "");
    }
    ask(&mut core, Command::LearnStop { by: "ann".to_owned() }).await.unwrap();
    assert_eq!(state(&mut core).await.state, LearnState::Stopped);
    assert_eq!(proposal(&mut core).await.would.len(), 1, "what was learned stays");
    assert!(core.plan.policies.iter().all(|policy| policy.observe == 0));
    (20..31).for_each(|number| guess(&mut core, number));
    let found = check(&mut core, ATTACKER).await;
    assert_eq!((found.blocked, found.blocks_counted), (true, 1), "the rules act again");
    ask(&mut core, Command::LearnDiscard { by: "ann".to_owned() }).await.unwrap();
    core.finish(false).unwrap();
    let mut core = start(directory.path(), "");
    assert_eq!(state(&mut core).await.state, LearnState::Never);
}

#[tokio::test]
async fn a_proposal_is_accepted_in_parts_and_can_be_undone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sipprot.toml");
    let mut core = start_from(directory.path());
    learn(&mut core).await;
    customers(&mut core);
    let found = proposal(&mut core).await;
    let peers: Vec<&ProposedPeer> = found.peers.iter().collect();
    assert_eq!((peers.len(), peers[0].kind.as_str(), peers[0].advised), (1, "trunk", true));
    let limit = &found.limits[0];
    assert_eq!((limit.key.as_str(), limit.now, limit.proposed), ("rules.register_limit", 10, 21));
    assert_eq!(found.mode.as_ref().unwrap().proposed, "enforce");

    let before = std::fs::read_to_string(&file).unwrap();
    let dry = LearnAccept { dry_run: true, ..LearnAccept::default() };
    let told = accept(&mut core, dry).await.unwrap();
    assert!(!told.done && told.changes.len() == 4, "{:?}", told.changes);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before, "only told");

    let limits = LearnAccept { limits: true, ..LearnAccept::default() };
    let done = accept(&mut core, limits).await.unwrap();
    assert_eq!(done.changes.len(), 1, "{:?}", done.changes);
    let changed = before.replace("= 10 # a minute", "= 21 # a minute");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), changed, "comments stay");
    assert_eq!(core.config.rules.register_limit, 21);
    assert_eq!(state(&mut core).await.state, LearnState::Learning, "goes on");

    let rest = accept(&mut core, LearnAccept::default()).await.unwrap();
    assert!(rest.done);
    assert_eq!(state(&mut core).await.state, LearnState::Accepted);
    let enforced = changed.replace("\"observe\" # for now", "\"enforce\" # for now");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), enforced);
    assert_eq!(status(&mut core).await.mode, "enforce");
    assert!(check(&mut core, "198.51.100.200").await.peer);

    // All of the second acceptance is one record.
    let undo = |number| Command::Undo {
        number,
        by: "ann".to_owned(),
        right: crate::api::Right::Admin,
        consent: Consent::default(),
    };
    let last = super::audit::log(&mut core).await[0].number;
    ask(&mut core, undo(last)).await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), changed);
    assert_eq!(state(&mut core).await.state, LearnState::Learning, "goes on");
    assert!(!check(&mut core, "198.51.100.200").await.peer);
    ask(&mut core, undo(last + 1)).await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), enforced);
    assert_eq!(state(&mut core).await.state, LearnState::Accepted);
    assert!(check(&mut core, "198.51.100.200").await.peer);

    let copies: Vec<PathBuf> = done.undo[0].split(' ').skip(1).take(2).map(PathBuf::from).collect();
    std::fs::copy(&copies[0], &copies[1]).unwrap();
    ask(&mut core, Command::Reload { consent: Consent::default() }).await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before, "as it was");
    assert_eq!(core.config.rules.register_limit, 10);
}

#[tokio::test]
async fn an_acceptance_that_can_not_be_written_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut core = start_from(directory.path());
    learn(&mut core).await;
    customers(&mut core);
    let file = directory.path().join("sipprot.toml");
    // What the daemon would read is wrong by now.
    let broken = "interfaces = []\nmode = \"observe\"\n[rules]\nregister_limit = 10\nno_such = 1\n";
    std::fs::write(&file, broken).unwrap();
    let limits = LearnAccept { limits: true, ..LearnAccept::default() };
    assert!(accept(&mut core, limits).await.is_err());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), broken);
    assert_eq!(core.config.rules.register_limit, 10);
    let stranger =
        LearnAccept { also: vec!["192.0.2.99/32".parse().unwrap()], ..LearnAccept::default() };
    assert!(accept(&mut core, stranger).await.is_err(), "nobody proposed it");
}

#[tokio::test]
async fn alerts_are_told_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut core = start(directory.path(), "");
    (0..3).for_each(|number| guess(&mut core, number));
    register(&mut core, 5, 200);
    core.finish(false).unwrap();
    let mut core = start(directory.path(), "");
    let why = explained(&mut core).await;
    assert_eq!((why.alerts.len(), why.alerts[0].kind.as_str()), (1, "possible-break-in"));
    assert!(why.timeline.iter().any(|it| it.what.starts_with("alert: possible break-in: 100@pbx")));
    let Answer::Report(report) =
        ask(&mut core, Command::Report { query: Default::default() }).await.unwrap()
    else {
        panic!("no report");
    };
    assert_eq!(report.alerts, why.alerts);
}

#[tokio::test]
async fn a_busy_peers_ceiling_survives() {
    let directory = tempfile::tempdir().unwrap();
    let source = SourceKey::from(ATTACKER.parse::<std::net::IpAddr>().unwrap());
    let mut core = start(directory.path(), "");
    register(&mut core, 5, 200);
    let now = core.clock.time_now();
    assert!(!core.engine.note_rate(source, 50, now), "20 times that is no more than everybody's");
    assert!(core.engine.note_rate(source, 150, now));
    assert!(!core.engine.note_rate(source, 1_000_000, now), "a flood teaches nothing");
    assert_eq!(core.kernel_rate(source), 3000);
    core.persisted.dirty = true;
    core.finish(false).unwrap();

    let core = start(directory.path(), "");
    assert_eq!(core.kernel_rate(source), 3000);
    assert_eq!(core.engine.state().trust[0].peak.rate(now), 150);
    core.finish(false).unwrap();

    let own = format!("peers = [{{ network = \"{ATTACKER}\", rate = 500 }}]");
    let mut core = start(directory.path(), &own);
    assert_eq!(core.kernel_rate(source), 500, "the operator's word");
    assert_ne!(Peak::default(), core.engine.state().trust[0].peak);
    assert!(status(&mut core).await.problems.len() < 3);
}
