//! From the packet that breaks a rule to the entry in the kernel's maps that stops its source.
//!
//! A scanner names itself: the kernel drops each packet at once and tells the controller, which
//! contains the source when it goes over the rule's limit. The maps are asked without a pause, so that the time is that of
//! everything between: the wire, the event, the judgement, the write.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aya::maps::{HashMap, Map, MapData};
use sipprot_common::abi::{ABI_VERSION, Block, BlockKey, Contained, maps};
use sipprot_common::source::SourceKey;
use sipprot_ctl::rules::{Rule, RuleId};
use sipprot_tests::daemon::Daemon;
use sipprot_tests::datapath::Message;
use sipprot_tests::lab::Lab;
use sipprot_tests::topology::{ATTACKERS, Family, attacker};

const PATIENCE: Duration = Duration::from_millis(500);
/// Before each decisive packet: all scanners together stay below the endpoint's ceiling, and each
/// finds a controller at rest.
const PAUSE: Duration = Duration::from_millis(100);

/// Microseconds, one for each attacker and address family.
pub fn measure(lab: &Lab, daemon: &Daemon) -> Result<Vec<f64>> {
    let pins = daemon.pin_dir().join(format!("v{ABI_VERSION}/maps"));
    let open = |name: &str| -> Result<Map> {
        Ok(Map::from_map_data(MapData::from_pin(pins.join(name))?)?)
    };
    let contained: HashMap<_, u64, Contained> = HashMap::try_from(open(maps::CONTAINED)?)?;
    let blocks: HashMap<_, BlockKey, Block> = HashMap::try_from(open(maps::BLOCKS)?)?;
    let is_stopped = |source: IpAddr| {
        let key = SourceKey::from(source).0;
        let block = BlockKey { source: key, policy: 0, pad: 0 };
        contained.get(&key, 0).is_ok() || blocks.get(&block, 0).is_ok()
    };
    let rules = Rule::defaults();
    let rule = rules.iter().find(|rule| rule.id == RuleId::UserAgent).context("no such rule")?;
    let limit = rule.limit;
    let scan = Message::request("OPTIONS").agent("friendly-scanner").bytes();
    let mut micros = Vec::new();
    for number in 0..ATTACKERS {
        for family in [Family::V4, Family::V6] {
            let source = attacker(number).of(family);
            let to = lab.pbxs[0].sip(family);
            let bind = || Ok(UdpSocket::bind(SocketAddr::new(source, 0))?);
            let socket = lab.net.attackers.run(bind).context("bind")?;
            for _ in 0..limit - 1 {
                socket.send_to(&scan, to)?;
            }
            std::thread::sleep(PAUSE);
            ensure!(!is_stopped(source), "{source} is stopped below the limit");
            let start = Instant::now();
            socket.send_to(&scan, to)?;
            while !is_stopped(source) {
                let waited = start.elapsed();
                ensure!(waited < PATIENCE, "{source} is at large: {:?}", daemon.check(source)?);
            }
            micros.push(start.elapsed().as_nanos() as f64 / 1e3);
        }
    }
    Ok(micros)
}
