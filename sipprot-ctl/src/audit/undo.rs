//! What of a record can be taken back.

use serde_json::Value as Json;

use crate::api::Right;
use crate::store::{AuditRecord, Pair};

/// Why a record can't be undone, whatever has happened since; `None` if it can.
pub fn why_not(record: &AuditRecord) -> Option<String> {
    if let Some(by) = record.undone_by {
        return Some(format!("it was undone by {by}"));
    }
    if let Some(what) = &record.left_out {
        return Some(format!("what was there before is not kept: {what}"));
    }
    match record.what.as_str() {
        "learn.discard" => return Some("what was learned is gone".to_owned()),
        "confirm" => return Some("a confirmation changes nothing: undo what it kept".to_owned()),
        "learn.accept" => {
            let what = "it has several parts: undo it as its answer told, or change settings and \
                        peers one by one";
            return Some(what.to_owned());
        }
        _ => {}
    }
    if parts(record).next().is_none() {
        return Some("nothing that can be taken back was changed".to_owned());
    }
    let is_hidden =
        |value: &Option<Json>| value.as_ref().is_some_and(|it| it == crate::config::SECRET);
    let secret = record.pairs.iter().find(|pair| match pair {
        Pair::Setting { before, after, .. } => is_hidden(before) || is_hidden(after),
        _ => false,
    });
    secret.map(|pair| format!("{} is a secret, which is not kept here", pair.thing()))
}

/// What it takes to undo a record: what it took to do it.
pub fn least(record: &AuditRecord) -> Right {
    let is_of_lists = |pair: &Pair| matches!(pair, Pair::List { .. } | Pair::Block { .. });
    if parts(record).all(is_of_lists) { Right::Lists } else { Right::Admin }
}

/// The pairs that an undo goes by: a source's standing follows from its blocks.
pub fn parts(record: &AuditRecord) -> impl Iterator<Item = &Pair> {
    record.pairs.iter().filter(|pair| !matches!(pair, Pair::Standing { .. }))
}
