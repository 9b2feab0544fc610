//! No secret is told: not in the log at its most talkative, not by any route of the API, not in the support bundle.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sipprot_tests::{daemon::Settings, web::Question};

use super::{API, PASSWORD, address, ask, outpost_with, token};

const SMTP: &str = "smtp-pa55w0rd";
const HOOK: &str = "https://hooks.example/t0p-secret-path";
const SIGNING: &str = "signing-pa55w0rd-of-the-hook";
const LIST: &str = "https://ann:l1st-pa55@127.0.0.1:1/all";

/// Routes without anything to be put into their paths.
fn routes(document: &Value) -> Vec<String> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let plain = paths.filter(|(path, methods)| !path.contains('{') && methods["get"].is_object());
    // A stream of events never ends.
    plain.map(|(path, _)| path.clone()).filter(|path| path != "/events").collect()
}

#[test]
fn no_secret_is_in_log_bundle_or_api() -> Result<()> {
    let tables = [
        format!(
            "[mail]\nrecipients = [\"noc@example.com\"]\nfrom = \"sipprot@example.com\"\nserver = \"127.0.0.1\"\n\
             user = \"ann\"\npassword = \"{SMTP}\""
        ),
        format!("[webhook]\nurl = \"{HOOK}\"\nsecret = \"{SIGNING}\""),
        format!("[[blocklist]]\nname = \"x\"\nurl = \"{LIST}\""),
    ];
    let settings = Settings { tables: tables.into(), ..Settings::of(&["daemon.log = \"debug\""]) };
    let Some(outpost) = outpost_with(&settings)? else { return Ok(()) };
    let daemon = &outpost.daemon;
    daemon.add_user("ann", "admin", PASSWORD)?;
    let (admin, reader) = (token(daemon, "admin")?, token(daemon, "read")?);
    let guess = "a wr0ng password that somebody typed";
    let mut cookie = String::new();
    for password in [guess, PASSWORD] {
        let body = format!("{{\"name\":\"ann\",\"password\":\"{password}\"}}");
        let login = Question {
            method: "POST",
            path: "/api/v1/session".to_owned(),
            body: &body,
            ..Question::default()
        };
        let answer = login.ask(&outpost.host, address(API)?)?;
        if let Some(set) = answer.header("set-cookie") {
            cookie = set.split([';', '=']).nth(1).context("a cookie")?.to_owned();
        }
    }
    ensure!(!cookie.is_empty(), "nobody is logged in");
    for key in ["mail.password", "webhook.secret"] {
        daemon.text(&["config", "set", key, &format!("{SMTP}-and-a-new-one")])?;
    }
    let _ = daemon.cli(&["notify", "test"])?;
    let token_hashes = [&admin, &reader].map(|it| it.trim_start_matches("sipprot_").to_owned());
    let mut secrets = vec![PASSWORD, SMTP, SIGNING, "t0p-secret-path", "l1st-pa55", guess, &cookie];
    secrets.extend(token_hashes.iter().map(String::as_str));
    secrets.extend(["$argon2", "PRIVATE KEY"]);
    let tells = |what: &str, text: &str| {
        let told: Vec<_> = secrets.iter().filter(|secret| text.contains(**secret)).collect();
        ensure!(told.is_empty(), "{what} tells {told:?}");
        anyhow::Ok(())
    };

    let document = ask(&outpost, &admin, "GET", "/openapi.json")?.json()?;
    let routes = routes(&document);
    ensure!(routes.len() > 20, "{routes:?}");
    for path in &routes {
        let answer = ask(&outpost, &admin, "GET", path)?;
        ensure!(answer.status < 500, "{path}: {answer:?}");
        tells(path, &answer.body)?;
    }
    println!("{} routes", routes.len());
    let bundle = outpost.directory().join("bundle.tar.gz");
    daemon.text(&["support", "--out", &bundle.display().to_string()])?;
    let unpacked = Command::new("tar").arg("-xzOf").arg(&bundle).output().context("run tar")?;
    tells("the bundle", &String::from_utf8_lossy(&unpacked.stdout))?;
    for show in
        [&["config", "show"][..], &["status"], &["audit"], &["doctor"], &["notify", "status"]]
    {
        let output = daemon.cli(show)?;
        tells(&show.join(" "), &String::from_utf8_lossy(&[output.stdout, output.stderr].concat()))?;
    }
    tells("/metrics", &daemon.metrics()?)?;
    let log = daemon.log();
    ensure!(log.contains("ann logged in") && log.contains("settings by root"), "{log}");
    tells("the log", &log)?;
    // What is on the disk to be compared with is no secret in clear either.
    let mut kept = Vec::new();
    for entry in fs::read_dir(daemon.state_dir())?.flatten().filter(|it| it.path().is_file()) {
        if entry.path().extension().is_none_or(|it| it != "key") {
            kept.extend(fs::read(entry.path())?);
        }
    }
    let kept = String::from_utf8_lossy(&kept);
    for secret in
        [PASSWORD, guess, &cookie].into_iter().chain(token_hashes.iter().map(String::as_str))
    {
        ensure!(!kept.contains(secret), "the store has {secret} in clear");
    }
    Ok(())
}
