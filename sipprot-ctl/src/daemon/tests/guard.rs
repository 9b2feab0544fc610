//! Operators who would cut themselves off.

use super::*;
use crate::api::{Code, Done, Right};

const OPERATOR: &str = "203.0.113.7";

fn consent(confirm: bool) -> Consent {
    Consent { confirm, operator: Some(OPERATOR.parse().unwrap()) }
}

fn deny(network: &str, confirm: bool) -> Command {
    Command::AddEntry { list: List::Deny, entry: entry(network), consent: consent(confirm) }
}

fn confirm(cancel: bool) -> Command {
    Command::Confirm { cancel, right: Right::Admin, by: "ann".to_owned() }
}

async fn done(core: &mut Core, command: Command) -> String {
    match ask(core, command).await.unwrap() {
        Answer::Done(Done { message, .. }) => message,
        other => panic!("{other:?}"),
    }
}

async fn refused(core: &mut Core, command: Command, says: &str) {
    let fault = ask(core, command).await.unwrap_err();
    assert!(fault.code == Code::Refused && fault.message.contains(says), "{fault}");
}

/// Lets the time for a confirmation pass.
async fn pass(core: &mut Core) {
    if let Some(pending) = &mut core.guard.pending {
        pending.until = core.clock.timestamp_now();
    }
    core.second();
    core.journal.write_for_good(Vec::new()).await.unwrap().unwrap();
}

const SHORT: &str = "confirm_within = \"30s\"\n";

#[tokio::test]
async fn a_denial_of_oneself_is_refused_or_taken_back() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), SHORT);
    refused(&mut core, deny("203.0.113.0/24", false), "would cut off 203.0.113.7").await;
    assert!(!check(&mut core, OPERATOR).await.denied);
    ask(&mut core, deny("203.0.112.0/24", false)).await.unwrap();

    let told = done(&mut core, deny("203.0.113.0/24", true)).await;
    assert!(told.contains("taken back in 30s unless 'sipprot confirm'"), "{told}");
    assert!(check(&mut core, OPERATOR).await.denied);
    assert_eq!(core.guard_items().len(), 1);
    assert!(status(&mut core).await.pending.unwrap().what.contains("203.0.113.0/24"));
    pass(&mut core).await;
    assert!(!check(&mut core, OPERATOR).await.denied);
    assert_eq!((status(&mut core).await.pending, core.guard_items().len()), (None, 0));
}

#[tokio::test]
async fn what_is_confirmed_stays_and_what_is_cancelled_goes() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), SHORT);
    done(&mut core, deny("203.0.113.0/24", true)).await;
    let other = Command::AddEntry {
        list: List::Deny,
        entry: entry("198.51.100.0/24"),
        consent: Consent { confirm: true, operator: Some([198, 51, 100, 1].into()) },
    };
    refused(&mut core, other, "waits for 'sipprot confirm' already").await;
    done(&mut core, confirm(false)).await;
    pass(&mut core).await;
    assert!(check(&mut core, OPERATOR).await.denied);
    let nothing = ask(&mut core, confirm(false)).await.unwrap_err();
    assert_eq!(nothing.code, Code::NotFound);

    let remove = |list| Command::RemoveEntry {
        list,
        network: "203.0.113.0/24".parse().unwrap(),
        by: "ann".to_owned(),
        consent: consent(false),
    };
    done(&mut core, remove(List::Deny)).await;
    done(&mut core, deny("203.0.113.7", true)).await;
    done(&mut core, confirm(true)).await;
    assert!(!check(&mut core, OPERATOR).await.denied);
}

#[tokio::test]
async fn the_entry_that_lets_oneself_in_comes_back() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), SHORT);
    ask(&mut core, add(List::Allow, OPERATOR)).await.unwrap();
    ask(&mut core, deny("203.0.113.0/24", false)).await.unwrap();
    let remove = |confirm| Command::RemoveEntry {
        list: List::Allow,
        network: OPERATOR.parse().unwrap(),
        by: "ann".to_owned(),
        consent: consent(confirm),
    };
    refused(&mut core, remove(false), "would cut off 203.0.113.7").await;
    done(&mut core, remove(true)).await;
    assert!(!check(&mut core, OPERATOR).await.allowed);
    pass(&mut core).await;
    assert!(check(&mut core, OPERATOR).await.allowed);
}

#[tokio::test]
async fn a_daemon_that_died_takes_back_when_it_starts() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), SHORT);
    done(&mut core, deny("203.0.113.0/24", true)).await;
    core.finish(false).unwrap();
    let mut core = start(state.path(), SHORT);
    assert!(check(&mut core, OPERATOR).await.denied, "not due yet");
    assert_eq!(core.guard_items().len(), 1);
    let mut pending = core.guard.pending.clone().unwrap();
    pending.until = core.clock.timestamp_now();
    core.journal.write(vec![crate::store::Change::PutPending(pending)]);
    core.finish(false).unwrap();
    let mut core = start(state.path(), SHORT);
    assert!(!check(&mut core, OPERATOR).await.denied);
    assert_eq!(status(&mut core).await.pending, None);
}

/// A daemon with a configuration file and one country, that of the documentation addresses.
fn start_with_file(directory: &Path, geo: &str) -> Core {
    let file = directory.join("sipprot.toml");
    configure(directory, geo);
    let mut options = options(&directory.join("state"), "");
    options.loaded = Config::load(Some(&file)).unwrap();
    options.config_path = Some(file);
    Core::start(options, Kernel::default()).unwrap()
}

fn configure(directory: &Path, geo: &str) {
    let database = directory.join("geoip");
    std::fs::write(&database, "# 2026\n3405803776,3405804031,FR\n").unwrap();
    let text = format!(
        "daemon.state_dir = {:?}\ninterfaces = [\"none0\"]\ngeo.databases = [{database:?}]\n{SHORT}{geo}",
        directory.join("state")
    );
    std::fs::write(directory.join("sipprot.toml"), text).unwrap();
}

fn reload(confirm: bool) -> Command {
    Command::Reload { consent: consent(confirm) }
}

/// As the daemon's turn does, which has a way to go on.
#[tokio::test]
async fn databases_are_read_before_a_reload_and_not_by_the_judgement() {
    use sipprot_common::abi::{GEO_DENY, GEO_OFF};
    let directory = tempfile::tempdir().unwrap();
    let mut core = start_with_file(directory.path(), "");
    let (going, mut later) = tokio::sync::mpsc::unbounded_channel();
    core.going = Some(going);
    configure(directory.path(), DENY);
    let other = directory.path().join("other");
    std::fs::rename(directory.path().join("geoip"), &other).unwrap();
    let text = std::fs::read_to_string(directory.path().join("sipprot.toml")).unwrap();
    let text = text.replace("/geoip", "/other");
    std::fs::write(directory.path().join("sipprot.toml"), text).unwrap();

    let (reply, mut answer) = oneshot::channel();
    core.answer(Call { who: Who::socket("ann"), command: reload(true), reply });
    assert!(answer.try_recv().is_err() && geo_mode(&core) == GEO_OFF, "not yet");
    core.go_on(later.recv().await.unwrap());
    answer.await.unwrap().unwrap();
    assert_eq!((geo_mode(&core), core.geography.is_available()), (GEO_DENY, true));
    let told = super::audit::log(&mut core).await;
    assert_eq!((told.len(), told[0].who.as_str(), told[0].what.as_str()), (1, "ann", "reload"));

    // By a signal; where nothing has changed, at once.
    configure(directory.path(), "");
    core.hang_up();
    core.go_on(later.recv().await.unwrap());
    assert_eq!(geo_mode(&core), GEO_OFF);
    core.hang_up();
    assert!(later.try_recv().is_err());
    core.journal.write_for_good(Vec::new()).await.unwrap().unwrap();
    let told = super::audit::log(&mut core).await;
    assert_eq!((told[0].what.as_str(), told[0].from.as_str()), ("reload", "for SIGHUP"));
}

const DENY: &str = "geo.mode = \"deny\"\ngeo.countries = [\"FR\"]\n";
const ALLOW: &str = "geo.mode = \"allow\"\ngeo.countries = [\"FR\"]\n";

fn geo_mode(core: &Core) -> u8 {
    core.plan.policies[0].geo_mode
}

#[tokio::test]
async fn countries_that_cut_off_wait_too() {
    use sipprot_common::abi::{GEO_DENY, GEO_OFF};
    let directory = tempfile::tempdir().unwrap();
    let mut core = start_with_file(directory.path(), "");
    configure(directory.path(), ALLOW);
    refused(&mut core, reload(false), "geo mode allow").await;
    configure(directory.path(), DENY);
    refused(&mut core, reload(false), "would cut off 203.0.113.7").await;
    assert_eq!(geo_mode(&core), GEO_OFF);
    done(&mut core, reload(true)).await;
    assert_eq!(geo_mode(&core), GEO_DENY);
    pass(&mut core).await;
    assert_eq!(geo_mode(&core), GEO_OFF);
    let problems = status(&mut core).await.problems.join("\n");
    assert!(problems.contains("not confirmed"), "{problems}");
    core.finish(false).unwrap();

    // The file still says it, and nobody has confirmed it.
    let mut options = options(&directory.path().join("state"), "");
    let file = directory.path().join("sipprot.toml");
    options.loaded = Config::load(Some(&file)).unwrap();
    options.config_path = Some(file);
    let mut core = Core::start(options, Kernel::default()).unwrap();
    assert_eq!(geo_mode(&core), GEO_OFF);
    refused(&mut core, reload(false), "would cut off").await;
    done(&mut core, reload(true)).await;
    refused(&mut core, confirm(false), "five minutes of learning").await;
    let soon = core.clock.timestamp_now() + jiff::SignedDuration::from_secs(5);
    core.guard.pending.as_mut().unwrap().until = soon;
    let lists = Command::Confirm { cancel: true, right: Right::Lists, by: "bob".to_owned() };
    let fault = ask(&mut core, lists).await.unwrap_err();
    assert_eq!(fault.code, Code::Forbidden, "settings are an admin's: {fault}");
    done(&mut core, confirm(false)).await;
    pass(&mut core).await;
    assert_eq!(geo_mode(&core), GEO_DENY);
    configure(directory.path(), "");
    done(&mut core, reload(false)).await;
    assert_eq!((geo_mode(&core), status(&mut core).await.pending), (GEO_OFF, None));
}
