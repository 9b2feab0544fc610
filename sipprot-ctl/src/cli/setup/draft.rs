//! The configuration that setup proposes: from what the host has, what flags say, and what is there.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnetwork::IpNetwork;
use serde_json::json;

use super::{FirstMode, Setup};
use crate::cli::CliError;
use crate::config::{Config, Loaded, Mode, section_name};
use crate::daemon::guard::own::Own;
use crate::doctor;
use crate::listening::Socket;
use crate::report::address;

/// A PBX.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    pub name: String,
    pub found: Vec<IpAddr>,
    /// Addresses that the configuration gives it already.
    known: Vec<IpNetwork>,
    /// The file that has it, where that is not the one to be written.
    pub elsewhere: Option<PathBuf>,
}

impl Endpoint {
    pub fn new(name: &str, found: Vec<IpAddr>) -> Self {
        Self { name: name.to_owned(), found, known: Vec::new(), elsewhere: None }
    }

    pub fn addresses(&self) -> String {
        let all: Vec<String> = self.found.iter().map(IpAddr::to_string).collect();
        all.join(", ")
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft {
    pub interfaces: Vec<String>,
    /// Those with addresses that the configuration doesn't have yet.
    pub endpoints: Vec<Endpoint>,
    pub trust: Option<IpAddr>,
    pub mode: FirstMode,
}

const HEAD: &str = "# Every key, with its meaning and default: sipprot config default\n";

impl Draft {
    pub fn proposed(loaded: &Loaded, file: &Path, setup: &Setup, operator: Option<IpAddr>) -> Self {
        let config = &loaded.config;
        let interfaces = match (setup.interfaces.as_slice(), config.interfaces.as_slice()) {
            ([], []) => {
                let route = fs::read_to_string("/proc/net/route").unwrap_or_default();
                doctor::default_route(&route).map(str::to_owned).into_iter().collect()
            }
            ([], known) => known.to_vec(),
            (named, _) => named.to_vec(),
        };
        let endpoints = match setup.endpoints.as_slice() {
            [] => found(&doctor::pbxs(config), &Own::look()),
            named => named.to_vec(),
        };
        let are_told = !setup.endpoints.is_empty();
        let endpoints = endpoints.into_iter().map(|it| news_of(it, are_told, loaded, file));
        let endpoints = endpoints.filter(|it| !it.found.is_empty()).collect();
        let mode = setup.mode.unwrap_or(match config.interfaces.is_empty() {
            true => FirstMode::Learn,
            false if config.mode == Mode::Enforce => FirstMode::Enforce,
            false => FirstMode::Observe,
        });
        let trust = setup.trust.or(operator.filter(|address| !address.is_loopback()));
        Self { interfaces, endpoints, trust, mode }
    }

    /// The file as it will be.
    pub fn text(&self, file: &Path, before: Option<&str>) -> Result<String, CliError> {
        let mode = match self.mode {
            FirstMode::Enforce => Mode::Enforce,
            FirstMode::Learn | FirstMode::Observe => Mode::Observe,
        };
        let keys = [
            ("interfaces".to_owned(), Some(json!(self.interfaces))),
            ("mode".to_owned(), Some(json!(mode.to_string()))),
        ];
        let mut text = Config::edited(file, before.unwrap_or_default(), &keys)?;
        if before.is_none() {
            text.insert_str(0, HEAD);
        }
        for Endpoint { name, found, known, .. } in
            self.endpoints.iter().filter(|it| it.elsewhere.is_none())
        {
            let known = known.iter().map(|it| address(*it));
            let addresses: Vec<String> = known.chain(found.iter().map(IpAddr::to_string)).collect();
            let section = section_name("endpoint", name);
            let keys = [(format!("{section}.addresses"), Some(json!(addresses)))];
            text = Config::edited(file, &text, &keys)?;
        }
        Ok(text)
    }
}

/// A PBX with what of its addresses the configuration doesn't have: at all, or, if the operator says whose
/// they are, as its own.
pub fn news_of(endpoint: Endpoint, are_told: bool, loaded: &Loaded, file: &Path) -> Endpoint {
    let Endpoint { name, mut found, .. } = endpoint;
    let endpoints = &loaded.config.endpoints;
    let is_known = |address: &IpAddr| {
        let endpoints = endpoints.iter().filter(|it| !are_told || it.name == name);
        endpoints.flat_map(|it| &it.addresses).any(|network| network.contains(*address))
    };
    found.retain(|address| !is_known(address));
    let same = endpoints.iter().find(|it| it.name == name);
    let written = loaded.origins.of(&section_name("endpoint", &name));
    Endpoint {
        known: same.map(|it| it.addresses.clone()).unwrap_or_default(),
        elsewhere: written.map(|(place, _)| place.to_owned()).filter(|place| place != file),
        name,
        found,
    }
}

/// One for each program; who listens everywhere has the host's own addresses.
fn found(sockets: &[Socket], own: &Own) -> Vec<Endpoint> {
    let mut programs: BTreeMap<&str, Vec<IpAddr>> = BTreeMap::new();
    for socket in sockets {
        let addresses = programs.entry(&socket.program).or_default();
        match socket.address.is_unspecified() {
            false => addresses.push(socket.address),
            true => addresses.extend(own.addresses.iter().map(|it| it.ip()).filter(|it| {
                // Others than neighbours don't come by link-local addresses.
                matches!(it, IpAddr::V4(_)) || !is_link_local(it)
            })),
        }
    }
    programs
        .into_iter()
        .map(|(program, mut found)| {
            found.sort();
            found.dedup();
            Endpoint::new(program, found)
        })
        .filter(|endpoint| !endpoint.found.is_empty())
        .collect()
}

fn is_link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// Lines that go and lines that come, in their order.
pub fn changes(before: &str, after: &str) -> String {
    let gone = before.lines().filter(|line| !after.lines().any(|it| it == *line));
    let new = after.lines().filter(|line| !before.lines().any(|it| it == *line));
    let gone = gone.map(|line| format!("  - {line}\n"));
    gone.chain(new.map(|line| format!("  + {line}\n"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listening::Transport;

    fn socket(program: &str, address: &str) -> Socket {
        let (transport, port) = (Transport::Udp, 5060);
        let address = address.parse().unwrap();
        Socket { program: program.to_owned(), transport, port, address }
    }

    #[test]
    fn pbxs_are_endpoints() {
        let own = Own {
            addresses: ["192.0.2.1/24", "2001:db8::1/64", "fe80::1/64"]
                .map(|it| it.parse().unwrap())
                .to_vec(),
            ..Own::default()
        };
        let sockets = [
            socket("asterisk", "0.0.0.0"),
            socket("kamailio", "192.0.2.11"),
            socket("kamailio", "192.0.2.11"),
        ];
        let found = found(&sockets, &own);
        let shown: Vec<String> =
            found.iter().map(|it| format!("{} {}", it.name, it.addresses())).collect();
        assert_eq!(shown, ["asterisk 192.0.2.1, 2001:db8::1", "kamailio 192.0.2.11"]);
    }

    fn draft(mode: FirstMode) -> Draft {
        let found = vec!["192.0.2.11".parse().unwrap()];
        Draft {
            interfaces: vec!["eth0".to_owned()],
            endpoints: vec![Endpoint::new("kamailio", found)],
            trust: None,
            mode,
        }
    }

    #[test]
    fn a_fresh_file() {
        let text = draft(FirstMode::Learn).text(Path::new("t.toml"), None).unwrap();
        let expected = format!(
            "{HEAD}interfaces = [\"eth0\"]\nmode = \"observe\"\n\n[[endpoint]]\nname = \"kamailio\"\n\
             addresses = [\"192.0.2.11\"]\n"
        );
        assert_eq!(text, expected);
        Config::parse(Path::new("t.toml"), &text).unwrap();
    }

    #[test]
    fn an_address_more_goes_to_the_endpoint_that_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("sipprot.toml");
        let before = "interfaces = [\"eth0\"]\nmode = \"enforce\"\n[[endpoint]]\nname = \"kamailio\"\n\
                      addresses = [\"192.0.2.11\"] # ours\n[[endpoint]]\nname = \"other\"\n\
                      addresses = [\"192.0.2.12\"]\n";
        fs::write(&file, before).unwrap();
        let loaded = Config::load(Some(&file)).unwrap();
        let news = |found: &[&str], are_told, file: &Path| {
            let found = found.iter().map(|it| it.parse().unwrap()).collect();
            news_of(Endpoint::new("kamailio", found), are_told, &loaded, file)
        };
        let all = ["192.0.2.11", "192.0.2.12", "192.0.2.13"];
        let grown = news(&all, false, &file);
        assert_eq!(grown.addresses(), "192.0.2.13");
        let draft = Draft { endpoints: vec![grown], ..draft(FirstMode::Enforce) };
        let after = draft.text(&file, Some(before)).unwrap();
        let longer = "[\"192.0.2.11\", \"192.0.2.13\"] # ours";
        assert_eq!(after, before.replace("[\"192.0.2.11\"] # ours", longer));
        Config::parse(&file, &after).unwrap();

        assert_eq!(news(&all[..2], false, &file).addresses(), "");
        assert_eq!(news(&all[..2], true, &file).addresses(), "192.0.2.12", "as it was told");
        let drop_in = news(&all, false, Path::new("another.toml"));
        assert_eq!(drop_in.elsewhere.as_deref(), Some(file.as_path()));
        let draft = Draft { endpoints: vec![drop_in], ..draft };
        assert_eq!(draft.text(&file, Some(before)).unwrap(), before);
    }

    #[test]
    fn comments_stay_and_only_what_changes_is_shown() {
        let before = "# ours\ninterfaces = [\"eth0\"] # uplink\nmode = \"observe\"\n[rules]\nregister_limit = 9\n";
        let after = draft(FirstMode::Enforce).text(Path::new("t.toml"), Some(before)).unwrap();
        assert!(
            after.starts_with("# ours\ninterfaces = [\"eth0\"] # uplink\nmode = \"enforce\"\n")
        );
        let expected = "  - mode = \"observe\"\n  + mode = \"enforce\"\n  + \n  + [[endpoint]]\n  \
                        + name = \"kamailio\"\n  + addresses = [\"192.0.2.11\"]\n";
        assert_eq!(changes(before, &after), expected);
        assert_eq!(changes(&after, &after), "");
        Config::parse(Path::new("t.toml"), &after).unwrap();
    }
}
