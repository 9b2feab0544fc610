//! The cases: a world, a frame, and the reason for which it must leave. One frame in a loop, so that
//! caches are warm: compare them with each other.

mod table;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use sipprot_common::reason::Reason;
use sipprot_tests::datapath::world::{Block, Listing, Policy};
use sipprot_tests::datapath::{Frame, Kernel, Message, World};

pub use table::{Figure, Table};

use crate::Effort;

struct Case {
    name: &'static str,
    world: World,
    frame: Frame,
    reason: Reason,
}

const PBX: &str = "198.51.100.10:5060";
const MEDIA: &str = "198.51.100.10:16384";
const SOURCE: &str = "203.0.113.7:5060";
const ADDRESS: &str = "203.0.113.7";

/// Fifty agents, none of them the sender's; events are as rare as a daemon would have them.
fn world() -> World {
    let agents = (0..50).map(|number| format!("scanner-{number:02}"));
    World { user_agents: agents.collect(), ..World::new().events(10, 20) }
}

/// Lists with `entries` networks, none of them the sender's.
fn with_lists(entries: u32) -> World {
    (0..entries).fold(world(), |world, number| {
        let network = format!("{}.{}.{}.0/24", 1 + number % 99, number / 99 % 256, number % 256);
        world.deny(Listing::new(&network))
    })
}

/// A REGISTER of about 500 bytes, as phones send it.
fn register() -> Frame {
    let message = Message::request("REGISTER")
        .header("Contact", "<sip:100@203.0.113.7:5060;transport=udp>;expires=3600")
        .header("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, REFER, SUBSCRIBE, INFO")
        .agent("Yealink SIP-T46S 66.85.0.5")
        .header("Supported", "path, gruu, outbound");
    Frame::udp(SOURCE, PBX).payload(message)
}

fn rtp() -> Frame {
    Frame::udp("203.0.113.7:40000", MEDIA).payload([0x80; 172])
}

fn all() -> Vec<Case> {
    let scanner = Message::request("OPTIONS").agent("scanner-49 (friendly)");
    let case = |name, world, frame, reason| Case { name, world, frame, reason };
    let deny = |world: World| world.deny(Listing::new("203.0.113.0/24"));
    vec![
        case("RTP passes", world(), rtp(), Reason::Other),
        case("RTP passes, 10,000 networks denied", with_lists(10_000), rtp(), Reason::Other),
        case("RTP over IPv6 passes", world(), rtp_v6(), Reason::Other),
        case("denied source", deny(with_lists(10_000)), rtp(), Reason::Denied),
        case("blocked source", world().block(Block::new(ADDRESS)), rtp(), Reason::Blocked),
        case(
            "blocked source, SIP",
            world().block(Block::new(ADDRESS)),
            register(),
            Reason::Blocked,
        ),
        case(
            "listed user agent",
            world(),
            Frame::udp(SOURCE, PBX).payload(scanner),
            Reason::UserAgent,
        ),
        case("REGISTER, untrusted", world(), register(), Reason::SipRequest),
        case("REGISTER, trusted", world().trusted(ADDRESS), register(), Reason::SipRequest),
        case(
            "REGISTER, untrusted, an event each",
            world().events(0, 0),
            register(),
            Reason::SipRequest,
        ),
        case(
            "REGISTER, over the ceiling",
            World { policies: vec![Policy::new(0).source_ceiling(1, 1)], ..world() },
            register(),
            Reason::SourceCeiling,
        ),
        case(
            "REGISTER, contained",
            world().contained(ADDRESS, 3600),
            register(),
            Reason::Contained,
        ),
        case(
            "keep-alive",
            world(),
            Frame::udp(SOURCE, PBX).payload("\r\n\r\n"),
            Reason::SipKeepalive,
        ),
    ]
}

fn rtp_v6() -> Frame {
    Frame::udp("[2001:db8:bad::7]:40000", "[2001:db8:100::10]:16384").payload([0x80; 172])
}

pub fn measure(object: &Path, effort: Effort) -> Result<Table> {
    let object =
        std::fs::read(object).with_context(|| format!("cannot read {}", object.display()))?;
    let mut kernel = Kernel::load_object(&object, &World::new())?;
    let mut figures = Vec::new();
    for case in all() {
        figures.push(run(&mut kernel, &case, effort).with_context(|| case.name.to_owned())?);
    }
    Ok(Table::new(figures, kernel.verified()?))
}

/// The fastest run: what disturbs a run only ever makes it slower.
fn run(kernel: &mut Kernel, case: &Case, effort: Effort) -> Result<Figure> {
    kernel.reset(&case.world)?;
    let frame = case.frame.bytes();
    let mut best_ns = u128::MAX;
    for _ in 0..effort.runs {
        best_ns = best_ns.min(kernel.run_ingress(&frame, effort.repeat)?.duration.as_nanos());
    }
    // What was measured must be what the case is about.
    let packets = kernel.tally_of(0..1)?;
    let reason = packets.most();
    ensure!(reason == Some(case.reason), "left for {reason:?}, not {:?}: {packets:?}", case.reason);
    Ok(Figure {
        name: case.name,
        reason: case.reason.label(),
        nanoseconds: best_ns as u64,
        ratio: 0.0,
    })
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::path::PathBuf;

    use sipprot_tests::datapath::kernel::{self, OBJECT_VARIABLE};

    use super::*;

    /// Measuring checks for which reason the packets left.
    #[test]
    fn every_case_is_about_what_it_says() {
        if let Some(missing) = kernel::missing() {
            println!("skipped: the bench needs {missing}");
            return;
        }
        let object = PathBuf::from(env::var_os(OBJECT_VARIABLE).unwrap());
        measure(&object, Effort { runs: 1, repeat: 100, ..Effort::QUICK }).unwrap();
    }
}
