//! Gathers what is told to whom an attacker's address belongs; `crate::report::abuse` makes the report of it.

use std::net::IpAddr;
use std::sync::Arc;

use ipnetwork::IpNetwork;
use jiff::civil::Date;
use sipprot_common::source::SourceKey;

use super::reports::host_name;
use super::{Reply, block_view, entry_view, no_store, store_fault};
use crate::api::{Answer, Entry, Fault, GeoData};
use crate::daemon::core::Core;
use crate::report::abuse::{Known, ROWS_MAX, tell};
use crate::report::address;
use crate::store::{AttackRecord, List, Store, StoreError};

impl Core {
    pub(in crate::daemon) fn abuse(&mut self, asked: IpAddr, reply: Reply) {
        let Some(store) = self.store.clone() else { return no_store(reply) };
        let source = Self::network_of(SourceKey::from(asked));
        self.write_renewals();
        self.write_attacks();
        let look = self.known_against(asked).map(|known| {
            move || match past(&store, source, known).map(tell) {
                Ok(Some(report)) => Ok(Answer::Abuse(Box::new(report))),
                Ok(None) => Err(Fault::not_found(format!("nothing is known against {asked}"))),
                Err(error) => Err(store_fault(&error)),
            }
        });
        self.answer_after_writes(look, reply);
    }

    fn known_against(&self, asked: IpAddr) -> Result<Known, Fault> {
        let denied = self.covering(List::Deny, asked)?;
        let denied: Vec<Entry> =
            denied.into_iter().map(|entry| entry_view(entry, &self.geography)).collect();
        Ok(Known {
            reporter: Some(self.config.abuse_contact.clone()).filter(|it| !it.is_empty()),
            host: host_name(),
            asked,
            source: address(Self::network_of(SourceKey::from(asked))),
            geo_data: self.geography.country(asked).map(GeoData::from),
            now: self.clock.timestamp_now().as_second(),
            blocks: Vec::new(),
            attacks: Vec::new(),
            denied,
        })
    }
}

fn past(store: &Arc<Store>, source: IpNetwork, known: Known) -> Result<Known, StoreError> {
    let blocks = store.history_of(source, ROWS_MAX + 1)?;
    let of_source = |attack: &Result<AttackRecord, StoreError>| match attack {
        Ok(attack) => attack.source == source,
        Err(_) => true,
    };
    let attacks = store.attacks(Date::ZERO..=Date::MAX).filter(of_source);
    Ok(Known {
        blocks: blocks.iter().map(block_view).collect(),
        attacks: attacks.collect::<Result<_, _>>()?,
        ..known
    })
}
