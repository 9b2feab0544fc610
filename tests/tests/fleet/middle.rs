//! The fleet's middle: NATS servers and the hub, as processes.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sipprot_tests::{lab::Lab, namespace::Namespace, patience::wait_for, process::Process};

/// Its address, in the middle of the lab.
pub const MIDDLE: &str = "192.0.2.129";

pub struct Fleet {
    pub place: Namespace,
    program: PathBuf,
    pub directory: PathBuf,
    pub servers: Vec<Option<Process>>,
    pub hub: Option<Process>,
    starts: u32,
}

impl Fleet {
    pub fn new(lab: &Lab, servers: usize) -> Result<Self> {
        let program = std::env::var_os("SIPPROT_BIN").context("SIPPROT_BIN")?;
        let program = Path::new(&program).canonicalize()?;
        let directory = lab.directory().join("fleet");
        let place = lab.net.internet.clone();
        let mut fleet =
            Self { place, program, directory, servers: Vec::new(), hub: None, starts: 0 };
        let addresses: Vec<String> =
            (0..servers).map(|index| format!("{MIDDLE}:{}", 4222 + index)).collect();
        let mut arguments = vec!["fleet", "init"];
        addresses.iter().for_each(|it| arguments.extend(["--server", it]));
        println!("{}", fleet.text(&arguments)?);
        for index in 0..servers {
            fleet.servers.push(None);
            fleet.start_server(index)?;
        }
        Ok(fleet)
    }

    pub fn start_server(&mut self, index: usize) -> Result<()> {
        let mut command = self.place.command("nats-server");
        let configuration = format!("nats/nats-{}.conf", index + 1);
        command.arg("-c").arg(self.directory.join(configuration));
        self.starts += 1;
        let log = self.directory.join(format!("nats-{index}-{}.log", self.starts));
        self.servers[index] = Some(Process::start(command, &log)?);
        Ok(())
    }

    pub fn start_hub(&mut self) -> Result<()> {
        let mut command = self.command();
        command.args(["hub", "--dir"]).arg(&self.directory);
        self.starts += 1;
        let log = self.directory.join(format!("hub-{}.log", self.starts));
        self.hub = Some(Process::start(command, &log)?);
        wait_for("the hub's answer", || {
            let answered = self.json(&["fleet", "status", "--hub"]);
            let is_there = answered.is_ok_and(|it| it["connected"] == true);
            Ok(is_there.then_some(()))
        })
        .with_context(|| self.hub.as_ref().map(Process::output).unwrap_or_default())
    }

    pub fn command(&self) -> Command {
        self.place.command(&self.program)
    }

    pub fn run(&self, arguments: &[&str]) -> Result<std::process::Output> {
        let mut command = self.command();
        command.args(arguments);
        if arguments[0] == "fleet" {
            command.arg("--dir").arg(&self.directory);
        }
        command.output().context("run sipprot")
    }

    pub fn text(&self, arguments: &[&str]) -> Result<String> {
        let output = self.run(arguments)?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{arguments:?}: {complaint}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        Ok(serde_json::from_str(&self.text(&[arguments, &["--json"]].concat())?)?)
    }

    pub fn refused(&self, arguments: &[&str], code: i32, says: &str) -> Result<()> {
        let output = self.run(arguments)?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        let found = output.status.code();
        ensure!(
            found == Some(code) && complaint.contains(says),
            "{arguments:?}: {found:?} {complaint}"
        );
        Ok(())
    }

    /// A new host's file.
    pub fn add_host(&self, name: &str) -> Result<PathBuf> {
        let path = self.directory.join(format!("{name}.toml"));
        std::fs::write(&path, self.text(&["fleet", "add-host", name])?)?;
        Ok(path)
    }

    pub fn set(&self, lines: &str) -> Result<()> {
        std::fs::write(self.directory.join("hub.toml"), lines)?;
        // The hub looks each second.
        std::thread::sleep(Duration::from_millis(2100));
        Ok(())
    }

    pub fn state_of(&self, source: IpAddr) -> Result<Option<String>> {
        let all = self.json(&["fleet", "sources", "--covers", &source.to_string()])?;
        let found = all["sources"].as_array().context("sources")?.first().cloned();
        Ok(found.and_then(|it| Some(it["state"].as_str()?.to_owned())))
    }

    pub fn wait_for_state(&self, source: IpAddr, wanted: &str) -> Result<()> {
        wait_for(&format!("{source} {wanted}"), || {
            Ok((self.state_of(source)?.as_deref() == Some(wanted)).then_some(()))
        })
        .with_context(|| {
            let log = self.hub.as_ref().map(Process::output);
            format!("{:?}\n{}", self.text(&["fleet", "status", "--hub"]), log.unwrap_or_default())
        })
    }
}

/// What a fleet lacks here.
pub fn missing() -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has = std::env::split_paths(&path).any(|it| it.join("nats-server").is_file());
    let binary = std::env::var_os("SIPPROT_BIN");
    Lab::missing()
        .or_else(|| (!has).then(|| "nats-server".to_owned()))
        .or_else(|| binary.is_none().then(|| "SIPPROT_BIN (the binary)".to_owned()))
}
