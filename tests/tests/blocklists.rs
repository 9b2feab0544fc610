//! A list that others keep, fetched from a real server: enforced, watched, and kept when the server is not
//! to be believed.
//!
//! The binary is the one that `SIPPROT_BIN` names; without it, or without what the lab needs, the test says
//! what is missing.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
};

use anyhow::{Context, Result};
use serde_json::Value;
use sipprot_tests::{
    attackers::cracker::{self, Plan},
    daemon::{Daemon, Settings},
    lab::Lab,
    patience::wait_for,
    pbx::{self, Manners},
    tls::{FileServer, certificate_of},
    topology::{PBXS, TRUNK},
};

const PORT: u16 = 8443;

fn settings(mode: &str, more: &str) -> Settings {
    let url = format!("https://{}:{PORT}/list.txt", TRUNK.v4);
    let table =
        format!("[[blocklist]]\nname = \"theirs\"\nurl = \"{url}\"\nmode = \"{mode}\"\n{more}");
    Settings { tables: vec![table], ..Settings::default() }
}

fn list(daemon: &Daemon) -> Result<Value> {
    let lists = daemon.json(&["list", "blocklists"])?;
    lists["blocklists"].get(0).cloned().context("no list")
}

fn reaches(lab: &Lab, source: IpAddr) -> Result<bool> {
    let to = SocketAddr::new(PBXS[0].v4.into(), pbx::SIP_PORT);
    lab.net.attackers.run(|| pbx::answers_options(SocketAddr::new(source, 0), to))
}

#[test]
fn a_list_by_url_holds_and_a_bad_certificate_changes_nothing() -> Result<()> {
    let Some((lab, mut daemon)) = Lab::protected(Manners::default(), &settings("enforce", ""))?
    else {
        return Ok(());
    };
    let files = lab.directory().join("lists");
    fs::create_dir(&files)?;
    let [first, second]: [IpAddr; 2] = [lab.newcomer().v4.into(), lab.newcomer().v4.into()];
    fs::write(files.join("list.txt"), format!("# theirs\n{first}\n"))?;
    for name in ["good", "bad"] {
        certificate_of(&lab.directory(), name, TRUNK.v4.into())?;
    }
    let serve = |name| FileServer::start(&lab.net.trunk, PORT, &files, (&lab.directory(), name));
    assert!(reaches(&lab, first)? && reaches(&lab, second)?);

    // The operator's own authority is among those that the host trusts.
    daemon.stop()?;
    daemon.set_environment("SSL_CERT_FILE", lab.directory().join("good.pem"));
    let server = serve("good")?;
    daemon.start()?;
    let read =
        || -> Result<Option<Value>> { Ok(Some(list(&daemon)?).filter(|it| it["entries"] == 1)) };
    let found = wait_for("the list", read)
        .with_context(|| list(&daemon).map(|it| it.to_string()).unwrap_or_default())?;
    assert!(found["problem"].is_null(), "{found}");
    assert!(!reaches(&lab, first)? && reaches(&lab, second)?);
    println!("{}", daemon.text(&["list", "blocklists"])?);
    println!("{}", daemon.text(&["why", &first.to_string()])?);

    // Somebody else in its place.
    drop(server);
    fs::write(files.join("list.txt"), format!("{second}\n"))?;
    let server = serve("bad")?;
    daemon.configure(&settings("enforce", "refresh = \"2h\""))?;
    daemon.text(&["reload"])?;
    let problem =
        wait_for("the refusal", || Ok(list(&daemon)?["problem"].as_str().map(str::to_owned)))?;
    println!("{problem}");
    assert!(problem.contains("certificate"), "{problem}");
    assert_eq!(list(&daemon)?["entries"], 1);
    assert!(!reaches(&lab, first)? && reaches(&lab, second)?, "as it was read last");
    assert!(daemon.json(&["status"])?.to_string().contains("the blocklist theirs"));

    // It is mended, and is only to be watched: a reload tries at once.
    drop(server);
    let _server = serve("good")?;
    daemon.configure(&settings("observe", "refresh = \"2h\""))?;
    daemon.text(&["reload"])?;
    wait_for("the list", || Ok(list(&daemon)?["problem"].is_null().then_some(())))?;
    assert!(reaches(&lab, first)? && reaches(&lab, second)?);
    let plan =
        Plan { guesses: 3, ..Plan::new(second, SocketAddr::new(PBXS[0].v4.into(), pbx::SIP_PORT)) };
    cracker::attack_from(&lab.net.attackers, &plan)?;
    let seen = wait_for("a source on the list", || {
        Ok(Some(list(&daemon)?["seen"].clone()).filter(|it| it["sources"] == 1))
    })?;
    println!("{seen}");
    assert!(seen["events"].as_u64() >= Some(1) && seen["trusted"] == 0, "{seen}");
    Ok(())
}
