//! The headers below SIP, read by etherparse.

use etherparse::err::{ipv4, ipv6, tcp};
use etherparse::{
    Ethernet2HeaderSlice, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice,
    Ipv6RawExtHeaderSlice, SingleVlanHeaderSlice, TcpHeaderSlice, UdpHeaderSlice,
};
use sipprot_common::reason::Reason;
use sipprot_common::source::Address;

use crate::datapath::frame::{ACK, RST, SYN, protocol};

const VLANS_MAX: usize = 2;
const EXTENSIONS_MAX: usize = 6;
/// No transport header is looked for behind this offset.
const TRANSPORT_MAX: usize = 1023;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fragment {
    None,
    First,
    Later,
}

#[derive(Clone, Copy, Debug)]
pub struct Tcp {
    pub syn: bool,
    pub ack: bool,
    pub rst: bool,
    pub sequence: u32,
    pub acknowledgement: u32,
}

#[derive(Debug)]
pub struct Packet<'a> {
    pub ipv6: bool,
    pub literal: Address,
    pub source: Address,
    pub destination: Address,
    pub protocol: u8,
    pub fragment: Fragment,
    /// More extension headers than are followed: nothing behind them is known.
    pub beyond: bool,
    pub source_port: u16,
    pub destination_port: u16,
    pub payload: &'a [u8],
    /// What a UDP header says of itself and the payload.
    pub udp_length: u16,
    pub tcp: Option<Tcp>,
    pub icmp_type: Option<u8>,
    /// What an ICMP message quotes, up to the end of the frame.
    pub quoted: &'a [u8],
}

/// Where the transport header lies in the frame, and where the IP packet ends.
struct Place {
    transport: usize,
    end: usize,
}

/// `Err` is the reason why a frame cannot be judged.
pub fn read(frame: &[u8]) -> Result<Packet<'_>, Reason> {
    let link = Ethernet2HeaderSlice::from_slice(frame).map_err(|_| Reason::Truncated)?;
    let (mut ether_type, mut offset) = (link.ether_type().0, 14);
    for tags in 0.. {
        if ether_type != 0x8100 && ether_type != 0x88a8 {
            break;
        }
        if tags == VLANS_MAX {
            return Err(Reason::TooManyHeaders);
        }
        let tag = SingleVlanHeaderSlice::from_slice(&frame[offset..]);
        ether_type = tag.map_err(|_| Reason::Truncated)?.ether_type().0;
        offset += 4;
    }
    let (mut packet, place) = match ether_type {
        0x0800 => ipv4(frame, offset)?,
        0x86dd => ipv6(frame, offset)?,
        _ => return Err(Reason::NotIp),
    };
    let rest = frame.get(place.transport..).ok_or(Reason::Truncated)?;
    if packet.fragment != Fragment::Later && !packet.beyond {
        transport(&mut packet, rest, place.end.saturating_sub(place.transport))?;
    }
    Ok(packet)
}

fn packet<'a>(literal: Address, destination: Address) -> Packet<'a> {
    let canonical = |address: Address| {
        let (high, low) = address.halves();
        Address::canonical(high, low)
    };
    Packet {
        ipv6: false,
        literal,
        source: canonical(literal),
        destination: canonical(destination),
        protocol: 0,
        fragment: Fragment::None,
        beyond: false,
        source_port: 0,
        destination_port: 0,
        payload: &[],
        udp_length: 0,
        tcp: None,
        icmp_type: None,
        quoted: &[],
    }
}

fn ipv4(frame: &[u8], offset: usize) -> Result<(Packet<'_>, Place), Reason> {
    let header = Ipv4HeaderSlice::from_slice(&frame[offset..]).map_err(|error| match error {
        ipv4::HeaderSliceError::Len(_) => Reason::Truncated,
        ipv4::HeaderSliceError::Content(_) => Reason::BadHeader,
    })?;
    let header_len = header.ihl() as usize * 4;
    let total_len = header.total_len() as usize;
    if total_len < header_len {
        return Err(Reason::BadHeader);
    }
    let address = |octets| Address::from_v4(u32::from_be_bytes(octets));
    let mut packet = packet(address(header.source()), address(header.destination()));
    packet.protocol = header.protocol().0;
    packet.fragment = match (header.fragments_offset().value(), header.more_fragments()) {
        (0, false) => Fragment::None,
        (0, true) => Fragment::First,
        _ => Fragment::Later,
    };
    Ok((packet, Place { transport: offset + header_len, end: offset + total_len }))
}

fn ipv6(frame: &[u8], offset: usize) -> Result<(Packet<'_>, Place), Reason> {
    let header = Ipv6HeaderSlice::from_slice(&frame[offset..]).map_err(|error| match error {
        ipv6::HeaderSliceError::Len(_) => Reason::Truncated,
        ipv6::HeaderSliceError::Content(_) => Reason::BadHeader,
    })?;
    let address = |octets: [u8; 16]| {
        let bits = u128::from_be_bytes(octets);
        Address::from_halves((bits >> 64) as u64, bits as u64)
    };
    let mut packet = packet(address(header.source()), address(header.destination()));
    packet.ipv6 = true;
    packet.protocol = header.next_header().0;
    let mut transport = offset + 40;
    let end = transport + header.payload_length() as usize;
    for followed in 0.. {
        if !is_extension(packet.protocol) || packet.fragment == Fragment::Later {
            break;
        }
        if followed == EXTENSIONS_MAX {
            packet.beyond = true;
            break;
        }
        let rest = frame.get(transport..).unwrap_or_default();
        transport += extension(&mut packet, rest)?;
        if transport > TRANSPORT_MAX {
            packet.beyond = true;
            // Whether the frame is that long no longer matters.
            transport = 0;
            break;
        }
    }
    Ok((packet, Place { transport, end }))
}

fn is_extension(number: u8) -> bool {
    matches!(
        number,
        protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::FRAGMENT
            | protocol::AUTHENTICATION
            | protocol::DESTINATION_OPTIONS
    )
}

/// Takes in one extension header; returns its length. Whether all of it is there shows later.
fn extension(packet: &mut Packet, rest: &[u8]) -> Result<usize, Reason> {
    let (Some(&next), Some(&units)) = (rest.first(), rest.get(1)) else {
        return Err(Reason::Truncated);
    };
    let number = std::mem::replace(&mut packet.protocol, next);
    match number {
        protocol::FRAGMENT => {
            let header =
                Ipv6FragmentHeaderSlice::from_slice(rest).map_err(|_| Reason::Truncated)?;
            if header.fragment_offset().value() != 0 {
                packet.fragment = Fragment::Later;
            } else if header.more_fragments() {
                packet.fragment = Fragment::First;
            }
            Ok(8)
        }
        protocol::AUTHENTICATION => Ok(units as usize * 4 + 8),
        _ => match Ipv6RawExtHeaderSlice::from_slice(rest) {
            Ok(header) => Ok(header.slice().len()),
            Err(error) => Ok(error.required_len),
        },
    }
}

/// `rest` begins with the transport header; `length` is what the IP header says it has.
fn transport<'a>(packet: &mut Packet<'a>, rest: &'a [u8], length: usize) -> Result<(), Reason> {
    match packet.protocol {
        protocol::UDP => {
            let header = UdpHeaderSlice::from_slice(rest).map_err(|_| Reason::Truncated)?;
            packet.source_port = header.source_port();
            packet.destination_port = header.destination_port();
            packet.udp_length = header.length();
            let said = header.length() as usize;
            if (1..8).contains(&said) {
                return Err(Reason::BadHeader);
            }
            // 0 is a jumbogram's (RFC 2675): the IP header's length counts.
            let length = if said == 0 { length } else { length.min(said) };
            packet.payload = between(rest, 8, length);
        }
        protocol::TCP => {
            let header = match TcpHeaderSlice::from_slice(rest) {
                Ok(header) => header,
                Err(_) if packet.fragment == Fragment::First => {
                    cut_in_two(packet, rest);
                    return Ok(());
                }
                Err(tcp::HeaderSliceError::Len(_)) => return Err(Reason::Truncated),
                Err(tcp::HeaderSliceError::Content(_)) => return Err(Reason::BadHeader),
            };
            note_tcp(packet, &header);
            packet.payload = between(rest, header.slice().len(), length);
        }
        protocol::ICMP | protocol::ICMPV6 => {
            packet.icmp_type = Some(*rest.first().ok_or(Reason::Truncated)?);
            packet.quoted = rest.get(8..).unwrap_or_default();
        }
        _ => {}
    }
    Ok(())
}

/// Of a TCP header that goes on in the next fragment: what isn't there is taken for the worst.
fn cut_in_two(packet: &mut Packet, rest: &[u8]) {
    let port = |at: usize| Some(u16::from_be_bytes([*rest.get(at)?, *rest.get(at + 1)?]));
    packet.source_port = port(0).unwrap_or_default();
    packet.destination_port = port(2).unwrap_or_default();
    let flags = rest.get(13).copied().filter(|flags| *flags != 0).unwrap_or(SYN);
    packet.tcp = Some(Tcp {
        syn: flags & SYN != 0,
        ack: flags & ACK != 0,
        rst: flags & RST != 0,
        sequence: 0,
        acknowledgement: 0,
    });
}

fn note_tcp(packet: &mut Packet, header: &TcpHeaderSlice) {
    packet.source_port = header.source_port();
    packet.destination_port = header.destination_port();
    packet.tcp = Some(Tcp {
        syn: header.syn(),
        ack: header.ack(),
        rst: header.rst(),
        sequence: header.sequence_number(),
        acknowledgement: header.acknowledgment_number(),
    });
}

fn between(bytes: &[u8], from: usize, to: usize) -> &[u8] {
    bytes.get(from..to.min(bytes.len())).unwrap_or_default()
}

/// An end of a flow.
pub type End = (Address, u16);

/// The flow in an ICMP error: protocol, and the remote end and local port as we sent them.
pub fn quoted_flow(packet: &Packet) -> Option<(u8, u16, End)> {
    let inner = packet.quoted;
    let (number, remote, header_len) = if packet.protocol == protocol::ICMP {
        let remote = inner.get(16..20)?.try_into().ok()?;
        let remote = Address::from_v4(u32::from_be_bytes(remote));
        (*inner.get(9)?, remote, (inner[0] & 15) as usize * 4)
    } else {
        let bits = u128::from_be_bytes(inner.get(24..40)?.try_into().ok()?);
        (inner[6], Address::canonical((bits >> 64) as u64, bits as u64), 40)
    };
    let ports = inner.get(header_len..header_len + 4)?;
    let port = |at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]);
    Some((number, port(0), (remote, port(2))))
}
