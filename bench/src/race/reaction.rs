//! From the packet that breaks a rule to the entry in the kernel's maps that stops its source.
//!
//! A scanner names itself: the kernel drops each packet at once and tells the controller, which
//! contains the source when it goes over the rule's limit. The maps are asked without a pause, so
//! that the time is that of everything between: the wire, the event, the judgement, the write.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use aya::maps::{HashMap, Map, MapData};
use sipprot_common::abi::{ABI_VERSION, Block, BlockKey, Contained, maps};
use sipprot_common::source::SourceKey;
use sipprot_ctl::rules::{Rule, RuleId};
use sipprot_tests::daemon::Daemon;
use sipprot_tests::datapath::Message;
use sipprot_tests::lab::Lab;
use sipprot_tests::topology::{ATTACKERS, Family, attacker};

use super::FRAMES_PER_SECOND;

const PATIENCE: Duration = Duration::from_millis(500);
/// A packet that had no consequence by then was lost on its way; another one is sent, and the clock
/// begins anew. Far above what is measured.
const LOST: Duration = Duration::from_millis(50);
/// After each scanner's packets: all together stay below the endpoint's ceiling, and each decisive
/// packet finds a controller at rest.
const PAUSE: Duration = Duration::from_millis(100);
/// Until the endpoint's ceiling is reached and forged packets are at home in every bucket.
const FLOODED: Duration = Duration::from_secs(2);

/// Microseconds, one for each attacker and address family.
pub fn measure(lab: &Lab, daemon: &Daemon) -> Result<Vec<f64>> {
    let (scanners, stops) = (Scanner::all(lab)?, Stops::open(daemon)?);
    scanners
        .iter()
        .map(|scanner| {
            scanner.come_close()?;
            scanner.be_stopped(&stops)
        })
        .collect()
}

/// The same while a forged flood runs. The scanners came before it: who comes during it is dropped
/// for the ceiling, and nobody reads what he says.
pub fn measure_flooded(lab: &Lab, daemon: &Daemon) -> Result<Vec<f64>> {
    let (scanners, stops) = (Scanner::all(lab)?, Stops::open(daemon)?);
    scanners.iter().try_for_each(Scanner::come_close)?;
    let flood = lab.flood(Vec::new(), FRAMES_PER_SECOND)?;
    std::thread::sleep(FLOODED);
    let micros = scanners
        .iter()
        .map(|scanner| {
            std::thread::sleep(PAUSE);
            scanner.be_stopped(&stops)
        })
        .collect();
    flood.stop()?;
    micros
}

struct Scanner {
    source: IpAddr,
    to: SocketAddr,
    socket: UdpSocket,
    packet: Vec<u8>,
    limit: u32,
}

impl Scanner {
    fn all(lab: &Lab) -> Result<Vec<Self>> {
        let rules = Rule::defaults();
        let rule =
            rules.iter().find(|rule| rule.id == RuleId::UserAgent).context("no such rule")?;
        let packet = Message::request("OPTIONS").agent("friendly-scanner").bytes();
        let scanner = |(number, family)| {
            let source = attacker(number).of(family);
            let bind = || Ok(UdpSocket::bind(SocketAddr::new(source, 0))?);
            let socket = lab.net.attackers.run(bind).context("bind")?;
            let (to, packet) = (lab.pbxs[0].sip(family), packet.clone());
            Ok(Self { source, to, socket, packet, limit: rule.limit })
        };
        let both = |number| [Family::V4, Family::V6].map(|family| (number, family));
        (0..ATTACKERS).flat_map(both).map(scanner).collect()
    }

    /// One packet more breaks the limit.
    fn come_close(&self) -> Result<()> {
        for _ in 0..self.limit - 1 {
            self.socket.send_to(&self.packet, self.to)?;
        }
        std::thread::sleep(PAUSE);
        Ok(())
    }

    fn be_stopped(&self, stops: &Stops) -> Result<f64> {
        let source = self.source;
        ensure!(!stops.has(source), "{source} is stopped below the limit");
        let first = Instant::now();
        while first.elapsed() < PATIENCE {
            let start = Instant::now();
            self.socket.send_to(&self.packet, self.to)?;
            while start.elapsed() < LOST {
                if stops.has(source) {
                    return Ok(start.elapsed().as_nanos() as f64 / 1e3);
                }
            }
        }
        bail!("{source} is at large")
    }
}

/// The kernel's maps of those who are stopped.
struct Stops {
    contained: HashMap<MapData, u64, Contained>,
    blocks: HashMap<MapData, BlockKey, Block>,
}

impl Stops {
    fn open(daemon: &Daemon) -> Result<Self> {
        let pins = daemon.pin_dir().join(format!("v{ABI_VERSION}/maps"));
        let open = |name: &str| -> Result<Map> {
            Ok(Map::from_map_data(MapData::from_pin(pins.join(name))?)?)
        };
        Ok(Self {
            contained: HashMap::try_from(open(maps::CONTAINED)?)?,
            blocks: HashMap::try_from(open(maps::BLOCKS)?)?,
        })
    }

    fn has(&self, source: IpAddr) -> bool {
        let key = SourceKey::from(source).0;
        let block = BlockKey { source: key, policy: 0, pad: 0 };
        self.contained.get(&key, 0).is_ok() || self.blocks.get(&block, 0).is_ok()
    }
}
