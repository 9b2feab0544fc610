//! Countries: MaxMind-format databases and Debian's text ranges.

mod countries;

pub use countries::{COUNTRIES_MAX, Country, UnknownCountry};
