//! Dynamic blocks: when they end and what renews them.

use crate::abi::Block;

/// More SIP requests than this in a minute from a blocked source are a real attack.
pub const RENEWAL_REQUESTS: u32 = 10;
const MINUTE_NS: u64 = 60_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;
/// Packets that prove nothing extend a block to at most this many times its length.
const UNPROVEN_LENGTHS_MAX: u64 = 4;

#[inline(always)]
pub const fn in_force(expires_ns: u64, now_ns: u64) -> bool {
    now_ns < expires_ns
}

/// Counts one SIP request of a blocked source; true when it renewed the block.
///
/// Written at most once a second, and never past four lengths since the block began: whoever forges
/// the source must not be able to keep it out for ever.
#[inline(always)]
pub fn renew(block: &mut Block, now_ns: u64) -> bool {
    if now_ns.wrapping_sub(block.window_start_ns) >= MINUTE_NS {
        block.window_start_ns = now_ns;
        block.window_requests = 0;
    }
    block.window_requests += 1;
    if block.window_requests <= RENEWAL_REQUESTS
        || now_ns.wrapping_sub(block.renewed_ns) < SECOND_NS
    {
        return false;
    }
    let latest_ns = block.started_ns + block.duration_ns * UNPROVEN_LENGTHS_MAX;
    let renewed = now_ns + block.duration_ns;
    let expires_ns = if renewed < latest_ns { renewed } else { latest_ns };
    if expires_ns <= block.expires_ns {
        return false;
    }
    block.expires_ns = expires_ns;
    block.renewed_ns = now_ns;
    block.renewals += 1;
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(duration_s: u64) -> Block {
        Block {
            expires_ns: duration_s * SECOND_NS,
            duration_ns: duration_s * SECOND_NS,
            ..Block::default()
        }
    }

    #[test]
    fn ten_requests_a_minute_do_not_renew() {
        let mut block = block(3600);
        for request in 0..100 {
            assert!(!renew(&mut block, request * 6 * SECOND_NS + 1), "request {request}");
        }
    }

    #[test]
    fn the_eleventh_does_and_at_most_once_a_second() {
        let mut block = block(3600);
        let renewals =
            (0..2_000u64).filter(|i| renew(&mut block, 10 * SECOND_NS + i * 1_000_000)).count();
        assert_eq!(renewals, 2);
        assert!(block.expires_ns > 3610 * SECOND_NS);
    }

    #[test]
    fn never_past_four_lengths() {
        let mut block = block(10);
        for tick in 0..100 * 20 {
            renew(&mut block, tick * 50_000_000);
        }
        assert_eq!(block.expires_ns, 40 * SECOND_NS);
    }
}
