//! Captures made in memory: packets by etherparse, SIP by hand, one packet a millisecond.

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    EtherType, Ethernet2Header, IpNumber, Ipv4Header, Ipv6Header, SingleVlanHeader, TcpHeader,
    UdpHeader, VlanId,
};

const MILLISECOND: u64 = 1_000_000;
/// 2026-02-28 12:00:00 UTC.
const START: u64 = 1_772_280_000 * 1_000 * MILLISECOND;

/// A pcap file as it is written: little endian, microseconds, Ethernet.
pub struct Recording {
    pub bytes: Vec<u8>,
    pub now_ns: u64,
    /// Tags of each frame.
    pub vlans: u16,
}

impl Recording {
    pub fn new() -> Self {
        let header: [u32; 6] = [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 262_144, 1];
        let bytes = header.iter().flat_map(|word| word.to_le_bytes()).collect();
        Self { bytes, now_ns: START, vlans: 0 }
    }

    pub fn tagged(vlans: u16) -> Self {
        Self { vlans, ..Self::new() }
    }

    pub fn wait(&mut self, milliseconds: u64) {
        self.now_ns += milliseconds * MILLISECOND;
    }

    pub fn frame(&mut self, frame: &[u8]) {
        self.wait(1);
        let (seconds, micros) = (self.now_ns / 1_000_000_000, self.now_ns / 1_000 % 1_000_000);
        let length = frame.len() as u64;
        for word in [seconds, micros, length, length] {
            self.bytes.extend((word as u32).to_le_bytes());
        }
        self.bytes.extend(frame);
    }

    pub fn udp(&mut self, from: &str, to: &str, text: &str) {
        let (from, to) = (address(from), address(to));
        let header = UdpHeader {
            source_port: from.port(),
            destination_port: to.port(),
            length: 8 + text.len() as u16,
            checksum: 0,
        };
        let frame = ip(
            self.vlans,
            from,
            to,
            IpNumber::UDP,
            &[&header.to_bytes(), text.as_bytes()].concat(),
        );
        self.frame(&frame);
    }

    fn tcp(&mut self, from: SocketAddr, to: SocketAddr, header: &TcpHeader, payload: &[u8]) {
        let segment = [header.to_bytes().as_slice(), payload].concat();
        let frame = ip(self.vlans, from, to, IpNumber::TCP, &segment);
        self.frame(&frame);
    }
}

fn ip(vlans: u16, from: SocketAddr, to: SocketAddr, number: IpNumber, inner: &[u8]) -> Vec<u8> {
    let (kind, header) = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let header =
                Ipv4Header::new(inner.len() as u16, 64, number, from.octets(), to.octets());
            (EtherType::IPV4, header.unwrap().to_bytes().to_vec())
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let header = Ipv6Header {
                payload_length: inner.len() as u16,
                next_header: number,
                hop_limit: 64,
                source: from.octets(),
                destination: to.octets(),
                ..Ipv6Header::default()
            };
            (EtherType::IPV6, header.to_bytes().to_vec())
        }
        _ => panic!("two families"),
    };
    let outer = match vlans {
        0 => kind,
        1 => EtherType::VLAN_TAGGED_FRAME,
        _ => EtherType::PROVIDER_BRIDGING,
    };
    let link = Ethernet2Header { ether_type: outer, ..Ethernet2Header::default() };
    let mut frame = link.to_bytes().to_vec();
    for tag in 0..vlans {
        let ether_type = if tag + 1 < vlans { EtherType::VLAN_TAGGED_FRAME } else { kind };
        let vlan_id = VlanId::try_new(100 + tag).unwrap();
        let tag = SingleVlanHeader { vlan_id, ether_type, ..SingleVlanHeader::default() };
        frame.extend(tag.to_bytes());
    }
    [frame, header, inner.to_vec()].concat()
}

pub fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A TCP connection from a client to a PBX, both acknowledging what they got.
pub struct Connection {
    ends: [SocketAddr; 2],
    next: [u32; 2],
}

impl Connection {
    /// With its handshake.
    pub fn open(recording: &mut Recording, client: &str, server: &str) -> Self {
        let ends = [address(client), address(server)];
        // Near the end of the sequence numbers: they wrap in the middle of it.
        let mut connection = Self { ends, next: [u32::MAX - 700, u32::MAX - 300] };
        connection.segment(recording, 0, &[], |header| (header.syn, header.ack) = (true, false));
        connection.next[0] = connection.next[0].wrapping_add(1);
        connection.segment(recording, 1, &[], |header| header.syn = true);
        connection.next[1] = connection.next[1].wrapping_add(1);
        connection.segment(recording, 0, &[], |_| {});
        connection
    }

    fn segment(
        &mut self,
        recording: &mut Recording,
        side: usize,
        payload: &[u8],
        change: impl FnOnce(&mut TcpHeader),
    ) {
        let (from, to) = (self.ends[side], self.ends[1 - side]);
        let mut header = TcpHeader::new(from.port(), to.port(), self.next[side], 65_535);
        header.acknowledgment_number = self.next[1 - side];
        header.ack = true;
        change(&mut header);
        recording.tcp(from, to, &header, payload);
    }

    /// Sends it in pieces; side 0 is the client.
    pub fn send(&mut self, recording: &mut Recording, side: usize, text: &str, piece: usize) {
        for piece in text.as_bytes().chunks(piece) {
            self.segment(recording, side, piece, |_| {});
            self.next[side] = self.next[side].wrapping_add(piece.len() as u32);
            self.segment(recording, 1 - side, &[], |_| {});
        }
    }

    /// Sends pieces the last first, and each twice.
    pub fn send_shuffled(&mut self, recording: &mut Recording, side: usize, text: &str) {
        let start = self.next[side];
        for (number, piece) in
            text.as_bytes().chunks(100).enumerate().collect::<Vec<_>>().iter().rev()
        {
            for _ in 0..2 {
                self.next[side] = start.wrapping_add(*number as u32 * 100);
                self.segment(recording, side, piece, |_| {});
            }
        }
        self.next[side] = start.wrapping_add(text.len() as u32);
        self.segment(recording, 1 - side, &[], |_| {});
    }
}

/// A REGISTER and what is answered to it.
#[derive(Clone, Copy)]
pub struct Register<'a> {
    pub user: &'a str,
    pub cseq: u32,
    /// Nonce and response.
    pub credentials: Option<(&'a str, &'a str)>,
    pub agent: &'a str,
    pub call: &'a str,
}

impl Register<'_> {
    pub fn text(&self) -> String {
        let Self { user, cseq, agent, call, .. } = self;
        let credentials = self.credentials.map_or(String::new(), |(nonce, response)| {
            format!(
                "Authorization: Digest username=\"{user}\", realm=\"pbx\", nonce=\"{nonce}\", \
                 uri=\"sip:pbx\", response=\"{response}\"\r\n"
            )
        });
        format!(
            "REGISTER sip:pbx SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK{call}{cseq};rport\r\n\
             From: <sip:{user}@pbx>;tag=1\r\nTo: <sip:{user}@pbx>\r\nCall-ID: {call}\r\n\
             CSeq: {cseq} REGISTER\r\n{credentials}User-Agent: {agent}\r\nContent-Length: 0\r\n\r\n"
        )
    }

    pub fn answer(&self, status: &str, nonce: Option<&str>) -> String {
        let Self { user, cseq, call, .. } = self;
        let challenge = nonce.map_or(String::new(), |nonce| {
            format!("WWW-Authenticate: Digest realm=\"pbx\", nonce=\"{nonce}\"\r\n")
        });
        format!(
            "SIP/2.0 {status}\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK{call}{cseq};rport=1\r\n\
             From: <sip:{user}@pbx>;tag=1\r\nTo: <sip:{user}@pbx>;tag=2\r\nCall-ID: {call}\r\n\
             CSeq: {cseq} REGISTER\r\n{challenge}Content-Length: 0\r\n\r\n"
        )
    }
}
