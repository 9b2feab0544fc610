//! The lists that the configuration gives an endpoint. They are the endpoint's alone, lie beside its
//! entries of the store, and are changed in the file only.

use ipnetwork::IpNetwork;

use crate::config::{Config, Scope};
use crate::daemon::core::Core;
use crate::daemon::upkeep::kernel_list;
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
    pub(in crate::daemon) fn own_entries(&self, list: List) -> impl Iterator<Item = ListEntry> {
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

    /// Only a change of the file takes it away.
    pub(in crate::daemon) fn is_configured(&self, entry: &ListEntry) -> bool {
        networks(&self.config, entry.list).any(|(endpoint, network)| {
            entry.endpoint.as_deref() == Some(endpoint) && network == entry.network
        })
    }

    /// An entry of the store that was removed may have been an endpoint's own, too.
    pub(super) fn put_own_back(&mut self, list: List, network: IpNetwork) {
        let own = self.own_entries(list).filter(|entry| entry.network == network);
        let items: Vec<_> = own.filter_map(|entry| self.list_item(&entry)).collect();
        for item in items {
            self.kernel.carry("putting an endpoint's own entry", |datapath| {
                datapath.add_entry(kernel_list(list), &item).map(drop)
            });
        }
    }
}
