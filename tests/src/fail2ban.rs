//! A fail2ban of one's own: it knows no other jails than those it is given, and its client finds it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{namespace::Namespace, process::Process};

const START_LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(100);
const DATABASE: &str = "fail2ban.sqlite3";

/// Running until it is dropped.
#[derive(Debug)]
pub struct Fail2ban {
    namespace: Namespace,
    directory: PathBuf,
    process: Process,
}

impl Fail2ban {
    pub fn is_there() -> bool {
        Command::new("fail2ban-client").arg("--version").output().is_ok()
    }

    /// `files` are those of its configuration, by name; the first jail is named, to see that all are there.
    pub fn start(
        namespace: &Namespace,
        directory: &Path,
        jail: &str,
        files: &[(&str, &str)],
    ) -> Result<Self> {
        for room in ["filter.d", "action.d"] {
            fs::create_dir_all(directory.join(room)).context("make fail2ban's directories")?;
        }
        let place = |name: &str| directory.join(name).display().to_string();
        let own = format!(
            "[Definition]\nloglevel = INFO\nlogtarget = STDOUT\nsyslogsocket = auto\ndbfile = {}\n\
             dbmaxmatches = 10\ndbpurgeage = 1d\nsocket = {}\npidfile = {}\n",
            place(DATABASE),
            place("socket"),
            place("pid")
        );
        for (name, text) in [("fail2ban.conf", own.as_str())].iter().chain(files) {
            fs::write(directory.join(name), text).with_context(|| format!("write {name}"))?;
        }
        let mut command = namespace.command("fail2ban-server");
        command.args(options(directory)).args(["-xf", "start"]);
        let process = Process::start(command, &directory.join("log"))?;
        let (namespace, directory) = (namespace.clone(), directory.to_owned());
        let mut started = Self { namespace, directory, process };
        started.wait_for(jail)?;
        Ok(started)
    }

    /// A jail is there once its log is watched.
    fn wait_for(&mut self, jail: &str) -> Result<()> {
        let start = Instant::now();
        while !self.client().args(["status", jail]).output()?.status.success() {
            if self.process.ended()?.is_some() || start.elapsed() > START_LIMIT {
                bail!("fail2ban doesn't start: {}", self.process.last_words());
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    pub fn client(&self) -> Command {
        let mut command = self.namespace.command("fail2ban-client");
        command.args(options(&self.directory));
        command
    }

    /// What a shell would say in place of `fail2ban-client` to reach this one.
    pub fn client_line(&self) -> String {
        format!("fail2ban-client {}", options(&self.directory).join(" "))
    }

    pub fn database(&self) -> PathBuf {
        self.directory.join(DATABASE)
    }
}

fn options(directory: &Path) -> Vec<String> {
    let place = |name: &str| directory.join(name).display().to_string();
    vec![
        "-c".to_owned(),
        directory.display().to_string(),
        "-s".to_owned(),
        place("socket"),
        "-p".to_owned(),
        place("pid"),
    ]
}
