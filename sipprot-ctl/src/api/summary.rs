//! Sums of some days' attacks, as a page shows them: bounded, however many there were.

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AlertView, CountryRow};

/// Which days, and of which attacks; all fields narrow the choice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SummaryQuery {
    /// From this day on.
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("format" = "date"))]
    pub from: Option<Date>,
    /// To this day, itself included; today otherwise.
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("format" = "date"))]
    pub to: Option<Date>,
    /// The last so many days.
    #[serde(default)]
    pub days: Option<u32>,
    /// ISO code.
    #[serde(default)]
    pub country: Option<String>,
    /// The name of the endpoint that was attacked.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// `BRUTEFORCE` and so on: what stands before the colon of a method.
    #[serde(default)]
    pub kind: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    pub host: String,
    /// The first day, `YYYY-MM-DD`.
    pub date: String,
    /// The last one, itself included.
    pub until: String,
    /// Of the days.
    pub zone: String,
    /// The oldest day of which anything is kept.
    pub kept_since: Option<String>,
    /// When the first step of the series begins, and how long each is.
    pub start: i64,
    pub step_s: u64,
    /// By kind, all of one length.
    pub series: Vec<Series>,
    pub attackers: u64,
    pub blocks: u64,
    pub containments: u64,
    pub drops: u64,
    /// Packets that would have been dropped, had their protection not only observed.
    pub observed: u64,
    /// Most drops first, as are those below.
    pub countries: Vec<CountryRow>,
    /// By endpoint, or by the attacked address where it is of none.
    pub endpoints: Vec<SummaryRow>,
    /// By `KIND:signature`, the first of them.
    pub methods: Vec<SummaryRow>,
    /// The newest first, the last of them.
    pub alerts: Vec<AlertView>,
}

impl Summary {
    /// Rows of each table, and alerts.
    pub const ROWS_MAX: usize = 200;
}

/// Attacks that began in each step.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Series {
    pub kind: String,
    pub attacks: Vec<u64>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SummaryRow {
    /// Absent where nobody knows.
    pub name: Option<String>,
    pub attackers: u64,
    pub blocks: u64,
    pub containments: u64,
    pub drops: u64,
}
