//! The blocklist in bytes: a v4 entry takes sixteen.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;

use super::{ListChange, Listed, TEXT_MAX};
use crate::fleet::refusal::Refusal;

/// Entries of one chunk of a snapshot: half a megabyte at most of them.
pub const CHUNK_ENTRIES: usize = 24_576;

const V6: u8 = 0x40;
const REMOVE: u8 = 0x80;
/// Rule names in one message; the others are written as the first.
const RULES_MAX: usize = 255;
const OTHER: &str = "other";

pub(super) struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], Refusal> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or(Refusal::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        self.take(N)?.try_into().map_err(|_| Refusal::Malformed)
    }

    fn u8(&mut self) -> Result<u8, Refusal> {
        self.array().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32, Refusal> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, Refusal> {
        self.array().map(u64::from_be_bytes)
    }
}

/// The names that these changes need, and the number of each.
fn rules(changes: &[ListChange]) -> (Vec<&str>, HashMap<&str, u8>) {
    let (mut names, mut numbers) = (vec![OTHER], HashMap::from([(OTHER, 0)]));
    for change in changes {
        let ListChange::Put(listed) = change else { continue };
        let rule = listed.rule.as_str();
        let is_room = names.len() < RULES_MAX && rule.len() <= TEXT_MAX;
        if is_room && !numbers.contains_key(rule) {
            numbers.insert(rule, names.len() as u8);
            names.push(rule);
        }
    }
    (names, numbers)
}

pub(super) fn pack_changes(into: &mut Vec<u8>, changes: &[ListChange]) {
    let (names, numbers) = rules(changes);
    into.push(names.len() as u8);
    for name in names {
        into.push(name.len() as u8);
        into.extend_from_slice(name.as_bytes());
    }
    into.extend_from_slice(&u32::try_from(changes.len()).unwrap_or(u32::MAX).to_be_bytes());
    for change in changes {
        match change {
            ListChange::Put(listed) => {
                pack_network(into, listed.network, 0);
                into.extend_from_slice(&listed.since.to_be_bytes());
                into.extend_from_slice(&listed.until.to_be_bytes());
                into.push(numbers.get(listed.rule.as_str()).copied().unwrap_or_default());
                into.push(listed.hosts);
            }
            ListChange::Remove(network) => pack_network(into, *network, REMOVE),
        }
    }
}

fn pack_network(into: &mut Vec<u8>, network: IpNetwork, flag: u8) {
    match network {
        IpNetwork::V4(v4) => {
            into.extend_from_slice(&[flag, v4.prefix()]);
            into.extend_from_slice(&v4.network().octets());
        }
        IpNetwork::V6(v6) => {
            into.extend_from_slice(&[flag | V6, v6.prefix()]);
            into.extend_from_slice(&v6.network().octets());
        }
    }
}

pub(super) fn unpack_changes(
    cursor: &mut Cursor<'_>,
    most: usize,
) -> Result<Vec<ListChange>, Refusal> {
    let mut names = Vec::new();
    for _ in 0..cursor.u8()? {
        let length = cursor.u8()?;
        let name = std::str::from_utf8(cursor.take(length.into())?);
        let name = name.map_err(|_| Refusal::Malformed)?;
        if name.len() > TEXT_MAX || name.chars().any(char::is_control) {
            return Err(Refusal::Malformed);
        }
        names.push(name);
    }
    let count = cursor.u32()? as usize;
    if count > most {
        return Err(Refusal::TooLarge);
    }
    let mut changes = Vec::new();
    for _ in 0..count {
        let (flags, prefix) = (cursor.u8()?, cursor.u8()?);
        if flags & !(V6 | REMOVE) != 0 {
            return Err(Refusal::Malformed);
        }
        let address: IpAddr = match flags & V6 {
            0 => Ipv4Addr::from(cursor.array::<4>()?).into(),
            _ => Ipv6Addr::from(cursor.array::<16>()?).into(),
        };
        let network = IpNetwork::new(address, prefix).map_err(|_| Refusal::Malformed)?;
        changes.push(if flags & REMOVE != 0 {
            ListChange::Remove(network)
        } else {
            let (since, until) = (cursor.u32()?, cursor.u32()?);
            let rule = names.get(usize::from(cursor.u8()?)).ok_or(Refusal::Malformed)?;
            ListChange::Put(Listed {
                network,
                since,
                until,
                rule: (*rule).to_owned(),
                hosts: cursor.u8()?,
            })
        });
    }
    if !cursor.0.is_empty() {
        return Err(Refusal::Malformed);
    }
    Ok(changes)
}

/// A part of the whole list. It is believed by its hash in the manifest.
pub fn pack_chunk(entries: &[ListChange]) -> Vec<u8> {
    let mut chunk = Vec::new();
    pack_changes(&mut chunk, entries);
    chunk
}

pub fn unpack_chunk(chunk: &[u8]) -> Result<Vec<Listed>, Refusal> {
    let changes = unpack_changes(&mut Cursor(chunk), CHUNK_ENTRIES)?;
    let put = |change| match change {
        ListChange::Put(listed) => Ok(listed),
        ListChange::Remove(_) => Err(Refusal::Malformed),
    };
    changes.into_iter().map(put).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_chunk_is_refused() {
        let entry = ListChange::Put(Listed {
            network: "198.51.100.7/32".parse().unwrap(),
            since: 1,
            until: 1,
            rule: "a".to_owned(),
            hosts: 1,
        });
        let chunk = pack_chunk(std::slice::from_ref(&entry));
        assert_eq!(unpack_chunk(&chunk).unwrap().len(), 1);
        for length in 0..chunk.len() {
            assert_eq!(unpack_chunk(&chunk[..length]), Err(Refusal::Malformed), "{length}");
        }
        assert_eq!(unpack_chunk(&[chunk.clone(), vec![0]].concat()), Err(Refusal::Malformed));
        let removal = ListChange::Remove("198.51.100.7/32".parse().unwrap());
        assert_eq!(unpack_chunk(&pack_chunk(&[removal])), Err(Refusal::Malformed));
        // 33 bits of an IPv4 address.
        let wide: Vec<u8> = chunk.iter().map(|byte| if *byte == 32 { 33 } else { *byte }).collect();
        assert_eq!(unpack_chunk(&wide), Err(Refusal::Malformed));
        let many = pack_chunk(&vec![entry; CHUNK_ENTRIES + 1]);
        assert_eq!(unpack_chunk(&many), Err(Refusal::TooLarge));
    }
}
