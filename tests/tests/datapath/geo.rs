//! Geo, and the flows whose answers it lets in.

use sipprot_common::abi::*;
use sipprot_common::policy::Protection;
use sipprot_common::reason::Reason;
use sipprot_tests::datapath::frame::{ACK, SYN, protocol};
use sipprot_tests::datapath::world::{Block, Listing};
use sipprot_tests::datapath::{Case, Frame, Message, Policy, World, check_all};

use crate::places::*;

#[test]
fn geo() {
    check_all(&cases());
    check_all(&cases().into_iter().map(Case::compiled).collect::<Vec<_>>());
}

/// 203.0.113.0/24 and 2001:db8:bad::/48 are in XA, but one /28 of it is in XB.
fn map(host: Policy) -> World {
    World::of(host)
        .geo("203.0.113.0/24", "XA")
        .geo("203.0.113.240/28", "XB")
        .geo("2001:db8:bad::/48", "XA")
}

fn without_xa() -> World {
    map(Policy::new(0).geo(GEO_DENY, &["XA"]))
}

fn from(source: &str) -> Frame {
    let destination = if source.contains('[') { PBX_V6 } else { PBX };
    Frame::udp(source, destination).payload(register())
}

pub fn cases() -> Vec<Case> {
    let mut cases = countries();
    cases.extend(flows());
    cases.extend(learning());
    cases.extend(scopes());
    cases.extend(errors());
    cases
}

fn countries() -> Vec<Case> {
    let only_xa = || map(Policy::new(0).geo(GEO_ALLOW, &["XA"]));
    let mut cases = vec![
        Case::new("a denied country", without_xa())
            .ingress(&from(MALLORY), Reason::Geo)
            .ingress(&from(MALLORY_V6), Reason::Geo)
            .ingress(&from("203.0.113.241:5060"), Reason::SipRequest)
            .ingress(&from(BYSTANDER), Reason::SipRequest)
            .ingress(&Frame::ip(MALLORY, PBX, protocol::GRE), Reason::Geo)
            .ingress(&Frame::tcp(MALLORY, "198.51.100.10:22").segment(SYN, 1, 0), Reason::Geo)
            .ingress(&from(MALLORY).fragment(9, false), Reason::Geo),
        Case::new("the only country let in", only_xa())
            .ingress(&from(MALLORY), Reason::SipRequest)
            .ingress(&from("203.0.113.241:5060"), Reason::Geo)
            .ingress(&from(BYSTANDER), Reason::Geo),
        Case::new("allow over geo", without_xa().allow(Listing::new("203.0.113.7")))
            .ingress(&from(MALLORY), Reason::Allowed),
        Case::new("deny before geo", without_xa().deny(Listing::new("203.0.113.7")))
            .ingress(&from(MALLORY), Reason::Denied),
        Case::new("geo off", map(Policy::new(0))).ingress(&from(MALLORY), Reason::SipRequest),
        Case::new("an endpoint's own countries", {
            let tenant = Policy::new(7).geo(GEO_DENY, &["XB"]);
            without_xa().endpoint("198.51.100.20", tenant)
        })
        .ingress(&Frame::udp(MALLORY, OTHER_PBX).payload(register()), Reason::SipRequest)
        .under(7)
        .ingress(&Frame::udp("203.0.113.241:9", OTHER_PBX).payload(register()), Reason::Geo)
        .under(7),
        Case::new("6to4 is where its IPv4 is", without_xa())
            .ingress(&from("[2002:cb00:7107::1]:5060"), Reason::Geo),
    ];
    for local in ["10.1.2.3", "172.16.9.9", "192.168.1.1", "100.64.0.1", "127.0.0.1", "169.254.1.1"]
    {
        cases.push(
            Case::new(format!("{local} has no country"), only_xa())
                .ingress(&from(&format!("{local}:5060")), Reason::SipRequest),
        );
    }
    for local in ["fe80::1", "fd00::1"] {
        cases.push(
            Case::new(format!("{local} has no country"), only_xa())
                .ingress(&from(&format!("[{local}]:5060")), Reason::SipRequest),
        );
    }
    cases
}

const RESOLVER: &str = "203.0.113.53:53";
const LOCAL: &str = "198.51.100.10:40000";

fn flows() -> Vec<Case> {
    let answer = || Frame::udp(RESOLVER, LOCAL).payload([0; 60]);
    let question = || Frame::udp(LOCAL, RESOLVER).payload([0; 30]);
    let web = "203.0.113.80:443";
    vec![
        Case::new("an answer to what we asked", without_xa())
            .ingress(&answer(), Reason::Geo)
            .egress(&question())
            .ingress(&answer(), Reason::Other)
            .ingress(&Frame::udp(RESOLVER, "198.51.100.10:40001"), Reason::Geo)
            .ingress(&Frame::udp("203.0.113.53:54", LOCAL), Reason::Geo)
            .ingress(&Frame::udp("203.0.113.54:53", LOCAL), Reason::Geo)
            .ingress(&Frame::tcp(RESOLVER, LOCAL), Reason::Geo),
        Case::new("a silent flow is forgotten", without_xa())
            .egress(&question())
            .wait(290)
            .ingress(&answer(), Reason::Other)
            .wait(20)
            .ingress(&answer(), Reason::Geo),
        Case::new("each packet out keeps a flow", without_xa())
            .egress(&question())
            .wait(200)
            .egress(&question())
            .wait(200)
            .ingress(&answer(), Reason::Other),
        Case::new("TCP is opened by our SYN", without_xa())
            .egress(&Frame::tcp(LOCAL, web).segment(ACK, 1, 1))
            .ingress(&Frame::tcp(web, LOCAL), Reason::Geo)
            .egress(&Frame::tcp(LOCAL, web).segment(SYN | ACK, 1, 1))
            .ingress(&Frame::tcp(web, LOCAL), Reason::Geo)
            .egress(&Frame::tcp(LOCAL, web).segment(SYN, 1, 0))
            .ingress(&Frame::tcp(web, LOCAL).segment(SYN | ACK, 1, 2), Reason::Other)
            .ingress(&Frame::tcp(web, LOCAL), Reason::Other),
        Case::new("a trunk abroad answers our INVITE", without_xa())
            .egress(&Frame::udp(PBX, MALLORY).payload(Message::request("INVITE")))
            .ingress(
                &says(Message::response(200, &Message::request("INVITE"))),
                Reason::SipResponse,
            )
            .events(&[(EVENT_REQUEST, EVENT_FLAG_OUTBOUND), (EVENT_RESPONSE, 0)]),
        Case::new("ping", without_xa())
            .egress(&Frame::ip(PBX, MALLORY, 1).payload([8, 0, 0, 0, 0, 1, 0, 1]))
            .ingress(&Frame::ip(MALLORY, PBX, 1).payload([0, 0, 0, 0, 0, 1, 0, 1]), Reason::Other),
        Case::new("a large answer in fragments", without_xa())
            .egress(&question())
            .ingress(&answer().fragment(9, false), Reason::Geo)
            .ingress(&answer().fragment(0, true), Reason::Other)
            .ingress(&answer().fragment(9, true), Reason::LaterFragment)
            .ingress(&answer().fragment(18, false), Reason::LaterFragment),
        Case::new("IPv6", without_xa())
            .egress(&Frame::udp("[2001:db8:100::10]:9", "[2001:db8:bad::53]:53"))
            .ingress(&Frame::udp("[2001:db8:bad::53]:53", "[2001:db8:100::10]:9"), Reason::Other)
            .ingress(&Frame::udp("[2001:db8:bad::54]:53", "[2001:db8:100::10]:9"), Reason::Geo),
        Case::new("a flow does not lift a denial", {
            without_xa().deny(Listing::new("203.0.113.53"))
        })
        .egress(&question())
        .ingress(&answer(), Reason::Denied),
        Case::new("a flow does not lift a block", without_xa().block(Block::new("203.0.113.53")))
            .egress(&question())
            .ingress(&answer(), Reason::Blocked),
        Case::new("an endpoint's flow is not another's", {
            let tenant = Policy::new(7).geo(GEO_DENY, &["XA"]);
            without_xa().endpoint("198.51.100.20", tenant)
        })
        .egress(&Frame::udp(OTHER_PBX, MALLORY))
        .ingress(&Frame::udp(MALLORY, OTHER_PBX).payload(register()), Reason::SipRequest)
        .under(7)
        .ingress(&from(MALLORY), Reason::Geo),
    ]
}

/// Five minutes in which the country is let in, and who opens which flow is seen.
fn learning() -> Vec<Case> {
    let later = || map(Policy::new(0).geo(GEO_DENY, &["XA"]).geo_from(300));
    let observing = || map(Policy::new(0).geo(GEO_DENY, &["XA"]).observe(Protection::Geo));
    let (in_vain, answer) = (Frame::udp(MALLORY, LOCAL), Frame::udp(LOCAL, MALLORY));
    let web = "203.0.113.80:443";
    let segment = |flags| Frame::tcp(LOCAL, web).segment(flags, 1, 0);
    vec![
        Case::new("a country is let in until its flows are learned", later())
            .ingress(&from(MALLORY), Reason::SipRequest)
            .observed(Reason::Geo)
            .wait(301)
            .ingress(&from(MALLORY), Reason::Geo),
        Case::new("a flow that is opened meanwhile lasts", later())
            .egress(&answer)
            .wait(290)
            .egress(&answer)
            .wait(20)
            .ingress(&in_vain, Reason::Other),
        Case::new("an answer to somebody's knock opens nothing", later())
            .ingress(&in_vain, Reason::Other)
            .observed(Reason::Geo)
            .egress(&answer)
            .wait(290)
            .ingress(&in_vain, Reason::Other)
            .observed(Reason::Geo)
            .egress(&answer)
            .wait(20)
            .ingress(&in_vain, Reason::Geo)
            .egress(&answer)
            .ingress(&in_vain, Reason::Geo),
        Case::new("a knock is forgotten", later())
            .ingress(&in_vain, Reason::Other)
            .observed(Reason::Geo)
            .wait(301)
            .egress(&answer)
            .ingress(&in_vain, Reason::Other),
        Case::new("where it is only observed an answer opens nothing either", observing())
            .ingress(&in_vain, Reason::Other)
            .observed(Reason::Geo)
            .egress(&answer)
            .ingress(&in_vain, Reason::Other)
            .observed(Reason::Geo)
            .egress(&segment(SYN))
            .ingress(&Frame::tcp(web, LOCAL).segment(SYN | ACK, 1, 2), Reason::Other),
    ]
}

fn scopes() -> Vec<Case> {
    let sip_only = map(Policy::new(0).geo(GEO_DENY, &["XA"]).geo_scope(SCOPE_SIP));
    let opaque = Policy::new(0).geo(GEO_DENY, &["XA"]).geo_scope(SCOPE_SIP);
    let opaque = map(opaque.ports(5061..=5061, PORT_SIP_OPAQUE));
    vec![
        Case::new("a country is kept off SIP alone", sip_only)
            .ingress(&from(MALLORY), Reason::Geo)
            .ingress(&Frame::tcp(MALLORY, PBX).payload(register()), Reason::Geo)
            .ingress(&Frame::tcp(MALLORY, "198.51.100.10:22").segment(SYN, 1, 0), Reason::Other)
            .ingress(&Frame::ip(MALLORY, PBX, protocol::GRE), Reason::Other)
            .egress(&Frame::udp(PBX, MALLORY).payload(Message::request("OPTIONS")))
            .ingress(&from(MALLORY), Reason::SipRequest),
        Case::new("SIP over TLS is SIP", opaque)
            .ingress(&Frame::tcp(MALLORY, "198.51.100.10:5061").segment(SYN, 1, 0), Reason::Geo),
    ]
}

/// An ICMP error from `router` about a packet of ours.
fn error(router: &str, kind: u8, ours: &Frame) -> Frame {
    let (number, to) = if router.contains(':') {
        (protocol::ICMPV6, "2001:db8:100::10")
    } else {
        (protocol::ICMP, "198.51.100.10")
    };
    let quoted = &ours.bytes()[14..];
    let payload = [&[kind, 0, 0, 0, 0, 0, 0, 0], &quoted[..quoted.len().min(64)]].concat();
    Frame::ip(router, to, number).payload(payload)
}

fn errors() -> Vec<Case> {
    let ours = || Frame::udp(LOCAL, RESOLVER).payload([0; 30]);
    let theirs = || Frame::udp("198.51.100.10:40001", RESOLVER).payload([0; 30]);
    let tcp = || Frame::tcp(LOCAL, "203.0.113.80:443").segment(SYN, 1, 0);
    let v6 = || Frame::udp("[2001:db8:100::10]:9", "[2001:db8:bad::53]:53").payload([0; 30]);
    let router = "203.0.113.99";
    let v6_router = "2001:db8:bad::99";
    vec![
        Case::new("ICMP errors about a live flow", without_xa())
            .ingress(&error(router, 3, &ours()), Reason::Geo)
            .egress(&ours())
            .egress(&tcp())
            .ingress(&error(router, 3, &ours()), Reason::Control)
            .ingress(&error(router, 11, &ours()), Reason::Control)
            .ingress(&error(router, 12, &tcp()), Reason::Control)
            .ingress(&error(router, 3, &theirs()), Reason::Geo)
            .ingress(&error(router, 5, &ours()), Reason::Geo)
            .ingress(&error(router, 8, &ours()), Reason::Geo)
            .wait(301)
            .ingress(&error(router, 3, &ours()), Reason::Geo),
        Case::new("also from a denied router", without_xa().deny(Listing::new(router)))
            .egress(&ours())
            .ingress(&error(router, 3, &ours()), Reason::Control)
            .ingress(&error(router, 3, &theirs()), Reason::Denied),
        Case::new("about a packet with options", without_xa())
            .egress(&ours())
            .ingress(&error(router, 3, &ours().ipv4_options(5)), Reason::Control),
        Case::new("ICMPv6 errors about a live flow", without_xa())
            .egress(&v6())
            .ingress_each(1..=4, |kind| error(v6_router, kind as u8, &v6()), Reason::Control)
            .ingress(&error(v6_router, 128, &v6()), Reason::Geo),
        Case::new("an error that quotes too little", without_xa())
            .egress(&ours())
            .ingress(&Frame::ip(router, "198.51.100.10", 1).payload([3; 8]), Reason::Geo)
            .ingress(&Frame::ip(router, "198.51.100.10", 1).payload([3; 30]), Reason::Geo),
        Case::new("where no flows are remembered", World::new().deny(Listing::new(router)))
            .egress(&ours())
            .ingress(&error(router, 3, &ours()), Reason::Denied),
    ]
}
