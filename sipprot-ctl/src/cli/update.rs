//! `sipprot update`: the package manager's upgrade. The filter stays in force meanwhile: the new daemon
//! replaces the programs through their links.

use std::path::Path;
use std::process::{Command, Stdio};

use super::{CliError, Context};
use crate::api::Done;

const PACKAGE: &str = "sipprot";

pub(super) fn run(context: &Context, dry_run: bool) -> Result<(), CliError> {
    let program = std::env::current_exe()
        .map_err(|error| CliError::Failed(format!("cannot find this program: {error}")))?;
    if !is_packaged(&program) {
        return Err(CliError::Failed(format!(
            "{} is of no package: put a newer one in its place and start the daemon anew \
             ('systemctl restart sipprot'); the filter stays in force meanwhile",
            program.display()
        )));
    }
    for words in steps() {
        if dry_run {
            super::write_out(&format!("{}\n", words.join(" ")))?;
            continue;
        }
        let done = Command::new(words[0])
            .args(&words[1..])
            .env("DEBIAN_FRONTEND", "noninteractive")
            // Data is ours alone.
            .stdout(std::io::stderr())
            .status()
            .map_err(|error| CliError::Failed(format!("{}: {error}", words[0])))?;
        if !done.success() {
            return Err(CliError::Failed(format!("{} ended with {done}", words.join(" "))));
        }
    }
    if dry_run {
        return Ok(());
    }
    let message = "the package is as new as its source has it".to_owned();
    context.print(&Done::new(message), |done| format!("{}\n", done.message))
}

fn steps() -> [Vec<&'static str>; 2] {
    [vec!["apt-get", "update"], vec!["apt-get", "install", "--only-upgrade", "--yes", PACKAGE]]
}

/// Whether dpkg put it there.
fn is_packaged(program: &Path) -> bool {
    let output = Command::new("dpkg-query")
        .arg("--search")
        .arg(program)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.is_ok_and(|text| text.split(':').next() == Some(PACKAGE))
}
