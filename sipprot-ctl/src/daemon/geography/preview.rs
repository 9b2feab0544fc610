//! What a change of the geo protection would do: whom it cuts off, and how much the kernel takes.
//!
//! [`preview`] is pure, and without [`Known`] it says what the database alone can tell.

use std::collections::HashSet;
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use jiff::Timestamp;

use crate::api::{Affected, Answer, Fault, GeoChange, GeoPreview, NetworkCount};
use crate::config::GeoMode;
use crate::daemon::answers::why::trust_kind;
use crate::daemon::answers::{Reply, store_fault};
use crate::daemon::core::Core;
use crate::geo::{Country, Geo, countries_of, is_exempt};
use crate::report::address;
use crate::rules::{EndpointId, TrustKind};
use crate::store::List;

/// Whom the host knows.
#[derive(Default)]
pub struct Known {
    phones: Vec<Guest>,
    peers: Vec<Guest>,
    /// Of the allowlist that holds for the policy.
    allowed: Vec<Guest>,
}

struct Guest {
    network: IpNetwork,
    who: String,
    /// Where it was seen; nowhere: not known.
    endpoints: Vec<String>,
}

impl Guest {
    const fn new(network: IpNetwork, who: String) -> Self {
        Self { network, who, endpoints: Vec::new() }
    }
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
    let allowed = known.iter().flat_map(|known| &known.allowed).map(|it| it.network);
    let allowed: HashSet<IpNetwork> = allowed.collect();
    let affected = |all: &[Guest]| {
        let ends = |network: &IpNetwork| [network.network(), network.broadcast()];
        let affected = all.iter().filter(|it| ends(&it.network).into_iter().any(keeps_out));
        let affected = affected.take(SHOWN_MAX).map(|Guest { network, who, endpoints }| {
            let allowed_by = covering(&allowed, *network);
            Affected {
                source: address(*network),
                endpoints: endpoints.clone(),
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
    pub(in crate::daemon) fn preview_geo(&self, change: GeoChange, reply: Reply) {
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
            let mut guest = Guest::new(Self::network_of(peer.source), accounts.join(", "));
            guest.endpoints = self.names_of(&peer.endpoints);
            if !self.is_concerned(&guest, change.endpoint.as_deref()) {
                continue;
            }
            match peer.kind {
                TrustKind::Registered => known.phones.push(guest),
                _ => {
                    guest.who = trust_kind(peer.kind).to_owned();
                    known.peers.push(guest);
                }
            }
        }
        let peers = self.peer_views().into_iter();
        known.peers.extend(peers.map(|peer| Guest::new(peer.network, peer.note)));
        let own =
            |endpoint: Option<&str>| endpoint.is_none() || endpoint == change.endpoint.as_deref();
        let configured = self.own_entries(List::Allow).filter(|it| own(it.endpoint.as_deref()));
        known.allowed.extend(configured.map(|it| Guest::new(it.network, it.added_by)));
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
                    Ok(entry) => known.allowed.push(Guest::new(entry.network, entry.note)),
                    Err(error) => return drop(reply.send(Err(store_fault(&error)))),
                }
            }
            let answer = preview(geography.geo(), &change, Some(&known));
            let _ = reply.send(answer.map(|it| Answer::GeoPreview(Box::new(it))));
        });
    }
}

impl Core {
    pub(in crate::daemon) fn names_of(&self, endpoints: &[EndpointId]) -> Vec<String> {
        endpoints.iter().map(|it| self.plan.name(it.0.into()).to_owned()).collect()
    }

    /// Whether a change of this endpoint's countries, or of the host's, is one for whoever was seen there.
    /// Of whom nobody knows where it was seen, it may be.
    fn is_concerned(&self, guest: &Guest, endpoint: Option<&str>) -> bool {
        let follows_host = |name: &str| {
            let own = self.config.endpoints.iter().find(|it| it.name == name);
            own.is_none_or(|it| it.geo_mode.is_none() || it.geo_countries.is_none())
        };
        let concerns = |name: &String| endpoint.map_or(follows_host(name), |it| it == name);
        guest.endpoints.is_empty() || guest.endpoints.iter().any(concerns)
    }
}

#[cfg(test)]
mod tests;
