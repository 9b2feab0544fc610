//! A terminal with somebody who types: `script` of util-linux, since programs behave otherwise there.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};

/// Between keys, so that each finds what the one before has brought.
const PAUSE: Duration = Duration::from_millis(1200);

/// What came on the screen, and whether it ended well.
#[derive(Debug)]
pub struct Screen {
    pub text: String,
    pub ended_well: bool,
}

/// Runs a line of shell in `script`, a command that may already enter a namespace, and types `keys`.
pub fn type_into(mut script: Command, line: &str, keys: &[&str]) -> Result<Screen> {
    script.args(["--quiet", "--return", "--command", line, "/dev/null"]);
    script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = script.spawn().context("start script")?;
    let mut stdin = child.stdin.take().context("no stdin")?;
    let typed = keys.iter().try_for_each(|key| {
        std::thread::sleep(PAUSE);
        stdin.write_all(key.as_bytes())
    });
    // It stays open until the end: a terminal that hangs up is another test.
    let output = child.wait_with_output().context("wait for script")?;
    drop(stdin);
    typed.context("type")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(Screen { text, ended_well: output.status.success() })
}
