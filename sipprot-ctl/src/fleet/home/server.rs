//! The configuration of a NATS server: two accounts, one identity for each host, TLS.
//!
//! The streams lie in an account that no host can enter; hosts reach exactly the subjects below through
//! exports. In one account a reply subject would let a host write where it may not publish.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use super::{Identities, host_of, port_of};
use crate::fleet::nats::subject;

/// Between the servers of a cluster.
const CLUSTER_STEP: u16 = 2000;
const SYSTEM_USER: &str = "nats";

/// Of one of the servers; `directory` is where its files lie.
pub fn configuration(identities: &Identities, index: usize, directory: &Path) -> String {
    let server = &identities.servers[index];
    let (number, directory) = (index + 1, directory.display());
    let mut text = format!(
        "# Made by 'sipprot fleet', which writes it anew when hosts are added or removed.\n\
         server_name: fleet-{number}\n\
         host: \"{}\"\n\
         port: {}\n\
         pid_file: \"{directory}/nats-{number}.pid\"\n\
         max_connections: 65536\n\
         tls {{ cert_file: \"{directory}/server.pem\", key_file: \"{directory}/server.key\", timeout: 5 }}\n\
         jetstream {{ store_dir: \"{directory}/jetstream-{number}\", max_mem: 64MB, max_file: 8GB }}\n",
        bound(server),
        port_of(server),
    );
    if identities.servers.len() > 1 {
        text += &cluster(identities, index, &directory.to_string());
    }
    text += &accounts(identities);
    text
}

/// Where it listens: all addresses of that family.
fn bound(server: &str) -> &'static str {
    if host_of(server).contains(':') { "::" } else { "0.0.0.0" }
}

fn cluster(identities: &Identities, index: usize, directory: &str) -> String {
    let server = &identities.servers[index];
    let port = |server: &str| port_of(server).wrapping_add(CLUSTER_STEP);
    let password = &identities.cluster_password;
    let others = identities.servers.iter().filter(|it| *it != server);
    let routes = others.map(|it| {
        let host = host_of(it);
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        format!("\"nats://fleet:{password}@{host}:{}\"", port(it))
    });
    let routes: Vec<String> = routes.collect();
    format!(
        "cluster {{\n  name: fleet\n  host: \"{}\"\n  port: {}\n  \
         authorization {{ user: fleet, password: \"{password}\", timeout: 5 }}\n  \
         tls {{ cert_file: \"{directory}/server.pem\", key_file: \"{directory}/server.key\", \
         ca_file: \"{directory}/ca.pem\", verify: true, timeout: 5 }}\n  routes: [{}]\n}}\n",
        bound(server),
        port(server),
        routes.join(", "),
    )
}

fn accounts(identities: &Identities) -> String {
    let mut text = format!(
        "accounts {{\n  CORE {{\n    jetstream: enabled\n    users: [{{ nkey: {} }}]\n    exports: [\n",
        identities.hub_public
    );
    let services = subject::SERVICES;
    for service in services {
        let _ = writeln!(text, "      {{ service: \"{service}\" }}");
    }
    let _ = writeln!(text, "      {{ stream: \"{}\" }}\n    ]\n  }}\n  HOSTS {{", subject::LIVE);
    text += "    imports: [\n";
    for service in services {
        let from = format!("{{ account: CORE, subject: \"{service}\" }}");
        let _ = writeln!(text, "      {{ service: {from} }}");
    }
    let from = format!("{{ account: CORE, subject: \"{}\" }}", subject::LIVE);
    let _ = writeln!(text, "      {{ stream: {from} }}\n    ]\n    users: [");
    for (name, key) in &identities.hosts {
        let may = [
            subject::report(name),
            subject::health(name),
            subject::GET_DELTA.to_owned(),
            subject::GET_SNAPSHOT.to_owned(),
        ];
        let _ = writeln!(
            text,
            "      {{ nkey: {key}, permissions: {{ publish: {{ allow: [\"{}\"] }}, \
             subscribe: {{ allow: [\"{}.>\", \"{}\"] }} }} }} # {name}",
            may.join("\", \""),
            subject::inbox(name),
            subject::LIVE,
        );
    }
    text += "    ]\n  }\n}\n";
    text
}

/// To the user that Debian's package runs it as, where there is one.
pub fn hand_over(directory: &Path) -> anyhow::Result<()> {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut found = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let Some(user) = found.find(|fields| fields.first() == Some(&SYSTEM_USER)) else {
        return Ok(());
    };
    let (Some(Ok(user)), Some(Ok(group))) =
        (user.get(2).map(|it| it.parse()), user.get(3).map(|it| it.parse()))
    else {
        return Ok(());
    };
    // Only root can; whoever else runs it runs the servers, too.
    let _ = chown(directory, Some(user), Some(group));
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_file() {
            let _ = chown(&path, Some(user), Some(group));
        }
    }
    fs::set_permissions(directory, fs::Permissions::from_mode(0o750))?;
    Ok(())
}

/// SIGHUP, if the process that the file names is such a server.
pub fn reload(directory: &Path, index: usize) -> bool {
    let file = directory.join(format!("nats-{}.pid", index + 1));
    let text = fs::read_to_string(file).unwrap_or_default();
    let Ok(process) = text.trim().parse::<i32>() else { return false };
    let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    if process <= 1 || name.trim() != "nats-server" {
        return false;
    }
    // SAFETY: sends a signal, to a process that was looked at.
    unsafe { libc::kill(process, libc::SIGHUP) == 0 }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_host_reaches_its_own_subjects_alone() {
        let identities = Identities {
            servers: vec!["192.0.2.1:4222".to_owned(), "192.0.2.2:4222".to_owned()],
            hub_seed: "SECRET".to_owned(),
            hub_public: "UHUB".to_owned(),
            operator_seed: "SECRET".to_owned(),
            operator_public: "OHUB".to_owned(),
            cluster_password: "PASSWORD".to_owned(),
            hosts: BTreeMap::from([("a".to_owned(), "UA".to_owned())]),
        };
        let text = configuration(&identities, 0, Path::new("/fleet"));
        let line = text.lines().find(|line| line.contains("UA")).unwrap();
        let expected = "{ nkey: UA, permissions: { publish: { allow: [\"fleet.report.a\", \"fleet.health.a\", \
                        \"$JS.API.DIRECT.GET.BLDELTA\", \"$JS.API.DIRECT.GET.BLSNAP.fleet.snap.>\"] }, \
                        subscribe: { allow: [\"_INBOX.a.>\", \"fleet.live.>\"] } } } # a";
        assert_eq!(line.trim(), expected);
        assert!(!text.contains("SECRET") && !text.contains("CONSUMER"));
        assert!(text.contains("routes: [\"nats://fleet:PASSWORD@192.0.2.2:6222\"]"));
    }
}
