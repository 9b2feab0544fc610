//! Reads the headers below SIP: one cursor, both address families, both transports.

use core::arch::asm;

use sipprot_common::reason::Reason;
use sipprot_common::source::Address;

/// VLAN tags that are followed (802.1Q, 802.1ad).
const VLAN_TAGS_MAX: usize = 2;
/// IPv6 extension headers that are followed.
const EXTENSIONS_MAX: usize = 6;
pub const SYN: u32 = 0x02;
/// No transport header begins behind this offset.
const TRANSPORT_MAX: u64 = 1023;

#[derive(Clone, Copy, PartialEq, Eq)]
struct EtherType(u16);

impl EtherType {
    const IPV4: Self = Self(0x0800);
    const IPV6: Self = Self(0x86dd);
    const VLAN: Self = Self(0x8100);
    const QINQ: Self = Self(0x88a8);
}

/// IP protocol numbers.
pub mod protocol {
    pub const ICMP: u32 = 1;
    pub const TCP: u32 = 6;
    pub const UDP: u32 = 17;
    pub const ICMPV6: u32 = 58;
    pub const HOP_BY_HOP: u32 = 0;
    pub const ROUTING: u32 = 43;
    pub const FRAGMENT: u32 = 44;
    pub const AUTHENTICATION: u32 = 51;
    pub const DESTINATION_OPTIONS: u32 = 60;
}

/// What the headers below SIP say.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Packet {
    /// Canonical: what counting, blocking and denying go by.
    pub source: Address,
    /// As on the wire: what allowing goes by.
    pub source_literal: Address,
    pub destination: Address,
    pub source_key: u64,
    pub protocol: u32,
    /// [`NOT_FRAGMENTED`], [`FIRST_FRAGMENT`] or [`LATER_FRAGMENT`].
    pub fragment: u32,
    /// Offset of the transport header from the frame's start.
    pub transport: u32,
    pub source_port: u32,
    pub destination_port: u32,
    pub payload: u32,
    pub payload_len: u32,
    pub tcp_flags: u32,
    pub sequence: u32,
    pub acknowledgement: u32,
    pub icmp_type: u32,
    /// 1: more IPv6 extension headers than are followed; only the addresses are known.
    pub beyond: u32,
}

pub const NOT_FRAGMENTED: u32 = 0;
pub const FIRST_FRAGMENT: u32 = 1;
pub const LATER_FRAGMENT: u32 = 2;

/// Keeps the mask beside the use, where the verifier looks for it.
#[inline(always)]
pub fn bounded<const MASK: i32>(value: u64) -> u64 {
    let mut masked = value;
    // SAFETY: arithmetic only.
    unsafe {
        asm!("{x} &= {m}", x = inout(reg) masked, m = const MASK, options(pure, nomem, nostack))
    };
    masked
}

/// The element at `index`, wrapped to an array whose length is a power of two: no check that could
/// fail, and no panic in the object.
#[inline(always)]
pub fn slot<const LENGTH: usize, T>(array: &mut [T; LENGTH], index: u64) -> &mut T {
    const { assert!(LENGTH.is_power_of_two()) };
    let mut masked = index;
    // SAFETY: arithmetic only.
    unsafe {
        asm!("{x} &= {m}", x = inout(reg) masked, m = const LENGTH as i32 - 1,
            options(pure, nomem, nostack))
    };
    // SAFETY: masked to the length.
    unsafe { array.get_unchecked_mut(masked as usize) }
}

/// A frame between two pointers. Every read checks its bounds, beside the load.
#[derive(Clone, Copy)]
pub struct Cursor {
    start: usize,
    end: usize,
    /// Of the whole frame: TC may let only its beginning be read directly.
    length: u64,
}

macro_rules! load {
    ($name:ident, $type:ty, $size:literal, $asm:literal) => {
        /// In host order.
        #[inline(always)]
        pub fn $name(&self, offset: u64) -> Option<$type> {
            let place = self.place(offset, $size)?;
            let value: u64;
            // SAFETY: `place` checked that $size bytes lie before the end. One load: the compiler
            // would make one per byte of an unaligned read.
            unsafe {
                asm!($asm, d = out(reg) value, p = in(reg) place, options(pure, readonly, nostack))
            };
            Some(<$type>::from_be(value as $type))
        }
    };
}

impl Cursor {
    pub const fn new(start: usize, end: usize, length: u64) -> Self {
        Self { start, end, length }
    }

    #[inline(always)]
    fn place(&self, offset: u64, size: usize) -> Option<usize> {
        let mut place = self.start;
        // SAFETY: arithmetic only. In assembly, so that the check below is of this very register.
        unsafe {
            asm!("{p} += {o}", p = inout(reg) place, o = in(reg) offset,
                options(pure, nomem, nostack))
        };
        if place + size > self.end { None } else { Some(place) }
    }

    load!(u8, u8, 1, "{d} = *(u8 *)({p} + 0)");
    load!(u16, u16, 2, "{d} = *(u16 *)({p} + 0)");
    load!(u32, u32, 4, "{d} = *(u32 *)({p} + 0)");
    load!(u64, u64, 8, "{d} = *(u64 *)({p} + 0)");

    #[inline(always)]
    fn len(&self) -> u64 {
        self.length
    }
}

/// What the network header led to.
struct Network {
    transport: u64,
    /// Where the IP packet ends, padding of the frame left out.
    end: u64,
    protocol: u32,
    fragment: u32,
    /// 1: more extension headers than we follow; what lies behind them is unknown.
    beyond: u32,
}

/// Reads the frame's headers into `packet`. `Some` is the reason why that ended before a judgement
/// could be made; such packets pass.
#[inline(never)]
pub fn read(start: usize, end: usize, length: u64, packet: &mut Packet) -> Option<Reason> {
    read_into(Cursor::new(start, end, length), packet).err()
}

#[inline(always)]
fn read_into(frame: Cursor, packet: &mut Packet) -> Result<(), Reason> {
    packet.fragment = NOT_FRAGMENTED;
    let (ether_type, offset) = ethernet(frame)?;
    let network = match ether_type {
        EtherType::IPV4 => ipv4(frame, offset, packet)?,
        EtherType::IPV6 => ipv6(frame, offset, packet)?,
        _ => return Err(Reason::NotIp),
    };
    if network.transport > frame.len() {
        return Err(Reason::Truncated);
    }
    packet.source_key = packet.source.key().0;
    packet.protocol = network.protocol;
    packet.fragment = network.fragment;
    packet.transport = network.transport as u32;
    packet.source_port = 0;
    packet.destination_port = 0;
    packet.payload_len = 0;
    packet.tcp_flags = 0;
    packet.icmp_type = 0;
    packet.beyond = network.beyond;
    if network.fragment == LATER_FRAGMENT || network.beyond != 0 {
        return Ok(());
    }
    match network.protocol {
        protocol::UDP | protocol::TCP => transport(frame, &network, packet),
        protocol::ICMP | protocol::ICMPV6 => {
            let at = bounded::<{ TRANSPORT_MAX as i32 }>(network.transport);
            packet.icmp_type = frame.u8(at).ok_or(Reason::Truncated)? as u32;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Is what can't be read the TCP header of a first fragment, cut in two by its sender (RFC 1858)? Then
/// what isn't there is taken for the worst: it opens a connection.
#[inline(always)]
pub fn is_cut_in_two(packet: &mut Packet) -> bool {
    if packet.fragment != FIRST_FRAGMENT || packet.protocol != protocol::TCP {
        return false;
    }
    if packet.tcp_flags == 0 {
        packet.tcp_flags = SYN;
    }
    packet.sequence = 0;
    true
}

#[inline(always)]
fn ethernet(frame: Cursor) -> Result<(EtherType, u64), Reason> {
    let mut ether_type = EtherType(frame.u16(12).ok_or(Reason::Truncated)?);
    let mut offset = 14;
    for _ in 0..VLAN_TAGS_MAX {
        if ether_type != EtherType::VLAN && ether_type != EtherType::QINQ {
            break;
        }
        ether_type = EtherType(frame.u16(offset + 2).ok_or(Reason::Truncated)?);
        offset += 4;
    }
    if ether_type == EtherType::VLAN || ether_type == EtherType::QINQ {
        return Err(Reason::TooManyHeaders);
    }
    Ok((ether_type, offset))
}

#[inline(always)]
fn ipv4(frame: Cursor, offset: u64, packet: &mut Packet) -> Result<Network, Reason> {
    let first = frame.u8(offset).ok_or(Reason::Truncated)?;
    let header_len = (first & 15) as u64 * 4;
    if first >> 4 != 4 || header_len < 20 {
        return Err(Reason::BadHeader);
    }
    let total_len = frame.u16(offset + 2).ok_or(Reason::Truncated)? as u64;
    let fragment = frame.u16(offset + 6).ok_or(Reason::Truncated)?;
    let protocol = frame.u8(offset + 9).ok_or(Reason::Truncated)? as u32;
    let source = frame.u32(offset + 12).ok_or(Reason::Truncated)?;
    let destination = frame.u32(offset + 16).ok_or(Reason::Truncated)?;
    packet.source = Address::from_v4(source);
    packet.source_literal = packet.source;
    packet.destination = Address::from_v4(destination);
    if total_len < header_len {
        return Err(Reason::BadHeader);
    }
    let fragment = match (fragment & 0x1fff, fragment & 0x2000) {
        (0, 0) => NOT_FRAGMENTED,
        (0, _) => FIRST_FRAGMENT,
        _ => LATER_FRAGMENT,
    };
    let (transport, end) = (offset + header_len, offset + total_len);
    Ok(Network { transport, end, protocol, fragment, beyond: 0 })
}

#[inline(always)]
fn ipv6(frame: Cursor, offset: u64, packet: &mut Packet) -> Result<Network, Reason> {
    let first = frame.u8(offset).ok_or(Reason::Truncated)?;
    if first >> 4 != 6 {
        return Err(Reason::BadHeader);
    }
    let payload_len = frame.u16(offset + 4).ok_or(Reason::Truncated)? as u64;
    let mut protocol = frame.u8(offset + 6).ok_or(Reason::Truncated)? as u32;
    let word = |at| frame.u64(offset + at).ok_or(Reason::Truncated);
    let (high, low) = (word(8)?, word(16)?);
    packet.source = Address::canonical(high, low);
    packet.source_literal = Address::from_halves(high, low);
    packet.destination = Address::canonical(word(24)?, word(32)?);
    let mut transport = offset + 40;
    let end = transport + payload_len;
    let mut fragment = NOT_FRAGMENTED;
    for _ in 0..EXTENSIONS_MAX {
        if !is_extension(protocol) {
            return Ok(Network { transport, end, protocol, fragment, beyond: 0 });
        }
        let at = bounded::<{ TRANSPORT_MAX as i32 }>(transport);
        let next = frame.u8(at).ok_or(Reason::Truncated)? as u32;
        let units = frame.u8(at + 1).ok_or(Reason::Truncated)? as u64;
        transport += match protocol {
            protocol::FRAGMENT => {
                let place = frame.u16(at + 2).ok_or(Reason::Truncated)?;
                if place >> 3 != 0 {
                    fragment = LATER_FRAGMENT;
                } else if place & 1 != 0 {
                    fragment = FIRST_FRAGMENT;
                }
                8
            }
            protocol::AUTHENTICATION => units * 4 + 8,
            _ => units * 8 + 8,
        };
        protocol = next;
        if transport > TRANSPORT_MAX {
            return Ok(Network { transport: offset, end, protocol, fragment, beyond: 1 });
        }
        if fragment == LATER_FRAGMENT {
            return Ok(Network { transport, end, protocol, fragment, beyond: 0 });
        }
    }
    let beyond = is_extension(protocol) as u32;
    Ok(Network { transport, end, protocol, fragment, beyond })
}

#[inline(always)]
const fn is_extension(protocol: u32) -> bool {
    matches!(
        protocol,
        protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::FRAGMENT
            | protocol::AUTHENTICATION
            | protocol::DESTINATION_OPTIONS
    )
}

/// UDP and TCP: ports, and where the payload lies.
#[inline(always)]
fn transport(frame: Cursor, network: &Network, packet: &mut Packet) -> Result<(), Reason> {
    let at = bounded::<{ TRANSPORT_MAX as i32 }>(network.transport);
    let mut end = if network.end < frame.len() { network.end } else { frame.len() };
    packet.source_port = frame.u16(at).ok_or(Reason::Truncated)? as u32;
    packet.destination_port = frame.u16(at + 2).ok_or(Reason::Truncated)? as u32;
    let header_len = if network.protocol == protocol::TCP {
        packet.sequence = frame.u32(at + 4).ok_or(Reason::Truncated)?;
        packet.acknowledgement = frame.u32(at + 8).ok_or(Reason::Truncated)?;
        let words = (frame.u8(at + 12).ok_or(Reason::Truncated)? >> 4) as u64;
        packet.tcp_flags = frame.u8(at + 13).ok_or(Reason::Truncated)? as u32;
        if words < 5 {
            return Err(Reason::BadHeader);
        }
        words * 4
    } else {
        // 0 is a jumbogram's (RFC 2675): the IP header's length counts.
        let length = frame.u16(at + 4).ok_or(Reason::Truncated)? as u64;
        if length != 0 && length < 8 {
            return Err(Reason::BadHeader);
        }
        if length != 0 && at + length < end {
            end = at + length;
        }
        8
    };
    let payload = at + header_len;
    if payload > frame.len() {
        return Err(Reason::Truncated);
    }
    packet.payload = payload as u32;
    packet.payload_len = if end > payload { (end - payload) as u32 } else { 0 };
    Ok(())
}

/// ICMP errors by type: destination unreachable, packet too big, time exceeded, parameter problem.
#[inline(always)]
pub fn is_icmp_error(packet: &Packet) -> bool {
    match packet.protocol {
        protocol::ICMP => matches!(packet.icmp_type, 3 | 11 | 12),
        protocol::ICMPV6 => (1..=4).contains(&packet.icmp_type),
        _ => false,
    }
}

/// Neighbour discovery and router advertisement (RFC 4861): types 133 to 137, over IPv6 only.
///
/// An address inside a tunnelled one is canonical and looks like IPv4; none of those is on a link.
#[inline(always)]
pub fn is_neighbour_discovery(packet: &Packet) -> bool {
    packet.protocol == protocol::ICMPV6
        && (133..=137).contains(&packet.icmp_type)
        && !packet.source_literal.is_v4()
}

/// The flow that an ICMP error quotes, as the ends saw it when we sent: ours first.
#[inline(never)]
pub fn quoted_ports(start: usize, end: usize, packet: &Packet, quoted: &mut Quoted) -> bool {
    read_quoted(Cursor::new(start, end, (end - start) as u64), packet, quoted).is_some()
}

/// Of a packet inside an ICMP error.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Quoted {
    pub remote: Address,
    pub protocol: u32,
    pub local_port: u32,
    pub remote_port: u32,
    pub pad: u32,
}

#[inline(always)]
fn read_quoted(frame: Cursor, packet: &Packet, quoted: &mut Quoted) -> Option<()> {
    let inner = bounded::<{ TRANSPORT_MAX as i32 }>(packet.transport as u64) + 8;
    let ports = if packet.protocol == protocol::ICMP {
        let header_len = (frame.u8(inner)? & 15) as u64 * 4;
        quoted.protocol = frame.u8(inner + 9)? as u32;
        quoted.remote = Address::from_v4(frame.u32(inner + 16)?);
        inner + header_len
    } else {
        quoted.protocol = frame.u8(inner + 6)? as u32;
        quoted.remote = Address::canonical(frame.u64(inner + 24)?, frame.u64(inner + 32)?);
        inner + 40
    };
    quoted.local_port = frame.u16(ports)? as u32;
    quoted.remote_port = frame.u16(ports + 2)? as u32;
    Some(())
}
