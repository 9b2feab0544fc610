//! From the packet that breaks a rule to the entry in the kernel's maps that stops its source.
//!
//! Two attackers. A scanner names itself: the kernel drops each packet at once and tells the controller,
//! which contains the source when it goes over the rule's limit. In a flood of scanners it is told of few
//! of them; there, a guesser holds a nonce, and the PBX's answer to one more account blocks it. The maps
//! are asked without a pause, so that the time is that of everything between: the wire, the event, the
//! judgement, the write; the guesser's has the PBX's own time in it.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use aya::maps::{HashMap, Map, MapData};
use sipprot_common::abi::{ABI_VERSION, Block, BlockKey, Contained, maps};
use sipprot_common::source::SourceKey;
use sipprot_ctl::rules::{Rule, RuleId};
use sipprot_tests::attackers::cracker::{self, Challenge, Plan};
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
            stops.wait_for(scanner.source, || scanner.go_on())
        })
        .collect()
}

/// The same by guessers, while a forged flood of scanners runs.
pub fn measure_flooded(lab: &Lab, daemon: &Daemon) -> Result<Vec<f64>> {
    let (guessers, stops) = (Guesser::all(lab)?, Stops::open(daemon)?);
    let flood = lab.flood(&[Family::V4], Vec::new(), FRAMES_PER_SECOND)?;
    std::thread::sleep(FLOODED);
    let micros = guessers
        .iter()
        .map(|guesser| {
            std::thread::sleep(PAUSE);
            stops.wait_for(guesser.source(), || guesser.guess(DECISIVE))
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

    fn go_on(&self) -> Result<()> {
        self.socket.send_to(&self.packet, self.to)?;
        Ok(())
    }
}

/// The account whose failure is one too many for its source.
const DECISIVE: u32 = 4;

/// Fails on one account after the other, all on one nonce.
struct Guesser {
    plan: Plan,
    number: u8,
    challenge: Challenge,
    socket: UdpSocket,
}

impl Guesser {
    /// All of them, and all but the decisive guess. IPv4 alone: IPv6's wider networks count together, and
    /// so many of one are held sooner.
    fn all(lab: &Lab) -> Result<Vec<Self>> {
        (0..ATTACKERS).map(|number| Self::come_close(lab, number)).collect()
    }

    fn come_close(lab: &Lab, number: u8) -> Result<Self> {
        let plan = Plan::new(attacker(number).v4.into(), lab.pbxs[0].sip(Family::V4));
        let challenge = cracker::take_challenge(&lab.net.attackers, &plan)?.context("no nonce")?;
        let bind = || Ok(UdpSocket::bind(SocketAddr::new(plan.source, 0))?);
        let socket = lab.net.attackers.run(bind).context("bind")?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let guesser = Self { plan, number, challenge, socket };
        for account in 0..DECISIVE {
            guesser.guess(account)?;
            guesser.socket.recv(&mut [0; 2048]).context("no answer to a guess")?;
        }
        Ok(guesser)
    }

    fn source(&self) -> IpAddr {
        self.plan.source
    }

    /// Nobody else fails on this account: many sources at one account are another rule's affair.
    fn guess(&self, account: u32) -> Result<()> {
        let user = format!("4{:02}{account}", self.number);
        let plan = Plan { user, ..self.plan.clone() };
        let local = self.socket.local_addr()?;
        let packet = cracker::request(&plan, local, Some((&self.challenge, account)));
        self.socket.send_to(&packet, plan.target)?;
        Ok(())
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

    /// Microseconds from a packet to what stops its source.
    fn wait_for(&self, source: IpAddr, send: impl Fn() -> Result<()>) -> Result<f64> {
        ensure!(!self.has(source), "{source} is stopped below the limit");
        let first = Instant::now();
        while first.elapsed() < PATIENCE {
            let start = Instant::now();
            send()?;
            while start.elapsed() < LOST {
                if self.has(source) {
                    return Ok(start.elapsed().as_nanos() as f64 / 1e3);
                }
            }
        }
        bail!("{source} is at large")
    }

    fn has(&self, source: IpAddr) -> bool {
        let key = SourceKey::from(source).0;
        let block = BlockKey { source: key, policy: 0, pad: 0 };
        self.contained.get(&key, 0).is_ok() || self.blocks.get(&block, 0).is_ok()
    }
}
