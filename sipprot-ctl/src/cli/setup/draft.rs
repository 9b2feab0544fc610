//! The configuration that setup proposes: from what the host has, what flags say, and what is there.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use super::{FirstMode, Setup};
use crate::cli::CliError;
use crate::config::{Config, Mode};
use crate::daemon::own::Own;
use crate::doctor;
use crate::listening::Socket;

/// A PBX.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    pub name: String,
    pub found: Vec<IpAddr>,
}

impl Endpoint {
    pub fn addresses(&self) -> String {
        let all: Vec<String> = self.found.iter().map(IpAddr::to_string).collect();
        all.join(", ")
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft {
    pub interfaces: Vec<String>,
    /// Those that the configuration doesn't have yet.
    pub endpoints: Vec<Endpoint>,
    pub trust: Option<IpAddr>,
    pub mode: FirstMode,
}

const HEAD: &str = "# Every key, with its meaning and default: sipprot config default\n";

impl Draft {
    pub fn proposed(config: &Config, setup: &Setup, operator: Option<IpAddr>) -> Self {
        let interfaces = match (setup.interfaces.as_slice(), config.interfaces.as_slice()) {
            ([], []) => {
                let route = fs::read_to_string("/proc/net/route").unwrap_or_default();
                doctor::default_route(&route).map(str::to_owned).into_iter().collect()
            }
            ([], known) => known.to_vec(),
            (named, _) => named.to_vec(),
        };
        let mut endpoints = match setup.endpoints.as_slice() {
            [] => found(&doctor::pbxs(config), &Own::look()),
            named => named.to_vec(),
        };
        let is_known = |address: &IpAddr| {
            let mut networks = config.endpoints.iter().flat_map(|it| &it.addresses);
            networks.any(|network| network.contains(*address))
        };
        endpoints.retain(|endpoint| !endpoint.found.iter().all(is_known));
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
        let names: Vec<String> = self.interfaces.iter().map(|it| format!("{it:?}")).collect();
        let mode = match self.mode {
            FirstMode::Enforce => Mode::Enforce,
            FirstMode::Learn | FirstMode::Observe => Mode::Observe,
        };
        let keys = [
            ("interfaces".to_owned(), format!("[{}]", names.join(", "))),
            ("mode".to_owned(), format!("\"{mode}\"")),
        ];
        let mut text = Config::edited(file, before.unwrap_or_default(), &keys)
            .map_err(|error| CliError::Config(error.to_string()))?;
        if before.is_none() {
            text.insert_str(0, HEAD);
        }
        for Endpoint { name, found } in &self.endpoints {
            let addresses: Vec<String> = found.iter().map(|it| format!("\"{it}\"")).collect();
            let addresses = addresses.join(", ");
            text += &format!("\n[[endpoint]]\nname = {name:?}\naddresses = [{addresses}]\n");
        }
        Ok(text)
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
            Endpoint { name: program.to_owned(), found }
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
            endpoints: vec![Endpoint { name: "kamailio".to_owned(), found }],
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
