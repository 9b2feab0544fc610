//! fail2ban beside the first PBX: it reads Kamailio's log, and bans by an nftables set.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sipprot_tests::lab::Lab;
use sipprot_tests::process::Process;

const START_LIMIT: Duration = Duration::from_secs(20);

/// The same limit as ours: ten failures in a minute.
const FILTER: &str = "[Definition]\n\
     failregex = bad credentials from <HOST>\\s*$\n\
     datepattern = %%Y-%%m-%%d %%H:%%M:%%S\n";
const ACTION: &str = "[Definition]\n\
     actionstart = nft add table inet f2b\n\
    \x20             nft add set inet f2b banned '{ type ipv4_addr; }'\n\
    \x20             nft add chain inet f2b all_in '{ type filter hook prerouting priority -300; }'\n\
    \x20             nft add rule inet f2b all_in ip saddr @banned drop\n\
     actionban = nft add element inet f2b banned '{ <ip> }'\n\
     actionunban = nft delete element inet f2b banned '{ <ip> }'\n";

pub fn start(lab: &Lab) -> Result<Process> {
    let directory = lab.directory().join("fail2ban");
    let file = |name: &str| directory.join(name).display().to_string();
    for room in ["filter.d", "action.d"] {
        fs::create_dir_all(directory.join(room)).context("make fail2ban's directories")?;
    }
    let own = format!(
        "[Definition]\nloglevel = INFO\nlogtarget = STDOUT\nsyslogsocket = auto\ndbfile = None\n\
         dbmaxmatches = 10\ndbpurgeage = 1d\nsocket = {}\npidfile = {}\n",
        file("socket"),
        file("pid")
    );
    let jail = format!(
        "[kamailio]\nenabled = true\nfilter = kamailio\naction = nft\nlogpath = {}\n\
         backend = auto\nmaxretry = 10\nfindtime = 60\nbantime = 600\nusedns = no\n",
        lab.pbxs[0].log_file().display()
    );
    for (name, text) in [
        ("fail2ban.conf", own.as_str()),
        ("jail.conf", &jail),
        ("filter.d/kamailio.conf", FILTER),
        ("action.d/nft.conf", ACTION),
    ] {
        fs::write(directory.join(name), text).with_context(|| format!("write {name}"))?;
    }
    let call = |program: &str| {
        let mut command = lab.net.pbxs[0].command(program);
        command.arg("-c").arg(&directory).args(["-s", &file("socket"), "-p", &file("pid")]);
        command
    };
    let mut command = call("fail2ban-server");
    command.args(["-xf", "start"]);
    let mut process = Process::start(command, &directory.join("log"))?;
    let start = Instant::now();
    // It asks for the jail, which is there once the log is watched.
    while !call("fail2ban-client").args(["status", "kamailio"]).output()?.status.success() {
        if process.ended()?.is_some() || start.elapsed() > START_LIMIT {
            bail!("fail2ban doesn't start: {}", process.last_words());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(process)
}
