//! Who of this host listens where, as /proc tells.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

/// Names of the programs that are sshd.
const SSHD: [&str; 2] = ["sshd", "dropbear"];
const SSHD_CONFIG: &str = "/etc/ssh/sshd_config";
const SSHD_CONFIGS: &str = "/etc/ssh/sshd_config.d";
const SSH_PORT: u16 = 22;
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
    let found: BTreeSet<u16> = ports.collect();
    let found = if found.is_empty() && is_hidden(&SSHD) { configured_sshd() } else { found };
    found.into_iter().collect()
}

/// Whether such a program runs, and what it has open can't be seen: a service that has few capabilities
/// doesn't look into one that has all.
fn is_hidden(programs: &[&str]) -> bool {
    processes(programs).any(|process| fs::read_dir(process.join("fd")).is_err())
}

/// Ports of sshd's configuration on which somebody listens.
fn configured_sshd() -> BTreeSet<u16> {
    let further = fs::read_dir(SSHD_CONFIGS).into_iter().flatten().flatten();
    let files = std::iter::once(PathBuf::from(SSHD_CONFIG)).chain(further.map(|it| it.path()));
    let text: String = files.flat_map(fs::read_to_string).map(|text| text + "\n").collect();
    let waiting: BTreeSet<u16> =
        waiting().into_values().filter(|it| it.0 == Transport::Tcp).map(|it| it.2).collect();
    ports_in(&text).intersection(&waiting).copied().collect()
}

/// Of `Port` and `ListenAddress` in an sshd_config.
fn ports_in(text: &str) -> BTreeSet<u16> {
    let named = |line: &str| {
        let (key, value) = line.trim().split_once([' ', '\t', '='])?;
        let value = value.split_whitespace().next()?;
        match key.to_ascii_lowercase().as_str() {
            "port" => value.parse().ok(),
            // Without brackets an address with several colons has no port.
            "listenaddress" if value.starts_with('[') => value.rsplit_once("]:")?.1.parse().ok(),
            "listenaddress" if value.matches(':').count() == 1 => {
                value.rsplit_once(':')?.1.parse().ok()
            }
            _ => None,
        }
    };
    let ports: BTreeSet<u16> = text.lines().filter_map(named).collect();
    if ports.is_empty() { BTreeSet::from([SSH_PORT]) } else { ports }
}

/// The sockets of programs of these names, in order; those of other network namespaces are not seen.
pub fn of(programs: &[&str]) -> Vec<Socket> {
    let waiting = waiting();
    let mut found = BTreeSet::new();
    for process in processes(programs) {
        let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
        let program = name.trim_end();
        for (transport, address, port) in
            inodes(&process).into_iter().filter_map(|inode| waiting.get(&inode))
        {
            let (transport, address, port) = (*transport, *address, *port);
            found.insert(Socket { program: program.to_owned(), transport, port, address });
        }
    }
    found.into_iter().collect()
}

/// All that wait, by inode.
fn waiting() -> HashMap<u64, (Transport, IpAddr, u16)> {
    let read = |table: &str| fs::read_to_string(table).unwrap_or_default();
    TABLES.iter().flat_map(|(table, transport)| waiting_in(&read(table), *transport)).collect()
}

/// Directories of the processes of these names.
fn processes(programs: &[&str]) -> impl Iterator<Item = PathBuf> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    all.filter(|process| {
        let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
        programs.contains(&name.trim_end())
    })
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
    fn ports_of_a_configuration() {
        let check = |text: &str, expected: &[u16]| {
            assert_eq!(ports_in(text), expected.iter().copied().collect(), "{text}");
        };
        check("", &[22]);
        check("#Port 2022\nPermitRootLogin no\n", &[22]);
        check("Port 2022\nport=2023\n", &[2022, 2023]);
        check("ListenAddress 192.0.2.1:2022\nListenAddress [2001:db8::1]:2023\n", &[2022, 2023]);
        check("ListenAddress 2001:db8::1\n", &[22]);
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
