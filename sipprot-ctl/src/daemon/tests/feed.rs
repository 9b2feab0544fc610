//! Logs that come to the daemon: by the API, and from a file.

use std::io::Write;

use tokio::sync::mpsc;

use sipprot_common::abi::{SCOPE_HTTP, SCOPE_SSH};

use super::*;
use crate::daemon::plan::scope::kernel_scopes;
use crate::feed::filter::Line;
use crate::feed::{Tap, Whose, filters, hash_of};

const TOKEN: &str = "a long and random token";

fn config() -> String {
    format!(
        "follow_ssh = false\n\
         log = [{{ name = \"api\", kind = \"api\", filters = [\"asterisk\", \"kamailio\"] }}]\n\
         {ENDPOINT}log_token = \"{}\"\n",
        hash_of(TOKEN)
    )
}

fn start_reading(state: &Path, text: &str) -> (Core, mpsc::Receiver<Heard>) {
    let (heard, told) = mpsc::channel(64);
    let mut core = start(state, text);
    core.start_logs(heard);
    (core, told)
}

fn lines(count: u32) -> String {
    let line =
        |_| format!("sipprot: rejected REGISTER account 100 from {ATTACKER} port 4711 over wss\n");
    (0..count).map(line).collect()
}

async fn ingest(core: &mut Core, log: &str, token: &str, text: &str) -> Result<(u64, u64), Fault> {
    let (log, token, text) = (log.to_owned(), token.to_owned(), text.to_owned());
    match ask(core, Command::Ingest { log, token, text }).await? {
        Answer::Ingested(done) => Ok((done.lines, done.told)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_endpoint_s_lines_act_for_it_alone_and_say_why() {
    let state = tempfile::tempdir().unwrap();
    let (mut core, _told) = start_reading(state.path(), &config());
    for (log, token) in [("api", ""), ("api", "another token"), ("none", TOKEN)] {
        assert!(ingest(&mut core, log, token, &lines(20)).await.is_err(), "{log} {token}");
    }
    assert!(!check(&mut core, ATTACKER).await.blocked);
    let text = format!("nothing that is known\n{}", lines(9));
    assert_eq!(ingest(&mut core, "api", TOKEN, &text).await, Ok((10, 9)));
    assert!(!check(&mut core, ATTACKER).await.blocked);
    ingest(&mut core, "api", TOKEN, &lines(1)).await.unwrap();
    let block = check(&mut core, ATTACKER).await.block.unwrap();
    assert_eq!(
        (block.rule.as_str(), block.endpoint.as_deref()),
        ("BRUTEFORCE:register", Some("pbx1"))
    );
    let line = block.evidence.unwrap().last.line.unwrap();
    assert_eq!(line, format!("api: {}", lines(1).trim()));
    assert!(core.ledger.blocks().all(|record| record.endpoint_only));
    let log = status(&mut core).await.logs.remove(0);
    assert_eq!((log.lines, log.matched, log.error), (11, 10, None));
    core.finish(false).unwrap();

    // After a restart it is still the endpoint's alone: the wire's failures block for the host.
    let (mut core, _told) = start_reading(state.path(), &config());
    assert!(check(&mut core, ATTACKER).await.blocked);
    (1..=10).for_each(|number| guess(&mut core, number));
    assert!(core.ledger.blocks().any(|record| !record.endpoint_only));
}

#[tokio::test]
async fn a_file_is_followed_and_a_login_is_remembered() {
    let state = tempfile::tempdir().unwrap();
    let path = state.path().join("auth.log");
    let mut file = std::fs::File::create(&path).unwrap();
    let text =
        format!("log = [{{ name = \"auth\", path = {path:?}, filters = [\"sshd\"] }}]\n{ENDPOINT}");
    let (mut core, mut told) = start_reading(state.path(), &text);
    assert_eq!(status(&mut core).await.logs.len(), 1, "no other ssh log beside it");
    // What is there when reading begins is the past.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut say = |what: &str, address: &str, port: u16| {
        writeln!(
            file,
            "Nov 22 17:21:03 pbx sshd[9]: {what} password for root from {address} port {port} ssh2"
        )
        .unwrap();
    };
    say("Accepted", "198.51.100.8", 1);
    for port in 0..6 {
        say("Failed", ATTACKER, port);
        say("Failed", "198.51.100.8", port);
    }
    for _ in 0..13 {
        let heard = tokio::time::timeout(Duration::from_secs(20), told.recv()).await.unwrap();
        core.heard(&heard.unwrap());
    }
    let found = check(&mut core, ATTACKER).await;
    assert_eq!(found.block.unwrap().rule, "BRUTEFORCE:ssh");
    let found = check(&mut core, "198.51.100.8").await;
    assert!(found.never_blocked && !found.blocked, "{found:?}");
    core.finish(false).unwrap();
    let mut core = start(state.path(), &text);
    assert!(check(&mut core, "198.51.100.8").await.never_blocked, "after a restart, too");
}

#[tokio::test]
async fn a_reload_keeps_what_is_read_and_follows_what_is_new() {
    let state = tempfile::tempdir().unwrap();
    let (mut core, _told) = start_reading(state.path(), &config());
    ingest(&mut core, "api", TOKEN, &lines(3)).await.unwrap();
    let with = |more: &str| {
        let text = config().replace("}]", &format!("}}{more}]"));
        options(state.path(), &text).loaded.config
    };
    core.config = with(", { name = \"late\", path = \"/nowhere/late.log\", filters = [\"sshd\"] }");
    core.follow_logs();
    let logs = status(&mut core).await.logs;
    let counts: Vec<_> = logs.iter().map(|log| (log.name.as_str(), log.lines)).collect();
    assert_eq!(counts, [("api", 3), ("late", 0)]);
    core.config = with("");
    core.follow_logs();
    assert_eq!(status(&mut core).await.logs.len(), 1);
}

#[tokio::test]
async fn what_can_t_be_read_is_a_problem() {
    let state = tempfile::tempdir().unwrap();
    let text = "follow_ssh = false\nlog = [{ name = \"own\", kind = \"api\", filters = [\"/nowhere/own.toml\"] }]\n";
    let (mut core, _told) = start_reading(state.path(), text);
    let problems = status(&mut core).await.problems;
    assert!(
        problems.iter().any(|it| it.contains("log own: the filter /nowhere/own.toml")),
        "{problems:?}"
    );
}

#[tokio::test]
async fn a_second_service_that_is_lost_does_not_give_the_first_one_back() {
    let state = tempfile::tempdir().unwrap();
    let mut core = start(state.path(), ENDPOINT);
    register(&mut core, 1, 200);
    let names = ["sshd", "nginx"].map(str::to_owned);
    let tap = Tap::new("host", filters(&names).unwrap(), Whose::Host, false);
    let mut tells = |line: String, times: usize| {
        (0..times).for_each(|_| core.heard(&tap.sift(Line::plain(&line)).unwrap()));
        let bits: Vec<u8> = core.ledger.blocks().map(kernel_scopes).collect();
        bits
    };
    let failed =
        format!("Nov 22 17:21:03 pbx sshd[9]: Failed password for x from {ATTACKER} port 1 ssh2");
    assert_eq!(tells(failed, 6), [SCOPE_SSH]);
    let scan = format!(
        "{ATTACKER} - - [22/Nov/2026:17:21:03 +0000] \"GET /phpmyadmin/ HTTP/1.1\" 404 153 \"-\" \"-\""
    );
    assert_eq!(tells(scan, 3), [SCOPE_SSH | SCOPE_HTTP]);
    core.finish(false).unwrap();
    let core = start(state.path(), ENDPOINT);
    let bits: Vec<u8> = core.ledger.blocks().map(kernel_scopes).collect();
    assert_eq!(bits, [SCOPE_SSH | SCOPE_HTTP], "after a restart, too");
}
