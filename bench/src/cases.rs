//! The cases: a world, a frame, and the reason for which it must leave.

use sipprot_common::reason::Reason;
use sipprot_tests::datapath::world::{Block, Listing, Policy};
use sipprot_tests::datapath::{Frame, Message, World};

pub struct Case {
    pub name: &'static str,
    pub world: World,
    pub frame: Frame,
    pub reason: Reason,
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

pub fn all() -> Vec<Case> {
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
