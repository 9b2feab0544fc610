//! The dashboard in a browser, before the real daemon, under attack.
//!
//! The browser stands in the office, so that it is an operator whom a change may cut off. What it does is in
//! `sipprot-ctl/ui/e2e`.

use std::{net::SocketAddr, path::Path};

use anyhow::{Context, Result, ensure};
use sipprot_tests::{
    attackers::cracker::{self, Plan},
    daemon::Settings,
    lab::Lab,
    pbx::Manners,
    topology::{OFFICE, PBXS},
};

const API: &str = "192.0.2.1:8060";
const PASSWORD: &str = "correct horse battery";
/// Of strangers: each is the user agent of an attacker.
const PAYLOADS: &str = include_str!("../../sipprot-ctl/ui/e2e/payloads.json");

#[test]
fn the_dashboard_in_a_browser() -> Result<()> {
    let ui = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sipprot-ctl/ui");
    let playwright = ui.join("node_modules/@playwright/test/cli.js");
    for needed in [playwright.as_path(), Path::new("/usr/bin/chromium")] {
        if !needed.is_file() {
            println!("skipped: needs {}", needed.display());
            return Ok(());
        }
    }
    let lines = vec![format!("api.listen = \"{API}\"")];
    let settings = Settings { lines, ..Settings::default() };
    let Some((lab, daemon)) = Lab::protected(Manners::default(), &settings)? else {
        return Ok(());
    };
    for (name, role) in [("ann", "admin"), ("bob", "viewer")] {
        daemon.add_user(name, role, PASSWORD)?;
    }
    lab.office().register()?;
    let payloads: Vec<String> = serde_json::from_str(PAYLOADS)?;
    let plans: Vec<Plan> = payloads.into_iter().map(|payload| plan(&lab, payload)).collect();
    std::thread::scope(|scope| {
        let attacks: Vec<_> = plans
            .iter()
            .map(|plan| scope.spawn(|| cracker::attack_from(&lab.net.attackers, plan)))
            .collect();
        attacks.into_iter().try_for_each(|attack| {
            attack.join().map_err(|_| anyhow::anyhow!("an attacker panicked"))?.map(drop)
        })
    })?;
    for plan in &plans {
        ensure!(daemon.check(plan.source)?.blocked, "{} is not blocked", plan.source);
    }

    let mut browser = lab.net.office.command("node");
    browser.arg(&playwright).arg("test").current_dir(&ui);
    browser.env("SIPPROT_UI_URL", format!("https://{API}"));
    browser.env("SIPPROT_UI_PASSWORD", PASSWORD);
    browser.env("SIPPROT_UI_OPERATOR", OFFICE.v4.to_string());
    browser.env("SIPPROT_UI_ATTACKER", plans[0].source.to_string());
    let output = browser.output().context("run playwright")?;
    println!("{}", String::from_utf8_lossy(&output.stdout));
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "playwright: {} {complaint}", output.status);
    Ok(())
}

fn plan(lab: &Lab, user_agent: String) -> Plan {
    let target = SocketAddr::from((PBXS[0].v4, 5060));
    Plan { user_agent, guesses: 100, ..Plan::new(lab.newcomer().v4.into(), target) }
}
