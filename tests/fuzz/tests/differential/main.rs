//! The host's parser and the scanner beneath it against an independent SIP parser (ezk-sip-types):
//! the RFCs' messages, ordinary ones, the same rewritten and damaged, and generated ones.
//!
//! Where the two read a message differently is a table (`explained`): a disagreement that no row
//! explains fails, and so does a row that explains nothing.

mod explained;
mod messages;
mod reading;

use std::collections::BTreeMap;

use explained::EXPLAINED;
use reading::{Field, Value, ours, theirs};

/// One field of one message, read in two ways.
pub struct Disagreement<'a> {
    pub field: Field,
    pub ours: &'a Value,
    pub theirs: &'a Value,
    pub bytes: &'a [u8],
}

#[test]
fn every_disagreement_is_explained() {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut read, mut compared, mut unexplained) = (0, 0, Vec::new());
    for message in messages::all() {
        read += 1;
        let (ours, theirs) = (ours(&message.bytes), theirs(&message.bytes));
        for field in Field::ALL {
            let (ours, theirs) = (&ours[field as usize], &theirs[field as usize]);
            compared += 1;
            // Where one sees no message there is nothing more to compare.
            let one_sees_none = [ours, theirs].contains(&&Value::NoMessage);
            if ours == theirs || one_sees_none && field != Field::Start {
                continue;
            }
            let disagreement = Disagreement { field, ours, theirs, bytes: &message.bytes };
            match EXPLAINED.iter().find(|row| (row.applies)(&disagreement)) {
                Some(row) => *counts.entry(row.what).or_default() += 1,
                None => unexplained.push(format!(
                    "{}: {field:?}: ours {ours:?}, theirs {theirs:?}\n{}",
                    message.name,
                    message.bytes.escape_ascii()
                )),
            }
        }
    }
    println!("{read} messages, {compared} fields compared");
    for row in EXPLAINED {
        let count = counts.get(row.what).copied().unwrap_or_default();
        println!("{count:6}  {}: {}", row.what, row.why);
    }
    for one in unexplained.iter().take(99999) {
        println!("UNEXPLAINED {one}\n");
    }
    assert!(unexplained.is_empty(), "{} disagreements are not explained", unexplained.len());
    let idle: Vec<_> =
        EXPLAINED.iter().filter(|row| !counts.contains_key(row.what)).map(|row| row.what).collect();
    assert!(idle.is_empty(), "no longer disagreed about: {idle:?}");
}
