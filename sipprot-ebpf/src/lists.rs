//! Allow, deny, dynamic block and geo: what is decided by the source alone.

use sipprot_common::abi::*;
use sipprot_common::block;
use sipprot_common::policy::geo_drops;
use sipprot_common::source::Address;

use crate::clock;
use crate::maps::{self, List};
use crate::packet::Packet;

/// Is an entry of the host's list in force, or one of this endpoint's own?
#[inline(always)]
fn find(list: List, address: &Address, generation: u32, policy: u32, on_sip: bool) -> bool {
    if applies(maps::listed(list, &ScopedAddress::new(generation, 0, *address)), on_sip) {
        return true;
    }
    policy != 0
        && applies(maps::listed(list, &ScopedAddress::new(generation, policy, *address)), on_sip)
}

#[inline(always)]
fn applies(entry: Option<&ListEntry>, on_sip: bool) -> bool {
    let Some(entry) = entry else { return false };
    if entry.scope == SCOPE_SIP && !on_sip {
        return false;
    }
    entry.expires_ns == 0 || clock::coarse_ns() < entry.expires_ns
}

#[inline(never)]
pub fn is_allowed(packet: &Packet, config: &Config, policy: u32) -> bool {
    config.flags & CONFIG_HAS_ALLOW != 0
        && find(List::Allow, &packet.source_literal, config.lists_generation, policy, true)
}

#[inline(never)]
pub fn is_denied(packet: &Packet, config: &Config, policy: u32, on_sip: bool) -> bool {
    config.flags & CONFIG_HAS_DENY != 0
        && find(List::Deny, &packet.source, config.lists_generation, policy, on_sip)
}

/// The dynamic block that stops this packet: the host's, or the endpoint's own.
#[inline(always)]
pub fn blocked(
    packet: &Packet,
    policy: &Policy,
    index: u32,
    on_sip: bool,
) -> Option<&'static mut Block> {
    let host = maps::block(packet.source_key, 0).filter(|block| stops(block, on_sip));
    if host.is_some() || policy.own_blocks == 0 {
        return host;
    }
    maps::block(packet.source_key, index).filter(|block| stops(block, on_sip))
}

#[inline(always)]
fn stops(block: &Block, on_sip: bool) -> bool {
    (block.scope == SCOPE_ALL || on_sip) && block::in_force(block.expires_ns, clock::coarse_ns())
}

/// The country for which a packet is kept out, [`COUNTRY_UNKNOWN`] for one in no list.
#[inline(never)]
pub fn geo(packet: &Packet, config: &Config, policy: &Policy) -> Option<u32> {
    if policy.geo_mode == GEO_OFF || packet.source.is_local() {
        return None;
    }
    let country = maps::country(&ScopedAddress::new(config.geo_generation, 0, packet.source));
    if geo_drops(policy, country) { Some(country) } else { None }
}
