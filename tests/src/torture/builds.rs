//! A build of sipprot whose maps are of another size: what a later or an earlier version may have.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

use crate::{build, daemon::Daemon};

/// The map that has less room in the other build.
const MAP: &str = "BLOCKS";
/// Where `max_entries` stands in a map's definition, behind type, key size and value size.
const ROOM: usize = 12;

pub struct Builds {
    pub this: PathBuf,
    pub other: PathBuf,
}

impl Builds {
    /// The build that a daemon was made with, and the other one, beside its configuration.
    pub fn of(daemon: &Daemon) -> Result<Self> {
        let this = daemon.config_file().with_file_name("this-build");
        let other = daemon.config_file().with_file_name("other-build");
        if !other.exists() {
            fs::copy(daemon.program(), &this).context("copy the binary")?;
            build::write_changed(&this, &other, place_of_room, |room| room / 2)?;
        }
        Ok(Self { this, other })
    }
}

fn place_of_room(object: &object::File<'_>) -> Option<usize> {
    let symbol = object.symbols().find(|symbol| symbol.name() == Ok(MAP))?;
    let section = object.section_by_index(symbol.section_index()?).ok()?;
    let (start, _) = section.file_range()?;
    Some(start as usize + symbol.address() as usize + ROOM)
}
