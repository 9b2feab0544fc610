//! The lists that the configuration gives an endpoint. They are the endpoint's alone, lie beside its
//! entries of the store, and are changed in the file only.

use ipnetwork::IpNetwork;

use super::core::Core;
use crate::config::{Config, Scope};
use crate::store::{List, ListEntry, Origin};

/// Who added them.
const AUTHOR: &str = "configuration";

/// The networks of one list, with their endpoint's name.
fn networks(config: &Config, list: List) -> impl Iterator<Item = (&str, IpNetwork)> {
    config.endpoints.iter().flat_map(move |endpoint| {
        let own = match list {
            List::Allow => &endpoint.allow,
            List::Deny => &endpoint.deny,
        };
        own.iter().map(|network| (&*endpoint.name, *network))
    })
}

/// Do two configurations give every endpoint the same lists?
pub fn are_same(left: &Config, right: &Config) -> bool {
    [List::Allow, List::Deny].into_iter().all(|list| networks(left, list).eq(networks(right, list)))
}

impl Core {
    pub(super) fn own_entries(&self, list: List) -> impl Iterator<Item = ListEntry> {
        networks(&self.config, list).map(move |(endpoint, network)| ListEntry {
            network,
            list,
            endpoint: Some(endpoint.to_owned()),
            note: String::new(),
            added_at: self.started_at,
            added_by: AUTHOR.to_owned(),
            expires_at: None,
            scope: Scope::All,
            origin: Origin::Manual,
        })
    }
}
