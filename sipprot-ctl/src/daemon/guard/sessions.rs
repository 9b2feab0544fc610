//! Who works on this host: the client addresses of ssh sessions that are logged in.
//!
//! sshd tells each session its connection in SSH_CONNECTION, but only after the login; a shell that
//! outlived its session still has it, so the connection must be there, too.

use std::collections::HashSet;
use std::fs;
use std::net::IpAddr;

use sipprot_common::source::Address;

use crate::listening;

const VARIABLE: &[u8] = b"SSH_CONNECTION=";
const ESTABLISHED: &str = "01";

/// The client's address and port, and our port.
type Connection = (IpAddr, u16, u16);

pub fn clients() -> Vec<IpAddr> {
    let told = told_to_processes();
    if told.is_empty() {
        return Vec::new();
    }
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let tables = [read("/proc/self/net/tcp"), read("/proc/self/net/tcp6")];
    let there: HashSet<Connection> = tables.iter().flat_map(|it| established(it)).collect();
    told.intersection(&there).map(|(client, ..)| *client).collect()
}

fn told_to_processes() -> HashSet<Connection> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let environments = processes
        .filter(|it| it.file_name().to_str().is_some_and(|it| it.parse::<u32>().is_ok()))
        .filter_map(|it| fs::read(it.path().join("environ")).ok());
    environments.filter_map(|environment| connection(&environment)).collect()
}

fn connection(environment: &[u8]) -> Option<Connection> {
    let mut variables = environment.split(|byte| *byte == 0);
    let value = variables.find_map(|variable| variable.strip_prefix(VARIABLE))?;
    told(std::str::from_utf8(value).ok()?)
}

/// `client port server port`
fn told(value: &str) -> Option<Connection> {
    let mut words = value.split(' ');
    let client: IpAddr = words.next()?.split('%').next()?.parse().ok()?;
    let client_port = words.next()?.parse().ok()?;
    Some((Address::from(client).to_ip(), client_port, words.nth(1)?.parse().ok()?))
}

/// Of `/proc/net/tcp` or `tcp6`.
fn established(table: &str) -> impl Iterator<Item = Connection> {
    table.lines().skip(1).filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (local, remote) = (words.next()?, words.next()?);
        let is_established = words.next()? == ESTABLISHED;
        let (_, local_port) = place(local)?;
        let (client, client_port) = place(remote)?;
        is_established.then_some((client, client_port, local_port))
    })
}

/// An IPv4 address as such, whatever socket it came over.
fn place(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = listening::place(text)?;
    Some((Address::from(address).to_ip(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection_of(text: &str, client_port: u16, port: u16) -> Option<Connection> {
        Some((text.parse().unwrap(), client_port, port))
    }

    #[test]
    fn what_sshd_tells_a_session() {
        let environment = b"HOME=/root\0SSH_CONNECTION=203.0.113.7 50022 192.0.2.1 22\0LANG=C\0";
        assert_eq!(connection(environment), connection_of("203.0.113.7", 50022, 22));
        assert_eq!(told("fe80::1%eth0 1 fe80::2%eth0 2222"), connection_of("fe80::1", 1, 2222));
        assert_eq!(told("::ffff:203.0.113.7 1 ::1 22"), connection_of("203.0.113.7", 1, 22));
        for wrong in ["", "nonsense", "203.0.113.7", "203.0.113.7 1 192.0.2.1 many"] {
            assert_eq!(told(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn tables_of_connections() {
        let hex = |address: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(address));
        let (own, client) = (hex([192, 0, 2, 1]), hex([203, 0, 113, 7]));
        let mapped = format!("{:024X}{client}", u128::from(u32::from_ne_bytes([0, 0, 255, 255])));
        let table = format!(
            "  sl  local_address rem_address   st\n\
             \x20  0: {own}:0016 {client}:C366 01 x\n\
             \x20  1: {own}:0016 {client}:C367 06 x\n\
             \x20  2: {mapped}:0016 {mapped}:C368 01 x\n   nonsense\n"
        );
        let found: Vec<_> = established(&table).map(Some).collect();
        let client = |port| connection_of("203.0.113.7", port, 22);
        assert_eq!(found, [client(50022), client(50024)]);
    }
}
