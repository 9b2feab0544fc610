//! Flows that were opened outward, and TCP connections to SIP ports.

use sipprot_common::abi::{OPENED_INWARD, OPENED_OUTWARD, OPENED_WHOLLY, TcpConnection};
use sipprot_common::hash;
use sipprot_common::source::Address;

use crate::maps;
pub use crate::packet::SYN;
use crate::packet::{FIRST_FRAGMENT, Packet, protocol};
use crate::work::Place;

/// A silent flow answers no more after this time.
const FLOW_IDLE_NS: u64 = 300_000_000_000;
/// A flow's time is written at most this often.
const FLOW_REFRESH_NS: u64 = 1_000_000_000;

const RST: u32 = 0x04;
pub const ACK: u32 = 0x10;

#[inline(always)]
fn key(seed: u64, protocol: u32, local: (&Address, u32), remote: (&Address, u32)) -> u64 {
    let (local_high, local_low) = local.0.halves();
    let (remote_high, remote_low) = remote.0.halves();
    let ports = (protocol as u64) << 32 | (local.1 as u64) << 16 | remote.1 as u64;
    let mut hash = hash::fold(seed, local_high);
    hash = hash::fold(hash, local_low);
    hash = hash::fold(hash, remote_high);
    hash = hash::fold(hash, remote_low);
    hash::finish(hash::fold(hash, ports))
}

#[inline(always)]
fn key_of(packet: &Packet, seed: u64, outward: bool) -> u64 {
    let source = (&packet.source, packet.source_port);
    let destination = (&packet.destination, packet.destination_port);
    if outward {
        key(seed, packet.protocol, source, destination)
    } else {
        key(seed, packet.protocol, destination, source)
    }
}

/// Remembers the flow of a packet that leaves, unless something came in on it before. TCP is opened by
/// a SYN alone: what answers somebody else's SYN opened nothing.
#[inline(never)]
pub fn note_outward(packet: &Packet, seed: u64, now_ns: u64) {
    let key = key_of(packet, seed, true);
    if let Some(seen_ns) = maps::flow(key) {
        if now_ns.wrapping_sub(*seen_ns) > FLOW_REFRESH_NS {
            *seen_ns = now_ns;
        }
        return;
    }
    if packet.protocol == protocol::TCP && packet.tcp_flags & (SYN | ACK) != SYN {
        return;
    }
    match maps::knock(key) {
        Some(knocked_ns) if now_ns.wrapping_sub(*knocked_ns) < FLOW_IDLE_NS => {}
        _ => maps::add_flow(key, now_ns),
    }
}

/// Remembers that the other end was first.
#[inline(always)]
pub fn note_inward(packet: &Packet, seed: u64, now_ns: u64) {
    let key = key_of(packet, seed, false);
    match maps::knock(key) {
        Some(knocked_ns) => *knocked_ns = now_ns,
        None => maps::add_knock(key, now_ns),
    }
}

/// Does a packet that comes in answer a flow that was opened outward?
///
/// A first fragment that does notes a flow without ports, by which those that follow are known.
#[inline(never)]
pub fn answers(packet: &Packet, seed: u64, now_ns: u64) -> bool {
    if !live(key_of(packet, seed, false), now_ns) {
        return false;
    }
    if packet.fragment == FIRST_FRAGMENT {
        let (local, remote) = ((&packet.destination, 0), (&packet.source, 0));
        maps::add_flow(key(seed, packet.protocol, local, remote), now_ns);
    }
    true
}

#[inline(always)]
fn live(key: u64, now_ns: u64) -> bool {
    match maps::flow(key) {
        Some(seen_ns) => now_ns.wrapping_sub(*seen_ns) < FLOW_IDLE_NS,
        None => false,
    }
}

/// Is the flow that an ICMP error quotes live?
#[inline(never)]
pub fn quotes_live(
    packet: &Packet,
    quoted: &crate::packet::Quoted,
    seed: u64,
    now_ns: u64,
) -> bool {
    let local = (&packet.destination, quoted.local_port);
    let remote = (&quoted.remote, quoted.remote_port);
    live(key(seed, quoted.protocol, local, remote), now_ns)
}

/// Notes what an endpoint sends on a TCP connection to its SIP port, and where in it that stands.
#[inline(never)]
pub fn note_tcp_sent(packet: &Packet, seed: u64, place: &mut Place) {
    *place = Place { connection: 0, sequence: packet.sequence };
    let key = key_of(packet, seed, true);
    if packet.tcp_flags & (SYN | ACK) == SYN | ACK {
        let first = packet.sequence.wrapping_add(1);
        let connection = TcpConnection {
            first_seq: first,
            next_seq: first,
            peer_seq: packet.acknowledgement,
            opened: OPENED_INWARD,
        };
        maps::add_tcp_connection(key, &connection);
        return;
    }
    let Some(connection) = maps::tcp_connection(key) else { return };
    place.connection = number(connection);
    place.sequence = packet.sequence.wrapping_sub(connection.first_seq);
    let next = packet.sequence.wrapping_add(packet.payload_len);
    if packet.tcp_flags & RST == 0 && (next.wrapping_sub(connection.next_seq) as i32) > 0 {
        connection.next_seq = next;
    }
}

/// Does a segment acknowledge what only the other end of an established connection can know? If so,
/// its place in it is found.
#[inline(never)]
pub fn is_established(packet: &Packet, seed: u64, place: &mut Place) -> bool {
    if packet.protocol != protocol::TCP {
        return false;
    }
    *place = Place { connection: 0, sequence: packet.sequence };
    if packet.tcp_flags & ACK == 0 {
        return false;
    }
    let Some(connection) = maps::tcp_connection(key_of(packet, seed, false)) else { return false };
    let acknowledged = packet.acknowledgement.wrapping_sub(connection.first_seq);
    if acknowledged > connection.next_seq.wrapping_sub(connection.first_seq) {
        return false;
    }
    place.connection = number(connection);
    place.sequence = packet.sequence.wrapping_sub(connection.peer_seq);
    true
}

/// Notes a connection that is opened outward, so that its first answer is known: where that begins is
/// what we acknowledge of the other end's SYN, whatever else it sends.
#[inline(never)]
pub fn note_opened(packet: &Packet, seed: u64) {
    let key = key_of(packet, seed, true);
    match packet.tcp_flags & (SYN | ACK | RST) {
        SYN => {
            let connection = TcpConnection { opened: OPENED_OUTWARD, ..TcpConnection::default() };
            maps::add_tcp_connection(key, &connection);
        }
        ACK => {
            if let Some(connection) = maps::tcp_connection(key)
                && connection.opened == OPENED_OUTWARD
            {
                connection.peer_seq = packet.acknowledgement;
                connection.opened = OPENED_WHOLLY;
            }
        }
        _ => {}
    }
}

/// Of a segment in which the first answer doesn't begin.
pub const NO_ANSWER: u32 = u32::MAX;
/// Of one that comes before we have acknowledged anything: it can't be told.
pub const TOO_EARLY: u32 = u32::MAX - 1;

/// Where in a segment's payload the first answer on a connection begins that was opened outward.
#[inline(always)]
pub fn first_answer(packet: &Packet, seed: u64) -> u32 {
    if packet.payload_len == 0 {
        return NO_ANSWER;
    }
    let Some(connection) = maps::tcp_connection(key_of(packet, seed, false)) else {
        return NO_ANSWER;
    };
    if connection.opened == OPENED_OUTWARD {
        return TOO_EARLY;
    }
    let at = connection.peer_seq.wrapping_sub(packet.sequence);
    if connection.opened == OPENED_WHOLLY && at < packet.payload_len { at } else { NO_ANSWER }
}

/// The endpoint's first sequence number is new with each connection, and no stranger's to guess.
#[inline(always)]
fn number(connection: &TcpConnection) -> u32 {
    connection.first_seq | 1
}
