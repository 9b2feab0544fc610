//! Countries for the daemon: which one an address is in, and the networks of those that a policy
//! lists. Works without any database: then nobody knows a country, and no packet is dropped for one.

pub(super) mod ahead;
pub(crate) mod preview;
pub(super) mod update;

use std::net::IpAddr;
use std::sync::Arc;

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use sipprot_common::abi::{COUNTRY_UNKNOWN, GEO_OFF, MODE_ENFORCE};
use sipprot_common::policy::Protection;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::core::Core;
use super::verify::Countries;
use crate::api::{GeoPolicyView, GeoView};
use crate::config::{Config, GeoMode};
use crate::datapath::{Result, monotonic_ns};
use crate::geo::{Country, Geo};

pub struct Geography {
    geo: Geo,
}

impl Geography {
    pub fn open(config: &Config) -> Self {
        Self::told(Geo::open(&config.geo.databases))
    }

    /// Opens again; where nothing can be used, goes on with what was open.
    fn reopen(&self, config: &Config) -> Self {
        Self::told(Geo::open(&config.geo.databases).or(&self.geo))
    }

    fn told(geo: Geo) -> Self {
        #[cfg(target_env = "gnu")]
        // SAFETY: gives back what reading has freed; the allocator locks itself.
        unsafe {
            libc::malloc_trim(0);
        }
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

    pub fn geo(&self) -> &Geo {
        &self.geo
    }

    /// The networks of these countries, with their index in the kernel.
    pub fn networks(&self, countries: &[Country]) -> Vec<(IpNetwork, u32)> {
        if countries.is_empty() {
            return Vec::new();
        }
        let networks = self.geo.networks(countries);
        networks.map(|(network, country)| (network, u32::from(country.index()))).collect()
    }
}

/// What is known without a daemon: databases and the configured policies.
pub fn view(geo: &Geo, config: &Config) -> GeoView {
    let database = geo.database();
    let now = Timestamp::now();
    let age = database.and_then(|database| database.age(now));
    let paths = database.iter().flat_map(|database| database.paths.iter());
    let host = (super::plan::HOST, config.geo.mode, config.geo.scope, &*config.geo.countries);
    let endpoints = config
        .endpoints
        .iter()
        .map(|it| (&*it.name, it.geo_mode(config), it.geo_scope(config), it.geo_countries(config)));
    let policies =
        std::iter::once(host).chain(endpoints).filter(|(_, mode, ..)| *mode != GeoMode::Off);
    GeoView {
        available: database.is_some(),
        name: database.map(|database| database.name.clone()),
        databases: paths.map(|path| path.display().to_string()).collect(),
        built_at: database.and_then(|database| database.built).map(|built| built.as_second()),
        age_days: age.map(|age| (age.as_hours() / 24).unsigned_abs()),
        old: database.is_some_and(|database| database.is_old(now)),
        problems: geo.problems().to_vec(),
        policies: policies
            .map(|(name, mode, scope, countries)| GeoPolicyView {
                name: name.to_owned(),
                mode,
                scope,
                countries: countries.iter().map(|country| country.code().to_owned()).collect(),
                observed: config.only_observes(crate::config::Protection::Geo),
                learning_until: None,
            })
            .collect(),
        ..GeoView::default()
    }
}

/// What the kernel was told of countries: from which databases, and which ones.
pub struct Told {
    geography: Arc<Geography>,
    countries: Vec<Country>,
}

/// Countries that are read beside the daemon's work, and put into the kernel too.
pub type Opening = JoinHandle<Opened>;

pub struct Opened {
    /// What was open when it began.
    before: Arc<Geography>,
    geography: Arc<Geography>,
    countries: Vec<Country>,
    done: Result<()>,
}

impl Core {
    pub(super) fn countries_told(&self) -> Countries {
        match &self.told_countries {
            Some(Told { geography, countries }) => {
                Countries { geography: geography.clone(), countries: countries.clone() }
            }
            None => Countries { geography: self.geography.clone(), countries: Vec::new() },
        }
    }

    fn has_told_countries(&self) -> bool {
        self.told_countries.as_ref().is_some_and(|told| {
            let wanted = &self.plan.countries;
            Arc::ptr_eq(&told.geography, &self.geography)
                && wanted.is_empty() == told.countries.is_empty()
                && wanted.iter().all(|country| told.countries.contains(country))
        })
    }

    /// The networks of the countries that matter, unless the kernel has them.
    pub(super) fn tell_countries(&mut self) -> Result<()> {
        if self.has_told_countries() {
            return self.kernel.with(|datapath| datapath.follow_policies());
        }
        let countries = &self.plan.countries;
        self.told_countries = None;
        self.kernel.with(|datapath| datapath.replace_geo(self.geography.networks(countries)))?;
        let (geography, countries) = (self.geography.clone(), countries.clone());
        self.told_countries = Some(Told { geography, countries });
        Ok(())
    }

    pub(super) fn countries_must_be_loaded(&self) -> bool {
        self.kernel.is_there() && !self.plan.countries.is_empty() && !self.has_told_countries()
    }

    /// Those that matter, and those that matter still: until the policies change, the old ones hold.
    fn countries_to_load(&self) -> Vec<Country> {
        let known = self.told_countries.iter().flat_map(|told| told.countries.iter());
        let mut all: Vec<Country> = self.plan.countries.iter().chain(known).copied().collect();
        all.sort();
        all.dedup();
        all
    }

    /// On another thread: nobody's packets are judged later for it.
    pub(super) fn load_countries(&mut self) {
        let Some(datapath) = self.kernel.datapath() else { return };
        // Where one is on its way, its end looks again.
        if self.opening.is_none() {
            let (before, countries) = (self.geography.clone(), self.countries_to_load());
            self.opening = Some(tokio::task::spawn_blocking(move || {
                let geography = before.clone();
                let done = datapath.replace_geo(geography.networks(&countries));
                Opened { before, geography, countries, done }
            }));
        }
    }

    /// Databases that changed are read on another thread, which fills the kernel's table too.
    pub(super) fn look_at_databases(&mut self) {
        if self.opening.is_some() || !self.geography.has_changed() {
            return;
        }
        info!("the country database has changed");
        let (before, config) = (self.geography.clone(), self.config.clone());
        let (countries, datapath) = (self.countries_to_load(), self.kernel.datapath());
        self.opening = Some(tokio::task::spawn_blocking(move || {
            let geography = before.reopen(&config);
            // Without countries nothing is put: who allows only some must not lose these.
            let done = match datapath.filter(|_| geography.is_available()) {
                Some(datapath) => datapath.replace_geo(geography.networks(&countries)),
                None => Ok(()),
            };
            Opened { before, geography: Arc::new(geography), countries, done }
        }));
    }

    /// Goes over to databases that have been opened meanwhile.
    pub(super) async fn take_databases(&mut self) {
        let Some(opening) = self.opening.take_if(|opening| opening.is_finished()) else { return };
        if let Ok(opened) = opening.await {
            self.take_opened(opened);
        }
        for reply in std::mem::take(&mut self.compares) {
            self.compare(reply);
        }
    }

    fn take_opened(&mut self, opened: Opened) {
        let Opened { before, geography, countries, done } = opened;
        let mut appeared = false;
        // A reload may have named other databases meanwhile: then those are in force.
        if Arc::ptr_eq(&before, &self.geography) {
            appeared = geography.is_available() != before.is_available();
            self.geography = geography.clone();
        }
        if let Err(error) = done {
            self.told_countries = None;
            self.kernel.failed("replacing the countries", &error);
            return self.do_without_countries();
        }
        self.told_countries = Some(Told { geography, countries });
        // The configuration may have changed while they were read.
        let done = match appeared {
            true => self.plan_again().map_err(|fault| fault.to_string()),
            false => self.tell_kernel().map_err(|error| error.to_string()),
        };
        if let Err(error) = done {
            warn!("countries: {error}");
        }
    }

    /// The kernel took none: whoever allows only some must not lose these.
    fn do_without_countries(&mut self) {
        self.guard.geo_off = true;
        let done = self.plan_again().err();
        self.complain(match done {
            None => "geo protection is off: the kernel did not take the countries".to_owned(),
            Some(fault) => format!("the kernel did not take the countries: {fault}"),
        });
    }

    pub(super) fn geo_view(&mut self) -> GeoView {
        let mut view = view(self.geography.geo(), &self.config);
        let now_ns = monotonic_ns();
        for policy in &mut view.policies {
            let name = Some(&*policy.name).filter(|name| *name != super::plan::HOST);
            let Some(index) = self.plan.policy(name) else { continue };
            let planned = &self.plan.policies[index as usize];
            policy.observed =
                planned.mode != MODE_ENFORCE || planned.observe & Protection::Geo.bit() != 0;
            let known = self.kernel.with(|datapath| datapath.policy(index)).ok().flatten();
            let learning = known.filter(|it| it.geo_mode != GEO_OFF && now_ns < it.geo_from_ns);
            policy.learning_until =
                learning.map(|it| self.clock.kernel_timestamp(it.geo_from_ns).as_second());
        }
        view.drops = self.country_drops();
        view.loading = self.opening.is_some();
        view
    }

    /// Packets that were dropped, by country.
    pub(super) fn country_drops(&mut self) -> std::collections::BTreeMap<String, u64> {
        let drops = self.kernel.carry("reading drops by country", |it| it.country_drops());
        let named = drops.unwrap_or_default().into_iter().map(|(index, count)| {
            let country = u16::try_from(index).ok().filter(|_| index != COUNTRY_UNKNOWN);
            let code = country.and_then(Country::from_index).map_or("unknown", Country::code);
            (code.to_owned(), count)
        });
        named.collect()
    }
}
