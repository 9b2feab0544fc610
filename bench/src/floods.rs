//! Floods of live frames against the shipped program: millions of packets a second that one core
//! sends and filters.

use anyhow::{Context, Result, ensure};
use aya::programs::{Xdp, xdp::XdpMode};
use ipnetwork::IpNetwork;
use serde::Serialize;
use sipprot_ctl::datapath::{List, ListItem};
use sipprot_tests::topology::INTERFACE;

use crate::Effort;
use crate::objects::Objects;
use crate::prefixes::{self, MILLION};
use crate::shipped::{ANYBODY, Countries, Generator, Shipped};
use crate::wire::Wire;

const SIP_PORT: u16 = 5060;
const MEDIA_PORT: u16 = 16_384;

/// One flood's figure, and what became of its packets.
#[derive(Clone, Debug, Serialize)]
pub struct Flood {
    pub name: &'static str,
    pub mpps: f64,
    /// Received of a hundred that were sent.
    pub received_percent: f64,
    pub what: String,
}

/// Which frames, in whose name.
pub struct Attack {
    pub program: &'static str,
    pub frame: Vec<u8>,
    pub sources: [u32; 2],
}

impl Attack {
    pub fn v4(wire: &Wire, port: u16) -> Self {
        let frame = wire.datagram(false, port);
        Self { program: "bench_forge_v4", frame, sources: ANYBODY }
    }

    fn v6(wire: &Wire) -> Self {
        let frame = wire.datagram(true, SIP_PORT);
        Self { program: "bench_forge_v6", frame, sources: ANYBODY }
    }
}

/// The best of some runs of an attack on whatever stands at the receiver's end.
pub fn run(
    wire: &Wire,
    generator: &mut Generator,
    attack: &Attack,
    effort: Effort,
    name: &'static str,
) -> Result<Flood> {
    generator.vary(attack.sources)?;
    let program = generator.program(attack.program)?;
    let best = wire.flood(program, &attack.frame, effort.flood_time, effort.floods)?;
    ensure!(best.received > 0, "{name}: nothing arrived");
    let received_percent = best.received as f64 * 100.0 / best.sent as f64;
    Ok(Flood { name, mpps: best.mpps(), received_percent, what: String::new() })
}

/// What a receiver reaches that only drops.
pub fn floor(wire: &Wire, objects: &Objects, effort: Effort) -> Result<Flood> {
    let mut generator = Generator::load(objects)?;
    let mut receiver = Generator::load(objects)?;
    let _attached = Attached::new(wire, receiver.attachable("bench_empty")?)?;
    let attack = Attack::v4(wire, SIP_PORT);
    let mut flood = run(wire, &mut generator, &attack, effort, "floor")?;
    "a program that only drops".clone_into(&mut flood.what);
    Ok(flood)
}

/// A program on the receiver's interface, taken off again when dropped.
struct Attached<'a> {
    wire: &'a Wire,
    program: &'a mut Xdp,
    link: Option<aya::programs::xdp::XdpLinkId>,
}

impl<'a> Attached<'a> {
    fn new(wire: &'a Wire, program: &'a mut Xdp) -> Result<Self> {
        let attach = || Ok(program.attach(INTERFACE, XdpMode::Driver)?);
        let link = wire.receiver.run(attach).context("attach")?;
        Ok(Self { wire, program, link: Some(link) })
    }
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        if let Some(link) = self.link.take()
            && let Err(error) = self.wire.receiver.run(|| Ok(self.program.detach(link)?))
        {
            eprintln!("detaching: {error}");
        }
    }
}

/// All floods against the shipped program with a million prefixes of each family.
pub fn shipped(wire: &Wire, objects: &Objects, effort: Effort) -> Result<Vec<Flood>> {
    let mut generator = Generator::load(objects)?;
    let shipped = Shipped::open(objects)?;
    let v6 = prefixes::v6(MILLION);
    generator.list(&prefixes::some_listed_v6(&v6, 1 << 16))?;
    shipped.load_geo()?;
    shipped.judge(Countries::AllButOne, true)?;
    let networks: Vec<_> = prefixes::v4(MILLION).into_iter().chain(v6).collect();
    shipped.load_denied(&networks)?;
    wire.receiver.run(|| Ok(shipped.datapath.attach(INTERFACE)?))?;

    let register = Attack {
        frame: wire.register(),
        sources: prefixes::UNLISTED,
        ..Attack::v4(wire, SIP_PORT)
    };
    let media = Attack { sources: prefixes::UNLISTED, ..Attack::v4(wire, MEDIA_PORT) };
    let attacks = [
        ("flood_v4_1m", Attack::v4(wire, SIP_PORT), Countries::AllButOne),
        ("flood_v6_1m", Attack::v6(wire), Countries::AllButOne),
        ("flood_sip_unlisted", register, Countries::AllButOne),
        ("flood_pass", media, Countries::Any),
        ("flood_geo_allow", Attack::v4(wire, SIP_PORT), Countries::One),
    ];
    let mut floods = Vec::new();
    for (name, attack, countries) in attacks {
        shipped.judge(countries, true)?;
        // Which countries matter is marked when the countries are loaded.
        shipped.load_geo()?;
        floods.push(told(&shipped, || run(wire, &mut generator, &attack, effort, name))?);
    }
    Ok(floods)
}

/// The same program, its lists in the tries alone: without tables these are asked for every source.
pub fn tries_only(wire: &Wire, objects: &Objects, effort: Effort) -> Result<Flood> {
    let mut generator = Generator::load(objects)?;
    let shipped = Shipped::open(objects)?;
    for network in prefixes::v4(MILLION) {
        shipped.datapath.add_entry(List::Deny, &ListItem::host(network))?;
    }
    wire.receiver.run(|| Ok(shipped.datapath.attach(INTERFACE)?))?;
    let attack = Attack::v4(wire, SIP_PORT);
    told(&shipped, || run(wire, &mut generator, &attack, effort, "lpm_only"))
}

/// With the reasons for which the packets left.
fn told(shipped: &Shipped, flood: impl FnOnce() -> Result<Flood>) -> Result<Flood> {
    let before = shipped.packets()?;
    let flood = flood()?;
    let what = shipped.packets()?.since(&before).description();
    Ok(Flood { what, ..flood })
}

/// A fifth of the prefixes that ours has, as peers get them.
pub fn fifth() -> Vec<IpNetwork> {
    prefixes::v4(MILLION / 5)
}
