//! The configuration, and what the daemon says of itself.

use super::Finding;
use crate::api::{LogView, Status, Top};
use crate::config::{Config, ConfigError, Loaded};
use crate::daemon::geography;
use crate::geo::Geo;

const FULL: u64 = 90;
const FILLING: u64 = 75;

pub fn look_at_configuration(loaded: Result<&Loaded, &ConfigError>) -> Vec<Finding> {
    const CHECK: &str = "configuration";
    vec![match loaded {
        Err(error) => {
            Finding::problem(CHECK, error.to_string(), "see 'sipprot config default' for every key")
        }
        Ok(loaded) => match loaded.files.as_slice() {
            [] => Finding::warning(
                CHECK,
                "there is no configuration file: the defaults hold",
                "sipprot setup",
            ),
            files => {
                let files: Vec<String> = files.iter().map(|it| it.display().to_string()).collect();
                Finding::ok(CHECK, format!("{} is right", files.join(", ")))
            }
        },
    }]
}

pub fn look(status: Result<&Status, &str>) -> Vec<Finding> {
    const CHECK: &str = "daemon";
    let status = match status {
        Ok(status) => status,
        Err(why) => {
            return vec![
                Finding::problem(CHECK, why, "systemctl start sipprot, or sipprot run"),
                Finding::unknown("mode", "what is in force: no daemon answers"),
                Finding::unknown("maps", "how full they are: no daemon answers"),
                Finding::unknown("logs", "whether they tell anything: no daemon answers"),
            ];
        }
    };
    let mut findings = Vec::new();
    if status.problems.is_empty() {
        findings.push(Finding::ok(CHECK, format!("version {} runs", status.version)));
    }
    findings.extend(status.problems.iter().map(|problem| {
        Finding::problem(
            CHECK,
            problem.clone(),
            "the daemon's log says more: journalctl -u sipprot",
        )
    }));
    findings.extend(status.store.notes.iter().map(|note| {
        Finding::warning("store", note.clone(), "read it: something may be gone from the lists")
    }));
    findings.push(mode(status));
    findings.push(maps(status));
    findings.extend(status.logs.iter().map(log));
    findings
}

fn mode(status: &Status) -> Finding {
    const CHECK: &str = "mode";
    match status.mode.as_str() {
        "observe" => Finding::warning(
            CHECK,
            "it only observes: nothing is dropped",
            "mode = \"enforce\" in the configuration, then 'sipprot reload'; or 'sipprot learn start'",
        ),
        "off" => Finding::problem(
            CHECK,
            "it is off: nothing is looked at",
            "mode = \"enforce\" in the configuration, then 'sipprot reload'",
        ),
        "learning" => Finding::warning(
            CHECK,
            "the host learns: the rules drop nothing",
            "'sipprot learn proposal', and 'sipprot learn accept' when it is as you want it",
        ),
        mode => Finding::ok(CHECK, format!("it is {mode}")),
    }
}

fn maps(status: &Status) -> Finding {
    const CHECK: &str = "maps";
    let share = |map: &&crate::api::MapFill| map.entries * 100 / map.capacity.max(1);
    let Some(fullest) = status.maps.iter().max_by_key(share) else {
        return Finding::unknown(CHECK, "how full they are: the kernel doesn't tell");
    };
    let what =
        format!("the fullest of the kernel's maps, {}, is {} % full", fullest.map, share(&fullest));
    match share(&fullest) {
        FULL.. => {
            Finding::problem(CHECK, what, "what comes next is refused: remove what isn't needed")
        }
        FILLING.. => {
            Finding::warning(CHECK, what, "what is on lists can be one network: 'sipprot list'")
        }
        _ => Finding::ok(CHECK, what),
    }
}

fn log(log: &LogView) -> Finding {
    const CHECK: &str = "logs";
    let LogView { name, lines, matched, .. } = log;
    let test = format!(
        "sipprot filter test {} FILE shows what it makes of the log",
        log.filters.join(" ")
    );
    if let Some(error) = &log.error {
        return Finding::problem(CHECK, format!("{name}: {error}"), "name a log that can be read");
    }
    match (lines, matched) {
        (0, _) => Finding::warning(
            CHECK,
            format!("{name} has told nothing yet"),
            "right after the start that is so; later: is it the log that the server writes?",
        ),
        // An ssh log on which nobody failed is a good one.
        (..1000, 0) => {
            Finding::ok(CHECK, format!("{name}: {lines} lines, none of them of interest"))
        }
        (_, 0) => Finding::warning(CHECK, format!("{name}: {lines} lines, and none matched"), test),
        _ => Finding::ok(CHECK, format!("{name}: {lines} lines, {matched} matched")),
    }
}

pub fn look_at_traffic(top: Option<&Top>) -> Vec<Finding> {
    const CHECK: &str = "sources";
    let Some(top) = top else {
        let what = "whether one gateway stands for everybody: no daemon answers";
        return vec![Finding::unknown(CHECK, what)];
    };
    vec![match &top.gateway {
        Some(gateway) => Finding::problem(
            CHECK,
            format!("most SIP comes from {gateway}: a NAT, SBC or proxy stands in front"),
            "protect the host that has the public address; here no rule can tell attackers from customers",
        ),
        None => Finding::ok(CHECK, "sources are not hidden behind one gateway"),
    }]
}

pub fn look_at_countries(config: &Config, status: Option<&Status>) -> Vec<Finding> {
    const CHECK: &str = "geo";
    let view = match status {
        Some(status) => status.geo.clone(),
        None => geography::view(&Geo::open(&config.geo.databases), config),
    };
    let mut findings: Vec<Finding> = view
        .problems
        .iter()
        .map(|it| Finding::warning(CHECK, it.clone(), "sipprot geo update FILE|URL"))
        .collect();
    let name = view.name.as_deref().unwrap_or("the country database");
    let age =
        view.age_days.map(|days| format!("{days} days old")).unwrap_or("of unknown age".into());
    findings.push(match (view.available, view.old, view.policies.is_empty()) {
        (false, _, false) => Finding::problem(
            CHECK,
            "countries are kept out, and there is no country database: nobody is",
            "sipprot geo update FILE|URL, or apt-get install tor-geoipdb",
        ),
        (false, _, true) => Finding::warning(
            CHECK,
            "there is no country database: reports don't say where attackers are",
            "sipprot geo update FILE|URL, or apt-get install tor-geoipdb",
        ),
        (true, true, _) => {
            Finding::warning(CHECK, format!("{name} is {age}"), "sipprot geo update FILE|URL")
        }
        (true, false, _) => Finding::ok(CHECK, format!("{name} is {age}")),
    });
    findings
}
