//! A capture of the lab without sipprot, replayed: the cracker would have been blocked, and the
//! office not.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sipprot_tests::{
    attackers::cracker::{self, Plan},
    lab::Lab,
    office::PHONES,
    process::Process,
    topology::{Addresses, Family, OFFICE, PBXS, UPLINK},
};

const BINARY: &str = "SIPPROT_BIN";

/// A lab, or a line that says why there is none.
fn lab() -> Result<Option<Lab>> {
    let tcpdump = || Command::new("tcpdump").arg("--version").output().is_err();
    let missing = Lab::missing()
        .or_else(|| std::env::var_os(BINARY).is_none().then(|| format!("{BINARY} (the binary)")))
        .or_else(|| tcpdump().then(|| "tcpdump".to_owned()));
    match missing {
        None => Lab::new().map(Some),
        Some(missing) => {
            println!("skipped: needs {missing}");
            Ok(None)
        }
    }
}

/// Records SIP on the host's uplink until it is stopped.
fn record(lab: &Lab, file: &Path) -> Result<Process> {
    let mut command = lab.net.host.command("tcpdump");
    command.args(["-i", UPLINK, "-U", "-Z", "root", "-B", "8192", "-w"]).arg(file).arg("port 5060");
    let recording = Process::start(command, &lab.directory().join("tcpdump.log"))?;
    let start = Instant::now();
    while !recording.output().contains("listening on") {
        ensure!(start.elapsed() < Duration::from_secs(10), "tcpdump: {}", recording.last_words());
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(recording)
}

fn replay(file: &Path, more: &[&str]) -> Result<(Value, String)> {
    let program = std::env::var_os(BINARY).context(BINARY)?;
    let run = |form: &[&str]| -> Result<String> {
        let output =
            Command::new(&program).arg("replay").arg(file).args(form).args(more).output()?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "replay: {}", complaint.trim());
        Ok(String::from_utf8(output.stdout)?)
    };
    let printed = run(&["--json"])?;
    let last = printed.lines().last().context("nothing printed")?;
    Ok((serde_json::from_str(last)?, run(&[])?))
}

#[test]
fn a_recorded_attack() -> Result<()> {
    let Some(lab) = lab()? else { return Ok(()) };
    let file = lab.directory().join("attack.pcap");
    let mut recording = record(&lab, &file)?;
    let (registered, calls) = lab.office().register_and_call(20)?;
    assert_eq!((registered.ok, calls.failed), (PHONES, 0));
    let target = lab.pbxs[0].sip(Family::V4);
    let newcomer = || lab.newcomer();
    let crack = |source: Addresses, change: fn(Plan) -> Plan| -> Result<Addresses> {
        let plan = Plan { guesses: 60, ..Plan::new(source.v4.into(), target) };
        cracker::attack_from(&lab.net.attackers, &change(plan))?;
        Ok(source)
    };
    let crackers = [
        crack(newcomer(), |plan| plan)?,
        crack(newcomer(), Plan::tcp)?,
        crack(newcomer(), |plan| plan.split(12))?,
    ];
    let forger = crack(newcomer(), |plan| Plan { forge_nonce: true, ..plan })?;
    std::thread::sleep(Duration::from_millis(300));
    recording.stop(Duration::from_secs(10))?;

    for more in [&[][..], &["--endpoints", "192.0.2.8/29"]] {
        let (found, text) = replay(&file, more)?;
        println!("{found}\n{text}");
        let blocked: Vec<Value> = crackers
            .iter()
            .map(|it| json!({"source": format!("{}/32", it.v4), "rule": "BRUTEFORCE:register", "proven": true}))
            .collect();
        assert_eq!(found["blocked"], json!(blocked), "{text}");
        assert_eq!(found["contained"][0]["source"], json!(format!("{}/32", forger.v4)), "{text}");
        assert_eq!(found["contained"].as_array().map(Vec::len), Some(1), "{text}");
        assert_eq!((&found["quarantined"], &found["trusted"]), (&json!([]), &json!([OFFICE.v4])));
        assert!(text.contains(" block      ") && text.contains(" trust      "), "{text}");
        let guessed = more.is_empty();
        assert_eq!(found["guessed"], json!(guessed));
        if guessed {
            assert_eq!(found["endpoints"], json!([format!("{}/32", PBXS[0].v4)]), "{text}");
        }
    }
    Ok(())
}

#[test]
fn what_is_no_capture() -> Result<()> {
    let Some(program) = std::env::var_os(BINARY) else {
        println!("skipped: needs {BINARY} (the binary)");
        return Ok(());
    };
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("x.pcap");
    for (bytes, complaint) in [
        (b"".as_slice(), "empty"),
        (b"no capture", "not a capture"),
        (b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00", "ends in the middle of the file header"),
    ] {
        std::fs::write(&file, bytes)?;
        let output = Command::new(&program).arg("replay").arg(&file).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let expected = format!("sipprot: {}: {complaint}", file.display());
        assert!(said.starts_with(&expected) && output.status.code() == Some(1), "{said}");
    }
    Ok(())
}
