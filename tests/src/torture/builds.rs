//! A build of sipprot whose maps are of another size: what a later or an earlier version may have.
//!
//! It is the same binary with one number changed, in the definition of one map of the eBPF object
//! within.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, elf};

use crate::daemon::Daemon;

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
            write_other(&this, &other)?;
        }
        Ok(Self { this, other })
    }
}

fn write_other(this: &Path, other: &Path) -> Result<()> {
    let mut binary = fs::read(this).with_context(|| this.display().to_string())?;
    let room =
        place_of_room(&binary).context("no eBPF object with a definition of BLOCKS within")?;
    let bytes = binary.get_mut(room..room + 4).context("a definition that is cut off")?;
    let before = u32::from_le_bytes(std::array::from_fn(|at| bytes[at]));
    bytes.copy_from_slice(&(before / 2).to_le_bytes());
    fs::write(other, binary).with_context(|| other.display().to_string())?;
    fs::set_permissions(other, fs::Permissions::from_mode(0o755)).context("make it executable")
}

/// Where the map's room stands in the binary.
fn place_of_room(binary: &[u8]) -> Option<usize> {
    let magic = elf::ELFMAG;
    let starts = binary.windows(magic.len()).enumerate().filter(|(_, found)| *found == magic);
    starts.map(|(at, _)| at).find_map(|at| {
        let object = object::File::parse(&binary[at..]).ok()?;
        if object.architecture() != object::Architecture::Bpf {
            return None;
        }
        let symbol = object.symbols().find(|symbol| symbol.name() == Ok(MAP))?;
        let section = object.section_by_index(symbol.section_index()?).ok()?;
        let (start, _) = section.file_range()?;
        Some(at + start as usize + symbol.address() as usize + ROOM)
    })
}
