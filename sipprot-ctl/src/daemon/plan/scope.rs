//! What a block or list entry cuts off, in the kernel's bits, in the rules' words and in the files'.

use sipprot_common::abi::{SCOPE_ALL, SCOPE_HTTP, SCOPE_LATER, SCOPE_SIP, SCOPE_SSH};

use crate::config::{Choice, Scope};
use crate::rules;
use crate::store::BlockRecord;

/// The kernel's bits.
pub const fn kernel_scope(scope: rules::Scope) -> u8 {
    match scope {
        rules::Scope::All => SCOPE_ALL,
        rules::Scope::Sip => SCOPE_SIP,
        rules::Scope::Ssh => SCOPE_SSH,
        rules::Scope::Http => SCOPE_HTTP,
    }
}

/// All that a block stops, in the kernel's bits.
pub fn kernel_scopes(record: &BlockRecord) -> u8 {
    let all = std::iter::once(&record.scope).chain(&record.also);
    let bits = all.map(|scope| kernel_scope(rules_scope(*scope)));
    // No bit stands for all traffic.
    bits.reduce(|all, it| if all == SCOPE_ALL || it == SCOPE_ALL { SCOPE_ALL } else { all | it })
        .unwrap_or(SCOPE_ALL)
}

/// Back from the kernel's bits; of several services one stands for all.
pub const fn known_scope(bits: u8) -> Scope {
    match bits {
        SCOPE_ALL => Scope::All,
        _ if bits & SCOPE_SIP != 0 => Scope::Sip,
        _ if bits & SCOPE_SSH != 0 => Scope::Ssh,
        _ => Scope::Http,
    }
}

/// As files and answers name it.
pub const fn scope(scope: rules::Scope) -> Scope {
    match scope {
        rules::Scope::All => Scope::All,
        rules::Scope::Sip => Scope::Sip,
        rules::Scope::Ssh => Scope::Ssh,
        rules::Scope::Http => Scope::Http,
    }
}

pub const fn rules_scope(scope: Scope) -> rules::Scope {
    match scope {
        Scope::All => rules::Scope::All,
        Scope::Sip => rules::Scope::Sip,
        Scope::Ssh => rules::Scope::Ssh,
        Scope::Http => rules::Scope::Http,
    }
}

/// The kernel's bits for people.
pub fn scope_words(bits: u8) -> &'static str {
    match bits {
        SCOPE_LATER => "all, from its time on",
        bits => known_scope(bits).name(),
    }
}
