//! Countries for the daemon: which one an address is in, and the networks of those that a policy
//! lists. Works without any database: then nobody knows a country, and no packet is dropped for one.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use tracing::{info, warn};

use crate::api::GeoView;
use crate::config::Config;
use crate::geo::{Country, Geo};

pub struct Geography {
    geo: Geo,
}

impl Geography {
    pub fn open(config: &Config) -> Self {
        let geo = Geo::open(&config.geo.databases);
        geo.problems().iter().for_each(|problem| warn!("country database: {problem}"));
        match geo.database() {
            Some(database) if database.is_old(Timestamp::now()) => {
                warn!("the country database {} is more than half a year old", database.name);
            }
            Some(database) => info!("countries by {}", database.name),
            None => info!("no country database: countries are not known"),
        }
        Self { geo }
    }

    pub fn is_available(&self) -> bool {
        self.geo.database().is_some()
    }

    /// Whether opening again would find something else.
    pub fn has_changed(&self) -> bool {
        self.geo.has_changed()
    }

    pub fn country(&self, address: IpAddr) -> Option<Country> {
        self.geo.country(address)
    }

    /// The networks of these countries, with their index in the kernel.
    pub fn networks(&self, countries: &[Country]) -> Vec<(IpNetwork, u32)> {
        if countries.is_empty() {
            return Vec::new();
        }
        let networks = self.geo.networks(countries);
        networks.map(|(network, country)| (network, u32::from(country.index()))).collect()
    }

    pub fn view(&self) -> GeoView {
        let database = self.geo.database();
        let age = database.and_then(|database| database.age(Timestamp::now()));
        GeoView {
            available: database.is_some(),
            databases: database
                .iter()
                .flat_map(|database| database.paths.iter())
                .map(|path| path.display().to_string())
                .collect(),
            age_days: age.map(|age| (age.as_hours() / 24).unsigned_abs()),
        }
    }
}
