//! From a recorded frame to what is needed of its headers, by etherparse.

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    EtherType, IpNumber, Ipv6ExtensionSlice, LaxNetSlice, LaxSlicedPacket, LinuxSllHeaderSlice,
    LinuxSllProtocolType, TcpHeaderSlice, UdpHeaderSlice,
};

use super::capture::{Frame, Link};

/// The pseudo-header of cooked captures, second version: the protocol comes first.
const COOKED2_LEN: usize = 20;

/// A UDP datagram or TCP segment.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    pub source: SocketAddr,
    pub destination: SocketAddr,
    /// None for UDP.
    pub tcp: Option<Tcp>,
    pub payload: &'a [u8],
    /// Bytes of the payload that the capture didn't keep, or that later fragments hold.
    pub missing: usize,
}

#[derive(Clone, Copy, Debug)]
pub struct Tcp {
    pub syn: bool,
    pub ack: bool,
    pub rst: bool,
    pub sequence: u32,
    pub acknowledgement: u32,
}

/// Why a frame says nothing here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Skipped {
    /// Neither UDP nor TCP over IP.
    Other,
    /// A fragment without ports; its first one was read.
    Fragment,
    /// Ends inside a header, or has an impossible one.
    Malformed,
}

pub fn read<'a>(frame: &Frame<'a>) -> Result<Packet<'a>, Skipped> {
    let sliced = slice(frame)?;
    let net = match &sliced.net {
        Some(net) => net,
        None if sliced.stop_err.is_some() => return Err(Skipped::Malformed),
        None => return Err(Skipped::Other),
    };
    let inner = net.ip_payload_ref().ok_or(Skipped::Other)?;
    // Also where a chain of extension headers is cut short: etherparse would iterate beyond its end.
    if !matches!(inner.ip_number, IpNumber::UDP | IpNumber::TCP) {
        return Err(Skipped::Other);
    }
    let (source, destination, later) = match net {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            let later = header.fragments_offset().value() != 0;
            (IpAddr::V4(header.source_addr()), IpAddr::V4(header.destination_addr()), later)
        }
        LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            let later = ip.extensions().clone().into_iter().any(|extension| {
                matches!(extension, Ipv6ExtensionSlice::Fragment(it) if it.fragment_offset().value() != 0)
            });
            (IpAddr::V6(header.source_addr()), IpAddr::V6(header.destination_addr()), later)
        }
        LaxNetSlice::Arp(_) => return Err(Skipped::Other),
    };
    if later {
        return Err(Skipped::Fragment);
    }
    let whole = whole_length(net).saturating_sub(inner.payload.len());
    transport(source, destination, inner.ip_number, inner.payload, whole)
}

fn slice<'a>(frame: &Frame<'a>) -> Result<LaxSlicedPacket<'a>, Skipped> {
    let bytes = frame.bytes;
    match frame.link {
        Link::Ethernet => LaxSlicedPacket::from_ethernet(bytes).map_err(|_| Skipped::Malformed),
        Link::Ip => LaxSlicedPacket::from_ip(bytes).map_err(|_| Skipped::Malformed),
        Link::LinuxCooked => {
            let header = LinuxSllHeaderSlice::from_slice(bytes).map_err(|_| Skipped::Malformed)?;
            let LinuxSllProtocolType::EtherType(kind) = header.protocol_type() else {
                return Err(Skipped::Other);
            };
            let rest = &bytes[header.slice().len()..];
            Ok(LaxSlicedPacket::from_ether_type(kind, rest))
        }
        Link::LinuxCooked2 => {
            let (header, rest) = bytes.split_at_checked(COOKED2_LEN).ok_or(Skipped::Malformed)?;
            let kind = EtherType(u16::from_be_bytes([header[0], header[1]]));
            Ok(LaxSlicedPacket::from_ether_type(kind, rest))
        }
    }
}

/// How long the IP header says that its payload is, behind all extension headers.
fn whole_length(net: &LaxNetSlice) -> usize {
    match net {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            let options = usize::from(header.ihl()) * 4;
            let authentication = ip.extensions().auth.map_or(0, |it| it.slice().len());
            usize::from(header.total_len()).saturating_sub(options + authentication)
        }
        LaxNetSlice::Ipv6(ip) => {
            let extensions = ip.extensions().slice().len();
            usize::from(ip.header().payload_length()).saturating_sub(extensions)
        }
        LaxNetSlice::Arp(_) => 0,
    }
}

fn transport(
    source: IpAddr,
    destination: IpAddr,
    number: IpNumber,
    bytes: &[u8],
    missing: usize,
) -> Result<Packet<'_>, Skipped> {
    match number {
        IpNumber::UDP => {
            let header = UdpHeaderSlice::from_slice(bytes).map_err(|_| Skipped::Malformed)?;
            let said = usize::from(header.length());
            // 0 is a jumbogram's (RFC 2675): the IP header's length counts.
            let end = if said == 0 { bytes.len() } else { said.min(bytes.len()) };
            Ok(Packet {
                source: SocketAddr::new(source, header.source_port()),
                destination: SocketAddr::new(destination, header.destination_port()),
                tcp: None,
                payload: bytes.get(header.slice().len()..end).unwrap_or_default(),
                missing: missing.max(said.saturating_sub(bytes.len())),
            })
        }
        IpNumber::TCP => {
            let header = TcpHeaderSlice::from_slice(bytes).map_err(|_| Skipped::Malformed)?;
            Ok(Packet {
                source: SocketAddr::new(source, header.source_port()),
                destination: SocketAddr::new(destination, header.destination_port()),
                tcp: Some(Tcp {
                    syn: header.syn(),
                    ack: header.ack(),
                    rst: header.rst(),
                    sequence: header.sequence_number(),
                    acknowledgement: header.acknowledgment_number(),
                }),
                payload: &bytes[header.slice().len()..],
                missing,
            })
        }
        _ => Err(Skipped::Other),
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;
    use crate::rules::Time;

    fn check(link: Link, bytes: &[u8], expected: Result<(&str, &[u8], usize), Skipped>) {
        let read = read(&Frame { at: Time(0), link, bytes });
        let found = read.as_ref().map(|it| (it.source.to_string(), it.payload, it.missing));
        let expected =
            expected.map(|(source, payload, missing)| (source.to_owned(), payload, missing));
        assert_eq!(found.map_err(|skipped| *skipped), expected, "{link:?}");
    }

    #[test]
    fn every_link_type() {
        let mut ip = Vec::new();
        let builder = PacketBuilder::ipv4([198, 51, 100, 7], [192, 0, 2, 11], 64);
        builder.udp(5070, 5060).write(&mut ip, b"hello").unwrap();
        let expected = Ok(("198.51.100.7:5070", b"hello".as_slice(), 0));
        check(Link::Ip, &ip, expected);
        check(Link::Ethernet, &[&[0; 12], [8, 0].as_slice(), &ip].concat(), expected);
        let cooked = [0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0];
        check(Link::LinuxCooked, &[&cooked, ip.as_slice()].concat(), expected);
        let cooked2 = [&[8, 0], [0; 18].as_slice(), &ip].concat();
        check(Link::LinuxCooked2, &cooked2, expected);
        check(Link::Ip, &ip[..ip.len() - 2], Ok(("198.51.100.7:5070", b"hel", 2)));
        check(Link::Ip, &ip[..24], Err(Skipped::Malformed));
        check(Link::Ip, &[], Err(Skipped::Malformed));
        check(Link::LinuxCooked2, &cooked2[..9], Err(Skipped::Malformed));
        check(
            Link::Ethernet,
            &[&[0; 12], [8, 6].as_slice(), &[0; 28]].concat(),
            Err(Skipped::Other),
        );
    }

    #[test]
    fn fragments() {
        let mut ip = Vec::new();
        let builder = PacketBuilder::ipv4([198, 51, 100, 7], [192, 0, 2, 11], 64);
        builder.udp(5070, 5060).write(&mut ip, b"hello").unwrap();
        // 20 more bytes than there are: the rest of the datagram comes later.
        ip[6] = 0x20;
        ip[25] += 20;
        check(Link::Ip, &ip, Ok(("198.51.100.7:5070", b"hello", 20)));
        ip[7] = 4;
        check(Link::Ip, &ip, Err(Skipped::Fragment));
    }
}
