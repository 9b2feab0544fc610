//! The report of a day or of several, and what is told to whom an attacker's address belongs.

use std::net::IpAddr;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AlertView, GeoData, PacketView};

/// Days, and rows of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportQuery {
    /// One day; today otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date"))]
    pub date: Option<Date>,
    /// From this day on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date"))]
    pub from: Option<Date>,
    /// To this day, itself included; today otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date"))]
    pub to: Option<Date>,
    /// The last so many days, today included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
    /// By victim, then by attacker, otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort: Option<ReportOrder>,
    #[serde(default)]
    pub reverse: bool,
    /// The totals are of all rows all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// Numbers and times put the greatest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReportOrder {
    Victim,
    Attacker,
    Country,
    Method,
    Blocks,
    Drops,
    Last,
}

impl ReportOrder {
    pub const ALL: [(&str, Self); 7] = [
        ("victim", Self::Victim),
        ("attacker", Self::Attacker),
        ("country", Self::Country),
        ("method", Self::Method),
        ("blocks", Self::Blocks),
        ("drops", Self::Drops),
        ("last", Self::Last),
    ];

    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, order)| *order == self).map_or("", |(name, _)| name)
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    pub host: String,
    /// The first day, `YYYY-MM-DD`.
    pub date: String,
    /// The last one, itself included.
    #[serde(default)]
    pub until: String,
    /// Of the days.
    #[serde(default)]
    pub zone: String,
    /// The oldest day of which anything is kept: rows are bounded in number, and the oldest go.
    #[serde(default)]
    pub kept_since: Option<String>,
    pub rows: Vec<ReportRow>,
    pub total_rows: u64,
    pub total_blocks: u64,
    pub total_containments: u64,
    pub total_drops: u64,
    /// Packets that would have been dropped, had their protection not only observed.
    #[serde(default)]
    pub total_observed: u64,
    /// Most drops first.
    #[serde(default)]
    pub countries: Vec<CountryRow>,
    /// The oldest first.
    #[serde(default)]
    pub alerts: Vec<AlertView>,
}

/// What came from one country.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CountryRow {
    /// ISO code; absent for addresses in no country.
    pub country: Option<String>,
    pub country_name: Option<String>,
    pub attackers: u64,
    pub blocks: u64,
    pub containments: u64,
    pub drops: u64,
}

/// One attacker's doing against one address by one method.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReportRow {
    pub attacker: String,
    pub country: Option<String>,
    pub country_name: Option<String>,
    /// `KIND:signature`.
    pub method: String,
    pub victim: Option<IpAddr>,
    pub endpoint: Option<String>,
    /// Dynamic blocks; a scanner that is dropped by its user agent needs none.
    pub blocks: u64,
    pub containments: u64,
    pub drops: u64,
    #[serde(default)]
    pub observed: u64,
    pub user_agent: Option<String>,
    /// The last line of a log that told of it.
    #[serde(default)]
    pub line: Option<String>,
    pub first: i64,
    pub last: i64,
}

/// What an abuse desk asks for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AbuseReport {
    /// Who reports: the configuration's `abuse_contact`.
    pub reporter: Option<String>,
    pub host: String,
    pub address: IpAddr,
    /// What is counted and blocked with it: the address, or its /64.
    pub source: String,
    pub geo_data: Option<GeoData>,
    /// When this was written.
    pub at: i64,
    /// Of all times.
    pub zone: String,
    pub first: i64,
    pub last: i64,
    /// The newest first.
    pub evidence: Vec<AbuseRow>,
    /// Packets dropped of it, as far as days are kept.
    pub drops: u64,
    pub user_agents: Vec<String>,
    pub handled: Vec<Handled>,
    /// Whether the past has more than this.
    pub cut: bool,
}

/// One finding, with its first and last packet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AbuseRow {
    pub from: i64,
    pub to: i64,
    /// `KIND:signature`.
    pub method: String,
    /// For people.
    pub what: String,
    /// Whether a round trip was seen: without one the address may be forged.
    pub proven: bool,
    pub victim: Option<IpAddr>,
    pub count: u64,
    /// Distinct ones that are known of.
    pub accounts: u64,
    pub user_agent: Option<String>,
    pub first: Option<PacketView>,
    pub last: Option<PacketView>,
}

/// What was done about it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Handled {
    pub at: i64,
    pub what: String,
}
