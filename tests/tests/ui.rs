//! The dashboard in a browser, before the real daemon, under attack.
//!
//! The browser stands in the office, so that it is an operator whom a change may cut off. What it does is in
//! `sipprot-ctl/ui/e2e`. With `SIPPROT_UI_SCREENS` naming a directory it only takes pictures of the pages.

use std::{
    fmt::Write as _,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use sipprot_tests::{
    attackers::cracker::{self, Plan},
    browser::{self, API, browse},
    daemon::{Daemon, Settings},
    lab::Lab,
    pbx::Manners,
    topology::PBXS,
};

const SCREENS: &str = "SIPPROT_UI_SCREENS";
/// Of strangers: each is the user agent and the user name of an attacker.
const PAYLOADS: &str = include_str!("../../sipprot-ctl/ui/e2e/payloads.json");
const TOGETHER: usize = 10;
const MANY_BLOCKS: u32 = 100_000;
const MANY_DENIED: u32 = 1_000_000;

/// A lab whose daemon has two users and a dashboard, or nothing where something is missing.
fn protected() -> Result<Option<(Lab, Daemon)>> {
    if let Some(missing) = browser::missing() {
        println!("skipped: needs {}", missing.display());
        return Ok(None);
    }
    let lines = vec![format!("api.listen = \"{API}\"")];
    let settings = Settings { lines, ..Settings::default() };
    let Some((lab, daemon)) = Lab::protected(Manners::default(), &settings)? else {
        return Ok(None);
    };
    browser::add_users(&daemon)?;
    Ok(Some((lab, daemon)))
}

#[test]
fn the_dashboard_in_a_browser() -> Result<()> {
    let Some((lab, daemon)) = protected()? else { return Ok(()) };
    lab.office().register()?;
    let payloads: Vec<String> = serde_json::from_str(PAYLOADS)?;
    let plans: Vec<Plan> = payloads.iter().map(|payload| plan(&lab, payload)).collect();
    // Not all at once: most would end at the endpoint's ceiling, unread.
    for together in plans.chunks(TOGETHER) {
        std::thread::scope(|scope| {
            let attackers = &lab.net.attackers;
            let attack = |plan| move || cracker::attack_from(attackers, plan);
            let attacks: Vec<_> = together.iter().map(|plan| scope.spawn(attack(plan))).collect();
            attacks.into_iter().try_for_each(|attack| {
                attack.join().map_err(|_| anyhow::anyhow!("an attacker panicked"))?.map(drop)
            })
        })?;
    }
    for plan in &plans {
        ensure!(daemon.check(plan.source)?.blocked, "{} is not blocked", plan.source);
    }
    let attacker = plans[0].source.to_string();
    if std::env::var_os(SCREENS).is_some() {
        return browse(&lab, &attacker, &["screens"]);
    }
    if std::env::var_os("SIPPROT_TEST_FULL").is_none() {
        return browse(&lab, &attacker, &["dashboard", "pages"]);
    }
    browse(&lab, &attacker, &["admin"])?;
    // Endpoints came and went, and the daemon forgot who was seen at which.
    lab.office().register()?;
    browse(&lab, &attacker, &["dashboard", "endpoints", "hostile", "many", "pages", "slow"])
}

fn plan(lab: &Lab, payload: &str) -> Plan {
    let target = SocketAddr::from((PBXS[0].v4, 5060));
    let source = lab.newcomer().v4.into();
    let (user, user_agent) = (payload.to_owned(), payload.to_owned());
    Plan { user, user_agent, guesses: 100, ..Plan::new(source, target) }
}

/// The long form of the browser's test of many rows; the short one is among the others.
#[test]
fn many_rows_in_a_browser() -> Result<()> {
    if std::env::var_os("SIPPROT_TEST_FULL").is_none() || std::env::var_os(SCREENS).is_some() {
        return Ok(());
    }
    let Some((lab, mut daemon)) = protected()? else { return Ok(()) };
    let file = lab.directory().join("deny.csv");
    let mut rows = "IP_ADDRESS,NOTE\n".to_owned();
    for number in 0..MANY_DENIED {
        writeln!(rows, "{},number {number}", Ipv4Addr::from(0x0b00_0000 + number * 7))?;
    }
    std::fs::write(&file, rows)?;
    daemon.text(&["deny", "import", file.to_str().context("a path")?])?;
    daemon.stop()?;
    put_blocks(&daemon.state_dir().join("lists.export.jsonl"))?;
    // The database is made anew from the export.
    daemon.start_within(Duration::from_secs(300))?;
    let status = daemon.json(&["status"])?;
    ensure!(status["lists"]["dynamic"] == MANY_BLOCKS, "{}", status["lists"]);
    browse(&lab, "", &["many"])
}

/// As if they had been written last: the store goes by its export where that knows more.
fn put_blocks(export: &Path) -> Result<()> {
    let known = std::fs::read_to_string(export)?;
    let last = known.lines().last().context("an empty export")?;
    let commit: serde_json::Value = serde_json::from_str(last)?;
    let commit = commit["commit"].as_u64().context("no commit at the end")?;
    let now = jiff::Timestamp::now();
    let mut lines = String::new();
    for number in 0..MANY_BLOCKS {
        let source = Ipv4Addr::from(0x6400_0000 + number * 3);
        let at = now - jiff::SignedDuration::from_secs(i64::from(number % 3600));
        let until = at + jiff::SignedDuration::from_hours(24);
        let block = serde_json::json!({
            "source": format!("{source}/32"), "kind": "dynamic", "endpoint": "pbx1", "victim": PBXS[0].v4,
            "started_at": at, "expires_at": until, "duration_s": 86_400, "scope": "all",
            "rule": "BRUTEFORCE:register", "reason": format!("block number {number}"), "proven": true,
            "user_agent": "friendly-scanner", "evidence_first": at, "evidence_last": at,
        });
        writeln!(lines, "{}", serde_json::json!({ "put_block": block }))?;
    }
    writeln!(lines, "{{\"commit\":{}}}", commit + 1)?;
    let mut file = std::fs::OpenOptions::new().append(true).open(export)?;
    file.write_all(lines.as_bytes()).context("write the export")
}
