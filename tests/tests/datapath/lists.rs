//! Allow, deny and dynamic blocks.

use sipprot_common::abi::*;
use sipprot_common::reason::Reason;
use sipprot_tests::datapath::world::{Block, LISTS_GENERATION, Listing};
use sipprot_tests::datapath::{Case, Frame, Message, Policy, World, check_all};

use crate::places::*;

#[test]
fn lists() {
    check_all(&cases());
    check_all(&cases().into_iter().map(Case::compiled).collect::<Vec<_>>());
}

pub fn cases() -> Vec<Case> {
    let mut cases = entries();
    cases.extend(scopes());
    cases.extend(embedded_ipv4());
    cases.extend(blocks());
    cases.extend(renewals());
    cases
}

fn rtp(source: &str) -> Frame {
    let destination =
        if source.starts_with('[') { "[2001:db8:100::10]:16384" } else { "198.51.100.10:16384" };
    Frame::udp(source, destination).payload([0x80; 172])
}

fn deny(text: &str) -> World {
    World::new().deny(Listing::new(text))
}

fn allow(text: &str) -> World {
    World::new().allow(Listing::new(text))
}

fn entries() -> Vec<Case> {
    let row = |name: &str, world: World, source: &str, reason: Reason| {
        Case::new(name, world).ingress(&rtp(source), reason)
    };
    let both = |inner: &str, outer: &str| deny(inner).allow(Listing::new(outer));
    vec![
        row("denied /32", deny("203.0.113.7"), MALLORY, Reason::Denied),
        row("beside a denied /32", deny("203.0.113.6"), MALLORY, Reason::Other),
        row("denied /24", deny("203.0.113.0/24"), MALLORY, Reason::Denied),
        row("beside a denied /24", deny("203.0.112.0/24"), MALLORY, Reason::Other),
        row("denied /31", deny("203.0.113.6/31"), MALLORY, Reason::Denied),
        row("denied 0/0", deny("0.0.0.0/0"), MALLORY, Reason::Denied),
        row("0/0 is not IPv6", deny("0.0.0.0/0"), MALLORY_V6, Reason::Other),
        row("::/0 is IPv4 too", deny("::/0"), MALLORY, Reason::Denied),
        row("denied /128", deny("2001:db8:bad::7"), MALLORY_V6, Reason::Denied),
        row("beside a denied /128", deny("2001:db8:bad::8"), MALLORY_V6, Reason::Other),
        row("denied /48", deny("2001:db8:bad::/48"), MALLORY_V6, Reason::Denied),
        row("denied /64", deny("2001:db8:bad::/64"), MALLORY_V6, Reason::Denied),
        row("allowed /32", allow("203.0.113.7"), MALLORY, Reason::Allowed),
        row("allowed /48", allow("2001:db8:bad::/48"), MALLORY_V6, Reason::Allowed),
        row("allow over deny", both("203.0.113.7", "203.0.113.0/24"), MALLORY, Reason::Allowed),
        row(
            "allow over block",
            allow("203.0.113.7").block(Block::new(MALLORY_ADDRESS)),
            MALLORY,
            Reason::Allowed,
        ),
        row(
            "expired deny",
            World::new().deny(Listing::new("203.0.113.7").expires(-1)),
            MALLORY,
            Reason::Other,
        ),
        row(
            "expired allow over deny",
            deny("203.0.113.7").allow(Listing::new("203.0.113.7").expires(-1)),
            MALLORY,
            Reason::Denied,
        ),
        row(
            "an old generation",
            World::new().deny(Listing::new("203.0.113.7").generation(LISTS_GENERATION - 1)),
            MALLORY,
            Reason::Other,
        ),
        Case::new("deny expires", World::new().deny(Listing::new("203.0.113.7").expires(100)))
            .ingress(&rtp(MALLORY), Reason::Denied)
            .wait(50)
            .ingress(&rtp(MALLORY), Reason::Denied)
            .wait(60)
            .ingress(&rtp(MALLORY), Reason::Other),
        Case::new("allow expires", World::new().allow(Listing::new("203.0.113.7").expires(100)))
            .ingress(&says(register()), Reason::Allowed)
            .wait(110)
            .ingress(&says(register()), Reason::SipRequest),
        Case::new(
            "a denied operator is let in after a while",
            deny("203.0.113.0/24").allow(Listing::new("203.0.113.7").later(100)),
        )
        .ingress(&rtp(MALLORY), Reason::Denied)
        .wait(110)
        .ingress(&rtp(MALLORY), Reason::Allowed),
        Case::new("every protocol of a denied source", deny("203.0.113.7"))
            .ingress(&Frame::ip(MALLORY, PBX, 47).payload([0; 40]), Reason::Denied)
            .ingress(&Frame::ip(MALLORY, PBX, 1).payload([8; 8]), Reason::Denied)
            .ingress(&Frame::tcp(MALLORY, "198.51.100.10:22"), Reason::Denied)
            .ingress(&says(register()), Reason::Denied)
            .ingress(&sends(b"x").fragment(0, true), Reason::Denied)
            .ingress(&sends(b"x").fragment(5, false), Reason::Denied),
        Case::new("an allowed source may say anything", allow("203.0.113.7").user_agent("evil"))
            .ingress(&says(register().agent("evil")), Reason::Allowed)
            .ingress_each(0..40, |number| says(guess("n", number)), Reason::Allowed)
            .events(&[]),
    ]
}

fn scopes() -> Vec<Case> {
    let sip_only = || World::new().deny(Listing::new("203.0.113.0/24").sip_only());
    let tenant = |world: World| world.endpoint("198.51.100.20", Policy::new(7));
    let to_tenant = || Frame::udp(MALLORY, OTHER_PBX).payload(register());
    let own = || Listing::new("203.0.113.7").policy(7);
    vec![
        Case::new("deny of SIP only", sip_only())
            .ingress(&says(register()), Reason::Denied)
            .ingress(&rtp(MALLORY), Reason::Other)
            .ingress(&sends(b"x").fragment(5, false), Reason::LaterFragment),
        Case::new("deny of SIP only reaches TLS ports", {
            let host = Policy::new(0).ports(5061..=5061, PORT_SIP_OPAQUE);
            World::of(host).deny(Listing::new("203.0.113.7").sip_only())
        })
        .ingress(&Frame::tcp(MALLORY, "198.51.100.10:5061").payload([22, 3, 1]), Reason::Denied),
        Case::new("an endpoint's own deny", tenant(World::new().deny(own())))
            .ingress(&to_tenant(), Reason::Denied)
            .under(7)
            .ingress(&says(register()), Reason::SipRequest),
        Case::new("an endpoint's own allow", tenant(deny("203.0.113.7").allow(own())))
            .ingress(&to_tenant(), Reason::Allowed)
            .under(7)
            .ingress(&says(register()), Reason::Denied),
        Case::new("the host's deny holds for endpoints", tenant(deny("203.0.113.7")))
            .ingress(&to_tenant(), Reason::Denied)
            .under(7),
        Case::new("an expired host entry hides no endpoint's own", {
            tenant(World::new().deny(Listing::new("203.0.113.7").expires(-5)).deny(own()))
        })
        .ingress(&to_tenant(), Reason::Denied)
        .under(7),
        Case::new("a SIP-only host entry hides no endpoint's own", {
            tenant(World::new().deny(Listing::new("203.0.113.7").sip_only()).deny(own()))
        })
        .ingress(&Frame::udp(MALLORY, "198.51.100.20:16384"), Reason::Denied)
        .under(7),
    ]
}

/// The IPv4 address inside an IPv6 one reaches the deny entry, never the allow entry.
fn embedded_ipv4() -> Vec<Case> {
    let names = [
        ("NAT64", "[64:ff9b::203.0.113.7]:5060"),
        ("6to4", "[2002:cb00:7107::1]:5060"),
        ("Teredo", "[2001:0:c000:201:0:f227:34ff:8ef8]:5060"),
    ];
    let mut cases = Vec::new();
    for (name, source) in names {
        let register = || Frame::udp(source, PBX_V6).payload(register());
        cases.extend([
            Case::new(format!("{name} is denied by its IPv4"), deny("203.0.113.7"))
                .ingress(&register(), Reason::Denied)
                .ingress(&rtp(source), Reason::Denied),
            Case::new(format!("{name} is not allowed by its IPv4"), allow("203.0.113.7"))
                .ingress(&register(), Reason::SipRequest),
            Case::new(
                format!("{name} is not allowed where its IPv4 is both"),
                deny("203.0.113.7").allow(Listing::new("203.0.113.7")),
            )
            .ingress(&register(), Reason::Denied),
            Case::new(
                format!("{name} is blocked by its IPv4"),
                World::new().block(Block::new(MALLORY_ADDRESS)),
            )
            .ingress(&register(), Reason::Blocked),
            Case::new(format!("{name} shares its IPv4's window"), World::new())
                .ingress_each(0..5, |number| says(guess("n", number)), Reason::SipRequest)
                .ingress_each(
                    5..10,
                    |number| Frame::udp(source, PBX_V6).payload(guess("n", number)),
                    Reason::SipRequest,
                )
                .ingress(&says(guess("n", 10)), Reason::Contained)
                .ingress(&Frame::udp(source, PBX_V6).payload(guess("n", 11)), Reason::Contained),
            Case::new(format!("{name} allowed by its own name"), {
                let own = source.trim_start_matches('[').split(']').next().unwrap_or_default();
                deny("203.0.113.7").allow(Listing::new(own))
            })
            .ingress(&register(), Reason::Allowed),
        ]);
    }
    cases
}

fn blocks() -> Vec<Case> {
    let block = || Block::new(MALLORY_ADDRESS);
    let tenant = |world: World| world.endpoint("198.51.100.20", Policy::new(7).own_blocks());
    let to_tenant = || Frame::udp(MALLORY, OTHER_PBX).payload(Message::request("BYE"));
    vec![
        Case::new("blocked", World::new().block(block()))
            .ingress(&says(register()), Reason::Blocked)
            .ingress(&rtp(MALLORY), Reason::Blocked)
            .ingress(&Frame::ip(MALLORY, PBX, 47), Reason::Blocked)
            .ingress(&sends(b"x").fragment(5, false), Reason::Blocked)
            .ingress(&Frame::udp(BYSTANDER, PBX).payload(register()), Reason::SipRequest),
        Case::new("blocked for SIP", World::new().block(block().sip_only()))
            .ingress(&says(register()), Reason::Blocked)
            .ingress(&rtp(MALLORY), Reason::Other),
        Case::new("a block ends", World::new().block(block().expires(100, 3600)))
            .ingress(&rtp(MALLORY), Reason::Blocked)
            .wait(50)
            .ingress(&rtp(MALLORY), Reason::Blocked)
            .wait(60)
            .ingress(&rtp(MALLORY), Reason::Other),
        Case::new("a block of a /64", World::new().block(Block::new("2001:db8:bad::99")))
            .ingress(&rtp(MALLORY_V6), Reason::Blocked)
            .ingress(&rtp("[2001:db8:bad:1::7]:5060"), Reason::Other),
        Case::new("an endpoint's own block", tenant(World::new().block(block().policy(7))))
            .ingress(&to_tenant(), Reason::Blocked)
            .under(7)
            .ingress(&rtp(MALLORY), Reason::Other),
        Case::new("without own blocks an endpoint has none", {
            let policy = Policy::new(7);
            World::new().endpoint("198.51.100.20", policy).block(block().policy(7))
        })
        .ingress(&to_tenant(), Reason::SipRequest)
        .under(7),
        Case::new("an ended host block hides no endpoint's own", {
            tenant(World::new().block(block().expires(-1, 60)).block(block().policy(7)))
        })
        .ingress(&to_tenant(), Reason::Blocked)
        .under(7),
        Case::new(
            "trust doesn't lift a block",
            World::new().trusted(MALLORY_ADDRESS).block(block()),
        )
        .ingress(&says(register()), Reason::Blocked),
    ]
}

fn renewals() -> Vec<Case> {
    let soon = || World::new().block(Block::new(MALLORY_ADDRESS).expires(10, 100));
    let blocked = |case: Case, count: u32| {
        case.ingress_each(0..count, |number| says(guess("n", number)), Reason::Blocked)
    };
    let renewed: &[(u8, u8)] = &[(EVENT_RENEWED, 0)];
    vec![
        blocked(Case::new("ten requests renew nothing", soon()), 10)
            .events(&[])
            .wait(15)
            .ingress(&says(register()), Reason::SipRequest),
        blocked(Case::new("the eleventh does, and the next in a second not", soon()), 40)
            .events(renewed)
            .wait(15)
            .ingress(&rtp(MALLORY), Reason::Blocked)
            .wait(90)
            .ingress(&rtp(MALLORY), Reason::Other),
        Case::new("what is no request renews nothing", soon())
            .ingress_each(0..30, |_| rtp(MALLORY), Reason::Blocked)
            .ingress_each(0..30, |_| sends(b"\r\n\r\n"), Reason::Blocked)
            .ingress_each(0..30, |_| sends(&[0x80; 100]), Reason::Blocked)
            .ingress_each(0..30, |_| sends(b"x").fragment(5, false), Reason::Blocked)
            .events(&[])
            .wait(15)
            .ingress(&rtp(MALLORY), Reason::Other),
        blocked(
            Case::new("never past four lengths", {
                World::new()
                    .block(Block { started: -390, ..Block::new(MALLORY_ADDRESS).expires(5, 100) })
            }),
            40,
        )
        .events(renewed)
        .wait(15)
        .ingress(&rtp(MALLORY), Reason::Other),
    ]
}
