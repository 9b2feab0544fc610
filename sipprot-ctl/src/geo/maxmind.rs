//! MaxMind-format databases (`.mmdb`), of whatever maker.
//!
//! The country is found in either shape of record: nested, `country.iso_code`, or flat,
//! `country_code`, or a two-letter `country`.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use maxminddb::{LookupResult, MaxMindDbError, PathElement, Reader, WithinOptions};

use super::Database;
use super::countries::Country;
use super::exempt::exempt_networks;
use super::ranges::Ranges;
use super::tree;

pub(super) struct MaxMind {
    reader: Reader<Vec<u8>>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum MaxMindError {
    #[error(transparent)]
    File(#[from] io::Error),
    #[error(transparent)]
    Database(#[from] MaxMindDbError),
    #[error("its search tree has no end, or more networks than anybody could read")]
    Endless,
}

const PATHS: [&[PathElement<'static>]; 4] = [
    &[PathElement::Key("country"), PathElement::Key("iso_code")],
    &[PathElement::Key("country_code")],
    &[PathElement::Key("country")],
    // For networks whose users are abroad of where they are registered, and only for want of better.
    &[PathElement::Key("registered_country"), PathElement::Key("iso_code")],
];

impl MaxMind {
    pub fn open(path: &Path) -> Result<MaxMind, MaxMindError> {
        let bytes = fs::read(path)?;
        let reader = Reader::from_source(bytes.as_slice())?;
        let about = reader.metadata();
        if !tree::is_bounded(&bytes, about.node_count, about.record_size) {
            return Err(MaxMindError::Endless);
        }
        Ok(MaxMind { reader: Reader::from_source(bytes)? })
    }

    pub fn database(&self, path: &Path) -> Database {
        let metadata = self.reader.metadata();
        let built = i64::try_from(metadata.build_epoch).ok();
        Database {
            name: metadata.database_type.clone(),
            paths: vec![path.to_owned()],
            built: built.and_then(|second| Timestamp::from_second(second).ok()),
        }
    }

    pub fn country(&self, address: IpAddr) -> Option<Country> {
        country_of(&self.reader.lookup(address).ok()?)
    }

    /// Walks the whole database; records are shared by many networks and decoded once.
    pub fn ranges(&self, wanted: impl Fn(Country) -> bool) -> Ranges {
        let mut ranges = Ranges::default();
        let mut known = HashMap::new();
        let Ok(networks) = self.reader.networks(WithinOptions::default()) else { return ranges };
        for result in networks.filter_map(Result::ok) {
            let country = match result.offset() {
                Some(offset) => *known.entry(offset).or_insert_with(|| country_of(&result)),
                None => None,
            };
            if let Some(country) = country.filter(|country| wanted(*country))
                && let Ok(network) = result.network()
            {
                let (first, last) = ends(network);
                ranges.push(first, last, country);
            }
        }
        ranges.settle();
        ranges.leave_out(exempt_networks());
        ranges
    }
}

fn country_of(result: &LookupResult<'_, Vec<u8>>) -> Option<Country> {
    PATHS.iter().find_map(|path| {
        let code: &str = result.decode_path(path).ok()??;
        Country::from_code(code)
    })
}

/// In a database of both families IPv4 lies at ::/96.
fn ends(network: IpNetwork) -> (IpAddr, IpAddr) {
    let (first, last) = (network.network(), network.broadcast());
    match (first, last) {
        (IpAddr::V6(v6_first), IpAddr::V6(v6_last)) if v6_last.to_bits() >> 32 == 0 => {
            let low = |bits: u128| IpAddr::from(Ipv4Addr::from_bits(bits as u32));
            (low(v6_first.to_bits()), low(v6_last.to_bits()))
        }
        _ => (first, last),
    }
}
