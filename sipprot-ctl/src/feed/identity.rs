//! Who may speak for which endpoint: by a token, or by an address that a handshake has proven.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnetwork::IpNetwork;
use sha2::{Digest, Sha256};
use sipprot_common::source::Address;

use super::tap::Whose;
use crate::hex::hex;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The endpoints' declared addresses.
    addresses: Vec<(IpNetwork, Arc<str>)>,
    /// By the hash of the token.
    tokens: HashMap<String, Arc<str>>,
}

impl Identity {
    pub fn add(&mut self, endpoint: &str, addresses: &[IpNetwork], token_hash: Option<&str>) {
        let name: Arc<str> = endpoint.into();
        self.addresses.extend(addresses.iter().map(|network| (*network, name.clone())));
        if let Some(hash) = token_hash {
            self.tokens.insert(hash.to_ascii_lowercase(), name);
        }
    }

    pub fn by_token(&self, token: &str) -> Option<Whose> {
        self.tokens.get(&hash_of(token)).cloned().map(Whose::Endpoint)
    }

    pub fn by_address(&self, address: IpAddr) -> Option<Whose> {
        let address = Address::from(address).to_ip();
        let own = self.addresses.iter().filter(|(network, _)| network.contains(address));
        let narrowest = own.max_by_key(|(network, _)| network.prefix());
        narrowest.map(|(_, name)| Whose::Endpoint(name.clone()))
    }
}

/// `sha256:` and 64 hex digits. Tokens are long and random: nothing slower is needed.
pub fn hash_of(token: &str) -> String {
    format!("sha256:{}", hex(&Sha256::digest(token.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_addresses() {
        let mut identity = Identity::default();
        let network = |text: &str| text.parse::<IpNetwork>().unwrap();
        identity.add("wide", &[network("192.0.2.0/24")], None);
        identity.add("pbx1", &[network("192.0.2.10/32")], Some(&hash_of("secret")));
        let speaks = |whose: Option<Whose>| match whose {
            Some(Whose::Endpoint(name)) => name.to_string(),
            other => format!("{other:?}"),
        };
        let by_address = |text: &str| speaks(identity.by_address(text.parse().unwrap()));
        assert_eq!(by_address("192.0.2.10"), "pbx1");
        assert_eq!(by_address("::ffff:192.0.2.10"), "pbx1");
        assert_eq!(by_address("192.0.2.11"), "wide");
        assert_eq!(by_address("198.51.100.7"), "None");
        assert_eq!(speaks(identity.by_token("secret")), "pbx1");
        assert_eq!(speaks(identity.by_token("Secret")), "None");
        assert_eq!(speaks(identity.by_token("")), "None");
    }
}
