//! What a NOC sees: metrics, alert rules, the dashboard for Grafana, probes, the support bundle.
//!
//! The binary is the one that `SIPPROT_BIN` names; without it, or without what the lab needs, each test says what
//! is missing.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use sipprot_tests::{
    attackers::cracker::{self, Plan},
    daemon::{Daemon, Settings},
    lab::Lab,
    pbx::Manners,
    process::Process,
    topology::Family,
};

const LIMIT: Duration = Duration::from_secs(60);
const SCRAPED: Duration = Duration::from_secs(2);
/// The lab has 64 attackers.
const BETWEEN_ATTACKS: Duration = Duration::from_secs(6);
const PAUSE: Duration = Duration::from_millis(250);

fn pkg(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../sipprot-ctl/pkg").join(name)
}

/// Panels' queries, with what Grafana would put in place of its variables.
fn queries() -> Result<Vec<(String, String)>> {
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(pkg("grafana-sipprot.json"))?)?;
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().context("panels")? {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().context("a query")?;
            let query = query.replace("$instance", ".*").replace("$endpoint", ".*");
            let title = panel["title"].as_str().unwrap_or_default().to_owned();
            found.push((title, query.replace("$__rate_interval", "10s")));
        }
    }
    Ok(found)
}

/// Metrics of ours that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("sipprot_")).map(str::to_owned).collect()
}

fn known(text: &str) -> BTreeSet<String> {
    let help = text.lines().filter_map(|line| line.strip_prefix("# HELP "));
    help.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn attack(lab: &Lab) -> Result<()> {
    let plan =
        Plan { guesses: 60, ..Plan::new(lab.newcomer().v4.into(), lab.pbxs[0].sip(Family::V4)) };
    cracker::attack_from(&lab.net.attackers, &plan).map(drop)
}

fn get(lab: &Lab, url: &str) -> Result<String> {
    let output = lab.net.host.command("curl").args(["-s", "-w", "\n%{http_code}", url]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn alert_rules_do_what_they_say() -> Result<()> {
    let checks: [&[&str]; 2] = [
        &["check", "rules", "alerts.yml"],
        &["test", "rules", "alerts.test.yml", "alerts-slow.test.yml"],
    ];
    for arguments in checks {
        let output = Command::new("promtool").args(arguments).current_dir(pkg("")).output();
        let Ok(output) = output else {
            println!("skipped: needs promtool");
            return Ok(());
        };
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        println!("{said}");
        assert!(output.status.success(), "{arguments:?}: {said}");
    }
    Ok(())
}

#[test]
fn rules_panels_and_probes_are_of_this_daemon() -> Result<()> {
    let Some((lab, daemon)) = Lab::protected(Manners::default(), &Settings::default())? else {
        return Ok(());
    };
    let page = get(&lab, "http://127.0.0.1:9160/docs/metrics.html")?;
    let known: BTreeSet<String> = named(&page);
    assert!(known.len() > 30 && known.is_superset(&self::known(&daemon.metrics()?)), "{known:?}");
    let panels: String = queries()?.into_iter().map(|(_, query)| query + "\n").collect();
    let rules = fs::read_to_string(pkg("alerts.yml"))?;
    for metric in named(&(panels + &rules)) {
        let base = metric.trim_end_matches("_bucket");
        assert!(known.contains(base), "{metric} is no metric of ours");
    }
    assert_eq!(get(&lab, "http://127.0.0.1:9160/healthz")?, "ok\n\n200");
    assert_eq!(get(&lab, "http://127.0.0.1:9160/readyz")?, "ready\n\n200");
    assert_eq!(get(&lab, "http://127.0.0.1:8060/readyz")?, "ready\n\n200");
    lab.net
        .host
        .ip("link set up0 name elsewhere0\n")
        .or_else(|_| lab.net.host.ip("link set up0 down\nlink set up0 name elsewhere0\n"))?;
    let start = Instant::now();
    while !get(&lab, "http://127.0.0.1:9160/readyz")?.contains("up0 is not filtered\n\n503") {
        ensure!(start.elapsed() < LIMIT, "the interface is not missed");
        std::thread::sleep(PAUSE);
    }
    assert_eq!(get(&lab, "http://127.0.0.1:8060/readyz")?, "not ready\n\n503");
    assert_eq!(get(&lab, "http://127.0.0.1:8060/healthz")?, "ok\n\n200");
    Ok(())
}

#[test]
fn a_support_bundle_has_no_secrets() -> Result<()> {
    let hash = format!("sha256:{}", "5e".repeat(32));
    let own = format!("log_token = \"{hash}\"");
    let settings = Settings { endpoints: [vec![own], Vec::new()], ..Settings::default() };
    let Some((lab, daemon)) = Lab::protected(Manners::default(), &settings)? else {
        return Ok(());
    };
    attack(&lab)?;
    let token = daemon.text(&["token", "add", "noc", "--scope", "read"])?;
    let token = token.split_whitespace().find(|word| word.starts_with("sipprot_"));
    let token = token.context("a token")?.to_owned();
    daemon.text(&["deny", "add", "203.0.113.99", "--note", &format!("told {token} by mistake")])?;
    let password = "correct horse battery";
    daemon.cli_with(
        &["user", "add", "ann", "--role", "admin"],
        &format!("{password}\n{password}\n"),
    )?;
    let drop_in = daemon.config_file().with_extension("d");
    fs::create_dir_all(&drop_in)?;
    let url = "https://ann:pa55w0rd@lists.example/all";
    fs::write(
        drop_in.join("list.toml"),
        format!("[[blocklist]]\nname = \"x\"\nurl = \"{url}\"\n"),
    )?;

    let bundle = lab.directory().join("bundle.tar.gz");
    let said = daemon.text(&["support", "--out", &bundle.display().to_string()])?;
    assert!(said.contains("is written"), "{said}");
    let unpacked = Command::new("tar").arg("-xzOf").arg(&bundle).output().context("run tar")?;
    let text = String::from_utf8_lossy(&unpacked.stdout).into_owned();
    for secret in [&*hash, &*token, password, "pa55w0rd"] {
        assert!(!text.contains(secret), "{secret} is in it");
    }
    for expected in
        ["(not shown)", "sipprot_packets_total{", "register_limit = 10", "\"protected\": true"]
    {
        assert!(text.contains(expected), "{expected} is not in it");
    }
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(&bundle)?.permissions().mode() & 0o777, 0o600);
    Ok(())
}

/// Every panel's query, asked of a real Prometheus that scrapes the lab while it is attacked.
#[test]
fn every_panel_shows_something() -> Result<()> {
    if std::env::var_os("SIPPROT_TEST_FULL").is_none() {
        println!("the short form only: SIPPROT_TEST_FULL=1 asks a real Prometheus");
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let log = directory.path().join("pbx.log");
    fs::write(&log, "")?;
    let geo = directory.path().join("geo");
    fs::write(&geo, "198.51.100.0,198.51.100.255,JP\n203.0.113.0,203.0.113.255,DE\n")?;
    let mut lines = vec![format!("geo.databases = [\"{}\"]", geo.display())];
    lines.extend(["geo.mode = \"deny\"", "geo.countries = [\"KP\"]"].map(str::to_owned));
    let log_table = format!(
        "[[log]]\nname = \"pbx\"\nfilters = [\"kamailio\"]\npath = \"{}\"\nendpoint = \"pbx1\"\n",
        log.display()
    );
    let settings = Settings { lines, tables: vec![log_table], ..Settings::default() };
    let Some((lab, daemon)) = Lab::protected(Manners::default(), &settings)? else {
        return Ok(());
    };
    let prometheus = start_prometheus(&lab, directory.path())?;
    let mut left = queries()?;
    let all = left.len();
    println!("{all} queries");
    let start = Instant::now();
    while !left.is_empty() && start.elapsed() < 8 * LIMIT {
        attack(&lab)?;
        fs::write(&log, format!("{}a line\n", fs::read_to_string(&log)?))?;
        deny_a_country(&daemon, start)?;
        std::thread::sleep(SCRAPED);
        left.retain(|(_, query)| !answers(&lab, query).unwrap_or(false));
        std::thread::sleep(BETWEEN_ATTACKS);
    }
    println!(
        "{} of {all} queries answered after {} s",
        all - left.len(),
        start.elapsed().as_secs()
    );
    drop(prometheus);
    assert!(left.is_empty(), "empty: {left:#?}");
    Ok(())
}

/// Attackers' country is kept out, once there are blocks to look at; it bites five minutes later.
fn deny_a_country(daemon: &Daemon, start: Instant) -> Result<()> {
    if start.elapsed() > Duration::from_secs(30) {
        daemon.text(&["config", "set", "geo.countries", "KP,JP"])?;
    }
    Ok(())
}

fn start_prometheus(lab: &Lab, directory: &Path) -> Result<Process> {
    let config = directory.join("prometheus.yml");
    let rules = pkg("alerts.yml").canonicalize()?;
    fs::write(
        &config,
        format!(
            "global: {{scrape_interval: 1s}}\nrule_files: [{}]\nscrape_configs:\n\
             - {{job_name: sipprot, static_configs: [{{targets: ['127.0.0.1:9160']}}]}}\n",
            rules.display()
        ),
    )?;
    let mut command = lab.net.host.command("prometheus");
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.tsdb.path={}", directory.join("data").display()));
    command.arg("--web.listen-address=127.0.0.1:9090");
    let process = Process::start(command, &directory.join("prometheus.log"))?;
    let start = Instant::now();
    while !get(lab, "http://127.0.0.1:9090/-/ready")?.ends_with("200") {
        if start.elapsed() > LIMIT {
            bail!("no Prometheus: {}", process.output());
        }
        std::thread::sleep(PAUSE);
    }
    Ok(process)
}

fn answers(lab: &Lab, query: &str) -> Result<bool> {
    let mut curl = lab.net.host.command("curl");
    curl.args(["-s", "--get", "http://127.0.0.1:9090/api/v1/query", "--data-urlencode"]);
    let output = curl.arg(format!("query={query}")).output()?;
    let answer: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(answer["status"] == "success", "{query}: {answer}");
    let found = answer["data"]["result"].as_array().context("a result")?;
    Ok(found.iter().any(|series| series["value"][1] != "NaN"))
}
