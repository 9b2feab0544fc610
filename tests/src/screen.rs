//! A terminal with somebody who types: `script` of util-linux, since programs behave otherwise there.

use std::{
    io::{Read, Write},
    process::{Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

/// Each key is to find what the one before has brought: so long nothing more has come.
const SILENCE: Duration = Duration::from_millis(300);
/// For programs that are never silent, or that a key moves to nothing.
const PATIENCE: Duration = Duration::from_millis(1500);

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
    let mut stdout = child.stdout.take().context("no stdout")?;
    let (told, seen) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stdout.read(&mut buffer) {
            if told.send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    let mut shown = Vec::new();
    let typed = keys.iter().try_for_each(|key| {
        shown.extend(until_silent(&seen));
        stdin.write_all(key.as_bytes())
    });
    // It stays open until the end: a terminal that hangs up is another test.
    shown.extend(seen.iter().flatten());
    let status = child.wait().context("wait for script")?;
    drop(stdin);
    typed.context("type")?;
    let text = String::from_utf8_lossy(&shown).into_owned();
    Ok(Screen { text, ended_well: status.success() })
}

/// What comes until something has come and nothing more does.
fn until_silent(seen: &Receiver<Vec<u8>>) -> Vec<u8> {
    let (start, mut shown) = (Instant::now(), Vec::new());
    while start.elapsed() < PATIENCE {
        match seen.recv_timeout(SILENCE) {
            Ok(piece) => shown.extend(piece),
            Err(RecvTimeoutError::Timeout) if shown.is_empty() => {}
            Err(_) => break,
        }
    }
    shown
}
