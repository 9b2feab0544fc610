//! Policies per endpoint: their ports, protocols and modes.

use sipprot_common::abi::*;
use sipprot_common::reason::Reason;
use sipprot_tests::datapath::{Case, Frame, Message, Policy, World, check_all};

use crate::places::*;

#[test]
fn policies() {
    check_all(&cases());
}

/// An endpoint behind the address of another one.
const SECOND: &str = "198.51.100.20:5080";

pub fn cases() -> Vec<Case> {
    let tenant = |policy: Policy| World::new().endpoint("198.51.100.20", policy);
    let to_tenant = |message: Message| Frame::udp(MALLORY, OTHER_PBX).payload(message);
    let to_second = |message: Message| Frame::udp(MALLORY, SECOND).payload(message);
    let at_5080 = Policy { ports: vec![(5080..=5080, PORT_SIP)], ..Policy::new(7) };
    vec![
        Case::new("an endpoint's own ports", tenant(at_5080))
            .ingress(&to_tenant(register()), Reason::Other)
            .under(7)
            .ingress(
                &Frame::udp(MALLORY, "198.51.100.20:5080").payload(register()),
                Reason::SipRequest,
            )
            .under(7)
            .ingress(&says(register()), Reason::SipRequest)
            .ingress(&Frame::udp(MALLORY, "198.51.100.10:5080").payload(register()), Reason::Other),
        Case::new("an endpoint that is off", tenant(Policy::new(7).mode(MODE_OFF)))
            .ingress(&to_tenant(register()), Reason::Off)
            .under(7)
            .egress(
                &Frame::udp(OTHER_PBX, MALLORY)
                    .payload(Message::response(401, &register()).challenge("n1")),
            )
            .events(&[])
            .ingress(&says(guess("n1", 0)), Reason::SipRequest)
            .events(&[(EVENT_REQUEST, 0)]),
        Case::new("SIP over UDP only", World::of(Policy::new(0).protocols(PROTOCOL_UDP)))
            .ingress(&says(register()), Reason::SipRequest)
            .ingress(&Frame::tcp(MALLORY, PBX).payload(register()), Reason::Other),
        Case::new("SIP over TCP only", World::of(Policy::new(0).protocols(PROTOCOL_TCP)))
            .ingress(&says(register()), Reason::Other)
            .ingress(&Frame::tcp(MALLORY, PBX).payload(register()), Reason::SipRequest),
        Case::new("an endpoint's network, and one inside it", {
            World::new()
                .endpoint("198.51.100.0/24", Policy::new(3))
                .endpoint("198.51.100.20", Policy::new(511))
                .endpoint("2001:db8:100::/48", Policy::new(4))
        })
        .ingress(&says(register()), Reason::SipRequest)
        .under(3)
        .ingress(&to_tenant(register()), Reason::SipRequest)
        .under(511)
        .ingress(&Frame::udp(MALLORY_V6, PBX_V6).payload(register()), Reason::SipRequest)
        .under(4)
        .ingress(&Frame::udp(MALLORY, "192.0.2.1:5060").payload(register()), Reason::SipRequest),
        Case::new("two endpoints behind one address, told apart by their ports", {
            let ports = vec![(5080..=5080, PORT_SIP)];
            let second = Policy { ports, ..Policy::new(8).attempt_limit(2) };
            tenant(Policy::new(7)).endpoint_at_port(5080, second)
        })
        .ingress(&to_tenant(register()), Reason::SipRequest)
        .under(7)
        .ingress(&to_second(register()), Reason::SipRequest)
        .under(8)
        .ingress(&Frame::tcp(MALLORY, "198.51.100.20:22").payload(register()), Reason::Other)
        .under(7)
        .ingress(
            &Frame::udp(MALLORY, "198.51.100.20").payload([0; 40]).fragment(9, false),
            Reason::LaterFragment,
        )
        .under(7)
        .egress(&Frame::udp(SECOND, MALLORY).payload(Message::response(404, &register())))
        .events(&[(EVENT_REQUEST, 0), (EVENT_REQUEST, 0), (EVENT_RESPONSE, EVENT_FLAG_OUTBOUND)])
        .ingress(&to_second(guess("n", 0)), Reason::SipRequest)
        .under(8)
        .ingress(&to_second(guess("n", 1)), Reason::SipRequest)
        .under(8)
        .ingress(&to_second(guess("n", 2)), Reason::Contained)
        .under(8),
        Case::new("an endpoint's own attempt limit", tenant(Policy::new(7).attempt_limit(2)))
            .ingress_each(0..2, |number| says(guess("n", number)), Reason::SipRequest)
            .ingress(&to_tenant(guess("n", 2)), Reason::Contained)
            .under(7),
        Case::new("an endpoint's events name it", tenant(Policy::new(7)))
            .ingress(&to_tenant(register()), Reason::SipRequest)
            .under(7)
            .egress(&Frame::udp(OTHER_PBX, MALLORY).payload(Message::response(200, &register())))
            .events(&[(EVENT_REQUEST, 0), (EVENT_RESPONSE, EVENT_FLAG_OUTBOUND)]),
        Case::new("what egress tells", World::new())
            .egress(&answers(Message::response(100, &register())))
            .egress(&answers(Message::response(180, &register())))
            .events(&[])
            .egress(&answers(Message::response(200, &register())))
            .egress(&answers(Message::response(404, &register())))
            .egress(&answers(Message::response(503, &register())))
            .events(&[(EVENT_RESPONSE, EVENT_FLAG_OUTBOUND); 3])
            .egress(&answers(Message::request("OPTIONS")))
            .events(&[(EVENT_REQUEST, EVENT_FLAG_OUTBOUND)])
            .egress(&answers(Message::request("BYE")))
            .egress(&Frame::udp("198.51.100.10:16384", MALLORY).payload([0x80; 172]))
            .egress(&Frame::udp(PBX, MALLORY).payload("\r\n\r\n"))
            .egress(&Frame::ip(PBX, MALLORY, 1).payload([8; 8]))
            .events(&[])
            .egress(&answers(Message::response(401, &register()).challenge("n")).vlans(1))
            .events(&[(EVENT_RESPONSE, EVENT_FLAG_OUTBOUND)])
            .egress(&Frame::udp(PBX_V6, MALLORY_V6).payload(Message::response(401, &register())))
            .events(&[(EVENT_RESPONSE, EVENT_FLAG_OUTBOUND)]),
    ]
}
