//! The programs in the kernel: loaded from the object, never attached, their maps in no file system.

mod tables;

use std::env;
use std::fs;
use std::mem;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray, PerCpuValues, RingBuf};
use aya::programs::{SchedClassifier, TestRun, TestRunOptions, TestRunResult, Xdp};
use aya::{Ebpf, EbpfLoader, Pod};
use sipprot_common::abi::*;
use sipprot_common::guard::GuardSet;
use sipprot_common::reason::REASONS_MAX;
use sipprot_common::sketch::{self, Page};
use sipprot_common::source::Address;

use super::tally::{Count, Tally};
use super::world::{self, GEO_GENERATION, Listing, Seconds, World};
use super::{Datapath, Event};

/// Names the object file.
pub const OBJECT_VARIABLE: &str = "SIPPROT_EBPF_OBJECT";

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const TC_ACT_UNSPEC: u32 = u32::MAX;

pub struct Kernel {
    ebpf: Ebpf,
    ring: RingBuf<MapData>,
}

/// What is missing for the kernel's part of the tests; `None` when they can run.
pub fn missing() -> Option<&'static str> {
    if env::var_os(OBJECT_VARIABLE).is_none() {
        return Some("SIPPROT_EBPF_OBJECT, the path of the eBPF object");
    }
    // SAFETY: geteuid has no preconditions.
    (unsafe { libc::geteuid() } != 0).then_some("root")
}

/// Of CLOCK_MONOTONIC, which the programs go by.
fn now_ns() -> Result<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: time is a valid place for the answer.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    ensure!(done == 0, "cannot read the monotonic clock");
    Ok(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// Instructions that the verifier went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    pub ingress: u32,
    pub egress: u32,
}

impl Kernel {
    /// Loads the object that the environment names, with the maps of `world`.
    pub fn load(world: &World) -> Result<Self> {
        let path = env::var_os(OBJECT_VARIABLE).context("SIPPROT_EBPF_OBJECT is not set")?;
        let object = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::load_object(&object, world)
    }

    pub fn load_object(object: &[u8], world: &World) -> Result<Self> {
        let mut loader = EbpfLoader::new();
        if let Some(policies) = world.policies_max {
            loader.map_max_entries(maps::POLICIES, policies);
        }
        let mut ebpf = loader.load(object).context("cannot load the object")?;
        let ingress: &mut Xdp =
            ebpf.program_mut(PROGRAM_INGRESS).context("no ingress program")?.try_into()?;
        ingress.load().context("the verifier refused ingress")?;
        let egress: &mut SchedClassifier =
            ebpf.program_mut(PROGRAM_EGRESS).context("no egress program")?.try_into()?;
        egress.load().context("the verifier refused egress")?;
        let ring = RingBuf::try_from(ebpf.take_map(maps::EVENTS).context("no map EVENTS")?)?;
        let mut kernel = Self { ebpf, ring };
        kernel.fill(world)?;
        Ok(kernel)
    }

    /// Empties the maps and fills them from another world: faster than loading anew. The size of the
    /// map of policies stays.
    pub fn reset(&mut self, world: &World) -> Result<()> {
        self.clear::<BlockKey, Block>(maps::BLOCKS)?;
        self.clear::<QuarantineKey, u64>(maps::QUARANTINE)?;
        self.clear::<u64, Contained>(maps::CONTAINED)?;
        self.clear::<u64, Trust>(maps::TRUST)?;
        self.clear::<u64, Source>(maps::SOURCES)?;
        for page in 0..sketch::PAGES {
            self.array(maps::SKETCH)?.set(page, Page::EMPTY, 0)?;
        }
        self.clear::<u64, Nonce>(maps::NONCES)?;
        self.clear::<u64, u64>(maps::FLOWS)?;
        self.clear::<u64, u64>(maps::KNOCKS)?;
        self.clear::<u64, TcpConnection>(maps::TCP_CONNS)?;
        self.clear_trie::<Address, u32>(maps::ENDPOINTS)?;
        self.clear_trie::<Address, u32>(maps::RESOLVERS)?;
        self.change_guarded(|set| *set = GuardSet::EMPTY)?;
        self.clear_trie::<ScopedAddress, ListEntry>(maps::ALLOW)?;
        self.clear_trie::<ScopedAddress, ListEntry>(maps::DENY)?;
        self.clear_trie::<ScopedAddress, u32>(maps::GEO)?;
        self.clear_tables()?;
        let cpus = aya::util::nr_cpus().map_err(|(_, error)| error)?;
        let zeroes = Counters { packets: [0; REASONS_MAX], observed: [0; REASONS_MAX] };
        for bucket in 0..BUCKETS_MAX {
            self.array(maps::BUCKETS)?.set(bucket, 0u64, 0)?;
        }
        for policy in 0..POLICIES_MAX {
            self.array(maps::POLICIES)?.set(policy, Policy::default(), 0)?;
            let mut counters = PerCpuArray::try_from(self.map(maps::COUNTERS)?)?;
            counters.set(policy, PerCpuValues::try_from(vec![zeroes; cpus])?, 0)?;
        }
        let mut counts = PerCpuArray::try_from(self.map(maps::EVENT_COUNTS)?)?;
        counts.set(0, PerCpuValues::try_from(vec![EventCounts::default(); cpus])?, 0)?;
        while self.ring.next().is_some() {}
        self.fill(world)
    }

    fn clear<K: Pod, V: Pod>(&mut self, name: &str) -> Result<()> {
        let mut map = self.hash::<K, V>(name)?;
        let keys: Vec<K> = map.keys().collect::<Result<_, _>>()?;
        keys.iter().try_for_each(|key| map.remove(key)).with_context(|| format!("map {name}"))
    }

    fn clear_trie<K: Pod, V: Pod>(&mut self, name: &str) -> Result<()> {
        let mut trie = self.trie::<K, V>(name)?;
        let keys: Vec<Key<K>> = trie.keys().collect::<Result<_, _>>()?;
        keys.iter().try_for_each(|key| trie.remove(key)).with_context(|| format!("map {name}"))
    }

    fn map(&mut self, name: &str) -> Result<&mut Map> {
        self.ebpf.map_mut(name).with_context(|| format!("no map {name}"))
    }

    fn hash<K: Pod, V: Pod>(&mut self, name: &str) -> Result<HashMap<&mut MapData, K, V>> {
        HashMap::try_from(self.map(name)?).with_context(|| format!("map {name}"))
    }

    fn array<V: Pod>(&mut self, name: &str) -> Result<Array<&mut MapData, V>> {
        Array::try_from(self.map(name)?).with_context(|| format!("map {name}"))
    }

    fn trie<K: Pod, V: Pod>(&mut self, name: &str) -> Result<LpmTrie<&mut MapData, K, V>> {
        LpmTrie::try_from(self.map(name)?).with_context(|| format!("map {name}"))
    }

    fn fill(&mut self, world: &World) -> Result<()> {
        let now_ns = now_ns()?;
        let at = |seconds: Seconds| now_ns.saturating_add_signed(seconds * 1_000_000_000);
        self.fill_policies(world, at)?;
        self.fill_resolvers(world)?;
        self.fill_list(maps::ALLOW, &world.allow, at)?;
        let in_trie = |it: &&Listing| !world.compiled || !tables::is_compiled(it);
        let denied: Vec<_> = world.deny.iter().filter(in_trie).cloned().collect();
        self.fill_list(maps::DENY, &denied, at)?;
        self.fill_sources(world, at)?;
        self.find_strangers(world)?;
        if world.compiled {
            self.fill_tables(world)?;
        }
        for (network, code) in &world.geo {
            let (base, length) = world::prefix(network);
            let scoped = ScopedAddress::new(GEO_GENERATION, 0, base);
            let key = Key::new(ScopedAddress::SCOPE_BITS + length, scoped);
            self.trie(maps::GEO)?.insert(&key, world::country(code), 0)?;
        }
        self.array(maps::USER_AGENTS)?.set(0, *world.agents(), 0)?;
        static FILLED: AtomicU32 = AtomicU32::new(0);
        let endpoints_generation = FILLED.fetch_add(1, Ordering::Relaxed) + 1;
        let config = Config { endpoints_generation, ..world.config() };
        self.array(maps::CONFIG)?.set(0, config, 0)?;
        Ok(())
    }

    /// The port set of a policy has the policy's own place in the list.
    fn fill_policies(&mut self, world: &World, at: impl Fn(Seconds) -> u64) -> Result<()> {
        for (set, policy) in world.policies.iter().enumerate() {
            let mut ports = Box::new(PortSet::EMPTY);
            for (range, class) in &policy.ports {
                range.clone().for_each(|port| ports.set(port, *class));
            }
            policy.guarded.iter().for_each(|(port, service)| ports.guard(*port, *service));
            self.array(maps::PORT_SETS)?.set(set as u32, *ports, 0)?;
            let entry = Policy { port_set: set as u32, ..policy.timed(&at) };
            if world.policies_max.is_none_or(|most| policy.index < most) {
                self.array(maps::POLICIES)?.set(policy.index, entry, 0)?;
            }
        }
        for (network, policy) in &world.endpoints {
            let (base, length) = world::prefix(network);
            let key: Key<Address> = Key::new(length, base);
            let is_shared = world.shared.iter().any(|(first, ..)| first == policy);
            let value = if is_shared { *policy | ENDPOINT_SHARED } else { *policy };
            self.trie(maps::ENDPOINTS)?.insert(&key, value, 0)?;
        }
        for (first, port, policy) in &world.shared {
            let key: Key<Address> = Key::new(128, port_key(*first, u32::from(*port)));
            self.trie(maps::ENDPOINTS)?.insert(&key, *policy, 0)?;
        }
        Ok(())
    }

    fn fill_resolvers(&mut self, world: &World) -> Result<()> {
        for network in &world.resolvers {
            let (base, length) = world::prefix(network);
            let key: Key<Address> = Key::new(length, base);
            self.trie(maps::RESOLVERS)?.insert(&key, 1u32, 0)?;
        }
        Ok(())
    }

    /// Those sets in which a source is.
    fn change_guarded(&mut self, change: impl Fn(&mut GuardSet)) -> Result<()> {
        let mut map = self.array::<GuardSet>(maps::GUARDED)?;
        for number in 0..GUARD_SETS {
            let mut set = map.get(&number, 0)?;
            if set != GuardSet::EMPTY {
                change(&mut set);
                map.set(number, set, 0)?;
            }
        }
        Ok(())
    }

    fn fill_list(
        &mut self,
        name: &str,
        list: &[Listing],
        at: impl Fn(Seconds) -> u64,
    ) -> Result<()> {
        for listing in list {
            let (base, length) = world::prefix(&listing.network);
            let scoped = ScopedAddress::new(listing.generation, listing.policy, base);
            let key = Key::new(ScopedAddress::SCOPE_BITS + length, scoped);
            let expires_ns = listing.expires.map_or(0, &at);
            let entry = ListEntry { expires_ns, scope: listing.scope, pad: [0; 7] };
            self.trie(name)?.insert(&key, entry, 0)?;
        }
        Ok(())
    }

    fn fill_sources(&mut self, world: &World, at: impl Fn(Seconds) -> u64) -> Result<()> {
        for block in &world.blocks {
            let key = BlockKey { source: block.source.0, policy: block.policy, pad: 0 };
            let value = Block {
                started_ns: at(block.started),
                expires_ns: at(block.expires),
                duration_ns: block.duration as u64 * 1_000_000_000,
                scope: block.scope,
                ..Block::default()
            };
            self.hash(maps::BLOCKS)?.insert(key, value, 0)?;
        }
        for (source, until) in &world.contained {
            let value = Contained { until_ns: at(*until), ..Contained::default() };
            self.hash(maps::CONTAINED)?.insert(source.0, value, 0)?;
        }
        for (source, port, until) in &world.quarantine {
            let key = QuarantineKey { source: source.0, port: *port as u32, pad: 0 };
            self.hash(maps::QUARANTINE)?.insert(key, at(*until), 0)?;
        }
        for (source, rate) in &world.trusted {
            let flags = world.trust_flags(*source);
            let value =
                Trust { flags, rate: *rate, phones: world.phones_of(*source), ..Trust::default() };
            self.hash(maps::TRUST)?.insert(source.0, value, 0)?;
        }
        Ok(())
    }

    /// Runs a frame `repeat` times through ingress; gives the verdict's number and the time of one run.
    pub fn run_ingress(&mut self, frame: &[u8], repeat: u32) -> Result<TestRunResult> {
        let program: &mut Xdp =
            self.ebpf.program_mut(PROGRAM_INGRESS).context("no ingress program")?.try_into()?;
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::new() };
        program.test_run(options).context("cannot run ingress")
    }

    pub fn run_egress(&mut self, frame: &[u8], repeat: u32) -> Result<TestRunResult> {
        let program: &mut SchedClassifier =
            self.ebpf.program_mut(PROGRAM_EGRESS).context("no egress program")?.try_into()?;
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::new() };
        program.test_run(options).context("cannot run egress")
    }

    /// Runs each list of frames on a thread of its own, all at once; returns how many passed in all.
    pub fn run_at_once(&self, lists: &[Vec<Vec<u8>>]) -> Result<usize> {
        let program = self.ebpf.program(PROGRAM_INGRESS).context("no ingress program")?;
        let program: &Xdp = program.try_into()?;
        let passed = |frame: &Vec<u8>| -> Result<bool> {
            let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::new() };
            Ok(program.test_run(options)?.return_value == XDP_PASS)
        };
        let run = &|frames: &[Vec<u8>]| -> Result<usize> {
            frames.iter().try_fold(0, |count, frame| Ok(count + usize::from(passed(frame)?)))
        };
        thread::scope(|scope| {
            let threads: Vec<_> =
                lists.iter().map(|frames| scope.spawn(move || run(frames))).collect();
            threads.into_iter().try_fold(0, |count, thread| {
                let passed = thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
                Ok(count + passed)
            })
        })
    }

    pub fn verified(&self) -> Result<Verified> {
        let count = |name: &str| {
            let program = self.ebpf.program(name).with_context(|| format!("no {name}"))?;
            program.info()?.verified_instruction_count().context("this kernel doesn't count")
        };
        Ok(Verified { ingress: count(PROGRAM_INGRESS)?, egress: count(PROGRAM_EGRESS)? })
    }

    /// The counters of some policies.
    pub fn tally_of(&mut self, policies: Range<u32>) -> Result<Tally> {
        let counters: PerCpuArray<_, Counters> = PerCpuArray::try_from(self.map(maps::COUNTERS)?)?;
        let mut tally = Tally::default();
        for policy in policies {
            for cpu in counters.get(&policy, 0)?.iter() {
                for (reason, packets) in cpu.packets.iter().enumerate() {
                    tally.add(policy, Count::Packets, reason as u8, *packets);
                }
                for (reason, packets) in cpu.observed.iter().enumerate() {
                    tally.add(policy, Count::Observed, reason as u8, *packets);
                }
            }
        }
        Ok(tally)
    }

    /// Makes every value of a hash map older.
    fn age<K: Pod, V: Pod>(&mut self, name: &str, older: impl Fn(&mut V)) -> Result<()> {
        let mut map = self.hash::<K, V>(name)?;
        let entries: Vec<(K, V)> = map.iter().collect::<Result<_, _>>()?;
        for (key, mut value) in entries {
            older(&mut value);
            map.insert(key, value, 0)?;
        }
        Ok(())
    }

    fn age_sketch(&mut self, by_ns: u64) -> Result<()> {
        let mut map = self.array::<Page>(maps::SKETCH)?;
        for number in 0..sketch::PAGES {
            let mut page = map.get(&number, 0)?;
            page.cells.iter_mut().for_each(|cell| *cell = cell.wrapping_sub(sketch::tick(by_ns)));
            map.set(number, page, 0)?;
        }
        Ok(())
    }

    fn age_policies(&mut self, by_ns: u64) -> Result<()> {
        let mut policies = self.array::<Policy>(maps::POLICIES)?;
        for index in 0..policies.len() {
            let mut policy = policies.get(&index, 0)?;
            if policy.geo_from_ns > 0 {
                end_earlier(&mut policy.geo_from_ns, by_ns);
                policies.set(index, policy, 0)?;
            }
        }
        Ok(())
    }

    fn age_list(&mut self, name: &str, by_ns: u64) -> Result<()> {
        let mut list = self.trie::<ScopedAddress, ListEntry>(name)?;
        let entries: Vec<_> = list.iter().collect::<Result<_, _>>()?;
        for (key, mut entry) in entries {
            if entry.expires_ns != 0 {
                end_earlier(&mut entry.expires_ns, by_ns);
                list.insert(&key, entry, 0)?;
            }
        }
        Ok(())
    }
}

/// Ends stay above 0, which would mean "never" in lists.
fn end_earlier(time_ns: &mut u64, by_ns: u64) {
    *time_ns = time_ns.saturating_sub(by_ns).max(1);
}

/// Beginnings may lie before the machine's boot: the programs subtract them, wrapping.
fn begin_earlier(time_ns: &mut u64, by_ns: u64) {
    *time_ns = time_ns.wrapping_sub(by_ns);
}

fn age_source(source: &mut Source, by_ns: u64) {
    source.ceilings_ns.iter_mut().for_each(|end_ns| end_earlier(end_ns, by_ns));
    for end_ns in [&mut source.events_ns, &mut source.stream_ns, &mut source.attempts.hold_until_ns]
    {
        end_earlier(end_ns, by_ns);
    }
    begin_earlier(&mut source.attempts.start_ns, by_ns);
    begin_earlier(&mut source.tcp_start_ns, by_ns);
}

impl Datapath for Kernel {
    fn name(&self) -> &'static str {
        "kernel"
    }

    fn ingress(&mut self, frame: &[u8]) -> Result<bool> {
        match self.run_ingress(frame, 1)?.return_value {
            XDP_PASS => Ok(true),
            XDP_DROP => Ok(false),
            other => anyhow::bail!("ingress returned {other}"),
        }
    }

    fn egress(&mut self, frame: &[u8]) -> Result<()> {
        let returned = self.run_egress(frame, 1)?.return_value;
        ensure!(returned == TC_ACT_UNSPEC, "egress returned {returned}");
        Ok(())
    }

    /// The kernel's clock cannot be set: everything that it remembers becomes older instead.
    fn wait(&mut self, seconds: u64) -> Result<()> {
        let by_ns = seconds * 1_000_000_000;
        self.age::<BlockKey, Block>(maps::BLOCKS, |block| {
            end_earlier(&mut block.expires_ns, by_ns);
            begin_earlier(&mut block.started_ns, by_ns);
            begin_earlier(&mut block.window_start_ns, by_ns);
            begin_earlier(&mut block.renewed_ns, by_ns);
        })?;
        self.age::<u64, Contained>(maps::CONTAINED, |contained| {
            end_earlier(&mut contained.until_ns, by_ns);
            end_earlier(&mut contained.next_trickle_ns, by_ns);
        })?;
        self.age::<QuarantineKey, u64>(maps::QUARANTINE, |end_ns| end_earlier(end_ns, by_ns))?;
        self.age::<u64, Trust>(maps::TRUST, |trust| {
            end_earlier(&mut trust.ceiling_ns, by_ns);
            end_earlier(&mut trust.events_ns, by_ns);
            end_earlier(&mut trust.stream_ns, by_ns);
        })?;
        self.age::<u64, Source>(maps::SOURCES, |source| age_source(source, by_ns))?;
        self.age_sketch(by_ns)?;
        for map in [maps::FLOWS, maps::KNOCKS] {
            self.age::<u64, u64>(map, |seen_ns| begin_earlier(seen_ns, by_ns))?;
        }
        self.age_policies(by_ns)?;
        self.change_guarded(|set| {
            set.buckets_ns.iter_mut().for_each(|end_ns| end_earlier(end_ns, by_ns));
        })?;
        self.age_list(maps::ALLOW, by_ns)?;
        self.age_list(maps::DENY, by_ns)?;
        let mut buckets = self.array::<u64>(maps::BUCKETS)?;
        for bucket in 0..BUCKETS_MAX {
            let mut bucket_ns = buckets.get(&bucket, 0)?;
            end_earlier(&mut bucket_ns, by_ns);
            buckets.set(bucket, bucket_ns, 0)?;
        }
        Ok(())
    }

    fn tally(&mut self) -> Result<Tally> {
        self.tally_of(0..POLICIES_MAX)
    }

    fn events(&mut self) -> Result<Vec<Event>> {
        const HEADER_LEN: usize = mem::size_of::<EventHeader>();
        let mut events = Vec::new();
        while let Some(item) = self.ring.next() {
            let (header, bytes) = item.split_at_checked(HEADER_LEN).context("a short event")?;
            // SAFETY: `header` has the size of an EventHeader, which is Plain: any bytes are one.
            let header: EventHeader =
                unsafe { header.as_ptr().cast::<EventHeader>().read_unaligned() };
            ensure!(bytes.len() == header.captured as usize, "{header:?} with {}", bytes.len());
            ensure!(header.at_ns != 0 && header.ifindex != 0, "{header:?}");
            events.push(Event::new(&header, bytes));
        }
        Ok(events)
    }

    fn events_left_out(&mut self) -> Result<(u64, u64)> {
        let counts: PerCpuArray<_, EventCounts> =
            PerCpuArray::try_from(self.map(maps::EVENT_COUNTS)?)?;
        let cpus = counts.get(&0, 0)?;
        Ok(cpus.iter().fold((0, 0), |sum, cpu| (sum.0 + cpu.suppressed, sum.1 + cpu.lost)))
    }
}
