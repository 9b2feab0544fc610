//! The API tried by its own description: schemathesis makes requests of all that the document allows, and
//! some that it forbids.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{API, callers::add_token, protected};

/// What need not hold: that all is taken whose form is right (a name may be taken already), and that a
/// made-up cookie spoils a token that is good. Who is let in is the matrix's affair.
const LEFT_OUT: &str = "positive_data_acceptance,ignored_auth";
/// Short, and with SIPPROT_TEST_FULL=1.
const SECONDS: [u32; 2] = [25, 600];

#[test]
fn the_api_is_as_it_describes_itself() -> Result<()> {
    let Some(program) = std::env::var_os("SIPPROT_SCHEMATHESIS") else {
        println!("skipped: needs SIPPROT_SCHEMATHESIS (the program)");
        return Ok(());
    };
    let Some((lab, daemon)) = protected(&[])? else { return Ok(()) };
    let is_full = std::env::var_os("SIPPROT_TEST_FULL").is_some();
    let token = add_token(&daemon, "tried", "admin", &[])?;
    let (_, header) = &token.headers[0];
    let document = lab.directory().join("openapi.json");
    let answer = token.get("/openapi.json").ask(&lab.net.host, API.parse()?)?;
    std::fs::write(&document, answer.body).context("write the document")?;
    let mut command: Command = lab.net.host.command(program);
    command.arg("run").arg(&document).current_dir(lab.directory());
    command.args(["--url", &format!("http://{API}/api/v1"), "--exclude-checks", LEFT_OUT]);
    command.args(["--header", &format!("Authorization: {header}"), "--no-color"]);
    command.args(["--max-time", &SECONDS[usize::from(is_full)].to_string()]);
    // The token that it asks with, and the listener's own address, are not to be changed by it; the stream
    // of events has no end.
    command.args(["--exclude-path-regex", "^/(tokens/|reload|events$)", "--seed", "1"]);
    let output = command.output().context("run schemathesis")?;
    let told = String::from_utf8_lossy(&output.stdout);
    println!("{told}");
    ensure!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
