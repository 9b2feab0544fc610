//! Who of this host listens where, as /proc tells.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// Names of the programs that are sshd.
const SSHD: [&str; 2] = ["sshd", "dropbear"];
const TABLES: [(&str, Transport); 4] = [
    ("/proc/net/tcp", Transport::Tcp),
    ("/proc/net/tcp6", Transport::Tcp),
    ("/proc/net/udp", Transport::Udp),
    ("/proc/net/udp6", Transport::Udp),
];

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Transport {
    Tcp,
    Udp,
}

impl Transport {
    /// Of a socket that waits for anybody (net/tcp_states.h).
    const fn waiting(self) -> &'static str {
        match self {
            Transport::Tcp => "0A",
            Transport::Udp => "07",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Transport::Tcp => "TCP",
            Transport::Udp => "UDP",
        })
    }
}

/// A socket that waits for anybody.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Socket {
    pub program: String,
    pub transport: Transport,
    pub port: u16,
    pub address: IpAddr,
}

/// The ports on which an sshd listens, in order. A socket that systemd holds for it (ssh.socket) is not
/// seen: whoever moves that one says so in ssh.ports.
pub fn sshd() -> Vec<u16> {
    let sockets = of(&SSHD);
    let ports = sockets.iter().filter(|it| it.transport == Transport::Tcp).map(|it| it.port);
    ports.collect::<BTreeSet<u16>>().into_iter().collect()
}

/// The sockets of programs of these names, in order; those of other network namespaces are not seen.
pub fn of(programs: &[&str]) -> Vec<Socket> {
    let mut waiting = HashMap::new();
    for (table, transport) in TABLES {
        waiting.extend(waiting_in(&fs::read_to_string(table).unwrap_or_default(), transport));
    }
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let mut found = BTreeSet::new();
    for process in processes.flatten().map(|entry| entry.path()) {
        let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
        let program = name.trim_end();
        if !programs.contains(&program) {
            continue;
        }
        for (transport, address, port) in
            inodes(&process).into_iter().filter_map(|inode| waiting.get(&inode))
        {
            let (transport, address, port) = (*transport, *address, *port);
            found.insert(Socket { program: program.to_owned(), transport, port, address });
        }
    }
    found.into_iter().collect()
}

/// Inode, and what it waits on, of each waiting socket.
fn waiting_in(table: &str, transport: Transport) -> Vec<(u64, (Transport, IpAddr, u16))> {
    let socket = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (columns.get(1)?, columns.get(3)?, columns.get(9)?);
        let (address, port) = place(local)?;
        (*state == transport.waiting()).then_some((inode.parse().ok()?, (transport, address, port)))
    };
    table.lines().skip(1).filter_map(socket).collect()
}

/// `HEX:PORT`, as the kernel's tables have it; each 32 bits of the address are in the host's byte order.
pub fn place(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| -> Option<[u8; 4]> {
        let digits = address.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let address = match address.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let mut bytes = [0; 16];
            for (at, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(at)?);
            }
            Ipv6Addr::from(bytes).into()
        }
        _ => return None,
    };
    Some((address, port))
}

/// Of a process' sockets.
fn inodes(process: &Path) -> Vec<u64> {
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
    fn waiting_sockets() {
        let line = |number: u32, local: &str, state: &str, inode: u32| {
            format!("{number}: {local} 00000000:0000 {state} 0:0 00:0 0 0 0 {inode} 1 0 100 0\n")
        };
        let loopback = format!("{:08X}", u32::from_ne_bytes([127, 0, 0, 1]));
        let table = "sl local_address rem_address st tx_queue tr retrnsmt uid timeout inode\n"
            .to_owned()
            + &line(0, "00000000:0016", "0A", 4711)
            + &line(1, "00000000000000000000000000000000:08AE", "0A", 4712)
            + &line(2, "0100007F:0016", "01", 4713)
            + &line(3, &format!("{loopback}:0017"), "0A", 4714)
            + "nonsense\n";
        let tcp = |address: &str, port| (Transport::Tcp, address.parse().unwrap(), port);
        let expected =
            [(4711, tcp("0.0.0.0", 22)), (4712, tcp("::", 2222)), (4714, tcp("127.0.0.1", 23))];
        assert_eq!(waiting_in(&table, Transport::Tcp), expected);
        assert!(waiting_in(&table, Transport::Udp).is_empty());
    }

    #[test]
    fn own_sockets_are_found() {
        let listener = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let comm = fs::read_to_string("/proc/self/comm").unwrap();
        let found = of(&[comm.trim_end()]);
        assert!(
            found.iter().any(|it| it.port == port && it.transport == Transport::Udp),
            "{found:?}"
        );
    }
}
