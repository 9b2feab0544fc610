//! Countries: MaxMind-format databases and Debian's text ranges.
//!
//! Owns where a database is found, what it says of an address, and the networks of a country. What
//! follows from a country is the policy's affair. Without any database it says so, and knows the
//! country of nothing: never a reason to drop.

mod continents;
mod countries;
mod exempt;
mod find;
mod maxmind;
mod owner;
mod ranges;
#[cfg(test)]
pub(crate) mod tests;
mod text;
mod tree;
mod update;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnetwork::IpNetwork;
use jiff::{SignedDuration, Timestamp};
use sipprot_common::source::Address;

pub use continents::countries_of;
pub use countries::{COUNTRIES_MAX, Country, UnknownCountry};
pub use exempt::{exempt_networks, is_exempt};
pub use owner::Owners;
pub use update::{DEFAULT_TARGET, UpdateError, Updated, target, update};

use find::Seen;
use maxmind::MaxMind;
use ranges::Ranges;
use text::TextRanges;

/// Past this age a database is worth a warning.
pub const AGE_WARNING: SignedDuration = SignedDuration::from_hours(180 * 24);

/// The databases in use, or none.
pub struct Geo {
    source: Arc<Source>,
    database: Option<Database>,
    problems: Vec<String>,
    named: Vec<PathBuf>,
    seen: Vec<Seen>,
}

enum Source {
    None,
    MaxMind(MaxMind),
    Text(Ranges),
}

/// What the countries come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Database {
    /// As it calls itself, such as `GeoLite2-Country`.
    pub name: String,
    /// One file, or one for each address family.
    pub paths: Vec<PathBuf>,
    /// When it was made; the file's own time where it doesn't say.
    pub built: Option<Timestamp>,
}

impl Database {
    /// `None` if it isn't known when it was made.
    pub fn age(&self, now: Timestamp) -> Option<SignedDuration> {
        self.built.map(|built| now.duration_since(built))
    }

    pub fn is_old(&self, now: Timestamp) -> bool {
        self.age(now).is_some_and(|age| age > AGE_WARNING)
    }
}

impl Geo {
    /// Opens the databases at `paths`, or if there are none, the best one in the usual places. What
    /// can't be used is told by [`Geo::problems`]; the rest is used.
    pub fn open(paths: &[PathBuf]) -> Geo {
        Self::open_below(Path::new("/"), paths)
    }

    /// No database: the degraded mode.
    pub fn none() -> Geo {
        let named = Vec::new();
        let (source, problems) = (Arc::new(Source::None), Vec::new());
        Geo { source, database: None, problems, named, seen: Vec::new() }
    }

    /// `root` stands for the file system's root where the usual places are searched.
    fn open_below(root: &Path, named: &[PathBuf]) -> Geo {
        let candidates = find::candidates(root, named);
        let seen = find::seen(&candidates);
        let mut geo = Geo { named: named.to_vec(), seen, ..Geo::none() };
        let (text, maxmind): (Vec<_>, Vec<_>) =
            candidates.into_iter().partition(|path| !find::is_maxmind(path));
        for path in maxmind {
            match MaxMind::open(&path) {
                Ok(opened) => {
                    geo.database = Some(opened.database(&path));
                    geo.source = Arc::new(Source::MaxMind(opened));
                    return geo;
                }
                Err(error) => geo.problems.push(format!("{}: {error}", path.display())),
            }
        }
        geo.open_text(text);
        geo
    }

    fn open_text(&mut self, paths: Vec<PathBuf>) {
        let mut all = TextRanges::default();
        let mut used = Vec::new();
        for path in paths {
            match all.read(&path) {
                Ok(()) => used.push(path),
                Err(problem) => self.problems.push(format!("{}: {problem}", path.display())),
            }
        }
        if !used.is_empty() {
            let (ranges, built) = all.finish();
            let name = used[0].file_name().map(|name| name.to_string_lossy().into_owned());
            self.database = Some(Database { name: name.unwrap_or_default(), paths: used, built });
            self.source = Arc::new(Source::Text(ranges));
        }
    }

    /// Goes on with what was open before, where opening again found nothing that can be used.
    #[must_use]
    pub fn or(mut self, before: &Geo) -> Geo {
        if self.database.is_none() && !self.problems.is_empty() && before.database.is_some() {
            (self.source, self.database) = (before.source.clone(), before.database.clone());
            self.problems.push("the database that was open before is used on".to_owned());
        }
        self
    }

    /// The country of an address; `None` for an exempt address and for what no database knows.
    pub fn country(&self, address: IpAddr) -> Option<Country> {
        // As the datapath has it: the IPv4 inside of a tunnel's address is the one that counts.
        let address = Address::from(address).to_ip();
        if is_exempt(address) {
            return None;
        }
        match &*self.source {
            Source::None => None,
            Source::MaxMind(maxmind) => maxmind.country(address),
            Source::Text(ranges) => ranges.country(address),
        }
    }

    /// The networks of these countries, as few as will do, by address: IPv4 first. Exempt addresses
    /// are in none of them.
    pub fn networks(
        &self,
        countries: &[Country],
    ) -> impl Iterator<Item = (IpNetwork, Country)> + use<> {
        let mut wanted = [false; COUNTRIES_MAX];
        for country in countries {
            wanted[usize::from(country.index())] = true;
        }
        self.ranges(|country| wanted[usize::from(country.index())]).into_networks()
    }

    /// The networks of every country that the database knows.
    pub fn all_networks(&self) -> impl Iterator<Item = (IpNetwork, Country)> + use<> {
        self.ranges(|_| true).into_networks()
    }

    fn ranges(&self, wanted: impl Fn(Country) -> bool) -> Ranges {
        match &*self.source {
            Source::None => Ranges::default(),
            Source::MaxMind(maxmind) => maxmind.ranges(wanted),
            Source::Text(ranges) => ranges.only(wanted),
        }
    }

    /// `None` without a database.
    pub fn database(&self) -> Option<&Database> {
        self.database.as_ref()
    }

    /// What was found but can't be used, a line each.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Whether opening again would find something else: a file changed, came or went.
    pub fn has_changed(&self) -> bool {
        find::seen(&find::candidates(Path::new("/"), &self.named)) != self.seen
    }
}
