//! Geo: who is kept out for the country, but for answers to flows that were opened outward.

use sipprot_common::abi::*;
use sipprot_common::policy::{Action, Protection, action, geo_drops, geo_learns};
use sipprot_common::reason::Reason;
use sipprot_common::source::Address;
use sipprot_common::table::GEO;

use crate::maps::{self, Direction};
use crate::packet::{Packet, protocol};
use crate::work::Work;
use crate::{clock, flow};

/// What [`sipprot_geo`] answers.
pub const PASSES: u32 = 0;
pub const DROPS: u32 = 1;
/// It passes, and would have been dropped.
pub const OBSERVES: u32 = 2;

/// Spares nearly every packet the call.
#[inline(always)]
pub fn concerns(work: &Work, policy: &Policy, on_sip: bool) -> bool {
    policy.geo_mode != GEO_OFF
        && work.facts.known & GEO != 0
        && (policy.geo_scope == SCOPE_ALL || on_sip)
}

/// Judges the packet that comes in. A function of its own, which the verifier looks at by itself.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn sipprot_geo(index: u32) -> u32 {
    let Some(work) = maps::work_of(Direction::Ingress as u32) else { return PASSES };
    let (Some(config), Some(policy)) = (maps::config(), maps::policy(index)) else { return PASSES };
    let packet = &work.packet;
    let Some(country) = kept_out(&packet.source, config, policy) else { return PASSES };
    let (seed, now_ns) = (seed(config, policy, packet.protocol), clock::coarse_ns());
    if flow::answers(packet, seed, now_ns) {
        return PASSES;
    }
    let learning = if geo_learns(policy, country, now_ns) { Protection::Geo.bit() } else { 0 };
    match action(policy.mode, policy.observe | learning, Reason::Geo) {
        Action::Drop => {
            if let Some(count) = maps::country_count(country) {
                *count += 1;
            }
            DROPS
        }
        Action::Observe => {
            // What is answered to it opens nothing.
            flow::note_inward(packet, seed, now_ns);
            OBSERVES
        }
        Action::Pass => PASSES,
    }
}

/// Notes the flow of a packet that leaves, where answers to it would be kept out. A TCP connection is
/// noted whatever its country is today: it may outlive a change, and its SYN is not seen again.
#[inline(never)]
pub fn note_outward(packet: &Packet, config: &Config, policy: &Policy) {
    if policy.geo_mode == GEO_OFF {
        return;
    }
    let tcp = packet.protocol == protocol::TCP;
    if tcp || kept_out(&packet.destination, config, policy).is_some() {
        let seed = seed(config, policy, packet.protocol);
        flow::note_outward(packet, seed, clock::coarse_ns());
    }
}

/// The country for which an address is kept out, [`COUNTRY_UNKNOWN`] for one in no list.
#[inline(always)]
pub fn kept_out(address: &Address, config: &Config, policy: &Policy) -> Option<u32> {
    if address.is_local() {
        return None;
    }
    let country = country(address, config);
    if geo_drops(policy, country) { Some(country) } else { None }
}

/// A SYN says who opened a connection; of other flows that is known only since geo watches for it.
#[inline(always)]
pub fn seed(config: &Config, policy: &Policy, number: u32) -> u64 {
    if number == protocol::TCP { config.seed } else { config.seed ^ policy.geo_epoch as u64 }
}

#[inline(always)]
fn country(address: &Address, config: &Config) -> u32 {
    let generation = match maps::place_table() {
        Some(table) => match table.country(address) {
            Some(country) => return country,
            None => table.generation.get() as u32,
        },
        None => config.geo_generation,
    };
    maps::country(&ScopedAddress::new(generation, 0, *address))
}
