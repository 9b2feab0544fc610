//! What stands against or for single sources: blocks, containment, holds, trust, quarantine.
//!
//! Carries out; why a source is blocked, and for how long, is decided elsewhere.

use std::collections::HashSet;

use sipprot_common::abi::{
    Block, BlockKey, Contained, Nonce, POLICIES_MAX, QuarantineKey, Source, SourceCounts,
    TRUST_QUARANTINED, Trust,
};
use sipprot_common::attempt::Attempts;
use sipprot_common::source::{SourceKey, Wider};
use sipprot_common::table::Strangers;

use super::Datapath;
use super::clock::monotonic_ns;
use super::error::{DatapathError, Result};
use super::map::Insert;
use super::maps::Maps;

/// Whom a block is against, and for whom: policy 0 is the host, which covers every endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockTarget {
    pub source: SourceKey,
    pub policy: u32,
}

impl BlockTarget {
    /// For the whole host.
    pub fn host(source: SourceKey) -> Self {
        Self { source, policy: 0 }
    }

    fn key(self) -> BlockKey {
        BlockKey { source: self.source.0, policy: self.policy, pad: 0 }
    }
}

impl From<BlockKey> for BlockTarget {
    fn from(key: BlockKey) -> Self {
        Self { source: SourceKey(key.source), policy: key.policy }
    }
}

/// A source port of a trusted source that is cut off for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quarantined {
    pub source: SourceKey,
    pub port: u16,
    pub expires_ns: u64,
}

/// How long past its end a block is left alone: the datapath's clock may lag by a tick.
const EXPIRY_GRACE_NS: u64 = 100_000_000;

/// Ends a hold and empties the attempt window of a source. False when the kernel doesn't know it.
pub(super) fn forgive(maps: &Maps, source: SourceKey) -> Result<bool> {
    let Some(known) = maps.sources.get(&source.0)? else { return Ok(false) };
    let attempts = Attempts { accepted_ns: known.attempts.accepted_ns, ..Attempts::default() };
    let fresh = Source { attempts, tcp_bytes: 0, tcp_start_ns: 0, ..known };
    maps.sources.insert(&source.0, &fresh, Insert::Existing)
}

/// The keys under which the kernel may hold something against a source: its own, and those of its
/// wider networks.
fn counted_as(source: SourceKey) -> impl Iterator<Item = SourceKey> {
    let wider = Wider::ALL.into_iter().filter(move |_| source.is_global_v6());
    std::iter::once(source).chain(wider.map(move |wider| source.wider(wider)))
}

/// Lifts the hold and containment of a source's wider networks. False when there was none to lift.
pub(super) fn release_networks(maps: &Maps, source: SourceKey) -> Result<bool> {
    let mut contained = false;
    for network in counted_as(source).filter(|key| *key != source) {
        contained |= maps.contained.remove(&network.0)?;
        forgive(maps, network)?;
    }
    Ok(contained)
}

/// Lifts the quarantine of every port of a source; how many there were.
pub(super) fn release_ports(maps: &Maps, source: SourceKey) -> Result<usize> {
    let mut keys = Vec::new();
    maps.quarantine.for_each(|key, _| {
        if key.source == source.0 {
            keys.push(*key);
        }
    })?;
    maps.quarantine.remove_all(&keys)?;
    flag_quarantine(maps, source, false)?;
    Ok(keys.len())
}

fn flag_quarantine(maps: &Maps, source: SourceKey, quarantined: bool) -> Result<()> {
    let Some(mut trust) = maps.trust.get(&source.0)? else { return Ok(()) };
    let flags = match quarantined {
        true => trust.flags | TRUST_QUARANTINED,
        false => trust.flags & !TRUST_QUARANTINED,
    };
    if flags != trust.flags {
        trust.flags = flags;
        maps.trust.insert(&source.0, &trust, Insert::Existing)?;
    }
    Ok(())
}

impl Datapath {
    /// Adds or overwrites a block.
    pub fn put_block(&self, target: BlockTarget, block: &Block) -> Result<()> {
        if target.policy >= POLICIES_MAX {
            return Err(DatapathError::Invalid(format!("there is no policy {}", target.policy)));
        }
        self.maps.strangers.remove(target.source.0, self.seed);
        self.maps.blocks.insert(&target.key(), block, Insert::Any).map(drop)
    }

    /// Whoever is neither blocked nor trusted is a stranger, for whom nothing has to be looked up.
    pub(super) fn find_strangers(&self) -> Result<()> {
        let (blocks, trusted) = (self.maps.blocks.entries()?, self.maps.trust.entries()?);
        let known = blocks.iter().map(|(key, _)| key.source);
        let known = known.chain(trusted.iter().map(|(source, _)| *source));
        let mut words = vec![0; Strangers::WORDS];
        self.maps.strangers.replace(known, self.seed, &mut words);
        Ok(())
    }

    /// Does the datapath take it for one that is neither blocked nor trusted, without a look?
    pub fn is_stranger(&self, source: SourceKey) -> bool {
        self.maps.strangers.has(source.0, self.seed) == 1
    }

    pub fn block(&self, target: BlockTarget) -> Result<Option<Block>> {
        self.maps.blocks.get(&target.key())
    }

    /// False when there was no such block.
    pub fn remove_block(&self, target: BlockTarget) -> Result<bool> {
        self.maps.blocks.remove(&target.key())
    }

    /// All blocks, those that have ended and are not yet tidied too.
    pub fn blocks(&self) -> Result<Vec<(BlockTarget, Block)>> {
        let entries = self.maps.blocks.entries()?;
        Ok(entries.into_iter().map(|(key, block)| (key.into(), block)).collect())
    }

    /// Removes the blocks that have ended and returns them as they ended.
    pub fn take_ended_blocks(&self) -> Result<Vec<(BlockTarget, Block)>> {
        let now_ns = monotonic_ns();
        let mut ended = self.blocks()?;
        ended.retain(|(_, block)| block.expires_ns.saturating_add(EXPIRY_GRACE_NS) < now_ns);
        let keys: Vec<_> = ended.iter().map(|(target, _)| target.key()).collect();
        self.maps.blocks.remove_all(&keys)?;
        Ok(ended)
    }

    pub fn contain(&self, source: SourceKey, contained: &Contained) -> Result<()> {
        self.maps.contained.insert(&source.0, contained, Insert::Any).map(drop)
    }

    /// Also forgets how long the last containment was.
    pub fn uncontain(&self, source: SourceKey) -> Result<bool> {
        self.maps.contained.remove(&source.0)
    }

    /// Lifts what is held against a source for what its wider networks did, and against them.
    pub fn release_networks(&self, source: SourceKey) -> Result<bool> {
        release_networks(&self.maps, source)
    }

    /// Containments, ended ones too: they make the next one longer.
    pub fn contained(&self) -> Result<Vec<(SourceKey, Contained)>> {
        let entries = self.maps.contained.entries()?;
        Ok(entries.into_iter().map(|(source, contained)| (SourceKey(source), contained)).collect())
    }

    /// Of the source, or of a wider network that it is in: whichever lasts longest.
    pub fn containment(&self, source: SourceKey) -> Result<Option<Contained>> {
        let mut longest: Option<Contained> = None;
        for key in counted_as(source) {
            let found = self.maps.contained.get(&key.0)?;
            longest = longest.into_iter().chain(found).max_by_key(|it| it.until_ns);
        }
        Ok(longest)
    }

    /// What the kernel remembers of an untrusted source.
    pub fn source(&self, source: SourceKey) -> Result<Option<Source>> {
        self.maps.sources.get(&source.0)
    }

    /// Every source that the kernel remembers; and the wider networks of IPv6 sources.
    pub fn sources(&self) -> Result<Vec<(SourceKey, Source)>> {
        let entries = self.maps.sources.entries()?;
        Ok(entries.into_iter().map(|(key, source)| (SourceKey(key), source)).collect())
    }

    /// Ends a hold and empties the attempt window. False when the kernel doesn't know the source.
    pub fn clear_source(&self, source: SourceKey) -> Result<bool> {
        forgive(&self.maps, source)
    }

    /// Notes to whom a nonce went, as the kernel does of an answer that leaves whole.
    pub fn note_nonce(&self, nonce: u64, source: SourceKey) -> Result<()> {
        let fresh = Nonce { source: source.0, ..Nonce::default() };
        let other = self.maps.nonces.get(&nonce)?.filter(|known| known.source != source.0);
        match other {
            Some(known) => {
                let shared = Nonce { shared: 1, ..known };
                self.maps.nonces.insert(&nonce, &shared, Insert::Existing).map(drop)
            }
            None => self.maps.nonces.insert(&nonce, &fresh, Insert::New).map(drop),
        }
    }

    /// Did the nonce also go to another source than this one? Not so when nobody knows.
    pub fn is_foreign_nonce(&self, nonce: u64, source: SourceKey) -> Result<bool> {
        let known = self.maps.nonces.get(&nonce)?;
        Ok(known.is_some_and(|known| known.shared != 0 || known.source != source.0))
    }

    /// The counts of a source over all CPUs; `None` when it has none.
    pub fn source_counts(&self, source: SourceKey) -> Result<Option<SourceCounts>> {
        let counts = self.maps.registers.get(&source.0)?;
        Ok(counts.into_iter().reduce(|a, b| SourceCounts {
            sip: a.sip + b.sip,
            registers: a.registers + b.registers,
            credentialed: a.credentialed + b.credentialed,
            dropped: a.dropped + b.dropped,
            last_ns: a.last_ns.max(b.last_ns),
        }))
    }

    /// Trusts a source, with a ceiling of its own (packets a second) or 0 for the policy's. What the
    /// kernel keeps of a trusted source stays. True when it was not trusted before.
    pub fn trust(&self, source: SourceKey, rate: u32) -> Result<bool> {
        Ok(self.trust_all(&[(source, rate)])? == 1)
    }

    /// Trusts many sources; how many were not trusted before.
    pub fn trust_all(&self, sources: &[(SourceKey, u32)]) -> Result<usize> {
        let mut cut = HashSet::new();
        self.maps.quarantine.for_each(|key, _| {
            cut.insert(key.source);
        })?;
        let mut new = 0;
        for (source, rate) in sources.iter().copied() {
            let flags = if cut.contains(&source.0) { TRUST_QUARANTINED } else { 0 };
            let fresh = Trust { rate, flags, ..Trust::default() };
            self.maps.strangers.remove(source.0, self.seed);
            if self.maps.trust.insert(&source.0, &fresh, Insert::New)? {
                new += 1;
            } else if let Some(known) = self.maps.trust.get(&source.0)?
                && known.rate != rate
            {
                self.maps.trust.insert(&source.0, &Trust { rate, ..known }, Insert::Existing)?;
            }
        }
        Ok(new)
    }

    /// How many phones are registered from a trusted source. False if that is known, or it isn't trusted.
    pub fn set_phones(&self, source: SourceKey, phones: u32) -> Result<bool> {
        let Some(known) = self.maps.trust.get(&source.0)?.filter(|it| it.phones != phones) else {
            return Ok(false);
        };
        self.maps.trust.insert(&source.0, &Trust { phones, ..known }, Insert::Existing)
    }

    /// False when it was not trusted.
    pub fn distrust(&self, source: SourceKey) -> Result<bool> {
        self.maps.trust.remove(&source.0)
    }

    pub fn is_trusted(&self, source: SourceKey) -> Result<bool> {
        Ok(self.maps.trust.get(&source.0)?.is_some())
    }

    /// What the kernel keeps of a trusted source.
    pub fn trust_of(&self, source: SourceKey) -> Result<Option<Trust>> {
        self.maps.trust.get(&source.0)
    }

    pub fn trusted(&self) -> Result<Vec<(SourceKey, Trust)>> {
        let entries = self.maps.trust.entries()?;
        Ok(entries.into_iter().map(|(source, trust)| (SourceKey(source), trust)).collect())
    }

    /// Cuts off one source port of a trusted source.
    pub fn quarantine(&self, quarantined: Quarantined) -> Result<()> {
        let Quarantined { source, port, expires_ns } = quarantined;
        let key = QuarantineKey { source: source.0, port: port.into(), pad: 0 };
        self.maps.quarantine.insert(&key, &expires_ns, Insert::Any)?;
        flag_quarantine(&self.maps, source, true)
    }

    /// False when that port was not cut off.
    pub fn release_port(&self, source: SourceKey, port: u16) -> Result<bool> {
        let key = QuarantineKey { source: source.0, port: port.into(), pad: 0 };
        let removed = self.maps.quarantine.remove(&key)?;
        let mut others = false;
        self.maps.quarantine.for_each(|key, _| others |= key.source == source.0)?;
        flag_quarantine(&self.maps, source, others)?;
        Ok(removed)
    }

    /// Lifts the quarantine of every port of a source; how many there were.
    pub fn release_ports(&self, source: SourceKey) -> Result<usize> {
        release_ports(&self.maps, source)
    }

    pub fn quarantined(&self) -> Result<Vec<Quarantined>> {
        let entries = self.maps.quarantine.entries()?;
        let named = entries.into_iter().map(|(key, expires_ns)| Quarantined {
            source: SourceKey(key.source),
            port: key.port as u16,
            expires_ns,
        });
        Ok(named.collect())
    }

    /// Removes the quarantines that have ended and returns them.
    pub fn take_ended_quarantines(&self) -> Result<Vec<Quarantined>> {
        let now_ns = monotonic_ns();
        let (ended, lasting): (Vec<_>, Vec<_>) =
            self.quarantined()?.into_iter().partition(|entry| entry.expires_ns < now_ns);
        let keys: Vec<_> = ended
            .iter()
            .map(|entry| QuarantineKey { source: entry.source.0, port: entry.port.into(), pad: 0 })
            .collect();
        self.maps.quarantine.remove_all(&keys)?;
        let cut: HashSet<_> = lasting.iter().map(|entry| entry.source).collect();
        for entry in ended.iter().filter(|entry| !cut.contains(&entry.source)) {
            flag_quarantine(&self.maps, entry.source, false)?;
        }
        Ok(ended)
    }
}
