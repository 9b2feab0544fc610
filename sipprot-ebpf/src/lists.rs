//! Allow, deny and dynamic block: what is decided by the source alone.
//!
//! [`look`] asks the compiled tables once; only where these point there are the tries asked, too.

use sipprot_common::abi::*;
use sipprot_common::block;
use sipprot_common::source::Address;
use sipprot_common::table::{ASK, GEO, KNOWN, LISTED, Strangers};

use crate::clock;
use crate::maps::{self, List};
use crate::work::Work;

/// Asks the tables what they know of the source. Without them the tries are asked for everything.
///
/// Part of its caller: Linux 6.1 takes every number before a call for one that matters, and goes through
/// what follows several times.
#[inline(always)]
pub fn look(work: &mut Work, config: &Config, strangers: &Strangers) {
    let packet = &work.packet;
    let (bits, generation) = match maps::list_table() {
        Some(table) => {
            // The allowlist goes by the literal address: where it is another one, it is asked.
            let elsewhere = if packet.source_literal == packet.source { 0 } else { ASK };
            (table.look(&packet.source) | elsewhere, table.generation.get() as u32)
        }
        None => {
            let listed = config.flags & (CONFIG_HAS_ALLOW | CONFIG_HAS_DENY) != 0;
            (if listed { ASK | GEO } else { GEO }, config.lists_generation)
        }
    };
    let known = KNOWN - KNOWN * strangers.has(packet.source_key, config.seed) as u32;
    work.facts.known = bits | known;
    work.facts.generation = generation;
}

/// Is an entry of the host's list in force, or one of this endpoint's own?
#[inline(always)]
fn find(list: List, address: &Address, generation: u32, policy: u32, scopes: u8) -> bool {
    if applies(maps::listed(list, &ScopedAddress::new(generation, 0, *address)), scopes) {
        return true;
    }
    policy != 0
        && applies(maps::listed(list, &ScopedAddress::new(generation, policy, *address)), scopes)
}

#[inline(always)]
fn applies(entry: Option<&ListEntry>, scopes: u8) -> bool {
    let Some(entry) = entry else { return false };
    if !covers(entry.scope, scopes) {
        return false;
    }
    entry.expires_ns == 0 || (clock::coarse_ns() < entry.expires_ns) != (entry.scope == SCOPE_LATER)
}

#[inline(always)]
pub fn is_allowed(work: &Work, policy: u32) -> bool {
    work.facts.known & ASK != 0 && find_allowed(work, policy)
}

#[inline(never)]
fn find_allowed(work: &Work, policy: u32) -> bool {
    let scopes = SCOPE_SIP | SCOPE_LATER;
    find(List::Allow, &work.packet.source_literal, work.facts.generation, policy, scopes)
}

#[inline(always)]
pub fn is_denied(work: &Work, policy: u32, scopes: u8) -> bool {
    work.facts.known & LISTED != 0
        || work.facts.known & ASK != 0 && find_denied(work, policy, scopes)
}

#[inline(never)]
fn find_denied(work: &Work, policy: u32, scopes: u8) -> bool {
    find(List::Deny, &work.packet.source, work.facts.generation, policy, scopes)
}

/// The dynamic block that stops this packet: the host's, or the endpoint's own.
#[inline(always)]
pub fn blocked(work: &Work, policy: &Policy, index: u32, scopes: u8) -> Option<&'static mut Block> {
    if work.facts.known & KNOWN == 0 {
        return None;
    }
    let packet = &work.packet;
    let host = maps::block(packet.source_key, 0).filter(|block| stops(block, scopes));
    if host.is_some() || policy.own_blocks == 0 {
        return host;
    }
    maps::block(packet.source_key, index).filter(|block| stops(block, scopes))
}

#[inline(always)]
fn stops(block: &Block, scopes: u8) -> bool {
    covers(block.scope, scopes) && block::in_force(block.expires_ns, clock::coarse_ns())
}
