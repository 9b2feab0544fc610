//! Help at 3 a.m.: works on the pins alone, with the daemon dead and the store corrupt.
//!
//! Takes no lock, loads no object and reads no configuration. What it undoes, a daemon that starts
//! later may do again from its store.

use std::net::IpAddr;
use std::path::Path;

use ipnetwork::IpNetwork;
use sipprot_common::abi::{
    ABI_VERSION, BlockKey, COUNTRY_UNKNOWN, MODE_ENFORCE, MODE_OBSERVE, POLICIES_MAX, Policy,
    ScopedAddress,
};
use sipprot_common::attempt;
use sipprot_common::block;
use sipprot_common::containment;
use sipprot_common::policy::geo_drops;
use sipprot_common::source::{Address, SourceKey};

use super::attach::{self, Attachment};
use super::clock::monotonic_ns;
use super::error::Result;
use super::kernel;
use super::keys;
use super::map::Insert;
use super::maps::Maps;
use super::pins::Pins;
use super::sources;
use super::table::{Table, compile};

/// What is in force.
#[derive(Clone, Debug, Default)]
pub struct Status {
    pub attachments: Vec<Attachment>,
    /// `None` when no maps of this version are pinned, or when they can't be read.
    pub maps: Option<MapStatus>,
    /// Why they can't.
    pub maps_error: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapStatus {
    pub abi_version: u32,
    /// Policies that enforce, and that only observe.
    pub enforcing: usize,
    pub observing: usize,
    pub blocks: usize,
    pub contained: usize,
    pub held: usize,
    pub quarantined: usize,
    pub trusted: usize,
    pub allow_entries: usize,
    pub deny_entries: usize,
}

/// What stood against an address and does no more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unblocked {
    pub blocks: usize,
    pub contained: bool,
    /// A hold or attempts were on record.
    pub held: bool,
    pub quarantined_ports: usize,
    /// Denylist networks that covered the address, with their policy; of a wide one only the address's
    /// own /24 (IPv6: /32, /48 or /64) may have been let in.
    pub denied: Vec<(IpNetwork, u32)>,
    /// Policies whose geo rule still keeps the address out.
    pub geo_policies: Vec<u32>,
}

fn open(pin_dir: &Path) -> Result<Option<Maps>> {
    kernel::check_privileges()?;
    let pins = Pins::new(pin_dir);
    if pins.maps().exists() { Maps::open(&pins).map(Some) } else { Ok(None) }
}

fn policies(maps: &Maps) -> Result<Vec<(u32, Policy)>> {
    maps.policies.entries()
}

pub fn status(pin_dir: &Path) -> Result<Status> {
    kernel::check_privileges()?;
    let read = open(pin_dir).and_then(|maps| maps.map(|maps| map_status(&maps)).transpose());
    let (maps, maps_error) = match read {
        Ok(maps) => (maps, None),
        // What is attached is worth knowing even then.
        Err(error) => (None, Some(error.to_string())),
    };
    Ok(Status { attachments: attach::attachments(&Pins::new(pin_dir)), maps, maps_error })
}

fn map_status(maps: &Maps) -> Result<MapStatus> {
    let now_ns = monotonic_ns();
    let mut status = MapStatus { abi_version: ABI_VERSION, ..MapStatus::default() };
    for (_, policy) in policies(maps)? {
        status.enforcing += usize::from(policy.mode == MODE_ENFORCE);
        status.observing += usize::from(policy.mode == MODE_OBSERVE);
    }
    maps.blocks.for_each(|_, entry| {
        status.blocks += usize::from(block::in_force(entry.expires_ns, now_ns));
    })?;
    maps.contained.for_each(|_, entry| {
        status.contained += usize::from(containment::in_force(entry, now_ns));
    })?;
    maps.sources.for_each(|_, source| {
        status.held += usize::from(attempt::held(&source.attempts, now_ns));
    })?;
    maps.quarantine
        .for_each(|_, expires_ns| status.quarantined += usize::from(now_ns < *expires_ns))?;
    status.trusted = maps.trust.count()?;
    let generation = maps.config.get(&0)?.unwrap_or_default().lists_generation;
    let in_force =
        |key: &keys::LpmKey<ScopedAddress>| usize::from(keys::scope(key).0 == generation);
    maps.allow.for_each(|key, _| status.allow_entries += in_force(key))?;
    maps.deny.for_each(|key, _| status.deny_entries += in_force(key))?;
    if let Some(table) = Table::in_force(&maps.listed)? {
        status.deny_entries += table.view()?.compiled.get() as usize;
    }
    Ok(status)
}

/// Removes everything that stands against an address, but for the geo rules.
pub fn unblock(pin_dir: &Path, address: IpAddr) -> Result<Unblocked> {
    let Some(maps) = open(pin_dir)? else { return Ok(Unblocked::default()) };
    let address = Address::from(address);
    let source = address.key();
    let mut done = Unblocked::default();
    for policy in 0..POLICIES_MAX {
        let key = BlockKey { source: source.0, policy, pad: 0 };
        done.blocks += usize::from(maps.blocks.remove(&key)?);
    }
    done.contained = maps.contained.remove(&source.0)? | sources::release_networks(&maps, source)?;
    done.held = sources::forgive(&maps, source)?;
    done.quarantined_ports = sources::release_ports(&maps, source)?;
    done.denied = undeny(&maps, address)?;
    done.geo_policies = kept_out_by_geo(&maps, address)?;
    Ok(done)
}

fn undeny(maps: &Maps, address: Address) -> Result<Vec<(IpNetwork, u32)>> {
    let generation = maps.config.get(&0)?.unwrap_or_default().lists_generation;
    let mut removed = match Table::in_force(&maps.listed)? {
        Some(table) => compile::let_in(table.view()?, address)
            .into_iter()
            .filter_map(|(address, length)| Some((keys::network(address, length)?, 0)))
            .collect(),
        None => Vec::new(),
    };
    for policy in 0..POLICIES_MAX {
        let exact = keys::scoped(generation, policy, (address, 128));
        if maps.deny.get(&exact)?.is_none() {
            continue;
        }
        for key in keys::covering(generation, policy, address) {
            if maps.deny.remove(&key)? {
                let prefix_len = key.prefix_len - ScopedAddress::SCOPE_BITS;
                removed.extend(
                    keys::network(key.data.address, prefix_len).map(|network| (network, policy)),
                );
            }
        }
    }
    Ok(removed)
}

fn kept_out_by_geo(maps: &Maps, address: Address) -> Result<Vec<u32>> {
    let generation = maps.config.get(&0)?.unwrap_or_default().geo_generation;
    let in_table = match Table::in_force(&maps.places)? {
        Some(table) => table.view()?.country(&address),
        None => None,
    };
    let country = match in_table {
        Some(country) => country,
        None => {
            maps.geo.get(&keys::scoped(generation, 0, (address, 128)))?.unwrap_or(COUNTRY_UNKNOWN)
        }
    };
    let dropping = policies(maps)?
        .into_iter()
        .filter(|(_, policy)| policy.mode == MODE_ENFORCE && geo_drops(policy, country));
    Ok(dropping.map(|(index, _)| index).collect())
}

/// Makes every policy that enforces only observe; how many there were.
pub fn observe(pin_dir: &Path) -> Result<usize> {
    let Some(maps) = open(pin_dir)? else { return Ok(0) };
    let mut changed = 0;
    for (index, policy) in policies(&maps)? {
        if policy.mode == MODE_ENFORCE {
            let policy = Policy { mode: MODE_OBSERVE, ..policy };
            maps.policies.insert(&index, &policy, Insert::Any)?;
            changed += 1;
        }
    }
    Ok(changed)
}

/// Takes the programs of every version off their interfaces, and names these. The maps stay.
pub fn detach(pin_dir: &Path) -> Result<Vec<String>> {
    kernel::check_privileges()?;
    let pins = Pins::new(pin_dir);
    let interfaces = pins.interfaces();
    for interface in &interfaces {
        attach::detach(&pins, interface)?;
    }
    Ok(interfaces)
}

/// The key that blocks of an address go by; for what the rescue prints.
pub fn source_of(address: IpAddr) -> SourceKey {
    SourceKey::from(address)
}
