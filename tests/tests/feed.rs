//! The log feed on the host of a lab: what the wire can't show, and who may say what of whom.
//!
//! The binary is the one that `SIPPROT_BIN` names; without it, or without what the lab needs, each
//! test says what is missing.

use std::{
    fs::File,
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sipprot_tests::{
    daemon::{Daemon, Settings},
    journal::Journal,
    lab::Lab,
    namespace::Namespace,
    office::PHONES,
    patience::{PATIENCE, wait_for, wait_within},
    pbx::{self, Manners, SIP_TLS_PORT},
    services::WebServer,
    sip,
    sshd::Sshd,
    tls::{self, Client},
    topology::{Addresses, OFFICE, PBXS},
    usage,
};

const LIMIT: u32 = 10;
/// Where the host listens for its tenants.
const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// A lab whose PBXs speak TLS, with these lines of configuration; or a line that says why there is none.
fn protected(lines: impl Fn(&Lab) -> Vec<String>) -> Result<Option<(Lab, Daemon)>> {
    let manners = Manners { speaks_tls: true, ..Manners::default() };
    let Some((lab, daemon)) = Lab::protected(manners, &Settings::default())? else {
        return Ok(None);
    };
    daemon.configure(&Settings { lines: lines(&lab), ..Settings::default() })?;
    daemon.text(&["reload"])?;
    Ok(Some((lab, daemon)))
}

/// What `status` says of a log.
fn log(daemon: &Daemon, name: &str) -> Result<Value> {
    let status = daemon.json(&["status"])?;
    let logs = status["logs"].as_array().context("status tells of no logs")?;
    let found = logs.iter().find(|log| log["name"] == name);
    found.cloned().with_context(|| format!("no log {name} in {logs:?}"))
}

/// Whether a PBX answers somebody.
fn reaches(from: &Namespace, source: IpAddr, pbx: Addresses) -> Result<bool> {
    let to = SocketAddr::new(pbx.v4.into(), pbx::SIP_PORT);
    from.run(|| pbx::answers_options(SocketAddr::new(source, 0), to))
}

fn register(source: IpAddr, number: u32, credentials: &str) -> String {
    let pbx = PBXS[0].v4;
    format!(
        "REGISTER sip:{pbx} SIP/2.0\r\n\
         Via: SIP/2.0/TLS {source}:5061;branch=z9hG4bK{number};rport\r\nMax-Forwards: 70\r\n\
         From: <sip:1000@{pbx}>;tag=1\r\nTo: <sip:1000@{pbx}>\r\nCall-ID: tls{number}@{source}\r\n\
         CSeq: {number} REGISTER\r\nContact: <sip:1000@{source}:5061;transport=tls>\r\n{credentials}\
         Content-Length: 0\r\n\r\n"
    )
}

/// Guesses over TLS until it is cut off, and says how often the PBX answered.
fn guess_over_tls(lab: &Lab, source: IpAddr, guesses: u32) -> Result<u32> {
    let to = SocketAddr::new(PBXS[0].v4.into(), SIP_TLS_PORT);
    let mut client = Client::connect(&lab.net.attackers, source, to)?;
    client.say(&register(source, 1, ""))?;
    let challenge = client.hear("\r\n\r\n", PATIENCE)?;
    let message = sip::read(challenge.as_bytes()).context("no answer in SIP")?;
    let challenge = message.challenge.context("no challenge")?;
    let of = |name| sip::parameter(challenge, name).context("a challenge without it");
    let credentials = format!(
        "Authorization: Digest username=\"1000\", realm=\"{}\", nonce=\"{}\", uri=\"sip:{}\", qop=auth, \
         nc=00000001, cnonce=\"c\", response=\"{}\", algorithm=MD5\r\n",
        of("realm")?,
        of("nonce")?,
        PBXS[0].v4,
        "0".repeat(32)
    );
    for number in 2..2 + guesses {
        client.say(&register(source, number, &credentials))?;
        if client.hear("\r\n\r\n", Duration::from_secs(2)).is_err() {
            return Ok(number - 2);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(guesses)
}

#[test]
fn wrong_passwords_over_tls_are_blocked_by_the_pbx_s_own_log() -> Result<()> {
    let follow = |lab: &Lab| {
        let path = lab.pbxs[0].log_file().display().to_string();
        vec![format!(
            "log = [{{ name = \"kamailio\", path = {path:?}, filters = [\"kamailio\"] }}]"
        )]
    };
    let Some((lab, daemon)) = protected(follow)? else { return Ok(()) };
    let source: IpAddr = lab.newcomer().v4.into();
    let answered = guess_over_tls(&lab, source, 40)?;
    println!("{answered} guesses over TLS were answered");
    assert!((LIMIT..40).contains(&answered), "{answered}");
    let blocks = daemon.blocks(source)?;
    let block = blocks.first().with_context(|| format!("no block: {}", daemon.log()))?;
    assert_eq!(block["rule"], "BRUTEFORCE:register", "{block}");
    assert_eq!(block["proven"], true);
    let line = block["evidence"]["last"]["line"].as_str().context("no line as evidence")?;
    assert!(line.starts_with("kamailio: ") && line.contains(&source.to_string()), "{line}");
    let told = daemon.text(&["why", &source.to_string()])?;
    assert!(told.contains(line), "{told}");
    assert!(!reaches(&lab.net.attackers, source, PBXS[1])?, "blocked for the host");
    assert!(log(&daemon, "kamailio")?["matched"].as_u64() >= Some(u64::from(LIMIT)));
    Ok(())
}

fn line(address: IpAddr, number: u32) -> String {
    format!("sipprot: rejected REGISTER account 1000 from {address} port {number} over tls")
}

/// Messages of an older and of a newer form, in turn.
fn syslog(address: IpAddr, count: u32) -> String {
    let message = |number| match number % 2 {
        0 => format!("<28>Nov 22 17:21:03 pbx kamailio[9]: {}\n", line(address, number)),
        _ => {
            let text =
                format!("<28>1 2026-11-22T17:21:03Z pbx kamailio 9 - - {}", line(address, number));
            format!("{} {text}", text.len())
        }
    };
    (1..=count).map(message).collect()
}

#[test]
fn a_tenant_s_syslog_acts_for_the_tenant_alone() -> Result<()> {
    let listen = |lab: &Lab| {
        let directory = lab.directory();
        tls::certificate(&directory, "syslog").unwrap();
        let file = |name: &str| directory.join(name).display().to_string();
        let shared = "kind = \"syslog\", filters = [\"kamailio\"]";
        vec![format!(
            "log = [{{ name = \"tcp\", {shared}, listen = \"{HOST}:1514\" }}, \
             {{ name = \"udp\", {shared}, listen = \"{HOST}:1514\", transport = \"udp\" }}, \
             {{ name = \"tls\", {shared}, listen = \"{HOST}:6514\", transport = \"tls\", \
             certificate = {:?}, key = {:?} }}]",
            file("syslog.pem"),
            file("syslog.key")
        )]
    };
    let Some((lab, daemon)) = protected(listen)? else { return Ok(()) };
    let [first, second] = &lab.net.pbxs;
    let victim = lab.newcomer().v4;
    let tcp = SocketAddr::new(HOST.into(), 1514);
    let send = |from: &Namespace, text: String| {
        from.run(|| {
            let mut stream = wait_for("the listener", || Ok(TcpStream::connect(tcp).ok()))?;
            stream.write_all(text.as_bytes()).context("write syslog")
        })
    };
    assert!(reaches(&lab.net.attackers, victim.into(), PBXS[0])?);
    send(first, syslog(victim.into(), 2 * LIMIT))?;
    let own = wait_for("the first PBX's block", || Ok(daemon.blocks(victim.into())?.pop()))?;
    assert_eq!(own["endpoint"], "pbx1", "{own}");
    assert!(!reaches(&lab.net.attackers, victim.into(), PBXS[0])?, "cut off where its log says so");
    assert!(reaches(&lab.net.attackers, victim.into(), PBXS[1])?, "and nowhere else");

    // Nobody speaks for another by an address that he wrote into a datagram himself.
    let refused =
        |name: &str| anyhow::Ok(log(&daemon, name)?["refused"].as_u64().unwrap_or_default());
    let stranger: IpAddr = lab.newcomer().v4.into();
    let datagram = |text: String| {
        first.run(|| {
            let socket = UdpSocket::bind(SocketAddr::new(PBXS[0].v4.into(), 0)).context("bind")?;
            socket.send_to(text.as_bytes(), tcp).context("send syslog").map(drop)
        })
    };
    for number in 0..2 * LIMIT {
        datagram(format!("<28>Nov 22 17:21:03 pbx kamailio[9]: {}", line(stranger, number)))?;
    }
    wait_for("the refusals", || Ok((refused("udp")? == u64::from(2 * LIMIT)).then_some(())))?;
    assert!(daemon.blocks(stranger)?.is_empty());
    // The host's own attackers have no endpoint.
    lab.net.host.run(|| {
        let mut stream = TcpStream::connect(tcp).context("connect to syslog")?;
        stream.write_all(syslog(stranger, 2 * LIMIT).as_bytes()).context("write syslog")
    })?;
    wait_for("the refusals", || Ok((refused("tcp")? == u64::from(2 * LIMIT)).then_some(())))?;

    // Another endpoint says the same, over TLS: then it holds for the host.
    let mut client =
        Client::connect(second, PBXS[1].v4.into(), SocketAddr::new(HOST.into(), 6514))?;
    client.say(&syslog(victim.into(), 2 * LIMIT))?;
    wait_for("the host's block", || {
        let all = daemon.blocks(victim.into())?;
        Ok((all.len() == 2).then_some(()))
    })?;
    assert!(!reaches(&lab.net.attackers, victim.into(), PBXS[1])?);
    Ok(())
}

/// util-linux's logger sends what a real Kamailio wrote.
fn logger(from: &Namespace, more: &[&str], lines: &str) -> Result<()> {
    let server = HOST.to_string();
    for line in lines.lines() {
        let mut logger = from.command("logger");
        logger.args(["--server", &server, "--port", "1514", "--tag", "kamailio"]).args(more);
        let status = logger.arg("--").arg(line).status().context("run logger")?;
        ensure!(status.success(), "logger: {status}");
    }
    Ok(())
}

#[test]
fn real_lines_by_a_real_logger_and_by_token() -> Result<()> {
    let listen = |_: &Lab| {
        let shared = "filters = [\"kamailio\"]";
        vec![format!(
            "log = [{{ name = \"tcp\", kind = \"syslog\", {shared}, listen = \"{HOST}:1514\" }}, \
             {{ name = \"udp\", kind = \"syslog\", {shared}, listen = \"{HOST}:1514\", transport = \"udp\" }}, \
             {{ name = \"api\", kind = \"api\", {shared} }}]"
        )]
    };
    let Some((lab, daemon)) = protected(listen)? else { return Ok(()) };
    let made = daemon.json(&["filter", "token"])?;
    let [token, hash] = ["token", "log_token"].map(|key| made[key].as_str().unwrap_or_default());
    let settings = Settings {
        lines: listen(&lab),
        endpoints: [vec![format!("log_token = {hash:?}")], Vec::new()],
        ..Settings::default()
    };
    daemon.configure(&settings)?;
    daemon.text(&["reload"])?;
    // Other speakers, so that it listens anew.
    let tcp = SocketAddr::new(HOST.into(), 1514);
    let soon = Duration::from_secs(3);
    wait_within(soon, "the listener", || {
        Ok(lab.net.pbxs[0].run(|| Ok(TcpStream::connect(tcp)?)).ok())
    })?;
    // Of one who guesses over TLS: the wire shows nothing, and the PBX's own log is not followed.
    let guesser: IpAddr = lab.newcomer().v4.into();
    assert_eq!(guess_over_tls(&lab, guesser, LIMIT + 2)?, LIMIT + 2);
    let written = lab.pbxs[0].log();
    let told: Vec<&str> = written.lines().filter(|it| it.contains("sipprot: rejected")).collect();
    ensure!(told.len() as u32 >= LIMIT, "{written}");
    let of = |source: IpAddr| -> String {
        let text = |line: &&str| line[line.find("sipprot:").unwrap_or(0)..].to_owned();
        told.iter()
            .map(|it| text(it).replace(&guesser.to_string(), &source.to_string()) + "\n")
            .collect()
    };
    let element = format!("token=\"{token}\"");
    let with_token = ["--udp", "--rfc5424", "--sd-id", "sipprot@32473", "--sd-param", &element];
    for (name, more) in [("tcp", &["--tcp"][..]), ("udp", &with_token)] {
        let source = lab.newcomer().v4.into();
        logger(&lab.net.pbxs[0], more, &of(source))?;
        let block = wait_for(name, || Ok(daemon.blocks(source)?.pop()))
            .with_context(|| format!("{:?}", log(&daemon, name)))?;
        assert_eq!(block["endpoint"], "pbx1", "{block}");
    }
    let source = lab.newcomer().v4.into();
    let mut curl = lab.net.host.command("curl");
    curl.args(["--silent", "--fail", "--unix-socket"]).arg(daemon.socket());
    curl.args([
        "--header",
        &format!("Authorization: Bearer {token}"),
        "--data-binary",
        &of(source),
    ]);
    let output = curl.arg("http://localhost/api/v1/logs/api").output().context("run curl")?;
    ensure!(output.status.success(), "curl: {output:?}");
    assert_eq!(daemon.blocks(source)?.len(), 1, "{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

#[test]
fn what_sshd_says_in_a_real_journal_blocks() -> Result<()> {
    let Some((lab, mut daemon)) = protected(|_| Vec::new())? else { return Ok(()) };
    let Some(sshd) = Sshd::start(&lab.net.host, &lab.directory())? else { return Ok(()) };
    let Some(journal) = Journal::start(&lab.directory())? else { return Ok(()) };
    let path = std::env::var("PATH").unwrap_or_default();
    daemon.stop()?;
    daemon.set_environment("PATH", format!("{}:{path}", journal.programs.display()));
    let log_line = "log = [{ name = \"auth\", kind = \"journal\", filters = [\"sshd\"] }]";
    daemon.configure(&Settings::of(&[log_line]))?;
    daemon.start()?;
    wait_for("journalctl", || Ok(log(&daemon, "auth")?["error"].is_null().then_some(())))?;
    let cracker: IpAddr = lab.newcomer().v4.into();
    let host = IpAddr::from(HOST);
    // Each connection tries three passwords.
    assert!(sshd.fail(&lab.net.attackers, cracker, host)?);
    assert!(sshd.fail(&lab.net.attackers, cracker, host)?);
    let told = std::fs::read_to_string(sshd.log_file())?;
    // A stranger in the same journal, who only says that he is sshd's.
    journal.write("cron", &told.replace(&cracker.to_string(), "198.51.100.250"))?;
    journal.write("sshd", &told)?;
    let block = wait_for("the block", || Ok(daemon.blocks(cracker)?.pop()))
        .with_context(|| format!("{:?}", log(&daemon, "auth")))?;
    assert_eq!(block["rule"], "BRUTEFORCE:ssh", "{block}");
    assert!(daemon.blocks("198.51.100.250".parse()?)?.is_empty());
    assert!(!sshd.fail(&lab.net.attackers, cracker, host)?, "its packets are dropped");
    Ok(())
}

#[test]
fn failed_ssh_logins_block_and_an_office_loses_ssh_alone() -> Result<()> {
    let path = |lab: &Lab| lab.directory().join("sshd-22/log");
    let follow = |lab: &Lab| {
        vec![format!("log = [{{ name = \"auth\", path = {:?}, filters = [\"sshd\"] }}]", path(lab))]
    };
    let Some((lab, daemon)) = protected(follow)? else { return Ok(()) };
    let Some(sshd) = Sshd::start(&lab.net.host, &lab.directory())? else { return Ok(()) };
    let host: IpAddr = HOST.into();
    let attackers = &lab.net.attackers;
    // Who logs in is let alone, however often it fails then.
    let admin: IpAddr = lab.newcomer().v4.into();
    assert!(sshd.log_in(attackers, admin, host)?, "{:?}", std::fs::read_to_string(sshd.log_file()));
    wait_for("the login", || {
        Ok(daemon.json(&["check", &admin.to_string()])?["never_blocked"].as_bool().filter(|it| *it))
    })
    .with_context(|| {
        format!("{:?}; {:?}", log(&daemon, "auth"), std::fs::read_to_string(sshd.log_file()))
    })?;
    let cracker: IpAddr = lab.newcomer().v4.into();
    for source in [admin, cracker] {
        assert!(sshd.fail(attackers, source, host)? && sshd.fail(attackers, source, host)?);
    }
    let block = wait_for("the block", || Ok(daemon.blocks(cracker)?.pop()))?;
    assert_eq!(
        (&block["rule"], &block["scope"]),
        (&"BRUTEFORCE:ssh".into(), &"all".into()),
        "{block}"
    );
    assert!(!sshd.fail(attackers, cracker, host)?, "its packets are dropped");
    assert!(daemon.blocks(admin)?.is_empty() && sshd.log_in(attackers, admin, host)?);

    let office: IpAddr = OFFICE.v4.into();
    assert_eq!(lab.office().register()?.ok, PHONES);
    assert!(sshd.fail(&lab.net.office, office, host)? && sshd.fail(&lab.net.office, office, host)?);
    let block = wait_for("the cut", || Ok(daemon.blocks(office)?.pop()))?;
    assert_eq!(block["scope"], "ssh", "{block}");
    assert!(!sshd.fail(&lab.net.office, office, host)?, "its ssh is dropped");
    assert_eq!(lab.office().register()?.ok, PHONES, "its phones go on");
    Ok(())
}

/// Fetches so many files as phones do; how many came.
fn fetches(from: &Namespace, to: SocketAddr, files: u32) -> Result<u32> {
    from.run(|| {
        let mut came = 0;
        for number in 0..files {
            let Ok(mut stream) = TcpStream::connect_timeout(&to, Duration::from_secs(1)) else {
                continue;
            };
            let mut answer = String::new();
            let request = format!("GET /{number:012x}.cfg HTTP/1.0\r\n\r\n");
            stream.write_all(request.as_bytes()).context("ask")?;
            stream.read_to_string(&mut answer).context("read")?;
            came += u32::from(answer.starts_with("HTTP/1.0 200"));
        }
        Ok(came)
    })
}

#[test]
fn an_office_fetches_its_files_after_a_power_cut_and_keeps_everything() -> Result<()> {
    const FILES: u32 = 2_500;
    /// The daemon counts the phones of trusted sources every ten seconds.
    const COUNTED: Duration = Duration::from_secs(12);
    let path = |lab: &Lab| lab.directory().join("access.log");
    let follow = |lab: &Lab| {
        vec![format!("log = [{{ name = \"web\", path = {:?}, filters = [\"nginx\"] }}]", path(lab))]
    };
    let Some((lab, daemon)) = protected(follow)? else { return Ok(()) };
    let mut access = File::create(path(&lab)).context("make the log")?;
    wait_for("the log", || Ok(log(&daemon, "web")?["error"].is_null().then_some(())))?;
    let _web = WebServer::start(&lab.net.pbxs[0])?;
    let (office, server) = (lab.office(), SocketAddr::new(PBXS[0].v4.into(), 80));
    assert_eq!(office.register()?.ok, PHONES);
    std::thread::sleep(COUNTED);

    let came = fetches(&lab.net.office, server, FILES)?;
    assert_eq!(came, FILES, "files that came; {:?}", daemon.dropped()?);
    // Half of what phones ask for is not there, and that is as it should be.
    let source = OFFICE.v4;
    let missing: String = (0..FILES)
        .map(|number| {
            format!(
                "{source} - - [22/Nov/2026:17:21:03 +0000] \"GET /{number:012x}.cfg HTTP/1.1\" 404 153 \"-\" \"Yealink\"\n"
            )
        })
        .collect();
    access.write_all(missing.as_bytes()).context("write the log")?;
    wait_for(
        "all lines",
        || Ok((log(&daemon, "web")?["lines"] == u64::from(FILES)).then_some(())),
    )?;
    assert!(daemon.blocks(source.into())?.is_empty());
    assert!(!daemon.dropped()?.contains_key("http_ceiling"), "{:?}", daemon.dropped()?);
    let (registered, calls) = office.register_and_call(20)?;
    assert_eq!((registered.ok, calls.failed), (PHONES, 0));
    Ok(())
}

#[test]
fn what_was_logged_while_no_daemon_ran_counts_once() -> Result<()> {
    const SSH_LIMIT: u32 = 6;
    let path = |lab: &Lab| lab.directory().join("auth.log");
    let follow = |lab: &Lab| {
        vec![format!("log = [{{ name = \"auth\", path = {:?}, filters = [\"sshd\"] }}]", path(lab))]
    };
    let Some((lab, mut daemon)) = protected(follow)? else { return Ok(()) };
    let mut file = File::create(path(&lab)).context("make the log")?;
    wait_for("the log", || Ok(log(&daemon, "auth")?["error"].is_null().then_some(())))?;
    let mut fails = |source: IpAddr, times: u32| {
        let line = |_| {
            format!(
                "Nov 22 17:21:03 pbx sshd[9]: Failed password for root from {source} port 4711 ssh2\n"
            )
        };
        file.write_all((0..times).map(line).collect::<String>().as_bytes()).context("write the log")
    };
    let [before, during, patient] = [0; 3].map(|_| IpAddr::from(lab.newcomer().v4));
    let lines =
        |daemon: &Daemon| anyhow::Ok(log(daemon, "auth")?["lines"].as_u64().unwrap_or_default());
    fails(before, SSH_LIMIT)?;
    wait_for("the block", || Ok(daemon.blocks(before)?.pop()))?;

    daemon.stop()?;
    fails(during, SSH_LIMIT)?;
    fails(patient, SSH_LIMIT - 1)?;
    daemon.start()?;
    let block = wait_for("the block of who failed meanwhile", || Ok(daemon.blocks(during)?.pop()))?;
    assert_eq!(block["evidence"]["count"], SSH_LIMIT, "{block}");
    let missed = u64::from(2 * SSH_LIMIT - 1);
    wait_for("what was missed", || Ok((lines(&daemon)? == missed).then_some(())))?;
    assert!(daemon.blocks(patient)?.is_empty(), "counted once it is below the limit");

    // Killed, it may read again what was judged since the place was noted: that counts anew, as all does.
    daemon.kill()?;
    let late: IpAddr = lab.newcomer().v4.into();
    fails(late, SSH_LIMIT)?;
    daemon.start()?;
    let block = wait_for("the block after a crash", || Ok(daemon.blocks(late)?.pop()))?;
    assert_eq!(block["evidence"]["count"], SSH_LIMIT, "{block}");
    Ok(())
}

#[test]
fn twenty_thousand_lines_a_second_are_all_read() -> Result<()> {
    const RATE: u64 = 20_000;
    const SECONDS: u64 = 3;
    let follow = |lab: &Lab| {
        let path = lab.directory().join("busy.log").display().to_string();
        vec![format!(
            "log = [{{ name = \"busy\", path = {path:?}, filters = [\"sshd\", \"nginx\"] }}]"
        )]
    };
    let Some((lab, daemon)) = protected(follow)? else { return Ok(()) };
    let mut file = File::create(lab.directory().join("busy.log")).context("make the log")?;
    let process = daemon.process_id().context("sipprot does not run")?;
    let (before, start) = (usage::cpu_seconds(process)?, Instant::now());
    let (mut written, mut failures) = (0, 0);
    while written < RATE * SECONDS {
        let mut batch = String::new();
        for number in written..written + RATE / 10 {
            batch += &match number % 100 {
                // Of many sources, none of which breaks a rule.
                0 => {
                    failures += 1;
                    let last = 1 + (number / 100) % 250;
                    format!("Nov 22 17:21:03 pbx sshd[99]: Failed password for root from 203.0.113.{last} port 4711 ssh2\n")
                }
                1..50 => "198.51.100.200 - - [22/Nov/2026:17:21:03 +0000] \"GET /app HTTP/1.1\" 200 512 \"-\" \"Mozilla/5.0 (X11; Linux x86_64)\"\n".to_owned(),
                _ => "Nov 22 17:21:03 pbx kernel: [12345.678] something that nobody asks about happened on a device\n".to_owned(),
            };
        }
        file.write_all(batch.as_bytes()).context("write the log")?;
        written += RATE / 10;
        let due = Duration::from_millis(written * 1000 / RATE);
        std::thread::sleep(due.saturating_sub(start.elapsed()));
    }
    let wrote = start.elapsed();
    wait_for("all lines", || {
        let log = log(&daemon, "busy")?;
        Ok((log["lines"].as_u64() == Some(written)).then_some(()))
    })?;
    let behind = start.elapsed() - wrote;
    let matched = log(&daemon, "busy")?["matched"].as_u64();
    let share = (usage::cpu_seconds(process)? - before) / wrote.as_secs_f64() * 100.0;
    println!(
        "{written} lines in {wrote:?}, {behind:?} behind, {failures} failures: {share:.1} % of a CPU"
    );
    assert!(matched >= Some(failures), "{matched:?}");
    ensure!(log(&daemon, "busy")?["lost"] == 0, "lost");
    Ok(())
}
