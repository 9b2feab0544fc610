//! The maps, behind functions. Nobody else names a map.

use aya_ebpf::bindings::{BPF_ANY, BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, BPF_NOEXIST};
use aya_ebpf::btf_maps::{self, ArrayOfMaps};
use aya_ebpf::macros::{btf_map, map};
use aya_ebpf::maps::lpm_trie::Key;
use aya_ebpf::maps::{Array, HashMap, LpmTrie, LruHashMap, LruPerCpuHashMap, PerCpuArray, RingBuf};
use sipprot_common::abi::*;
use sipprot_common::guard::GuardSet;
use sipprot_common::sketch::{PAGES, Page};
use sipprot_common::source::Address;
use sipprot_common::table::{ListTable, PlaceTable, Strangers};

use crate::home::{self, Home};
use crate::work::Work;

#[map]
static CONFIG: Array<Config> = Array::with_max_entries(1, 0);
#[map]
static POLICIES: Array<Policy> = Array::with_max_entries(POLICIES_MAX, 0);
#[map]
static PORT_SETS: Array<PortSet> = Array::with_max_entries(PORT_SETS_MAX, 0);
#[map]
static ENDPOINTS: LpmTrie<Address, u32> =
    LpmTrie::with_max_entries(ENDPOINTS_MAX, BPF_F_NO_PREALLOC);
#[map]
static ALLOW: LpmTrie<ScopedAddress, ListEntry> =
    LpmTrie::with_max_entries(LIST_MAX, BPF_F_NO_PREALLOC);
#[map]
static DENY: LpmTrie<ScopedAddress, ListEntry> =
    LpmTrie::with_max_entries(LIST_MAX, BPF_F_NO_PREALLOC);
#[map]
static GEO: LpmTrie<ScopedAddress, u32> = LpmTrie::with_max_entries(LIST_MAX, BPF_F_NO_PREALLOC);
#[btf_map]
static LISTED: ArrayOfMaps<btf_maps::Array<ListTable, 1, MMAPABLE>, 1> = ArrayOfMaps::new();
#[btf_map]
static PLACES: ArrayOfMaps<btf_maps::Array<PlaceTable, 1, MMAPABLE>, 1> = ArrayOfMaps::new();
#[map]
static STRANGERS: Array<Strangers> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
static BLOCKS: HashMap<BlockKey, Block> = HashMap::with_max_entries(BLOCKS_MAX, 0);
#[map]
static QUARANTINE: HashMap<QuarantineKey, u64> = HashMap::with_max_entries(QUARANTINE_MAX, 0);
#[map]
static CONTAINED: LruHashMap<u64, Contained> = LruHashMap::with_max_entries(CONTAINED_MAX, 0);
#[map]
static TRUST: HashMap<u64, Trust> = HashMap::with_max_entries(TRUST_MAX, 0);
#[map]
static SOURCES: LruHashMap<u64, Source> = LruHashMap::with_max_entries(SOURCES_MAX, 0);
#[map]
static SKETCH: Array<Page> = Array::with_max_entries(PAGES, 0);
#[map]
static NONCES: LruHashMap<u64, Nonce> = LruHashMap::with_max_entries(NONCES_MAX, 0);
#[map]
static REGISTERS: LruPerCpuHashMap<u64, SourceCounts> =
    LruPerCpuHashMap::with_max_entries(SOURCE_COUNTS_MAX, 0);
#[map]
static FLOWS: LruHashMap<u64, u64> = LruHashMap::with_max_entries(FLOWS_MAX, 0);
#[map]
static KNOCKS: LruHashMap<u64, u64> = LruHashMap::with_max_entries(KNOCKS_MAX, 0);
#[map]
static TCP_CONNS: LruHashMap<u64, TcpConnection> =
    LruHashMap::with_max_entries(TCP_CONNECTIONS_MAX, 0);
#[map]
static GUARDED: Array<GuardSet> = Array::with_max_entries(GUARD_SETS, 0);
#[map]
static RESOLVERS: LpmTrie<Address, u32> =
    LpmTrie::with_max_entries(RESOLVERS_MAX, BPF_F_NO_PREALLOC);
#[map]
static USER_AGENTS: Array<UserAgents> = Array::with_max_entries(1, 0);
#[map]
static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(POLICIES_MAX, 0);
#[map]
static COUNTRIES: PerCpuArray<u64> = PerCpuArray::with_max_entries(COUNTRY_UNKNOWN + 1, 0);
#[map]
static BUCKETS: Array<u64> = Array::with_max_entries(BUCKETS_MAX, 0);
#[map]
static EVENT_COUNTS: PerCpuArray<EventCounts> = PerCpuArray::with_max_entries(1, 0);
#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(EVENTS_BYTES, 0);
#[map]
static HOMES: PerCpuArray<Home> = PerCpuArray::with_max_entries(home::PLACES, 0);
#[map]
static WORK: PerCpuArray<Work> = PerCpuArray::with_max_entries(2, 0);

/// User space writes the tables where they lie.
const MMAPABLE: usize = BPF_F_MMAPABLE as usize;

/// Which program works: each direction has its own scratch space.
#[derive(Clone, Copy)]
pub enum Direction {
    Ingress = 0,
    Egress = 1,
}

// SAFETY of the dereferences below: a map look-up that gave a pointer gave one to a live value of
// the map's value type; values are plain bytes, shared between CPUs as the kernel shares them.
macro_rules! get {
    ($map:ident.$look:ident($key:expr)) => {
        // SAFETY: see above.
        $map.$look($key).map(|value| unsafe { &mut *value })
    };
}

#[inline(always)]
pub fn work(direction: Direction) -> Option<&'static mut Work> {
    work_of(direction as u32)
}

/// For functions that the verifier looks at by themselves: they know their direction as a number.
#[inline(always)]
pub fn work_of(direction: u32) -> Option<&'static mut Work> {
    get!(WORK.get_ptr_mut(direction))
}

#[inline(always)]
pub fn config() -> Option<&'static Config> {
    CONFIG.get(0)
}

#[inline(always)]
pub fn policy(index: u32) -> Option<&'static Policy> {
    POLICIES.get(index)
}

#[inline(always)]
pub fn port_set(index: u32) -> Option<&'static mut PortSet> {
    get!(PORT_SETS.get_ptr_mut(index))
}

#[inline(always)]
pub fn user_agents() -> Option<&'static UserAgents> {
    USER_AGENTS.get(0)
}

#[inline(always)]
pub fn counters(policy: u32) -> Option<&'static mut Counters> {
    get!(COUNTERS.get_ptr_mut(policy))
}

#[inline(always)]
pub fn country_count(country: u32) -> Option<&'static mut u64> {
    get!(COUNTRIES.get_ptr_mut(country))
}

#[inline(always)]
pub fn bucket(index: u32) -> Option<&'static mut u64> {
    get!(BUCKETS.get_ptr_mut(index))
}

#[inline(always)]
pub fn guarded(set: u32) -> Option<&'static mut GuardSet> {
    get!(GUARDED.get_ptr_mut(set))
}

/// Is the source a name server that may answer at any length?
#[inline(always)]
pub fn is_resolver(address: &Address) -> bool {
    RESOLVERS.get(Key::new(128, *address)).is_some()
}

#[inline(always)]
pub fn sketch(page: u32) -> Option<&'static mut Page> {
    get!(SKETCH.get_ptr_mut(page))
}

#[inline(always)]
pub fn event_counts() -> Option<&'static mut EventCounts> {
    get!(EVENT_COUNTS.get_ptr_mut(0))
}

#[inline(always)]
pub fn home(place: u32) -> Option<&'static mut Home> {
    get!(HOMES.get_ptr_mut(place))
}

/// Policy of the endpoint that an address belongs to.
#[inline(always)]
pub fn endpoint(address: &Address) -> Option<u32> {
    ENDPOINTS.get(Key::new(128, *address)).copied()
}

/// The compiled lists; `None` until user space has put them there.
#[inline(always)]
pub fn list_table() -> Option<&'static ListTable> {
    LISTED.get_value(0, &0)
}

#[inline(always)]
pub fn place_table() -> Option<&'static PlaceTable> {
    PLACES.get_value(0, &0)
}

#[inline(always)]
pub fn strangers() -> Option<&'static Strangers> {
    STRANGERS.get(0)
}

#[derive(Clone, Copy)]
pub enum List {
    Allow,
    Deny,
}

#[inline(always)]
pub fn listed(list: List, address: &ScopedAddress) -> Option<&'static ListEntry> {
    let key = Key::new(ScopedAddress::SCOPE_BITS + 128, *address);
    match list {
        List::Allow => ALLOW.get(key),
        List::Deny => DENY.get(key),
    }
}

/// Index of an address's country, [`COUNTRY_UNKNOWN`] for one in no list.
#[inline(always)]
pub fn country(address: &ScopedAddress) -> u32 {
    match GEO.get(Key::new(ScopedAddress::SCOPE_BITS + 128, *address)) {
        Some(country) => *country,
        None => COUNTRY_UNKNOWN,
    }
}

#[inline(always)]
pub fn block(source: u64, policy: u32) -> Option<&'static mut Block> {
    get!(BLOCKS.get_ptr_mut(&BlockKey { source, policy, pad: 0 }))
}

#[inline(always)]
pub fn quarantine_end(source: u64, port: u32) -> Option<u64> {
    // SAFETY: the value is one word, copied at once.
    unsafe { QUARANTINE.get(QuarantineKey { source, port, pad: 0 }) }.copied()
}

#[inline(always)]
pub fn contained(source: u64) -> Option<&'static mut Contained> {
    get!(CONTAINED.get_ptr_mut(&source))
}

#[inline(always)]
pub fn contain(source: u64, contained: &Contained) {
    // A full LRU map makes room; an error means a race with another CPU, whose entry stands.
    let _ = CONTAINED.insert(source, contained, BPF_ANY as u64);
}

#[inline(always)]
pub fn release(source: u64) {
    let _ = CONTAINED.remove(source);
}

#[inline(always)]
pub fn trust(source: u64) -> Option<&'static mut Trust> {
    get!(TRUST.get_ptr_mut(&source))
}

#[inline(always)]
pub fn source(source: u64) -> Option<&'static mut Source> {
    get!(SOURCES.get_ptr_mut(&source))
}

/// Adds a source, unless another CPU just did: its counts stand.
#[inline(always)]
pub fn add_source(source: u64, fresh: &Source) {
    let _ = SOURCES.insert(source, fresh, BPF_NOEXIST as u64);
}

#[inline(always)]
pub fn nonce(hash: u64) -> Option<&'static mut Nonce> {
    get!(NONCES.get_ptr_mut(&hash))
}

#[inline(always)]
pub fn add_nonce(hash: u64, nonce: &Nonce) {
    let _ = NONCES.insert(hash, nonce, BPF_ANY as u64);
}

#[inline(always)]
pub fn source_counts(source: u64) -> Option<&'static mut SourceCounts> {
    get!(REGISTERS.get_ptr_mut(&source))
}

#[inline(always)]
pub fn add_source_counts(source: u64, counts: &SourceCounts) {
    let _ = REGISTERS.insert(source, counts, BPF_ANY as u64);
}

#[inline(always)]
pub fn flow(hash: u64) -> Option<&'static mut u64> {
    get!(FLOWS.get_ptr_mut(&hash))
}

#[inline(always)]
pub fn add_flow(hash: u64, now_ns: u64) {
    let _ = FLOWS.insert(hash, now_ns, BPF_ANY as u64);
}

/// When something came in last on a flow that nobody had opened outward.
#[inline(always)]
pub fn knock(hash: u64) -> Option<&'static mut u64> {
    get!(KNOCKS.get_ptr_mut(&hash))
}

#[inline(always)]
pub fn add_knock(hash: u64, now_ns: u64) {
    let _ = KNOCKS.insert(hash, now_ns, BPF_ANY as u64);
}

#[inline(always)]
pub fn tcp_connection(hash: u64) -> Option<&'static mut TcpConnection> {
    get!(TCP_CONNS.get_ptr_mut(&hash))
}

#[inline(always)]
pub fn add_tcp_connection(hash: u64, connection: &TcpConnection) {
    let _ = TCP_CONNS.insert(hash, connection, BPF_ANY as u64);
}

/// Writes one event; false when the ring is full.
#[inline(always)]
pub fn send_event(bytes: &[u8]) -> bool {
    EVENTS.output::<[u8]>(bytes, 0).is_ok()
}
