//! Which TLS is spoken: 1.2 and 1.3, by ciphers that keep a recorded conversation secret, and nothing older.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use sipprot_tests::{outpost::Outpost, process::Process, tls};

use super::{HOST, outpost};

/// Ours, and a server that takes whatever openssl still knows.
const PORT: u16 = 8443;
const LAX: u16 = 8444;

/// Arguments of the client, and whether we may agree.
const OFFERS: &[(&[&str], bool)] = &[
    (&["-tls1_3"], true),
    (&["-tls1_2"], true),
    (&["-tls1_1"], false),
    (&["-tls1"], false),
    // Without authenticated encryption, without encryption, without a certificate.
    (
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384:@SECLEVEL=0"],
        false,
    ),
    (&["-tls1_2", "-cipher", "ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0"], false),
    (&["-tls1_2", "-cipher", "AECDH-AES128-SHA:ADH-AES128-SHA:@SECLEVEL=0"], false),
];

/// Did client and server agree? And what the client said.
fn agreed(outpost: &Outpost, port: u16, offer: &[&str]) -> Result<(bool, String)> {
    let mut command = outpost.world.command("openssl");
    command.args(["s_client", "-connect", &format!("{HOST}:{port}")]).args(offer);
    if !offer.contains(&"-cipher") {
        command.args(["-cipher", "ALL:@SECLEVEL=0"]);
    }
    let output = command.stdin(Stdio::null()).output().context("run openssl")?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let cipher = said.lines().find_map(|line| line.split("Cipher is ").nth(1));
    Ok((cipher.is_some_and(|it| it != "(NONE)"), said))
}

#[test]
fn old_protocols_and_weak_ciphers_are_refused() -> Result<()> {
    let listen = format!("api.listen = \"{HOST}:{PORT}\"");
    let Some(outpost) = outpost(&[&listen])? else { return Ok(()) };
    let directory = outpost.directory();
    tls::certificate(directory, "lax")?;
    let mut lax = outpost.host.command("openssl");
    lax.args([
        "s_server",
        "-quiet",
        "-accept",
        &LAX.to_string(),
        "-cipher",
        "ALL:eNULL:aNULL:@SECLEVEL=0",
    ]);
    lax.arg("-cert").arg(directory.join("lax.pem")).arg("-key").arg(directory.join("lax.key"));
    let _lax = Process::start(lax, &directory.join("lax.log"))?;
    sipprot_tests::patience::wait_for("the other server", || {
        Ok(agreed(&outpost, LAX, &["-tls1_2"])?.0.then_some(()))
    })?;
    for (offer, may) in OFFERS {
        let (is, said) = agreed(&outpost, PORT, offer)?;
        let (other, _) = agreed(&outpost, LAX, offer)?;
        println!("{offer:?}: {}, a server that takes all: {}", told(is), told(other));
        ensure!(is == *may, "{offer:?}: {said}");
        if is {
            ensure!(said.contains("Compression: NONE"), "{said}");
            // 1.3 has none at all, and openssl says so in these words, too.
            let renegotiates_unsafely = said.contains("Secure Renegotiation IS NOT supported");
            ensure!(offer.contains(&"-tls1_3") || !renegotiates_unsafely, "{said}");
        }
    }
    Ok(())
}

fn told(agreed: bool) -> &'static str {
    if agreed { "agreed" } else { "refused" }
}
