//! Lists as spreadsheets: IP_ADDRESS,NOTE,TIME,ADDED_BY in a CSV file.
//!
//! Reads what people and spreadsheet programs save, row by row in bounded memory, and says line and
//! field of what is wrong; writes what they can open without harm. What is done with the rows it does
//! not know.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::{Row, Rows, Wrong};
pub use write::{Writer, harmless, template};

use crate::store::List;

/// A column, by its name in the first line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Column {
    Address,
    Note,
    Time,
    AddedBy,
    Expires,
    Scope,
}

impl Column {
    /// In the order in which they are written; the first four always are.
    pub const ALL: [Self; 6] =
        [Self::Address, Self::Note, Self::Time, Self::AddedBy, Self::Expires, Self::Scope];
    pub const ALWAYS: usize = 4;

    pub const fn name(self) -> &'static str {
        match self {
            Self::Address => "IP_ADDRESS",
            Self::Note => "NOTE",
            Self::Time => "TIME",
            Self::AddedBy => "ADDED_BY",
            Self::Expires => "EXPIRES",
            Self::Scope => "SCOPE",
        }
    }

    /// Case, blanks for underscores and the French word for a note don't matter.
    fn named(text: &str) -> Option<Self> {
        let name = text.trim().to_ascii_uppercase().replace(' ', "_");
        if name == "REMARQUE" {
            return Some(Self::Note);
        }
        Self::ALL.into_iter().find(|column| column.name() == name)
    }
}

/// What makes a spreadsheet program take a cell for a formula.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];
/// What makes it take any cell for text; not shown by it.
const TEXT_MARK: char = '\'';

/// Would a spreadsheet program calculate this, or is it marked already?
fn is_formula(cell: &str) -> bool {
    cell.trim_start_matches(TEXT_MARK).starts_with(FORMULA)
}

/// The list's name in files and messages.
pub const fn list_name(list: List) -> &'static str {
    match list {
        List::Allow => "allow",
        List::Deny => "deny",
    }
}
