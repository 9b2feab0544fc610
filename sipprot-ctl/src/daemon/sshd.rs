//! Where the sshd of this host listens, as /proc tells.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

/// Names of the programs.
const PROGRAMS: [&str; 2] = ["sshd", "dropbear"];
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
/// State of a listening socket (net/tcp_states.h).
const LISTEN: &str = "0A";

/// The ports on which an sshd listens, in order. A socket that systemd holds for it (ssh.socket) is not
/// seen: whoever moves that one says so in ssh.ports.
pub fn ports() -> Vec<u16> {
    let mut listening = HashMap::new();
    for table in TABLES {
        listening.extend(listening_in(&fs::read_to_string(table).unwrap_or_default()));
    }
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let ports: BTreeSet<u16> = processes
        .flatten()
        .map(|entry| entry.path())
        .filter(|process| is_sshd(process))
        .flat_map(|process| sockets(&process))
        .filter_map(|inode| listening.get(&inode).copied())
        .collect();
    ports.into_iter().collect()
}

/// Inode and port of each listening socket.
fn listening_in(table: &str) -> Vec<(u64, u16)> {
    let socket = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (columns.get(1)?, columns.get(3)?, columns.get(9)?);
        let port = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
        (*state == LISTEN).then_some((inode.parse().ok()?, port))
    };
    table.lines().skip(1).filter_map(socket).collect()
}

fn is_sshd(process: &Path) -> bool {
    let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
    PROGRAMS.contains(&name.trim_end())
}

/// Inodes of a process' sockets.
fn sockets(process: &Path) -> Vec<u64> {
    let Ok(files) = fs::read_dir(process.join("fd")) else { return Vec::new() };
    let inode = |file: fs::DirEntry| {
        let target = fs::read_link(file.path()).ok()?;
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    };
    files.flatten().filter_map(inode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_sockets() {
        let line = |number: u32, local: &str, state: &str, inode: u32| {
            format!("{number}: {local} 00000000:0000 {state} 0:0 00:0 0 0 0 {inode} 1 0 100 0\n")
        };
        let table = "sl local_address rem_address st tx_queue tr retrnsmt uid timeout inode\n"
            .to_owned()
            + &line(0, "00000000:0016", LISTEN, 4711)
            + &line(1, "00000000000000000000000001000000:08AE", LISTEN, 4712)
            + &line(2, "0100007F:0016", "01", 4713)
            + "nonsense\n";
        assert_eq!(listening_in(&table), [(4711, 22), (4712, 2222)]);
    }
}
