//! Frames, header by header. What a builder writes is right; tests break the bytes afterwards.

use std::net::{IpAddr, SocketAddr};

use etherparse::{IpNumber, Ipv4Header, Ipv4Options, Ipv6Header, TcpHeader, UdpHeader};

/// IP protocol numbers of the headers that frames are made of.
pub mod protocol {
    pub const HOP_BY_HOP: u8 = 0;
    pub const ICMP: u8 = 1;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const GRE: u8 = 47;
    pub const ESP: u8 = 50;
    pub const AUTHENTICATION: u8 = 51;
    pub const ICMPV6: u8 = 58;
    pub const DESTINATION_OPTIONS: u8 = 60;
}

pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const PSH: u8 = 0x08;
pub const ACK: u8 = 0x10;

const VLAN: u16 = 0x8100;
const QINQ: u16 = 0x88a8;

/// A packet and its Ethernet frame.
#[derive(Clone)]
pub struct Frame {
    source: SocketAddr,
    destination: SocketAddr,
    vlans: Vec<u16>,
    ipv4_options: usize,
    extensions: Vec<(u8, Vec<u8>)>,
    fragment: Option<(u16, bool)>,
    transport: Transport,
    payload: Vec<u8>,
}

#[derive(Clone)]
enum Transport {
    Udp,
    Tcp {
        flags: u8,
        sequence: u32,
        acknowledgement: u32,
    },
    /// Anything else: the payload begins right behind the network header.
    Other(u8),
}

fn address(text: &str) -> SocketAddr {
    text.parse()
        .or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0)))
        .expect("an address, with or without a port")
}

impl Frame {
    fn new(source: &str, destination: &str, transport: Transport) -> Self {
        Self {
            source: address(source),
            destination: address(destination),
            vlans: Vec::new(),
            ipv4_options: 0,
            extensions: Vec::new(),
            fragment: None,
            transport,
            payload: Vec::new(),
        }
    }

    /// Both as `address:port`.
    pub fn udp(source: &str, destination: &str) -> Self {
        Self::new(source, destination, Transport::Udp)
    }

    pub fn tcp(source: &str, destination: &str) -> Self {
        let transport = Transport::Tcp { flags: PSH | ACK, sequence: 1, acknowledgement: 1 };
        Self::new(source, destination, transport)
    }

    /// A packet of another IP protocol; ports, if given, are ignored.
    pub fn ip(source: &str, destination: &str, protocol: u8) -> Self {
        Self::new(source, destination, Transport::Other(protocol))
    }

    pub fn payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.payload = payload.into();
        self
    }

    /// `flags`, sequence and acknowledgement number of a TCP segment.
    pub fn segment(mut self, flags: u8, sequence: u32, acknowledgement: u32) -> Self {
        self.transport = Transport::Tcp { flags, sequence, acknowledgement };
        self
    }

    /// So many VLAN tags, the outermost of two or more an 802.1ad one.
    pub fn vlans(mut self, tags: usize) -> Self {
        self.vlans = (0..tags).map(|at| if at + 1 < tags { QINQ } else { VLAN }).collect();
        self
    }

    /// Words of IPv4 options, 0 to 10.
    pub fn ipv4_options(mut self, words: usize) -> Self {
        self.ipv4_options = words;
        self
    }

    /// An IPv6 extension header: its number, and its bytes from the third on.
    pub fn extension(mut self, number: u8, body: &[u8]) -> Self {
        self.extensions.push((number, body.to_vec()));
        self
    }

    /// Makes it a fragment that begins at `offset` (in units of eight bytes), with more to come.
    pub fn fragment(mut self, offset: u16, more: bool) -> Self {
        self.fragment = Some((offset, more));
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut frame = vec![0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1];
        for tag in &self.vlans {
            frame.extend(tag.to_be_bytes());
            frame.extend([0, 7]);
        }
        let transport = self.transport_bytes();
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                frame.extend([0x08, 0x00]);
                frame.extend(self.ipv4(source.octets(), destination.octets(), transport.len()));
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                frame.extend([0x86, 0xdd]);
                frame.extend(self.ipv6(source.octets(), destination.octets(), transport.len()));
            }
            _ => panic!("both addresses are of one family"),
        }
        frame.extend(transport);
        frame
    }

    fn protocol(&self) -> u8 {
        match self.transport {
            Transport::Udp => protocol::UDP,
            Transport::Tcp { .. } => protocol::TCP,
            Transport::Other(number) => number,
        }
    }

    fn ipv4(&self, source: [u8; 4], destination: [u8; 4], payload_len: usize) -> Vec<u8> {
        let number = IpNumber(self.protocol());
        let mut header = Ipv4Header::new(payload_len as u16, 64, number, source, destination)
            .expect("a payload that fits");
        let mut options = Ipv4Options::default();
        if self.ipv4_options > 0 {
            let end_of_options = vec![0; self.ipv4_options * 4];
            options = end_of_options.as_slice().try_into().expect("at most ten words");
        }
        header.options = options;
        header.total_len = (20 + self.ipv4_options * 4 + payload_len) as u16;
        if let Some((offset, more)) = self.fragment {
            header.dont_fragment = false;
            header.fragment_offset = offset.try_into().expect("13 bits");
            header.more_fragments = more;
        }
        header.header_checksum = header.calc_header_checksum();
        header.to_bytes().to_vec()
    }

    fn ipv6(&self, source: [u8; 16], destination: [u8; 16], payload_len: usize) -> Vec<u8> {
        let mut extensions = self.extensions.clone();
        if let Some((offset, more)) = self.fragment {
            let place = (offset << 3) | more as u16;
            let [high, low] = place.to_be_bytes();
            extensions.push((protocol::FRAGMENT, vec![high, low, 0, 0, 0, 9]));
        }
        let mut chain = Vec::new();
        for (at, (number, body)) in extensions.iter().enumerate() {
            let next = extensions.get(at + 1).map_or(self.protocol(), |(number, _)| *number);
            let length = body.len() + 2;
            let units = match *number {
                protocol::FRAGMENT => 0,
                protocol::AUTHENTICATION => length / 4 - 2,
                _ => length / 8 - 1,
            };
            chain.extend([next, units as u8]);
            chain.extend(body);
        }
        let first = extensions.first().map_or(self.protocol(), |(number, _)| *number);
        let header = Ipv6Header {
            payload_length: (chain.len() + payload_len) as u16,
            next_header: IpNumber(first),
            hop_limit: 64,
            source,
            destination,
            ..Ipv6Header::default()
        };
        [header.to_bytes().as_slice(), &chain].concat()
    }

    fn transport_bytes(&self) -> Vec<u8> {
        if matches!(self.fragment, Some((1.., _))) {
            // A later fragment goes on with the payload.
            return self.payload.clone();
        }
        let (source, destination) = (self.source.port(), self.destination.port());
        let header = match self.transport {
            Transport::Udp => UdpHeader {
                source_port: source,
                destination_port: destination,
                length: (8 + self.payload.len()) as u16,
                checksum: 0,
            }
            .to_bytes()
            .to_vec(),
            Transport::Tcp { flags, sequence, acknowledgement } => {
                let mut header = TcpHeader::new(source, destination, sequence, 65_000);
                header.acknowledgment_number = acknowledgement;
                header.syn = flags & SYN != 0;
                header.rst = flags & RST != 0;
                header.psh = flags & PSH != 0;
                header.ack = flags & ACK != 0;
                header.to_bytes().to_vec()
            }
            Transport::Other(_) => Vec::new(),
        };
        [header, self.payload.clone()].concat()
    }
}
