//! A browser in the office, before the dashboard of the protected host. What it does is in `sipprot-ctl/ui/e2e`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::{daemon::Daemon, lab::Lab, topology::OFFICE};

/// Where the daemon must listen.
pub const API: &str = "192.0.2.1:8060";
const PASSWORD: &str = "correct horse battery";

fn ui() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../sipprot-ctl/ui")
}

fn playwright() -> PathBuf {
    ui().join("node_modules/@playwright/test/cli.js")
}

/// What it lacks here.
pub fn missing() -> Option<PathBuf> {
    [playwright(), PathBuf::from("/usr/bin/chromium")].into_iter().find(|it| !it.is_file())
}

/// An admin and a viewer, whom the browser's tests know.
pub fn add_users(daemon: &Daemon) -> Result<()> {
    daemon.add_user("ann", "admin", PASSWORD)?;
    daemon.add_user("bob", "viewer", PASSWORD)
}

/// Runs the browser's tests of these files. `attacker` is somebody who is blocked.
pub fn browse(lab: &Lab, attacker: &str, files: &[&str]) -> Result<()> {
    let mut browser = lab.net.office.command("node");
    browser.arg(playwright()).arg("test").args(files).current_dir(ui());
    browser.env("SIPPROT_UI_URL", format!("https://{API}"));
    browser.env("SIPPROT_UI_PASSWORD", PASSWORD);
    browser.env("SIPPROT_UI_OPERATOR", OFFICE.v4.to_string());
    browser.env("SIPPROT_UI_ATTACKER", attacker);
    let output = browser.output().context("run playwright")?;
    println!("{}", String::from_utf8_lossy(&output.stdout));
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "playwright: {} {complaint}", output.status);
    Ok(())
}
