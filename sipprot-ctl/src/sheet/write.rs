//! From entries to bytes.

use std::borrow::Cow;
use std::io::{self, Write};

use super::{Column, TEXT_MARK, is_formula, list_name};
use crate::config::{Choice, Scope};
use crate::report::{address, utc};
use crate::store::{List, ListEntry};

/// Writes entries as rows; times are UTC and say so.
pub struct Writer<W: Write> {
    csv: csv::Writer<W>,
    wide: bool,
}

impl<W: Write> Writer<W> {
    /// `wide` adds the columns that only entries with an end or a scope need.
    pub fn new(into: W, wide: bool) -> io::Result<Self> {
        let mut csv = csv::WriterBuilder::new().flexible(true).from_writer(into);
        let columns = if wide { Column::ALL.len() } else { Column::ALWAYS };
        csv.write_record(Column::ALL[..columns].iter().map(|column| column.name()))?;
        Ok(Self { csv, wide })
    }

    /// Does an entry need the wide form?
    pub fn needs_wide(entry: &ListEntry) -> bool {
        entry.expires_at.is_some() || entry.scope != Scope::All
    }

    pub fn entry(&mut self, entry: &ListEntry) -> io::Result<()> {
        self.csv.write_field(address(entry.network))?;
        self.csv.write_field(harmless(&entry.note).as_bytes())?;
        self.csv.write_field(utc(entry.added_at))?;
        self.csv.write_field(harmless(&entry.added_by).as_bytes())?;
        if self.wide {
            self.csv.write_field(entry.expires_at.map(utc).unwrap_or_default())?;
            self.csv.write_field(entry.scope.name())?;
        }
        // Ends the row.
        Ok(self.csv.write_record(None::<&[u8]>)?)
    }

    pub fn finish(mut self) -> io::Result<()> {
        self.csv.flush()
    }
}

/// Marked as text where a spreadsheet program would calculate it. A mark that is there already gets
/// another one, so that reading takes off just ours.
pub fn harmless(cell: &str) -> Cow<'_, str> {
    if is_formula(cell) { format!("{TEXT_MARK}{cell}").into() } else { cell.into() }
}

/// A file to begin with: the columns, and what goes into them.
pub fn template(list: List) -> String {
    let note = match list {
        List::Allow => "our office",
        List::Deny => "keeps on scanning",
    };
    format!(
        "IP_ADDRESS,NOTE,TIME,ADDED_BY\n\
         192.0.2.1,\"{note} (an example for the {} list)\",2026-02-28 15:44:35Z,ann\n\
         2001:db8::/32,\"a network; TIME and ADDED_BY may be left out\",,\n",
        list_name(list)
    )
}
