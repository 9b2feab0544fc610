//! sshd: where it listens, whether it is guarded there, and whom it lets in.

use super::{Finding, output_of};
use crate::config::{Config, Mode};
use crate::listening;

const CHECK: &str = "ssh";
const SSH_PORT: u16 = 22;
const PROGRAMS: [&str; 3] = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "sshd"];

pub fn look(config: &Config) -> Vec<Finding> {
    let mut ports = listening::sshd();
    // systemd holds the socket until somebody comes.
    let held = listening::of(&["systemd"]).into_iter().map(|it| it.port);
    ports.extend(
        held.filter(|port| *port == SSH_PORT && !ports.contains(port)).take(1).collect::<Vec<_>>(),
    );
    let mut findings = guarded(&ports, config);
    if ports.is_empty() {
        return findings;
    }
    if let Some(settings) = output_of(&PROGRAMS, &["-T"]) {
        findings.extend(logins(&settings));
    } else {
        findings.push(Finding::unknown(CHECK, "whom sshd lets in: 'sshd -T' says nothing"));
    }
    findings
}

pub fn guarded(ports: &[u16], config: &Config) -> Vec<Finding> {
    let guard = &config.guards.ssh;
    if ports.is_empty() {
        return vec![Finding::ok(CHECK, "no sshd was found to listen here")];
    }
    let shown: Vec<String> = ports.iter().map(u16::to_string).collect();
    let shown = shown.join(", ");
    if guard.mode != Mode::Enforce {
        let what = format!("sshd listens on {shown}, and its guard is {}", guard.mode);
        return vec![Finding::warning(CHECK, what, "ssh.mode = \"enforce\"")];
    }
    // Without ports in the configuration they are found.
    let holds =
        |port: u16| guard.ports.is_empty() || guard.ports.iter().any(|it| it.contains(port));
    let open: Vec<String> =
        ports.iter().filter(|port| !holds(**port)).map(u16::to_string).collect();
    if open.is_empty() {
        return vec![Finding::ok(CHECK, format!("sshd listens on {shown}, and is guarded there"))];
    }
    let what = format!("sshd listens on {}, where it is not guarded", open.join(", "));
    vec![Finding::warning(
        CHECK,
        what,
        "add it to ssh.ports, or leave ssh.ports out: then it is found",
    )]
}

/// From what `sshd -T` prints.
pub fn logins(settings: &str) -> Vec<Finding> {
    let setting = |name: &str| {
        settings.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::trim)
    };
    let root = setting("permitrootlogin") == Some("yes");
    let password = setting("passwordauthentication") == Some("yes");
    let mut findings = Vec::new();
    if root && password {
        let what = "root may log in by a password";
        let remedy = "PermitRootLogin prohibit-password in sshd_config, then reload sshd";
        findings.push(Finding::warning(CHECK, what, remedy));
    }
    if password {
        let what = "passwords are taken: they can be guessed";
        let remedy = "PasswordAuthentication no in sshd_config, once everybody has a key";
        findings.push(Finding::warning(CHECK, what, remedy));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, "nobody logs in by a password"));
    }
    findings
}
