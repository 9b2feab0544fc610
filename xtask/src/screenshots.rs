//! `cargo xtask screenshots`: pictures of the dashboard's pages with the lab's data, for the manual.

use anyhow::{Result, bail};

use crate::{
    build,
    prerequisites::Purpose,
    process::{self, Privilege, say},
    setup, workspace,
};

/// By this variable the browser's test is told to take pictures, and where they go.
const INTO_VARIABLE: &str = "SIPPROT_UI_SCREENS";

pub fn screenshots() -> Result<()> {
    if Privilege::of_this_process() != Privilege::Root {
        bail!("the lab needs root: sudo cargo xtask screenshots");
    }
    setup::ensure(&[Purpose::Build, Purpose::Pinning, Purpose::Lab, Purpose::Ui])?;
    let built = build::build(&build::Options::default(), build::Profile::Dev)?;
    let into = workspace::root().join("docs/screens");
    let mut cargo = workspace::cargo("test");
    cargo.args(["--package", "sipprot-tests", "--test", "ui", "--test", "fleet"]);
    cargo.args(["--", "--nocapture", "the_dashboard_in_a_browser", "what_one_host_proves"]);
    cargo.env("RUST_TEST_THREADS", "1").env(INTO_VARIABLE, &into);
    cargo.env("SIPPROT_BIN", &built.sipprot).env(build::OBJECT_VARIABLE, &built.object);
    process::run(&mut cargo)?;
    say(format_args!("the pictures are in {}", into.display()));
    Ok(())
}
