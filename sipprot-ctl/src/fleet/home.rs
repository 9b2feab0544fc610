//! The fleet's directory: who belongs to it, its keys, and the configuration of its NATS servers,
//! which is written anew whenever that changes.

mod certificate;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use super::bundle::{Bundle, check_name};
use super::key;
use super::rules::DOCUMENTED;

/// Where it lies unless somebody says otherwise.
pub const DEFAULT: &str = "/var/lib/sipprot/fleet";
pub const PORT: u16 = 4222;
const IDENTITIES: &str = "fleet.json";

/// Who belongs to the fleet. Secret: it has the hub's keys.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identities {
    /// `ADDRESS:PORT` each.
    pub servers: Vec<String>,
    /// By which the hub connects.
    pub hub_seed: String,
    pub hub_public: String,
    /// By which it signs what it publishes.
    pub operator_seed: String,
    pub operator_public: String,
    /// Between the servers of a cluster.
    pub cluster_password: String,
    /// Name and public key.
    pub hosts: BTreeMap<String, String>,
}

pub struct Home {
    directory: PathBuf,
}

impl Home {
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.join("hub.sock")
    }

    pub fn rules(&self) -> PathBuf {
        self.directory.join("hub.toml")
    }

    pub fn database(&self) -> PathBuf {
        self.directory.join("hub")
    }

    pub fn ca(&self) -> anyhow::Result<String> {
        self.read("ca.pem")
    }

    fn nats(&self) -> PathBuf {
        self.directory.join("nats")
    }

    pub fn configuration(&self, server: usize) -> PathBuf {
        self.nats().join(format!("nats-{}.conf", server + 1))
    }

    pub fn identities(&self) -> anyhow::Result<Identities> {
        let path = self.directory.join(IDENTITIES);
        let missing = || format!("{}: 'sipprot fleet init' makes it", path.display());
        let text = fs::read_to_string(&path).with_context(missing)?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }

    /// When identities and settings were written last.
    pub fn written_at(&self) -> [Option<SystemTime>; 2] {
        [self.directory.join(IDENTITIES), self.rules()]
            .map(|path| fs::metadata(path).and_then(|it| it.modified()).ok())
    }

    /// Keys, certificates and configurations for servers at these addresses.
    pub fn init(&self, servers: &[String]) -> anyhow::Result<Identities> {
        let there = self.directory.join(IDENTITIES);
        ensure!(!there.exists(), "{} is there already", there.display());
        ensure!(!servers.is_empty(), "no server is named");
        let servers: Vec<String> = servers.iter().map(|it| with_port(it)).collect();
        let distinct: BTreeSet<&String> = servers.iter().collect();
        ensure!(distinct.len() == servers.len(), "a server is named twice");
        // Whoever runs the servers passes through, and sees nothing.
        for (directory, mode) in [(&self.directory, 0o711), (&self.nats(), 0o750)] {
            DirBuilder::new()
                .recursive(true)
                .mode(mode)
                .create(directory)
                .with_context(|| directory.display().to_string())?;
            fs::set_permissions(directory, fs::Permissions::from_mode(mode))?;
        }
        let (hub, operator) = (key::make_user()?, key::make_operator()?);
        let identities = Identities {
            hub_seed: hub.seed,
            hub_public: hub.public,
            operator_seed: operator.seed,
            operator_public: operator.public,
            cluster_password: key::make_user()?.public,
            hosts: BTreeMap::new(),
            servers,
        };
        let made = certificate::make(identities.servers.iter().map(|it| host_of(it)))?;
        self.write("ca.key", &made.ca_key, 0o600)?;
        self.write("ca.pem", &made.ca, 0o644)?;
        self.write("nats/server.key", &made.key, 0o640)?;
        self.write("nats/server.pem", &made.chain, 0o644)?;
        self.write("nats/ca.pem", &made.ca, 0o644)?;
        if !self.rules().exists() {
            self.write("hub.toml", DOCUMENTED, 0o644)?;
        }
        self.configure(&identities)?;
        // Last: with it there is a fleet.
        self.save(&identities)?;
        Ok(identities)
    }

    /// A new host, and what it needs.
    pub fn add_host(&self, name: &str) -> anyhow::Result<Bundle> {
        check_name(name)?;
        let mut identities = self.identities()?;
        ensure!(!identities.hosts.contains_key(name), "there is a host {name} already");
        let made = key::make_user()?;
        identities.hosts.insert(name.to_owned(), made.public);
        let bundle = Bundle {
            name: name.to_owned(),
            servers: identities.servers.clone(),
            seed: made.seed,
            hub: identities.operator_public.clone(),
            ca: self.ca()?,
        };
        self.configure(&identities)?;
        self.save(&identities)?;
        Ok(bundle)
    }

    /// From now on its key opens nothing.
    pub fn remove_host(&self, name: &str) -> anyhow::Result<()> {
        let mut identities = self.identities()?;
        ensure!(identities.hosts.remove(name).is_some(), "there is no host {name}");
        self.configure(&identities)?;
        self.save(&identities)
    }

    /// Tells servers of this machine to read their configuration again; the names of the others.
    pub fn reload_servers(&self) -> anyhow::Result<Vec<PathBuf>> {
        let servers = self.identities()?.servers.len();
        let reached = |index: &usize| server::reload(&self.nats(), *index);
        let others = (0..servers).filter(|index| !reached(index));
        Ok(others.map(|index| self.configuration(index)).collect())
    }

    fn configure(&self, identities: &Identities) -> anyhow::Result<()> {
        for index in 0..identities.servers.len() {
            let text = server::configuration(identities, index, &self.nats());
            self.write(&format!("nats/nats-{}.conf", index + 1), &text, 0o640)?;
        }
        server::hand_over(&self.nats())
    }

    fn save(&self, identities: &Identities) -> anyhow::Result<()> {
        self.write(IDENTITIES, &serde_json::to_string_pretty(identities)?, 0o600)
    }

    fn read(&self, name: &str) -> anyhow::Result<String> {
        let path = self.directory.join(name);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    /// All of it or what was there before.
    fn write(&self, name: &str, text: &str, mode: u32) -> anyhow::Result<()> {
        let path = self.directory.join(name);
        let new = path.with_extension("new");
        let write = || {
            let _ = fs::remove_file(&new);
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(mode).open(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            if let Ok(before) = fs::metadata(&path) {
                use std::os::unix::fs::MetadataExt;
                chown(&new, Some(before.uid()), Some(before.gid()))?;
            }
            fs::rename(&new, &path)
        };
        write().with_context(|| path.display().to_string())
    }
}

fn with_port(server: &str) -> String {
    let is_whole = server.parse::<std::net::SocketAddr>().is_ok()
        || server
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.contains(':') && port.parse::<u16>().is_ok());
    match (is_whole, server.parse::<IpAddr>()) {
        (true, _) => server.to_owned(),
        (false, Ok(IpAddr::V6(address))) => format!("[{address}]:{PORT}"),
        (false, _) => format!("{server}:{PORT}"),
    }
}

/// Without port and brackets.
fn host_of(server: &str) -> &str {
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

fn port_of(server: &str) -> u16 {
    server.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(PORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_have_a_port() {
        for (given, expected, host) in [
            ("192.0.2.1", "192.0.2.1:4222", "192.0.2.1"),
            ("192.0.2.1:5000", "192.0.2.1:5000", "192.0.2.1"),
            ("hub.example", "hub.example:4222", "hub.example"),
            ("2001:db8::1", "[2001:db8::1]:4222", "2001:db8::1"),
            ("[2001:db8::1]:5000", "[2001:db8::1]:5000", "2001:db8::1"),
        ] {
            let whole = with_port(given);
            assert_eq!((&*whole, host_of(&whole)), (expected, host));
        }
    }

    #[test]
    fn hosts_come_and_go() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path());
        assert!(home.identities().is_err());
        home.init(&["192.0.2.1".to_owned()]).unwrap();
        assert!(home.init(&["192.0.2.1".to_owned()]).is_err());
        let bundle = home.add_host("pbx-01").unwrap();
        assert!(home.add_host("pbx-01").is_err() && home.add_host("pbx.*").is_err());
        let public = super::super::key::Signer::new(&bundle.seed).unwrap().public();
        let configured = || fs::read_to_string(home.configuration(0)).unwrap();
        assert!(configured().contains(&public) && !configured().contains(&bundle.seed));
        assert_eq!(home.identities().unwrap().hosts["pbx-01"], public);
        home.remove_host("pbx-01").unwrap();
        assert!(!configured().contains(&public) && home.remove_host("pbx-01").is_err());
        for (name, mode) in [("fleet.json", 0o600), ("ca.key", 0o600), ("nats/server.key", 0o640)] {
            let found = fs::metadata(directory.path().join(name)).unwrap().permissions().mode();
            assert_eq!(found & 0o777, mode, "{name}");
        }
    }
}
