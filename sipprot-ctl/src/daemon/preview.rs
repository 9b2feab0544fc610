//! What a change of the geo protection would do: whom it cuts off, and how much the kernel takes.
//!
//! [`preview`] is pure, and without [`Known`] it says what the database alone can tell.

use std::collections::HashSet;
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use jiff::Timestamp;

use super::answers::{Reply, internal};
use super::core::Core;
use super::why::trust_kind;
use crate::api::{Affected, Answer, Fault, GeoChange, GeoPreview, NetworkCount};
use crate::config::GeoMode;
use crate::geo::{Country, Geo, countries_of, is_exempt};
use crate::report::address;
use crate::rules::TrustKind;
use crate::store::List;

/// Whom the host knows.
#[derive(Default)]
pub struct Known {
    phones: Vec<(IpNetwork, String)>,
    peers: Vec<(IpNetwork, String)>,
    /// Of the allowlist that holds for the policy.
    allowed: Vec<(IpNetwork, String)>,
}

/// Entries in an answer; there may be half a million.
const SHOWN_MAX: usize = 10_000;

pub fn preview(geo: &Geo, change: &GeoChange, known: Option<&Known>) -> Result<GeoPreview, Fault> {
    let countries = named(change)?;
    let Some(database) = geo.database() else {
        let message = "there is no country database: install tor-geoipdb, or 'sipprot geo update'";
        return Err(Fault::unavailable(message));
    };
    let mut networks = NetworkCount::default();
    let mut seen = Vec::new();
    for (network, country) in geo.networks(&countries) {
        count(&mut networks, network);
        if !seen.contains(&country) {
            seen.push(country);
        }
    }
    let keeps_out = |address: IpAddr| {
        let listed = geo.country(address).is_some_and(|country| countries.contains(&country));
        match change.mode {
            GeoMode::Off => false,
            GeoMode::Deny => listed,
            GeoMode::Allow => !listed && !is_exempt(address),
        }
    };
    let allowed = known.iter().flat_map(|known| &known.allowed).map(|(network, _)| *network);
    let allowed: HashSet<IpNetwork> = allowed.collect();
    let affected = |all: &[(IpNetwork, String)]| {
        let ends = |network: &IpNetwork| [network.network(), network.broadcast()];
        let affected = all.iter().filter(|(network, _)| ends(network).into_iter().any(keeps_out));
        let affected = affected.take(SHOWN_MAX).map(|(network, who)| {
            let allowed_by = covering(&allowed, *network);
            Affected {
                source: address(*network),
                country: geo.country(network.network()).map(|country| country.code().to_owned()),
                who: who.clone(),
                cut_off: allowed_by.is_none(),
                allowed_by,
            }
        });
        affected.collect::<Vec<_>>()
    };
    let age = database.age(Timestamp::now());
    let code = |country: &Country| country.code().to_owned();
    Ok(GeoPreview {
        mode: change.mode,
        scope: change.scope,
        endpoint: change.endpoint.clone(),
        missing: countries.iter().filter(|country| !seen.contains(country)).map(code).collect(),
        countries: countries.iter().map(code).collect(),
        database: database.name.clone(),
        age_days: age.map(|age| (age.as_hours() / 24).unsigned_abs()),
        networks,
        live: known.is_some(),
        phones: known.map(|known| affected(&known.phones)),
        peers: known.map(|known| affected(&known.peers)),
        entries: known.map(|known| affected(&known.allowed)),
    })
}

/// The narrowest network that covers another.
fn covering(all: &HashSet<IpNetwork>, network: IpNetwork) -> Option<IpNetwork> {
    let wider = (0..=network.prefix()).rev().filter_map(|prefix| {
        let wider = IpNetwork::new(network.ip(), prefix).ok()?;
        IpNetwork::new(wider.network(), prefix).ok()
    });
    wider.into_iter().find(|wider| all.contains(wider))
}

/// Of each country once, in the order given.
fn named(change: &GeoChange) -> Result<Vec<Country>, Fault> {
    let mut all = Vec::new();
    for text in &change.countries {
        let named = countries_of(text).map_err(|it| Fault::invalid("countries", it.to_string()))?;
        all.extend(named);
    }
    let mut seen = HashSet::new();
    all.retain(|country| seen.insert(*country));
    if change.mode != GeoMode::Off && all.is_empty() {
        return Err(Fault::invalid("countries", "no country is named"));
    }
    Ok(all)
}

fn count(networks: &mut NetworkCount, network: IpNetwork) {
    match network {
        IpNetwork::V4(v4) => {
            networks.v4 += 1;
            networks.v4_addresses += 1 << (32 - v4.prefix());
        }
        IpNetwork::V6(v6) => {
            networks.v6 += 1;
            networks.v6_sites +=
                1_u64.checked_shl(48_u32.saturating_sub(v6.prefix().into())).unwrap_or(0);
        }
    }
}

impl Core {
    /// Long lists are read on another thread.
    pub(super) fn preview_geo(&self, change: GeoChange, reply: Reply) {
        let unknown =
            change.endpoint.as_ref().filter(|name| self.plan.policy(Some(name)).is_none());
        if let Some(name) = unknown {
            let message = format!("no endpoint {name:?} is configured");
            let _ = reply.send(Err(Fault::invalid("endpoint", message)));
            return;
        }
        let mut known = Known::default();
        for peer in self.engine.state().trust {
            let accounts: Vec<String> =
                peer.accounts.iter().map(|it| it.account.to_string()).collect();
            let found = (Self::network_of(peer.source), accounts.join(", "));
            match peer.kind {
                TrustKind::Registered => known.phones.push(found),
                _ => known.peers.push((found.0, trust_kind(peer.kind).to_owned())),
            }
        }
        known.peers.extend(self.peer_views().into_iter().map(|peer| (peer.network, peer.note)));
        let own =
            |endpoint: Option<&str>| endpoint.is_none() || endpoint == change.endpoint.as_deref();
        let configured = self.own_entries(List::Allow).filter(|it| own(it.endpoint.as_deref()));
        known.allowed.extend(configured.map(|entry| (entry.network, entry.added_by)));
        let (store, geography) = (self.store.clone(), self.geography.clone());
        let now = self.clock.timestamp_now();
        tokio::task::spawn_blocking(move || {
            let own = |endpoint: Option<&str>| {
                endpoint.is_none() || endpoint == change.endpoint.as_deref()
            };
            for entry in store.iter().flat_map(|store| store.list(List::Allow)) {
                match entry {
                    Ok(entry) if !own(entry.endpoint.as_deref()) => {}
                    Ok(entry) if entry.expires_at.is_some_and(|at| at <= now) => {}
                    Ok(entry) => known.allowed.push((entry.network, entry.note)),
                    Err(error) => return drop(reply.send(Err(internal(&error)))),
                }
            }
            let answer = preview(geography.geo(), &change, Some(&known));
            let _ = reply.send(answer.map(|it| Answer::GeoPreview(Box::new(it))));
        });
    }
}

#[cfg(test)]
#[path = "preview_tests.rs"]
mod tests;
