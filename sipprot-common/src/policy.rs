//! What a policy does with a verdict: drop, or only observe; and the geo verdict.

use crate::abi::{
    COUNTRY_UNKNOWN, GEO_ALLOW, GEO_DENY, GEO_OFF, MODE_ENFORCE, MODE_OBSERVE, MODE_OFF, Policy,
    SCOPE_ALL,
};
use crate::reason::{Class, Reason};

/// What can be switched to observation on its own.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Protection {
    Deny = 0,
    Block = 1,
    Containment = 2,
    Geo = 3,
    UserAgent = 4,
    Ceiling = 5,
    Attempts = 6,
    Dns = 7,
    Ssh = 8,
    Http = 9,
    Tftp = 10,
}

impl Protection {
    pub const ALL: [Protection; 11] = [
        Self::Deny,
        Self::Block,
        Self::Containment,
        Self::Geo,
        Self::UserAgent,
        Self::Ceiling,
        Self::Attempts,
        Self::Dns,
        Self::Ssh,
        Self::Http,
        Self::Tftp,
    ];

    /// The word in the configuration.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Block => "block",
            Self::Containment => "containment",
            Self::Geo => "geo",
            Self::UserAgent => "user_agent",
            Self::Ceiling => "ceiling",
            Self::Attempts => "attempts",
            Self::Dns => "dns",
            Self::Tftp => "tftp",
            Self::Ssh => "ssh",
            Self::Http => "http",
        }
    }

    #[inline(always)]
    pub const fn bit(self) -> u32 {
        1 << self as u8
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    Pass,
    /// Passes, and is counted as what would have been dropped.
    Observe,
    Drop,
}

/// The protection that a dropping reason belongs to.
#[inline(always)]
pub const fn protection(reason: Reason) -> Option<Protection> {
    match reason {
        Reason::Denied => Some(Protection::Deny),
        Reason::Blocked | Reason::Quarantined => Some(Protection::Block),
        Reason::Contained => Some(Protection::Containment),
        Reason::Geo => Some(Protection::Geo),
        Reason::UserAgent => Some(Protection::UserAgent),
        Reason::SourceCeiling | Reason::EndpointCeiling => Some(Protection::Ceiling),
        Reason::Held | Reason::TcpBudget => Some(Protection::Attempts),
        Reason::DnsOversize => Some(Protection::Dns),
        Reason::TftpCeiling => Some(Protection::Tftp),
        Reason::SshCeiling => Some(Protection::Ssh),
        Reason::HttpCeiling => Some(Protection::Http),
        _ => None,
    }
}

/// From reason to action, exhaustively.
#[inline(always)]
pub const fn action(mode: u8, observe: u32, reason: Reason) -> Action {
    if !matches!(reason.class(), Class::Drop) {
        return Action::Pass;
    }
    let Some(protection) = protection(reason) else { return Action::Pass };
    match mode {
        MODE_ENFORCE if observe & protection.bit() == 0 => Action::Drop,
        MODE_ENFORCE | MODE_OBSERVE => Action::Observe,
        _ => Action::Pass,
    }
}

/// Is a source of this country kept out? [`crate::abi::COUNTRY_UNKNOWN`]: in no list and no database.
#[inline(always)]
pub fn geo_drops(policy: &Policy, country: u32) -> bool {
    let listed = has(&policy.geo_countries, country);
    match policy.geo_mode {
        GEO_DENY => listed,
        GEO_ALLOW => !listed,
        _ => false,
    }
}

/// Are the flows of a country that is kept out still being learned? Until that is over it is let in.
#[inline(always)]
pub fn geo_learns(policy: &Policy, country: u32, now_ns: u64) -> bool {
    now_ns < policy.geo_from_ns && has(&policy.geo_learning, country)
}

#[inline(always)]
fn has(countries: &[u64; 11], country: u32) -> bool {
    match countries.get((country >> 6) as usize) {
        Some(bits) => (bits >> (country & 63)) & 1 != 0,
        None => false,
    }
}

/// Flows are learned for so long before a country is kept out.
pub const GEO_LEARNING_NS: u64 = 300_000_000_000;

/// Prepares a policy that follows another: countries that it newly keeps out are learned first, those
/// that were kept out stay so.
pub fn follow_geo(after: &mut Policy, before: &Policy, now_ns: u64) {
    after.geo_learning = before.geo_learning;
    after.geo_from_ns = before.geo_from_ns;
    after.geo_epoch = before.geo_epoch;
    if now_ns >= before.geo_from_ns {
        after.geo_learning = [0; 11];
    }
    // Where SIP alone was kept out, the rest is new.
    let was_wide = before.mode != MODE_OFF
        && before.geo_mode != GEO_OFF
        && (before.geo_scope == SCOPE_ALL || after.geo_scope == before.geo_scope);
    let mut any = false;
    for country in 0..=COUNTRY_UNKNOWN {
        let (word, bit) = ((country >> 6) as usize, 1 << (country & 63));
        if !geo_drops(after, country) {
            after.geo_learning[word] &= !bit;
        } else if !(was_wide && geo_drops(before, country)) {
            after.geo_learning[word] |= bit;
            any = true;
        }
    }
    if any {
        after.geo_from_ns = now_ns + GEO_LEARNING_NS;
        // Any number that it was not before.
        after.geo_epoch = ((now_ns >> 20) as u32).max(before.geo_epoch.wrapping_add(1));
    }
}

/// Prepares a policy that follows another and keeps out whom that did, for now.
pub fn keep_geo(after: &mut Policy, before: &Policy) {
    after.geo_mode = before.geo_mode;
    after.geo_scope = before.geo_scope;
    after.geo_countries = before.geo_countries;
    after.geo_learning = before.geo_learning;
    after.geo_from_ns = before.geo_from_ns;
    after.geo_epoch = before.geo_epoch;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::SCOPE_SIP;

    #[test]
    fn every_dropping_reason_has_a_protection() {
        for &reason in Reason::ALL {
            assert_eq!(
                protection(reason).is_some(),
                matches!(reason.class(), Class::Drop),
                "{reason:?}"
            );
        }
    }

    #[test]
    fn modes() {
        let geo = Protection::Geo.bit();
        assert_eq!(action(MODE_ENFORCE, 0, Reason::Geo), Action::Drop);
        assert_eq!(action(MODE_ENFORCE, geo, Reason::Geo), Action::Observe);
        assert_eq!(action(MODE_ENFORCE, geo, Reason::Denied), Action::Drop);
        assert_eq!(action(MODE_OBSERVE, 0, Reason::Geo), Action::Observe);
        assert_eq!(action(MODE_OFF, 0, Reason::Geo), Action::Pass);
        assert_eq!(action(MODE_ENFORCE, 0, Reason::Truncated), Action::Pass);
    }

    #[test]
    fn geo_modes() {
        let check = |mode, country, drops| {
            let mut policy = Policy { geo_mode: mode, ..Policy::default() };
            policy.geo_countries[2] = 1 << 3;
            assert_eq!(geo_drops(&policy, country), drops, "mode {mode} country {country}");
        };
        check(GEO_OFF, 131, false);
        check(GEO_DENY, 131, true);
        check(GEO_DENY, 130, false);
        check(GEO_DENY, COUNTRY_UNKNOWN, false);
        check(GEO_ALLOW, 131, false);
        check(GEO_ALLOW, 130, true);
        check(GEO_ALLOW, COUNTRY_UNKNOWN, true);
        check(GEO_DENY, u32::MAX, false);
    }

    const NOW_NS: u64 = 1_000_000_000_000;
    const LISTED: u32 = 7;
    const OTHER: u32 = 8;

    fn geo(mode: u8, countries: &[u32]) -> Policy {
        let mut policy = Policy { mode: MODE_ENFORCE, geo_mode: mode, ..Policy::default() };
        for country in countries {
            policy.geo_countries[(country >> 6) as usize] |= 1 << (country & 63);
        }
        policy
    }

    /// What happens to the two countries at once after the change, and whether older flows count.
    fn check_change(before: Policy, after: Policy, learned: [bool; 2], same_epoch: bool) {
        let before = Policy { geo_epoch: 5, ..before };
        let mut policy = after;
        follow_geo(&mut policy, &before, NOW_NS);
        let learns = [LISTED, OTHER].map(|country| {
            assert!(!geo_learns(&policy, country, NOW_NS + GEO_LEARNING_NS));
            geo_drops(&policy, country) && geo_learns(&policy, country, NOW_NS)
        });
        assert_eq!(learns, learned, "{} {:?}", after.geo_mode, after.geo_countries[0]);
        assert_eq!(policy.geo_epoch == 5, same_epoch);
    }

    #[test]
    fn what_is_newly_kept_out_is_learned_first() {
        let off = Policy { mode: MODE_ENFORCE, ..Policy::default() };
        let both = geo(GEO_DENY, &[LISTED, OTHER]);
        let one = geo(GEO_DENY, &[LISTED]);
        let sip = Policy { geo_scope: SCOPE_SIP, ..one };
        check_change(off, one, [true, false], false);
        check_change(off, geo(GEO_ALLOW, &[LISTED]), [false, true], false);
        check_change(Policy { mode: MODE_OFF, ..one }, one, [true, false], false);
        check_change(one, both, [false, true], false);
        check_change(both, one, [false, false], true);
        check_change(one, one, [false, false], true);
        check_change(one, off, [false, false], true);
        check_change(one, sip, [false, false], true);
        check_change(sip, one, [true, false], false);
        check_change(sip, sip, [false, false], true);
    }

    #[test]
    fn learning_goes_on_over_a_change() {
        let mut one = geo(GEO_DENY, &[LISTED]);
        follow_geo(&mut one, &Policy::default(), NOW_NS);
        let end_ns = one.geo_from_ns;
        let mut same = geo(GEO_DENY, &[LISTED]);
        follow_geo(&mut same, &one, end_ns - 1);
        assert_eq!((same.geo_from_ns, same.geo_epoch), (end_ns, one.geo_epoch));
        assert!(geo_learns(&same, LISTED, end_ns - 1));
        let mut later = geo(GEO_DENY, &[LISTED, OTHER]);
        follow_geo(&mut later, &same, end_ns + 1);
        assert!(!geo_learns(&later, LISTED, end_ns + 2) && geo_learns(&later, OTHER, end_ns + 2));
    }
}
