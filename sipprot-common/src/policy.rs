//! What a policy does with a verdict: drop, or only observe; and the geo verdict.

use crate::abi::{GEO_ALLOW, GEO_DENY, MODE_ENFORCE, MODE_OBSERVE, Policy};
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
    let word = (country >> 6) as usize;
    let listed = match policy.geo_countries.get(word) {
        Some(bits) => (bits >> (country & 63)) & 1 != 0,
        None => false,
    };
    match policy.geo_mode {
        GEO_DENY => listed,
        GEO_ALLOW => !listed,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::{COUNTRY_UNKNOWN, GEO_OFF, MODE_OFF};

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
}
