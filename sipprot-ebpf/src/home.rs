//! Whose address is whose: the trie of endpoints, and what it said the last time.
//!
//! Every packet asks, and nearly all ask for the same few addresses. So each CPU keeps the answers in a
//! small table, each with the generation of the trie that it is from.

use sipprot_common::abi::{CONFIG_HAS_ENDPOINTS, Config, POLICIES_MAX};
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

/// The policy of an endpoint's address, 0 for any other.
#[inline(always)]
pub fn policy_of(address: &Address, config: &Config) -> u32 {
    if config.flags & CONFIG_HAS_ENDPOINTS == 0 {
        return 0;
    }
    let (high, low) = address.halves();
    let place = hash::fold(high.rotate_left(32), low) >> (64 - BITS);
    let Some(home) = maps::home(place as u32) else { return 0 };
    if home.generation != config.endpoints_generation || home.address != *address {
        look_up(home, address, config);
    }
    home.policy
}

/// Asks the trie.
#[inline(never)]
fn look_up(home: &mut Home, address: &Address, config: &Config) {
    let policy = match maps::endpoint(address) {
        Some(policy) if policy < POLICIES_MAX => policy,
        _ => 0,
    };
    *home = Home { address: *address, generation: config.endpoints_generation, policy };
}
