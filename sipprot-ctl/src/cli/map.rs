//! `sipprot map`: what is really in the kernel, from the pins alone.

use super::args::MapVerb;
use super::table::{Align, Table};
use super::{CliError, Context};
use crate::datapath::DatapathError;
use crate::datapath::dump::{self, Dump, Fields, MapView};

#[derive(serde::Serialize)]
struct Maps {
    maps: Vec<MapView>,
}

pub(super) fn run(context: &Context, verb: MapVerb) -> Result<(), CliError> {
    let MapVerb::Dump { map, limit } = verb;
    let pin_dir = context.load_config()?.config.daemon.pin_dir;
    let nothing = || CliError::Failed(format!("no maps are pinned at {}", pin_dir.display()));
    match map {
        None => {
            let maps = dump::maps(&pin_dir).map_err(failed)?.ok_or_else(nothing)?;
            context.print(&Maps { maps }, |it| listing(&it.maps))
        }
        Some(name) => {
            let dump = dump::dump(&pin_dir, &name, limit).map_err(failed)?.ok_or_else(nothing)?;
            context.print(&dump, entries)
        }
    }
}

fn failed(error: DatapathError) -> CliError {
    match error {
        DatapathError::Invalid(what) => CliError::Usage(what),
        other => CliError::Failed(other.to_string()),
    }
}

fn listing(maps: &[MapView]) -> String {
    let mut table = Table::new([
        ("MAP", Align::Left),
        ("KIND", Align::Left),
        ("KEY", Align::Right),
        ("VALUE", Align::Right),
        ("ENTRIES", Align::Right),
        ("CAPACITY", Align::Right),
        ("FILL", Align::Right),
    ]);
    for map in maps {
        let fill =
            map.entries.map(|entries| entries as f64 * 100.0 / f64::from(map.capacity.max(1)));
        table.row([
            map.name.to_owned(),
            map.kind.clone(),
            map.key_bytes.to_string(),
            map.value_bytes.to_string(),
            map.entries.map(|entries| entries.to_string()).unwrap_or_default(),
            map.capacity.to_string(),
            fill.filter(|_| map.kind != "array of maps")
                .map(|fill| format!("{fill:.1} %"))
                .unwrap_or_default(),
        ]);
    }
    table.render()
}

fn entries(dump: &Dump) -> String {
    let mut table = Table::new([("KEY", Align::Left), ("VALUE", Align::Left)]);
    for entry in &dump.entries {
        table.row([words(&entry.key), words(&entry.value)]);
    }
    let all = dump.map.entries.unwrap_or_default();
    format!("{}{} of {all} entries of {}\n", table.render(), dump.entries.len(), dump.map.name)
}

/// `ends_in_s 3542.1, scope all`.
fn words(fields: &Fields) -> String {
    let word = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let words = fields.iter().map(|(name, value)| format!("{name} {}", word(value)));
    words.collect::<Vec<_>>().join(", ")
}
