//! The daemon without a kernel part: commands through HTTP and back, and what survives a restart.

mod audit;
mod blocklists;
mod clock;
mod configured;
mod feed;
mod geo_update;
mod guard;
mod learn;
mod lists;
mod settings;
mod sheets;
mod why;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use sipprot_common::abi::maps;
use sipprot_common::source::SourceKey;
use tokio::sync::oneshot;

use super::*;
use crate::api::{
    Answer, Call, Check, Command, Consent, Entries, Fault, List, NewBlock, NewEntry, Status, Who,
};
use crate::config::{Config, Loaded, Origins, Scope};
use crate::daemon::lists::blocklists::Feed;
use crate::rules::{
    Account, Credentials, Direction, EndpointId, Method, Observation, Proof, Request, Response,
    Time, Transport,
};

const ATTACKER: &str = "198.51.100.9";

/// A line that names a database of countries: what the machine has is neither here nor there.
fn own_countries(state: &Path) -> String {
    let database = state.join("countries");
    std::fs::create_dir_all(state).unwrap();
    std::fs::write(&database, "8.8.8.0,8.8.8.255,US\n").unwrap();
    format!("geo.databases = [{database:?}]\n")
}

fn options(state: &Path, text: &str) -> Options {
    let countries =
        if text.contains("geo.databases") { String::new() } else { own_countries(state) };
    let text = format!("daemon.state_dir = {state:?}\ninterfaces = [\"none0\"]\n{countries}{text}");
    let config = Config::parse(Path::new("test.toml"), &text).unwrap();
    Options {
        config_path: None,
        loaded: Loaded { config, files: Vec::new(), origins: Origins::default() },
        interfaces: Vec::new(),
        observe: false,
        detach_on_exit: false,
        wait: false,
    }
}

fn start(state: &Path, text: &str) -> Core {
    Core::start(options(state, text), Kernel::default()).unwrap()
}

async fn ask(core: &mut Core, command: Command) -> Result<Answer, Fault> {
    let (reply, answer) = oneshot::channel();
    core.answer(Call { who: Who::socket("ann"), command, reply });
    tokio::time::timeout(Duration::from_secs(10), answer).await.unwrap().unwrap()
}

async fn check(core: &mut Core, address: &str) -> Check {
    match ask(core, Command::Check { address: address.parse().unwrap() }).await.unwrap() {
        Answer::Check(check) => *check,
        other => panic!("{other:?}"),
    }
}

async fn status(core: &mut Core) -> Status {
    match ask(core, Command::Status).await.unwrap() {
        Answer::Status(status) => *status,
        other => panic!("{other:?}"),
    }
}

fn entry(network: &str) -> NewEntry {
    NewEntry {
        network: network.parse().unwrap(),
        note: "a note\x1b[0m".to_owned(),
        added_by: "ann".to_owned(),
        expires_in_s: None,
        scope: Scope::All,
        endpoint: None,
    }
}

fn add(list: List, network: &str) -> Command {
    Command::AddEntry { list, entry: entry(network), consent: Consent::default() }
}

fn by_hand(block: NewBlock) -> Command {
    Command::Block { block, consent: Consent::default() }
}

/// Guesses a password, proven by a nonce, and is rejected.
fn guess(core: &mut Core, number: u32) {
    register(core, number, 403);
}

fn register(core: &mut Core, number: u32, status: u16) {
    let inbound = Direction::Inbound;
    talk(core, ATTACKER, Method::Register, inbound, (number, status), Proof::Nonce);
}

/// A request with credentials between a peer and the PBX, and its answer.
fn talk(
    core: &mut Core,
    peer: &str,
    method: Method,
    direction: Direction,
    (number, status): (u32, u16),
    proof: Proof,
) {
    let at = Time(core.clock.time_now().0 + u64::from(number));
    let peer: SocketAddr = format!("{peer}:5060").parse().unwrap();
    let pbx: SocketAddr = "192.0.2.11:5060".parse().unwrap();
    let (source, destination, answer) = match direction {
        Direction::Inbound => (peer, pbx, Direction::Outbound),
        Direction::Outbound => (pbx, peer, Direction::Inbound),
    };
    let (call_id, branch) = ("c".to_owned(), format!("z9hG4bK-{number}"));
    core.observe(&Observation::Request(Request {
        at,
        direction,
        source,
        destination,
        endpoint: EndpointId(1),
        transport: Transport::Udp,
        method,
        call_id: call_id.clone(),
        cseq: number,
        branch: branch.clone(),
        account: Account::new("100", "pbx"),
        credentials: Some(Credentials {
            username: "100".to_owned(),
            realm: "pbx".to_owned(),
            nonce_hash: 7,
            response_hash: u64::from(number),
            response_empty: false,
        }),
        cut: false,
        user_agent: Some("cracker".into()),
        proof,
    }));
    core.observe(&Observation::Response(Response {
        at,
        direction: answer,
        source: destination,
        destination: source,
        endpoint: EndpointId(1),
        transport: Transport::Udp,
        status,
        cseq: number,
        method,
        call_id,
        branch,
        challenge: None,
    }));
}

const ENDPOINT: &str = "[[endpoint]]\nname = \"pbx1\"\naddresses = [\"192.0.2.11\"]\n";

#[tokio::test]
async fn lists_are_kept_and_searched() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    for (list, network) in [
        (List::Deny, "203.0.113.77/24"),
        (List::Deny, "2001:db8::/32"),
        (List::Allow, "203.0.113.5"),
    ] {
        ask(&mut core, add(list, network)).await.unwrap();
    }
    let query = crate::api::ListQuery { search: Some("203.0".to_owned()), ..Default::default() };
    let found = ask(&mut core, Command::Entries { list: List::Deny, query }).await.unwrap();
    let Answer::Entries(Entries { entries, total: 1 }) = found else { panic!("{found:?}") };
    assert_eq!(
        (entries[0].ip.as_str(), entries[0].note.contains('\x1b')),
        ("203.0.113.0/24", false)
    );
    let found = check(&mut core, "203.0.113.5").await;
    assert!(found.allowed && found.denied && found.entries.len() == 2);
    let remove = |network: &str| Command::RemoveEntry {
        list: List::Deny,
        network: network.parse().unwrap(),
        by: "ann".to_owned(),
        consent: Consent::default(),
    };
    ask(&mut core, remove("203.0.113.0/24")).await.unwrap();
    let missing = ask(&mut core, remove("203.0.113.0/24")).await.unwrap_err();
    assert!(missing.message.contains("203.0.113.0/24"), "{missing}");
    core.finish(false).unwrap();
    let mut core = start(state.path(), ENDPOINT);
    let lists = status(&mut core).await.lists;
    assert_eq!((lists.allow, lists.deny), (1, 1));
    // Put there again by who has nothing to add.
    let entry = NewEntry { note: String::new(), ..entry("203.0.113.5") };
    let again = Command::AddEntry { list: List::Allow, entry, consent: Consent::default() };
    ask(&mut core, again).await.unwrap();
    assert!(check(&mut core, "203.0.113.5").await.entries[0].note.starts_with("a note"));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    let refused = async |core: &mut Core, command, field: Option<&str>| {
        let fault = ask(core, command).await.unwrap_err();
        assert_eq!(fault.field.as_deref(), field, "{fault}");
    };
    refused(&mut core, add(List::Deny, "0.0.0.0/0"), Some("network")).await;
    refused(&mut core, add(List::Deny, "127.0.0.0/8"), None).await;
    let unknown = NewEntry { endpoint: Some("pbx9".to_owned()), ..entry("203.0.113.1") };
    let add_of = |entry| Command::AddEntry { list: List::Deny, entry, consent: Consent::default() };
    refused(&mut core, add_of(unknown), Some("endpoint")).await;
    let long = NewEntry { note: "x".repeat(2000), ..entry("203.0.113.1") };
    refused(&mut core, add_of(long), Some("note")).await;
    let block = NewBlock {
        address: "203.0.113.1".parse().unwrap(),
        duration_s: Some(0),
        reason: String::new(),
        by: "ann".to_owned(),
        scope: Scope::All,
    };
    refused(&mut core, by_hand(block), Some("duration_s")).await;
    let nobody = Command::RevokeTrust { address: [203, 0, 113, 1].into(), by: "ann".to_owned() };
    refused(&mut core, nobody, None).await;
    assert_eq!(status(&mut core).await.lists.deny, 0);
}

#[tokio::test]
async fn an_attack_is_blocked_reported_kept_and_lifted() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    (1..=10).for_each(|number| guess(&mut core, number));
    let found = check(&mut core, ATTACKER).await;
    assert!(found.blocked && !found.denied, "{found:?}");
    let block = found.block.unwrap();
    assert_eq!((block.rule.as_str(), block.proven), ("BRUTEFORCE:register", true));
    assert_eq!(
        (block.endpoint.as_deref(), block.account.as_deref()),
        (Some("pbx1"), Some("100@pbx"))
    );
    assert_eq!(block.user_agent.as_deref(), Some("cracker"));
    assert!(block.reason.contains("limit is 10") && block.reaction_us.is_some(), "{block:?}");
    assert_eq!(found.blocks_counted, 1);

    let Answer::Report(report) =
        ask(&mut core, Command::Report { query: Default::default() }).await.unwrap()
    else {
        panic!()
    };
    assert_eq!((report.total_rows, report.total_blocks), (1, 1));
    core.finish(false).unwrap();

    let mut core = start(state.path(), ENDPOINT);
    let found = check(&mut core, ATTACKER).await;
    assert!(found.blocked && found.blocks_counted == 1, "{found:?}");
    let unblock = Command::Unblock { address: ATTACKER.parse().unwrap(), by: "ann".to_owned() };
    ask(&mut core, unblock).await.unwrap();
    (11..=30).for_each(|number| guess(&mut core, number));
    let found = check(&mut core, ATTACKER).await;
    assert!(!found.blocked && found.grace_until.is_some(), "{found:?}");
    core.finish(false).unwrap();
    let mut core = start(state.path(), ENDPOINT);
    assert!(check(&mut core, ATTACKER).await.grace_until.is_some(), "grace survives");
}

#[tokio::test]
async fn the_threshold_leads_to_the_denylist() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), &format!("rules.block_threshold = 1\n{ENDPOINT}"));
    (1..=10).for_each(|number| guess(&mut core, number));
    let found = check(&mut core, ATTACKER).await;
    assert!(found.denied && !found.blocked, "{found:?}");
    assert_eq!(found.entries[0].origin, "escalation");
    assert_eq!(status(&mut core).await.lists.deny, 1);
    let unblock = Command::Unblock { address: ATTACKER.parse().unwrap(), by: "ann".to_owned() };
    // The denial is still on its way to the disk when it is lifted.
    core.journal.write_for_good(Vec::new()).await.unwrap().unwrap();
    ask(&mut core, unblock).await.unwrap();
    assert!(!check(&mut core, ATTACKER).await.denied);
}

#[tokio::test]
async fn metrics_name_no_address() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    (1..=10).for_each(|number| guess(&mut core, number));
    let Answer::Metrics(text) = ask(&mut core, Command::Metrics).await.unwrap() else { panic!() };
    assert!(text.contains("sipprot_blocks_total{kind=\"dynamic\"} 1"), "{text}");
    assert!(text.contains("sipprot_reaction_seconds_count 1"), "{text}");
    assert!(!text.contains(ATTACKER));
}

#[tokio::test]
async fn rescued_addresses_stay_unblocked() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    (1..=10).for_each(|number| guess(&mut core, number));
    core.finish(false).unwrap();
    let rescue = judgement::rescued::Rescue {
        address: ATTACKER.parse().unwrap(),
        denied: Vec::new(),
        at: jiff::Timestamp::now(),
    };
    judgement::rescued::leave(state.path(), &rescue).unwrap();
    let mut core = start(state.path(), ENDPOINT);
    let found = check(&mut core, ATTACKER).await;
    assert!(!found.blocked && found.grace_until.is_some(), "{found:?}");
}

#[tokio::test]
async fn an_unblock_says_the_grace_that_is_given() {
    let state = tempfile::tempdir().unwrap();
    let unblock = Command::Unblock { address: ATTACKER.parse().unwrap(), by: "ann".to_owned() };
    for (grace, said) in [("20m", ", and left alone for 20m"), ("0s", "")] {
        let mut core = start(state.path(), &format!("rules.unblock_grace = \"{grace}\"\n"));
        let now = core.clock.timestamp_now().as_second();
        let Answer::Done(done) = ask(&mut core, unblock.clone()).await.unwrap() else { panic!() };
        assert_eq!(done.message, format!("nothing stood against {ATTACKER}{said}"));
        let left = check(&mut core, ATTACKER).await.grace_until.map(|until| until - now);
        assert_eq!(left.is_some(), !said.is_empty());
        assert!(left.is_none_or(|left| (1199..=1201).contains(&left)), "{left:?}");
        core.finish(false).unwrap();
    }
}

#[tokio::test]
async fn an_adopted_block_claims_no_proof() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    let (now, hour) = (core.clock.timestamp_now(), Duration::from_secs(3600));
    let source = ATTACKER.parse::<std::net::IpAddr>().unwrap().into();
    let span = (super::clock::after(now, hour), hour);
    core.adopt_one(source, crate::store::BlockKind::Dynamic, span, (None, Scope::All), now);
    let found = check(&mut core, ATTACKER).await;
    let block = found.block.unwrap();
    assert_eq!((found.blocked, block.proven, block.rule.as_str()), (true, false, "UNKNOWN:store"));
    assert!(block.reason.contains("not known"), "{}", block.reason);
}

/// What was handed to the journal is written, and nothing else.
fn kill(core: Core) {
    core.journal.finish();
}

#[tokio::test]
async fn distrust_survives_a_restart() {
    let state = tempfile::tempdir().unwrap();
    let source: std::net::IpAddr = ATTACKER.parse().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    register(&mut core, 1, 200);
    assert!(core.engine.is_trusted(source));
    let revoke = Command::RevokeTrust { address: source, by: "ann".to_owned() };
    ask(&mut core, revoke).await.unwrap();
    kill(core);
    let mut core = start(state.path(), ENDPOINT);
    register(&mut core, 2, 200);
    assert!(!core.engine.is_trusted(source));
}

#[tokio::test]
async fn a_possible_break_in_survives_a_restart() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    (1..=3).for_each(|number| guess(&mut core, number));
    register(&mut core, 4, 200);
    assert!(!core.engine.is_trusted(ATTACKER.parse().unwrap()));
    kill(core);
    let mut core = start(state.path(), ENDPOINT);
    register(&mut core, 5, 200);
    assert!(!core.engine.is_trusted(ATTACKER.parse().unwrap()));
}

#[tokio::test]
async fn a_block_that_finds_no_room_is_told_and_tried_again() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    core.kernel.full = Some(maps::BLOCKS);
    (1..=10).for_each(|number| guess(&mut core, number));
    let found = check(&mut core, ATTACKER).await;
    let block = found.block.unwrap();
    assert_eq!((found.blocked, block.refused, found.blocks_counted), (false, true, 1));
    assert!(block.reason.ends_with("NOT IN FORCE: the kernel did not take it"), "{}", block.reason);
    let told = status(&mut core).await;
    let problems = [
        "the kernel's map BLOCKS was full within the hour; entries refused so far: 1",
        "blocks not in force, for the kernel did not take them: 1",
    ];
    assert!(problems.iter().all(|it| told.problems.iter().any(|told| told == it)), "{told:?}");
    assert_eq!(told.lists.dynamic, 0);
    let Answer::Metrics(text) = ask(&mut core, Command::Metrics).await.unwrap() else { panic!() };
    assert!(text.contains("sipprot_map_refusals_total{map=\"blocks\"} 1"), "{text}");
    assert!(text.contains("sipprot_blocks_refused 1"), "{text}");
    assert!(text.contains("sipprot_blocks_total{kind=\"dynamic\"} 0"), "{text}");
    let another = NewBlock {
        address: "203.0.113.1".parse().unwrap(),
        duration_s: None,
        reason: String::new(),
        by: "ann".to_owned(),
        scope: Scope::All,
    };
    let fault = ask(&mut core, by_hand(another)).await.unwrap_err();
    assert_eq!(fault.code, crate::api::Code::Full, "{fault}");
    // It goes on with what needs no block.
    ask(&mut core, add(List::Deny, "203.0.113.77")).await.unwrap();
    core.finish(false).unwrap();

    let mut core = start(state.path(), ENDPOINT);
    assert!(check(&mut core, ATTACKER).await.blocked, "there is room again");
    core.kernel.full = Some(maps::BLOCKS);
    let source = SourceKey::from(ATTACKER.parse::<std::net::IpAddr>().unwrap());
    let record = core.ledger.blocks_of(Core::network_of(source)).next().unwrap().clone();
    core.put_back(record);
    core.try_refused();
    assert!(!check(&mut core, ATTACKER).await.blocked);
    core.kernel.full = None;
    core.try_refused();
    let found = check(&mut core, ATTACKER).await;
    assert!(found.blocked && !found.block.unwrap().refused);
    let still = status(&mut core).await.problems;
    assert!(!still.iter().any(|problem| problem.contains("blocks not in force")), "{still:?}");
}
