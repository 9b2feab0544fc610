//! The shipped datapath, opened as the daemon opens it, and the bench's programs over the same maps.
//!
//! Policies are those of the default configuration, for the host and for one endpoint. Nothing here
//! measures.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};
use aya::maps::{Array, MapData, ProgramArray};
use aya::programs::Xdp;
use aya::{Ebpf, EbpfLoader};
use ipnetwork::IpNetwork;
use sipprot_common::abi::{
    ABI_VERSION, GEO_ALLOW, GEO_DENY, GEO_OFF, PROGRAM_INGRESS, Policy, maps,
};
use sipprot_common::reason::Reason;
use sipprot_ctl::config::Config;
use sipprot_ctl::daemon::plan::Plan;
use sipprot_ctl::datapath::{Datapath, ListItem, Object, Options, rescue};
use sipprot_ctl::geo::{Country, Geo};

use crate::objects::Objects;
use crate::wire::{ENDPOINT_V4, ENDPOINT_V6};

static NUMBER: AtomicU32 = AtomicU32::new(0);
/// As many patterns as the aims speak of.
const AGENTS: usize = 50;
const ENDPOINT_POLICY: u32 = 1;
/// Nobody's, from here on: 240.0.0.0.
const OTHER_ENDPOINTS: u32 = 0xf000_0000;
/// Every source there is: no bit is fixed.
pub const ANYBODY: [u32; 2] = [0, u32::MAX];

/// Whose country matters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Countries {
    Any,
    /// All but one small one.
    AllButOne,
    One,
}

/// Dropping it takes everything out of the kernel.
pub struct Shipped {
    pub datapath: Datapath,
    pin_dir: PathBuf,
    programs: Ebpf,
    own: Ebpf,
    plan: Plan,
    // The lock lies in it.
    _run: tempfile::TempDir,
}

impl Shipped {
    pub fn open(objects: &Objects) -> Result<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let pin_dir =
            PathBuf::from(format!("/sys/fs/bpf/sipprot-bench-{}-{number}", std::process::id()));
        let run = tempfile::tempdir().context("make a directory for the lock")?;
        let options = Options {
            pin_dir: pin_dir.clone(),
            lock: run.path().join("lock"),
            object: Object::File(objects.shipped.clone()),
            ..Options::default()
        };
        let datapath = Datapath::open(&options)?;
        let pins = pin_dir.join(format!("v{ABI_VERSION}/maps"));
        let load = |object: &PathBuf| -> Result<Ebpf> {
            let names: Vec<_> = fs::read_dir(&pins)?.collect::<Result<_, _>>()?;
            let names: Vec<String> =
                names.iter().map(|it| it.file_name().to_string_lossy().into_owned()).collect();
            let bytes = fs::read(object).with_context(|| format!("read {}", object.display()))?;
            let mut loader = EbpfLoader::new();
            for name in &names {
                loader.map_pin_path(name, pins.join(name));
            }
            loader.load(&bytes).with_context(|| format!("load {}", object.display()))
        };
        let (mut programs, own) = (load(&objects.shipped)?, load(&objects.own)?);
        xdp(&mut programs, PROGRAM_INGRESS)?;
        let config = Config::default();
        let plan = Plan::new(&config, false, true)?;
        let mut shipped = Self { datapath, pin_dir, programs, own, plan, _run: run };
        shipped.configure()?;
        Ok(shipped)
    }

    fn configure(&mut self) -> Result<()> {
        let (datapath, plan) = (&self.datapath, &self.plan);
        for (number, ports) in (0..).zip(&plan.port_sets) {
            datapath.set_port_set(number, ports)?;
        }
        let mut agents = plan.user_agents.clone();
        agents.extend((agents.len()..AGENTS).map(|number| format!("scanner-{number:02}")));
        datapath.set_user_agents(&agents)?;
        datapath.set_event_rate(plan.event_interval_ns, plan.event_burst_ns)?;
        self.declare_endpoints(1)?;
        self.vary(ANYBODY)?;
        self.judge(Countries::Any, true)
    }

    /// Puts host and endpoint under the default policy, with or without its ceilings.
    pub fn judge(&self, countries: Countries, ceilings: bool) -> Result<()> {
        let mut policy = Policy { geo_mode: GEO_OFF, ..self.plan.policies[0] };
        let (mode, code) = match countries {
            Countries::Any => (GEO_OFF, "AQ"),
            Countries::AllButOne => (GEO_DENY, "AQ"),
            Countries::One => (GEO_ALLOW, "DE"),
        };
        let index = usize::from(Country::from_code(code).context("a country")?.index());
        policy.geo_mode = mode;
        policy.geo_countries[index / 64] |= 1 << (index % 64);
        if !ceilings {
            policy.source_interval_ns = 0;
            policy.endpoint_interval_ns = 0;
        }
        self.datapath.set_policy(0, &policy)?;
        Ok(self.datapath.set_policy(ENDPOINT_POLICY, &policy)?)
    }

    /// All networks of the machine's country database; how many they are.
    pub fn load_geo(&self) -> Result<usize> {
        let networks: Vec<_> = Geo::open(&[])
            .all_networks()
            .map(|(network, country)| (network, u32::from(country.index())))
            .collect();
        ensure!(!networks.is_empty(), "no country database (package tor-geoipdb)");
        let count = networks.len();
        self.datapath.replace_geo(networks)?;
        Ok(count)
    }

    pub fn load_denied(&self, networks: &[IpNetwork]) -> Result<()> {
        let items: Vec<_> = networks.iter().copied().map(ListItem::host).collect();
        Ok(self.datapath.replace_lists(&[], &items)?)
    }

    /// The shipped ingress program.
    pub fn ingress(&mut self) -> Result<&Xdp> {
        xdp(&mut self.programs, PROGRAM_INGRESS)
    }

    /// One of the bench's programs.
    pub fn own(&mut self, name: &str) -> Result<&Xdp> {
        xdp(&mut self.own, name)
    }

    /// Makes the shipped program the one that `bench_random_*` go on with, or the empty one.
    pub fn follow_up(&mut self, shipped: bool) -> Result<()> {
        let program = match shipped {
            true => self.ingress()?.fd()?.try_clone()?,
            false => self.own("bench_empty")?.fd()?.try_clone()?,
        };
        let map = self.own.map_mut("PROGRAMS").context("no map PROGRAMS")?;
        Ok(ProgramArray::try_from(map)?.set(0, &program, 0)?)
    }

    /// The fixed and the varying bits of the IPv4 sources of `bench_random_v4` and its like.
    pub fn vary(&mut self, range: [u32; 2]) -> Result<()> {
        vary(&mut self.own, range)
    }

    /// As many endpoints, the one that packets go to the last of them.
    pub fn declare_endpoints(&self, count: u32) -> Result<()> {
        let others = (1..count).map(|number| Ipv4Addr::from_bits(OTHER_ENDPOINTS + number).into());
        let all = others.chain([IpAddr::from(ENDPOINT_V4), ENDPOINT_V6.into()]);
        let all: Vec<_> = all.map(|address| (IpNetwork::from(address), ENDPOINT_POLICY)).collect();
        Ok(self.datapath.set_endpoints(&all, &[])?)
    }

    /// What the kernel says that the tries of the lists take.
    pub fn tries_bytes(&self) -> Result<u64> {
        let pins = self.pin_dir.join(format!("v{ABI_VERSION}/maps"));
        let bytes = |name: &str| -> Result<u64> {
            let map = MapData::from_pin(pins.join(name))?;
            let path = format!("/proc/self/fdinfo/{}", map.fd().as_fd().as_raw_fd());
            let shown = fs::read_to_string(&path).with_context(|| path)?;
            let line = shown.lines().find_map(|line| line.strip_prefix("memlock:"));
            Ok(line.context("no memlock")?.trim().parse()?)
        };
        Ok(bytes(maps::ALLOW)? + bytes(maps::DENY)?)
    }

    /// Packets since boot of the maps, by reason; host and endpoint together.
    pub fn packets(&self) -> Result<Packets> {
        let mut packets = BTreeMap::new();
        for policy in [0, ENDPOINT_POLICY] {
            let counters = self.datapath.counters(policy)?;
            for (number, count) in (0..).zip(counters.packets) {
                *packets.entry(number).or_default() += count;
            }
        }
        Ok(Packets(packets))
    }
}

impl Drop for Shipped {
    fn drop(&mut self) {
        if let Err(error) = rescue::detach(&self.pin_dir) {
            eprintln!("detaching: {error}");
        }
        if let Err(error) = fs::remove_dir_all(&self.pin_dir) {
            eprintln!("removing {}: {error}", self.pin_dir.display());
        }
    }
}

/// A program of an object, loaded when first asked for.
fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a Xdp> {
    let program = ebpf.program_mut(name).with_context(|| format!("no program {name}"))?;
    let program: &mut Xdp = program.try_into()?;
    if program.fd().is_err() {
        program.load().with_context(|| format!("the verifier refused {name}"))?;
    }
    Ok(program)
}

/// The bench's programs alone, over maps of their own: for the generator.
pub struct Generator(Ebpf);

impl Generator {
    pub fn load(objects: &Objects) -> Result<Self> {
        let bytes = fs::read(&objects.own)?;
        let mut loader = EbpfLoader::new();
        // Nothing is looked up in these.
        for name in ["BLOCKS", "QUARANTINE", "TRUST", "SOURCES", "NONCES", "REGISTERS", "FLOWS"] {
            loader.map_max_entries(name, 64);
        }
        Ok(Self(loader.load(&bytes).context("load the generator")?))
    }

    pub fn program(&mut self, name: &str) -> Result<&Xdp> {
        xdp(&mut self.0, name)
    }

    pub fn attachable(&mut self, name: &str) -> Result<&mut Xdp> {
        self.program(name)?;
        Ok(self.0.program_mut(name).context("just loaded")?.try_into()?)
    }

    /// The fixed and the varying bits of IPv4 sources.
    pub fn vary(&mut self, range: [u32; 2]) -> Result<()> {
        vary(&mut self.0, range)
    }

    pub fn list(&mut self, upper_halves: &[u64]) -> Result<()> {
        let mut array = array::<u64>(&mut self.0, "SOME_LISTED")?;
        for (index, half) in (0..array.len()).zip(upper_halves) {
            array.set(index, half, 0)?;
        }
        Ok(())
    }
}

fn vary(own: &mut Ebpf, range: [u32; 2]) -> Result<()> {
    Ok(array::<[u32; 2]>(own, "RANGE")?.set(0, range, 0)?)
}

fn array<'a, V: aya::Pod>(own: &'a mut Ebpf, name: &str) -> Result<Array<&'a mut MapData, V>> {
    Ok(Array::try_from(own.map_mut(name).with_context(|| format!("no map {name}"))?)?)
}

/// Packets by the number of their reason.
#[derive(Clone, Debug, Default)]
pub struct Packets(BTreeMap<u8, u64>);

impl Packets {
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let earlier = |number| before.0.get(number).copied().unwrap_or(0);
        Self(self.0.iter().map(|(number, count)| (*number, count - earlier(number))).collect())
    }

    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Of a hundred.
    pub fn percent(&self, reason: Reason) -> f64 {
        let count = self.0.get(&(reason as u8)).copied().unwrap_or(0);
        count as f64 * 100.0 / self.total().max(1) as f64
    }

    /// The reasons that matter, most frequent first.
    pub fn description(&self) -> String {
        let mut shares: Vec<(&u8, &u64)> = self.0.iter().filter(|(_, count)| **count > 0).collect();
        shares.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let total = self.total().max(1) as f64;
        let name = |number| Reason::from_number(number).map_or("?", Reason::label);
        let share = |(number, count): (&u8, &u64)| {
            format!("{} {:.1} %", name(*number), *count as f64 * 100.0 / total)
        };
        shares.into_iter().take(4).map(share).collect::<Vec<_>>().join(", ")
    }
}
