//! Countries: what a change of the geo protection would do.

use ipnetwork::IpNetwork;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema::Network;
use crate::config::{GeoMode, RuleScope};

/// A change that is thought of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GeoChange {
    pub mode: GeoMode,
    /// ISO codes, English names, continents.
    pub countries: Vec<String>,
    #[serde(default)]
    pub scope: RuleScope,
    /// Whose policy it is; the host's otherwise.
    #[serde(default)]
    pub endpoint: Option<String>,
}

/// What would come of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct GeoPreview {
    pub mode: GeoMode,
    pub scope: RuleScope,
    pub endpoint: Option<String>,
    /// ISO codes.
    pub countries: Vec<String>,
    /// Those of which the database has no network.
    pub missing: Vec<String>,
    /// As the database calls itself.
    pub database: String,
    pub age_days: Option<u64>,
    /// Of the countries named: what the kernel takes.
    pub networks: NetworkCount,
    /// A daemon answered; the lists below are null otherwise: nobody knows.
    pub live: bool,
    /// Registered phones in a country that would be kept out.
    pub phones: Option<Vec<Affected>>,
    /// Trunks and peers likewise.
    pub peers: Option<Vec<Affected>>,
    /// Entries of the allowlist likewise: they are let in all the same.
    pub entries: Option<Vec<Affected>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct NetworkCount {
    pub v4: u64,
    pub v6: u64,
    /// IPv4 addresses.
    pub v4_addresses: u64,
    /// IPv6 networks of /48, as sites have them.
    pub v6_sites: u64,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Affected {
    pub source: String,
    /// Absent where no database knows.
    pub country: Option<String>,
    /// Accounts of a phone, or the operator's note.
    pub who: String,
    /// Endpoints at which it was seen since the daemon started; none: not known.
    #[serde(default)]
    pub endpoints: Vec<String>,
    pub cut_off: bool,
    /// The entry of the allowlist that lets it in.
    #[schemars(with = "Option<Network>")]
    pub allowed_by: Option<IpNetwork>,
}
