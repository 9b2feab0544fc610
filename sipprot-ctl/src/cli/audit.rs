//! `sipprot audit` and `sipprot undo`.

use serde_json::Value as Json;

use super::args::{Audit, Undo};
use super::change::operator;
use super::client::query;
use super::lists::time;
use super::table::{Align, Table};
use super::{CliError, Context};
use crate::api::{AuditAnswer, AuditChange, AuditView, Fault};
use crate::message::shortened;

/// How far back the last thing that can be undone is looked for.
const LOOKED_AT: &str = "200";

pub(super) fn run(context: &Context, audit: &Audit) -> Result<(), CliError> {
    let numbers = [audit.offset, audit.limit].map(|it| it.map(|it| it.to_string()));
    let times = [audit.since, audit.until].map(|it| it.map(|it| it.to_string()));
    let parts = [
        ("who", audit.who.as_deref()),
        ("what", audit.what.as_deref()),
        ("address", audit.address.as_deref()),
        ("since", times[0].as_deref()),
        ("until", times[1].as_deref()),
        ("sort", audit.oldest.then_some("oldest")),
        ("offset", numbers[0].as_deref()),
        ("limit", numbers[1].as_deref()),
    ];
    let answer: AuditAnswer = context.client()?.get(&format!("/audit{}", query(&parts)))?;
    context.print(&answer, table)
}

fn table(answer: &AuditAnswer) -> String {
    let mut table = Table::new([
        ("N", Align::Right),
        ("TIME", Align::Left),
        ("WHO", Align::Left),
        ("FROM", Align::Left),
        ("WHAT", Align::Left),
        ("TARGET", Align::Left),
        ("CHANGE", Align::Left),
        ("UNDONE", Align::Left),
    ]);
    for record in &answer.records {
        table.row([
            record.number.to_string(),
            time(record.at),
            record.who.clone(),
            record.from.clone(),
            record.what.clone(),
            shortened(&record.target, 48),
            changes(record),
            record.undone_by.map(|by| format!("by {by}")).unwrap_or_default(),
        ]);
    }
    format!("{}{} of {}\n", table.render(), answer.records.len(), answer.total)
}

fn changes(record: &AuditView) -> String {
    let more = record.changes.len().saturating_sub(1) as u64 + record.more;
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    record.changes.first().map(|it| format!("{}{more}", change(it))).unwrap_or_default()
}

fn change(change: &AuditChange) -> String {
    let thing = &change.thing;
    match (&change.before, &change.after) {
        (Json::Object(_), Json::Object(_)) => format!("{thing} edited"),
        (Json::Null, Json::Object(_)) => format!("{thing} added"),
        (Json::Object(_), Json::Null) => format!("{thing} removed"),
        (before, after) => {
            let value = |value: &Json| match value {
                Json::Null => "default".to_owned(),
                value => shortened(&value.to_string(), 48),
            };
            format!("{thing}: {} → {}", value(before), value(after))
        }
    }
}

pub(super) fn undo(context: &Context, undo: &Undo) -> Result<(), CliError> {
    let client = context.client()?;
    let me = operator();
    let number = match undo.number {
        Some(number) => number,
        None => {
            let mine = [
                ("who", Some(me.as_str())),
                ("undoable", Some("true")),
                ("limit", Some(LOOKED_AT)),
            ];
            let answer: AuditAnswer = client.get(&format!("/audit{}", query(&mine)))?;
            // What was undone last is not to be done again by undoing once more.
            let last = answer.records.iter().find(|record| record.undoes.is_none());
            let none = || Fault::not_found(format!("{me} did nothing that can be undone"));
            last.ok_or_else(none)?.number
        }
    };
    let by = query(&[("by", Some(&me))]);
    let path = format!("/audit/{number}/undo{by}");
    let done: Json = client.confirming(undo.confirm).post(&path, &())?;
    context.print(&done, |done| format!("{}\n", done["message"].as_str().unwrap_or_default()))
}
