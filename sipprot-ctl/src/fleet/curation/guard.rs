//! Networks that are never spread, and why not.

use ipnetwork::IpNetwork;

use crate::blocklist::Spared;
use crate::fleet::list::{is_private, widest};
use crate::fleet::refusal::Refusal;

/// As it is now; made anew when one of its sources changes.
pub struct Guard {
    protected: Spared,
    own: Spared,
}

impl Guard {
    /// What the webmaster protects, and what hosts and hub call their own.
    pub fn new(
        protected: impl Iterator<Item = IpNetwork>,
        own: impl Iterator<Item = IpNetwork>,
    ) -> Self {
        // A host that called half the world its own would shield every attacker.
        let own = own.filter(|network| network.prefix() >= widest(*network));
        Self { protected: Spared::new(protected), own: Spared::new(own) }
    }

    /// Why a network may not be spread, by whosoever's word.
    pub fn refuses(&self, network: IpNetwork) -> Option<Refusal> {
        if network.prefix() < widest(network) {
            Some(Refusal::TooWide)
        } else if is_private(network) {
            Some(Refusal::Private)
        } else if self.protected.overlaps(network) {
            Some(Refusal::Protected)
        } else if self.own.overlaps(network) {
            Some(Refusal::OwnAddress)
        } else {
            None
        }
    }

    /// A report is of one source: an address, or the /64 of one.
    pub fn refuses_report(&self, network: IpNetwork) -> Option<Refusal> {
        let single = if network.is_ipv4() { 32 } else { 64 };
        match network.prefix() < single {
            true => Some(Refusal::TooWide),
            false => self.refuses(network),
        }
    }
}
