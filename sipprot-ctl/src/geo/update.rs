//! Puts a new database in the place of the one in use: only once it is known to be one, and at once.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Geo;
use crate::fetch::{self, FetchError, Limits};

/// Where a database goes when the configuration names none.
pub const DEFAULT_TARGET: &str = "/var/lib/GeoIP/sipprot-country.mmdb";

/// The first two bytes of a gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    #[error("more than {0} bytes when it is unpacked")]
    TooLarge(u64),
    #[error("it is no country database: {0}")]
    NoDatabase(String),
    #[error("it knows no country")]
    NoCountries,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Updated {
    pub path: PathBuf,
    /// As it calls itself.
    pub name: String,
    pub built_at: Option<i64>,
    pub countries: u64,
    pub networks: u64,
    /// Where the one before lies now.
    pub previous: Option<PathBuf>,
}

/// What an update replaces: the first of the configured databases that is of this kind.
pub fn target(databases: &[PathBuf]) -> Result<PathBuf, String> {
    let mut maxmind =
        databases.iter().filter(|path| path.extension().is_some_and(|it| it == "mmdb"));
    match maxmind.next() {
        Some(path) => Ok(path.clone()),
        None if databases.is_empty() => Ok(PathBuf::from(DEFAULT_TARGET)),
        None => Err(format!(
            "geo.databases names no .mmdb file: add {DEFAULT_TARGET:?} there, or leave it empty"
        )),
    }
}

/// Replaces the database at `target` by a file or by what a URL names, as it is or packed by gzip.
pub fn update(source: &str, target: &Path, limits: Limits) -> Result<Updated, UpdateError> {
    let directory = target.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory).map_err(failed(directory))?;
    // No country in the name: whoever searches the directory passes it over.
    let new = Removed(directory.join(format!(".new-{}.mmdb", std::process::id())));
    let mut file = File::create(&new.0).map_err(failed(&new.0))?;
    if fetch::is_url(source) {
        fetch::fetch(source, limits, &mut file)?;
    } else {
        copy(Path::new(source), &mut file, limits)?;
    }
    drop(file);
    unpack(&new.0, limits)?;
    let (name, built_at, countries, networks) = examine(&new.0)?;
    let settle = || -> io::Result<Option<PathBuf>> {
        let file = File::open(&new.0)?;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
        file.sync_all()?;
        let previous = keep(target)?;
        fs::rename(&new.0, target)?;
        File::open(directory)?.sync_all()?;
        Ok(previous)
    };
    let previous = settle().map_err(failed(target))?;
    Ok(Updated { path: target.to_owned(), name, built_at, countries, networks, previous })
}

/// A file that is gone when this is, unless it was given another name.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> UpdateError {
    let path = path.to_owned();
    move |error| UpdateError::File(path, error)
}

fn copy(from: &Path, into: &mut File, limits: Limits) -> Result<(), UpdateError> {
    let file = File::open(from).map_err(failed(from))?;
    copied(file, into, limits).map_err(failed(from))?.map_err(UpdateError::TooLarge)
}

/// The inner error: more than the limit.
fn copied(from: impl Read, into: &mut File, limits: Limits) -> io::Result<Result<(), u64>> {
    let bytes = io::copy(&mut from.take(limits.bytes + 1), into)?;
    into.flush()?;
    Ok(if bytes > limits.bytes { Err(limits.bytes) } else { Ok(()) })
}

fn unpack(path: &Path, limits: Limits) -> Result<(), UpdateError> {
    let mut first = [0; 2];
    let mut file = File::open(path).map_err(failed(path))?;
    if file.read_exact(&mut first).is_err() || first != GZIP {
        return Ok(());
    }
    let packed = Removed(path.with_extension("gz"));
    let unpack = || {
        fs::rename(path, &packed.0)?;
        copied(
            flate2::read::GzDecoder::new(File::open(&packed.0)?),
            &mut File::create(path)?,
            limits,
        )
    };
    unpack().map_err(failed(path))?.map_err(UpdateError::TooLarge)
}

/// Name, age, and how many countries in how many networks.
fn examine(path: &Path) -> Result<(String, Option<i64>, u64, u64), UpdateError> {
    let geo = Geo::open(&[path.to_owned()]);
    let Some(database) = geo.database() else {
        // The path is one that nobody knows, and will be gone.
        let problem = geo.problems().first().map_or("", |it| it.split(": ").last().unwrap_or(it));
        return Err(UpdateError::NoDatabase(problem.to_owned()));
    };
    let (mut countries, mut networks) = (HashSet::new(), 0);
    for (_, country) in geo.all_networks() {
        countries.insert(country);
        networks += 1;
    }
    if countries.is_empty() {
        return Err(UpdateError::NoCountries);
    }
    let built_at = database.built.map(|built| built.as_second());
    Ok((database.name.clone(), built_at, countries.len() as u64, networks))
}

/// Gives what is there a second name: until the rename, the first one goes on to lead to it.
fn keep(target: &Path) -> io::Result<Option<PathBuf>> {
    let previous = target.with_extension("mmdb.previous");
    if !target.exists() {
        return Ok(None);
    }
    match fs::remove_file(&previous) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => fs::hard_link(target, &previous)?,
    }
    Ok(Some(previous))
}
