//! Whose a network is: databases of autonomous systems, in MaxMind's format, of whatever maker.
//!
//! The number is found as `autonomous_system_number` or `asn`, the name as `autonomous_system_organization`,
//! `as_name` or `name`. Without a database nobody knows.

use std::net::IpAddr;
use std::path::Path;

use maxminddb::{LookupResult, PathElement, Reader};
use sipprot_common::source::Address;

use super::exempt::is_exempt;
use super::find::{self, Seen};
use crate::message::clean;

const NUMBER: &str = "autonomous_system_number";
/// Already with its letters.
const NUMBER_TEXT: &str = "asn";
const NAMES: [&str; 3] = ["autonomous_system_organization", "as_name", "name"];
const NAME_MAX: usize = 128;

/// The newest database of the usual places, or none.
pub struct Owners {
    reader: Option<Reader<Vec<u8>>>,
    seen: Vec<Seen>,
}

impl Owners {
    pub fn open() -> Self {
        Self::open_below(Path::new("/"))
    }

    pub(super) fn open_below(root: &Path) -> Self {
        let candidates = find::owners(root);
        let seen = find::seen(&candidates);
        let reader = candidates.iter().find_map(|path| Reader::open_readfile(path).ok());
        Self { reader, seen }
    }

    /// Whether opening again would find something else.
    pub fn has_changed(&self) -> bool {
        find::seen(&find::owners(Path::new("/"))) != self.seen
    }

    /// Such as `AS64500 Example Networks`.
    pub fn owner(&self, address: IpAddr) -> Option<String> {
        let address = Address::from(address).to_ip();
        if is_exempt(address) {
            return None;
        }
        let found = self.reader.as_ref()?.lookup(address).ok()?;
        let number = number(&found).map(|number| format!("AS{number}"));
        let number = number.or_else(|| text(&found, NUMBER_TEXT));
        let name = NAMES.iter().find_map(|key| text(&found, key));
        let parts: Vec<String> = [number, name].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(" "))
    }
}

fn number(found: &LookupResult<'_, Vec<u8>>) -> Option<u32> {
    found.decode_path(&[PathElement::Key(NUMBER)]).ok()?
}

fn text(found: &LookupResult<'_, Vec<u8>>, key: &'static str) -> Option<String> {
    let text: &str = found.decode_path(&[PathElement::Key(key)]).ok()??;
    let text = clean(text.as_bytes(), NAME_MAX);
    (!text.is_empty()).then_some(text)
}
