//! `sipprot learn` on the host of the lab: nothing is dropped while it learns, and the limit holds
//! once its proposal is accepted.
//!
//! The binary is the one that `SIPPROT_BIN` names; without it, or without what the lab needs, the
//! test says what is missing.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sipprot_tests::{
    attackers::cracker::{self, Plan},
    daemon::Settings,
    lab::Lab,
    office::PHONES,
    topology::{Family, OFFICE},
};

const GUESSES: u32 = 150;
const LIMIT: u64 = 10;
/// Requests that may be on their way to the PBX when the limit is reached.
const IN_FLIGHT: u64 = 2;

/// How many guesses the PBX rejected.
fn crack(lab: &Lab, plan: &Plan) -> Result<u64> {
    let before = lab.counts(plan.source)?.rejected;
    cracker::attack_from(&lab.net.attackers, plan)?;
    Ok(lab.counts(plan.source)?.rejected - before)
}

#[test]
fn what_is_learned_is_accepted_and_enforced() -> Result<()> {
    let binary = std::env::var_os("SIPPROT_BIN");
    if let Some(missing) =
        Lab::missing().or_else(|| binary.is_none().then(|| "SIPPROT_BIN (the binary)".to_owned()))
    {
        println!("skipped: needs {missing}");
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut daemon = lab.daemon(binary.context("SIPPROT_BIN")?.as_ref())?;
    daemon.configure(&Settings { enforce: false, ..Settings::default() })?;
    daemon.start()?;
    println!("{}", daemon.text(&["learn", "start"])?);

    let plan = |source| Plan {
        guesses: GUESSES,
        patience: Duration::from_millis(500),
        ..Plan::new(source, lab.pbxs[0].sip(Family::V4))
    };
    let attack = plan(lab.newcomer().v4.into());
    let rejected = crack(&lab, &attack)?;
    ensure!(rejected > u64::from(GUESSES) / 2, "{rejected} of {GUESSES}: nothing may be dropped");
    let (registered, calls) = lab.office().register_and_call(20)?;
    assert_eq!((registered.ok, calls.failed), (PHONES, 0));
    daemon.stop()?;
    daemon.start()?;

    let status = daemon.json(&["status"])?;
    assert_eq!((&status["mode"], &status["protected"]), (&"learning".into(), &false.into()));
    println!("{}\n{}", daemon.text(&["status"])?, daemon.text(&["learn", "proposal"])?);
    let proposal = daemon.json(&["learn", "proposal"])?;
    assert_eq!(proposal["preliminary"], true);
    let rows = proposal["would"].as_array().context("rows")?;
    let source = attack.source.to_string();
    let blocked = |row: &&serde_json::Value| row["source"] == source && row["what"] == "blocked";
    let row = rows.iter().find(blocked).with_context(|| format!("the cracker in {rows:?}"))?;
    assert_eq!((&row["proven"], &row["customer"]), (&true.into(), &false.into()));
    let office = OFFICE.v4.to_string();
    assert!(rows.iter().all(|row| row["source"] != office), "{rows:?}");
    let check = daemon.check(attack.source)?;
    assert!(!check.blocked && !check.denied && !check.contained, "{check:?}");
    println!("{}", daemon.text(&["why", &source])?);

    let before = std::fs::read_to_string(daemon.config_file())?;
    let refused = daemon.cli(&["learn", "accept"])?;
    assert!(!refused.status.success(), "nobody can be asked");
    assert_eq!(std::fs::read_to_string(daemon.config_file())?, before, "nothing is changed");
    println!("{}", daemon.text(&["learn", "accept", "--yes"])?);
    let enforcing = before.replace("mode = \"observe\"", "mode = \"enforce\"");
    assert_eq!(std::fs::read_to_string(daemon.config_file())?, enforcing);
    assert_eq!(daemon.json(&["status"])?["protected"], true);
    println!("{}", daemon.text(&["trust", "list"])?);

    let fresh = plan(lab.newcomer().v4.into());
    for plan in [fresh, attack] {
        let rejected = crack(&lab, &plan)?;
        ensure!(rejected <= LIMIT + IN_FLIGHT, "{rejected} answered after the acceptance");
    }
    let (registered, calls) = lab.office().register_and_call(20)?;
    assert_eq!((registered.ok, calls.failed), (PHONES, 0));
    Ok(())
}
