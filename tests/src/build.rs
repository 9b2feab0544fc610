//! Builds of sipprot that nobody has made: the same binary with one number changed in the eBPF object within.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use object::{Object as _, elf};

use crate::process::write_program;

/// Writes a program that differs from another one by a number of 32 bits, of which `place` tells where in the
/// object it stands.
pub fn write_changed(
    from: &Path,
    to: &Path,
    place: impl Fn(&object::File<'_>) -> Option<usize>,
    change: impl FnOnce(u32) -> u32,
) -> Result<()> {
    let mut binary = fs::read(from).with_context(|| from.display().to_string())?;
    let at = place_within(&binary, place).context("no eBPF object with such a number within")?;
    let bytes = binary.get_mut(at..at + 4).context("a number that is cut off")?;
    let before = u32::from_le_bytes(std::array::from_fn(|at| bytes[at]));
    bytes.copy_from_slice(&change(before).to_le_bytes());
    write_program(to, binary)
}

fn place_within(
    binary: &[u8],
    place: impl Fn(&object::File<'_>) -> Option<usize>,
) -> Option<usize> {
    let magic = elf::ELFMAG;
    let starts = binary.windows(magic.len()).enumerate().filter(|(_, found)| *found == magic);
    starts.map(|(at, _)| at).find_map(|at| {
        let object = object::File::parse(&binary[at..]).ok()?;
        let is_ebpf = object.architecture() == object::Architecture::Bpf;
        is_ebpf.then(|| place(&object)).flatten().map(|place| at + place)
    })
}
