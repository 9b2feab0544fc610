//! Allow, deny, dynamic block and geo: what is decided by the source alone.

use sipprot_common::abi::*;
use sipprot_common::block;
use sipprot_common::policy::geo_drops;
use sipprot_common::source::Address;

use crate::clock;
use crate::maps::{self, List};
use crate::work::Packet;

/// Is the source on the host's list, or on this endpoint's own?
#[inline(always)]
fn find(list: List, address: &Address, generation: u32, policy: u32) -> Option<&'static ListEntry> {
    let host = maps::listed(list, &ScopedAddress::new(generation, 0, *address));
    if host.is_some() || policy == 0 {
        return host;
    }
    maps::listed(list, &ScopedAddress::new(generation, policy, *address))
}

#[inline(always)]
fn applies(entry: &ListEntry, on_sip: bool) -> bool {
    if entry.scope == SCOPE_SIP && !on_sip {
        return false;
    }
    entry.expires_ns == 0 || clock::coarse_ns() < entry.expires_ns
}

#[inline(never)]
pub fn is_allowed(packet: &Packet, config: &Config, policy: u32) -> bool {
    if config.flags & CONFIG_HAS_ALLOW == 0 {
        return false;
    }
    match find(List::Allow, &packet.source_literal, config.lists_generation, policy) {
        Some(entry) => applies(entry, true),
        None => false,
    }
}

#[inline(never)]
pub fn is_denied(packet: &Packet, config: &Config, policy: u32, on_sip: bool) -> bool {
    if config.flags & CONFIG_HAS_DENY == 0 {
        return false;
    }
    match find(List::Deny, &packet.source, config.lists_generation, policy) {
        Some(entry) => applies(entry, on_sip),
        None => false,
    }
}

/// The dynamic block that stops this packet: the host's, or the endpoint's own.
#[inline(always)]
pub fn blocked(
    packet: &Packet,
    policy: &Policy,
    index: u32,
    on_sip: bool,
) -> Option<&'static mut Block> {
    let mut found = maps::block(packet.source_key, 0);
    if found.is_none() && policy.own_blocks != 0 {
        found = maps::block(packet.source_key, index);
    }
    let found = found?;
    if found.scope == SCOPE_SIP && !on_sip {
        return None;
    }
    if block::in_force(found.expires_ns, clock::coarse_ns()) { Some(found) } else { None }
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
