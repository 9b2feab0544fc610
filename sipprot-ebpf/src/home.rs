//! Whose address is whose: the trie of endpoints, and what it said the last time.
//!
//! Every packet asks, and nearly all ask for the same few addresses. So each CPU keeps the answers in a
//! small table, each with the generation of the trie that it is from.

use sipprot_common::abi::{CONFIG_HAS_ENDPOINTS, Config, ENDPOINT_SHARED, POLICIES_MAX, port_key};
use sipprot_common::hash;
use sipprot_common::source::Address;

use crate::maps;

/// Places of the table, as a power of two.
const BITS: u32 = 9;
pub const PLACES: u32 = 1 << BITS;

/// An address and its policy.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Home {
    address: Address,
    generation: u32,
    policy: u32,
}

/// The policy of an endpoint's address, 0 for any other; where several endpoints have it, of the one whose
/// port it is.
#[inline(always)]
pub fn policy_of(address: &Address, port: u32, config: &Config) -> u32 {
    if config.flags & CONFIG_HAS_ENDPOINTS == 0 {
        return 0;
    }
    let (high, low) = address.halves();
    let place = hash::fold(high.rotate_left(32), low) >> (64 - BITS);
    let Some(home) = maps::home(place as u32) else { return 0 };
    if home.generation != config.endpoints_generation || home.address != *address {
        look_up(home, address, config);
    }
    if home.policy & ENDPOINT_SHARED == 0 { home.policy } else { policy_of_port(home.policy, port) }
}

/// Ports that nobody claims are of whom the address was declared for first.
#[inline(never)]
fn policy_of_port(shared: u32, port: u32) -> u32 {
    let policy = shared & !ENDPOINT_SHARED;
    match maps::endpoint(&port_key(policy, port)) {
        Some(own) if own < POLICIES_MAX => own,
        _ => policy,
    }
}

/// Asks the trie.
#[inline(never)]
fn look_up(home: &mut Home, address: &Address, config: &Config) {
    let policy = match maps::endpoint(address) {
        Some(policy) if policy & !ENDPOINT_SHARED < POLICIES_MAX => policy,
        _ => 0,
    };
    *home = Home { address: *address, generation: config.endpoints_generation, policy };
}
