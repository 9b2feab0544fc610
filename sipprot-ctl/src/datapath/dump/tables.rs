//! The compiled tables and the user agents: one value each, of which the parts are shown.

use std::path::Path;

use serde_json::json;
use sipprot_common::abi::{AGENT_EXACT, AGENT_SUBSTRING, UserAgents, maps};
use sipprot_common::source::Address;
use sipprot_common::table::{LISTED, ListTable, MIXED, PlaceTable, Strangers};

use super::super::error::Result;
use super::super::keys;
use super::super::map::Map;
use super::super::table::{Slot, Table};
use super::decode::{country, fields};
use super::{Fields, Sink};

/// Every /24, host and IPv6 prefix of the denylist's table; of prefixes only their hashes are kept.
pub(super) fn listed(directory: &Path, sink: &mut Sink) -> Result<()> {
    let slot = Slot::<ListTable>::open(directory, maps::LISTED)?;
    let Some(table) = Table::in_force(&slot)? else { return Ok(()) };
    let table = table.into_view()?;
    let name = |first: u32, length: u32| {
        let network = keys::network(Address::from_v4(first), length);
        fields! { "network": network.map(|it| it.to_string()) }
    };
    let value = || fields! { "generation": table.generation.get() };
    table.networks.each(LISTED, |first| sink.put(|| (name(first, 96 + 24), value())));
    table.hosts.each(|host| sink.put(|| (name(host, 128), value())));
    table.prefixes.each(|spelling| {
        sink.put(|| (fields! { "prefix_hash": format!("{spelling:016x}") }, value()));
    });
    Ok(())
}

/// Runs of /24s with the same country.
pub(super) fn places(directory: &Path, sink: &mut Sink) -> Result<()> {
    let slot = Slot::<PlaceTable>::open(directory, maps::PLACES)?;
    let Some(table) = Table::in_force(&slot)? else { return Ok(()) };
    let table = table.into_view()?;
    let value = |code: u8| {
        let name =
            if code == MIXED { "several".to_owned() } else { country(table.name(code.into())) };
        fields! { "country": name }
    };
    table.each_v4_run(|first, last, code| {
        if code != 0 {
            let shown = |index: u32, rest: u32| Address::from_v4(index << 8 | rest).to_ip();
            let key = || fields! { "first": shown(first, 0).to_string(), "last": shown(last, 255).to_string() };
            sink.put(|| (key(), value(code)));
        }
    });
    table.each_v6_run(|first, last, code| {
        if code != 0 {
            let shown = |index: u32| {
                let high = 1 << 61 | u64::from(index) << 40;
                Address::from_halves(high, 0).to_ip().to_string()
            };
            sink.put(|| {
                let key = fields! { "first": shown(first) + "/24", "last": shown(last) + "/24" };
                (key, value(code))
            });
        }
    });
    Ok(())
}

/// One value: how many places say that somebody is known.
pub(super) fn strangers(directory: &Path, sink: &mut Sink) -> Result<()> {
    let table = Table::<Strangers>::open(directory, maps::STRANGERS)?.into_view()?;
    let known = table.known();
    sink.put(|| {
        let value = fields! { "places": Strangers::WORDS * 64, "known": known };
        (fields! { "index": 0 }, value)
    });
    Ok(())
}

pub(super) fn agents(directory: &Path, sink: &mut Sink) -> Result<()> {
    let Some(list) = Map::<u32, UserAgents>::open(directory, maps::USER_AGENTS)?.get(&0)? else {
        return Ok(());
    };
    for (index, pattern) in list.patterns.iter().take(list.count as usize).enumerate() {
        sink.put(|| {
            let bytes: Vec<u8> = pattern.value.iter().flat_map(|word| word.to_ne_bytes()).collect();
            let length = (pattern.length as usize).min(bytes.len());
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            let kind = match pattern.kind {
                AGENT_EXACT => "exact",
                AGENT_SUBSTRING => "anywhere",
                _ => "beginning",
            };
            let mut value = Fields::new();
            value.insert("pattern".to_owned(), json!(text));
            value.insert("matches".to_owned(), json!(kind));
            (fields! { "index": index }, value)
        });
    }
    Ok(())
}
