//! `sipprot geo`: which databases, what a change would do, a newer one. None of it needs root, but
//! for putting a database in its place.

use super::args::{GeoVerb, Preview};
use super::table::{Align, Table};
use super::{CliError, Context, settings};
use crate::api::{Affected, GeoChange, GeoPreview, GeoView, Status};
use crate::daemon::geography::{self, preview};
use crate::fetch::Limits;
use crate::geo::{self, Geo, Updated};
use crate::message::shortened;

/// Rows that are shown; the JSON has more.
const SHOWN: usize = 30;

pub(super) fn run(context: &Context, verb: GeoVerb) -> Result<(), CliError> {
    match verb {
        GeoVerb::Status => status(context),
        GeoVerb::Preview(change) => previewed(context, change),
        GeoVerb::Set(set) => settings::geo(context, set),
        GeoVerb::Off(off) => settings::geo_off(context, &off),
        GeoVerb::Update { source } => update(context, &source),
    }
}

fn status(context: &Context) -> Result<(), CliError> {
    let config = context.load_config()?.config;
    let view = match context.client()?.get::<Status>("/status") {
        Ok(status) => status.geo,
        Err(CliError::NotRunning(_)) => geography::view(&Geo::open(&config.geo.databases), &config),
        Err(error) => return Err(error),
    };
    context.print(&view, text)
}

/// The database, in a line.
pub(super) fn database(view: &GeoView) -> String {
    let Some(name) = &view.name else { return "no country database".to_owned() };
    let age = view.age_days.map_or("of unknown age".to_owned(), |days| format!("{days} days old"));
    let old = if view.old {
        ": more than half a year, 'sipprot geo update' takes a newer one"
    } else {
        ""
    };
    format!("{name}, {age}{old}")
}

fn text(view: &GeoView) -> String {
    let mut text = format!("Database: {}\n", database(view));
    view.databases.iter().for_each(|path| text += &format!("  {path}\n"));
    view.problems.iter().for_each(|problem| text += &format!("  can't be used: {problem}\n"));
    if view.policies.is_empty() {
        text += "No country is kept out.\n";
    }
    for policy in &view.policies {
        let countries = policy.countries.join(" ");
        text += &format!("{}: {} {countries} (scope {})", policy.name, policy.mode, policy.scope);
        if policy.observed {
            text += ", only observed";
        }
        if let Some(until) = policy.learning_until {
            text += &format!(", learning flows until {}", super::lists::time(until));
        }
        text.push('\n');
    }
    let mut drops: Vec<_> = view.drops.iter().collect();
    drops.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    if !drops.is_empty() {
        let mut table = Table::new([("COUNTRY", Align::Left), ("PACKETS DROPPED", Align::Right)]);
        drops.iter().take(SHOWN).for_each(|(code, count)| {
            table.row([(*code).clone(), count.to_string()]);
        });
        text += &table.render();
    }
    text
}

fn previewed(context: &Context, change: Preview) -> Result<(), CliError> {
    let Preview { mode, countries, scope, endpoint } = change;
    let change = GeoChange { mode, countries, scope, endpoint };
    // What can't be read or reached is unknown, and the database is asked alone.
    let config = context.load_config().map(|loaded| loaded.config).unwrap_or_default();
    let asked = context.client().and_then(|client| client.post("/geo/preview", &change));
    let found: GeoPreview = match asked {
        Ok(found) => found,
        Err(CliError::Fault(fault)) => return Err(fault.into()),
        Err(_) => preview::preview(&Geo::open(&config.geo.databases), &change, None)?,
    };
    context.print(&found, shown)
}

fn shown(found: &GeoPreview) -> String {
    let numbers = &found.networks;
    let mut text = format!(
        "Mode {}, scope {}, of {}\nCountries: {}\nNetworks: {} IPv4 ({} addresses), {} IPv6 ({} sites of \
         /48), by {}\n",
        found.mode,
        found.scope,
        found.endpoint.as_deref().map_or("the host".to_owned(), |name| format!("endpoint {name}")),
        found.countries.join(" "),
        numbers.v4,
        numbers.v4_addresses,
        numbers.v6,
        numbers.v6_sites,
        found.database,
    );
    if !found.missing.is_empty() {
        text += &format!("Not in the database: {}\n", found.missing.join(" "));
    }
    let (Some(phones), Some(peers), Some(entries)) = (&found.phones, &found.peers, &found.entries)
    else {
        return text + "Which phones and peers it cuts off is not known: no daemon answers.\n";
    };
    let cut = |all: &[Affected]| all.iter().filter(|it| it.cut_off).count();
    text += &format!(
        "Cut off: {} registered phones, {} peers. Let in by the allowlist: {} entries.\n",
        cut(phones),
        cut(peers),
        entries.len()
    );
    text + &affected(&[("phone", phones), ("peer", peers)])
}

fn affected(kinds: &[(&str, &Vec<Affected>)]) -> String {
    let rows = kinds.iter().flat_map(|(kind, all)| all.iter().map(move |it| (kind, it)));
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return String::new();
    }
    let mut table = Table::new([
        ("SOURCE", Align::Left),
        ("COUNTRY", Align::Left),
        ("KIND", Align::Left),
        ("ENDPOINT", Align::Left),
        ("WHO", Align::Left),
        ("", Align::Left),
    ]);
    for (kind, it) in rows.take(SHOWN) {
        let word = if it.cut_off { "cut off" } else { "stays: on the allowlist" };
        let country = it.country.clone().unwrap_or_else(|| "unknown".to_owned());
        table.row([
            it.source.clone(),
            country,
            (*kind).to_owned(),
            if it.endpoints.is_empty() { "unknown".to_owned() } else { it.endpoints.join(" ") },
            // An office has many accounts.
            shortened(&it.who, 40),
            word.to_owned(),
        ]);
    }
    table.render()
}

fn update(context: &Context, source: &str) -> Result<(), CliError> {
    let config = context.load_config()?.config;
    let target = geo::target(&config.geo.databases).map_err(CliError::Failed)?;
    let updated: Updated = geo::update(source, &target, Limits::default())
        .map_err(|error| CliError::Failed(format!("{source}: {error}")))?;
    context.print(&updated, |updated| {
        let previous = updated.previous.as_ref().map(|path| format!("; the one before is {}", path.display()));
        format!(
            "{} with {} countries in {} networks is {}{}\nA running daemon takes it over within seconds.\n",
            updated.name,
            updated.countries,
            updated.networks,
            updated.path.display(),
            previous.unwrap_or_default()
        )
    })
}
