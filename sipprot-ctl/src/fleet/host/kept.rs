//! The blocklist on a host's disk: what holds while the hub is away, and after a restart.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::fleet::list::Held;
use crate::fleet::message::{CHUNK_ENTRIES, ListChange, Listed, pack_chunk, unpack_chunk};

const NAME: &str = "list";

/// The first line; the chunks follow it.
#[derive(Default, Serialize, Deserialize)]
struct Head {
    generation: u64,
    revision: u64,
    recalled: u64,
    sequence: u64,
    /// Bytes of each chunk.
    chunks: Vec<usize>,
}

fn pack(held: &Held) -> Vec<u8> {
    let mut chunks = Vec::new();
    let mut part = Vec::with_capacity(CHUNK_ENTRIES.min(held.len()));
    for (network, known) in held.iter() {
        part.push(ListChange::Put(Listed {
            network: *network,
            since: known.since,
            until: known.until,
            rule: known.rule.to_string(),
            hosts: known.hosts,
        }));
        if part.len() == CHUNK_ENTRIES {
            chunks.push(pack_chunk(&std::mem::take(&mut part)));
        }
    }
    if !part.is_empty() {
        chunks.push(pack_chunk(&part));
    }
    let head = Head {
        generation: held.generation,
        revision: held.revision,
        recalled: held.recalled,
        sequence: held.sequence,
        chunks: chunks.iter().map(Vec::len).collect(),
    };
    let mut bytes = serde_json::to_vec(&head).unwrap_or_default();
    bytes.push(b'\n');
    bytes.extend(chunks.into_iter().flatten());
    bytes
}

pub(super) fn write(directory: &Path, held: &Held) -> anyhow::Result<()> {
    let (path, new) = (directory.join(NAME), directory.join("list.new"));
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&new);
    let mut file: File = file.with_context(|| new.display().to_string())?;
    file.write_all(&pack(held))?;
    file.sync_all()?;
    fs::rename(&new, &path)?;
    File::open(directory)?.sync_all().context("keeping the list")
}

/// What can't be read is fetched anew.
pub(super) fn read(directory: &Path) -> Held {
    try_read(directory).unwrap_or_default()
}

fn try_read(directory: &Path) -> Option<Held> {
    let bytes = fs::read(directory.join(NAME)).ok()?;
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let head: Head = serde_json::from_slice(&bytes[..end]).ok()?;
    let mut rest = &bytes[end + 1..];
    let mut all = Vec::new();
    for length in head.chunks {
        let (chunk, others) = rest.split_at_checked(length)?;
        all.extend(unpack_chunk(chunk).ok()?);
        rest = others;
    }
    let mut held = Held::default();
    held.restore(all, super::now());
    (held.generation, held.revision) = (head.generation, head.revision);
    (held.recalled, held.sequence) = (head.recalled, head.sequence);
    Some(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_there_again_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let until = (super::super::now() + 3600) as u32;
        let listed = (0..CHUNK_ENTRIES as u32 + 5).map(|number| Listed {
            network: std::net::IpAddr::from((0x0b00_0000 + number).to_be_bytes()).into(),
            since: 1,
            until,
            rule: format!("RULE:{}", number % 3),
            hosts: 1,
        });
        let mut held = Held::default();
        (held.generation, held.revision) = (7, 9);
        (held.recalled, held.sequence) = (2, 42);
        held.restore(listed, super::super::now());
        write(directory.path(), &held).unwrap();
        let again = read(directory.path());
        assert!(again.iter().eq(held.iter()));
        assert_eq!((again.generation, again.revision), (7, 9));
        assert_eq!((again.recalled, again.sequence), (2, 42));
        let bytes = pack(&held);
        fs::write(directory.path().join(NAME), &bytes[..bytes.len() - 1]).unwrap();
        let again = read(directory.path());
        assert_eq!((again.len(), again.revision), (0, 0));
    }
}
