//! Names of hosts: the binary, and the static one above all, asks /etc/hosts and the name servers of
//! /etc/resolv.conf.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use sipprot_tests::{namespace::Namespace, patience::wait_for, process::Process};

use super::root;

/// No database: that it was fetched is enough.
const FILE: &str = "fetched";
const ADDRESS: &str = "127.0.0.9";
const IN_DNS: &str = "lists.example.net";
const IN_HOSTS: &str = "here.example.net";
const NOWHERE: &str = "nowhere.example.net";
/// With files of its own in the place of the host's.
const OWN_FILES: &str = "mount --bind \"$0/resolv.conf\" /etc/resolv.conf && \
    mount --bind \"$0/hosts\" /etc/hosts && exec \"$@\"";

/// What `sipprot geo update URL` says of a name that only DNS knows, and of one that only /etc/hosts does.
pub fn look_up() -> Result<String> {
    let binary = PathBuf::from(std::env::var_os("SIPPROT_BIN").context("SIPPROT_BIN")?);
    let directory = tempfile::tempdir().context("make a directory")?;
    let at = |name: &str| directory.path().join(name);
    fs::write(at("file"), FILE)?;
    fs::write(at("resolv.conf"), "nameserver 127.0.0.53\n")?;
    fs::write(at("hosts"), format!("127.0.0.1 localhost\n{ADDRESS} {IN_HOSTS}\n"))?;
    fs::write(at("sipprot.toml"), format!("geo.databases = [\"{}\"]\n", at("db.mmdb").display()))?;
    let namespace = Namespace::create(&format!("sipprot-names-{}", std::process::id()))?;
    let looked_up = (|| {
        let mut python = namespace.command("/usr/bin/python3");
        python.arg(root().join("tests/tests/package/names.py"));
        python.args([IN_DNS, ADDRESS]).arg(at("file"));
        let servers = Process::start(python, &at("servers.log"))?;
        wait_for("the servers", || Ok(servers.output().contains("ready").then_some(())))?;
        let mut told = String::new();
        for name in [IN_DNS, IN_HOSTS, NOWHERE] {
            let mut update = namespace.command("unshare");
            update.args(["--mount", "sh", "-c", OWN_FILES]).arg(directory.path()).arg(&binary);
            update.arg("--config").arg(at("sipprot.toml")).args(["geo", "update"]);
            let output = update.arg(format!("http://{name}:8000/{name}")).output()?;
            let said =
                String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            let is_fetched = servers.output().contains(&format!("GET /{name}"));
            ensure!(is_fetched == (name != NOWHERE), "{name}: {said}");
            told += &format!("{name}: {}\n", said.lines().next().unwrap_or_default());
        }
        Ok(told)
    })();
    Command::new("ip").args(["netns", "delete", namespace.name()]).status()?;
    looked_up
}
