//! From SIP on the wire to observations.

use std::net::IpAddr;

use sipprot_common::abi::{EVENT_REQUEST, EVENT_RESPONSE};
use sipprot_common::source::Address;

use super::*;

fn event(kind: u8, reason: Reason, flags: u8) -> EventHeader {
    let address = |text: &str| Address::from(text.parse::<IpAddr>().unwrap());
    EventHeader {
        kind,
        reason: reason as u8,
        flags,
        source: address("198.51.100.7"),
        source_port: 5070,
        destination: address("192.0.2.10"),
        destination_port: 5060,
        protocol: 17,
        policy: 3,
        ..EventHeader::default()
    }
}

fn observe(header: &EventHeader, payload: &str) -> Vec<Observation> {
    let packet = Packet { header, payload: payload.as_bytes(), at: Time(9) };
    let told = observations(&mut Reader::new(1), &mut Connections::default(), &packet);
    told.into_iter().map(|(observation, _)| observation).collect()
}

#[test]
fn whole_messages_out_of_segments() {
    let (mut reader, mut connections) = (Reader::new(1), Connections::default());
    let answer = "SIP/2.0 401 Unauthorized\r\nCSeq: 2 REGISTER\r\n\
                  WWW-Authenticate: Digest realm=\"p\", nonce=\"n\"\r\nl: 0\r\n\r\n";
    let mut told = Vec::new();
    for (number, piece) in answer.as_bytes().chunks(12).enumerate() {
        let header = EventHeader {
            protocol: 6,
            connection: 7,
            sequence: 12 * number as u32,
            ..event(EVENT_SEGMENT, Reason::SipSegment, EVENT_FLAG_OUTBOUND)
        };
        let packet = Packet { header: &header, payload: piece, at: Time(9) };
        told.extend(observations(&mut reader, &mut connections, &packet));
    }
    let [(Observation::Response(response), nonces)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((response.status, response.transport), (401, Transport::Tcp));
    assert_eq!(nonces.given, Some(sipprot_common::hash::bytes(1, b"n")));
}

#[test]
fn a_guess_over_udp() {
    let header = event(EVENT_REQUEST, Reason::SipRequest, EVENT_FLAG_NONCE);
    let payload = "REGISTER sip:pbx SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=b\r\n\
                   From: <sip:x@pbx>\r\nTo: <sip:100@pbx>\r\nCall-ID: c\r\nCSeq: 2 REGISTER\r\n\
                   Authorization: Digest username=\"100\", realm=\"pbx\", nonce=\"n\", response=\"r\"\r\n\
                   User-Agent: phone\r\n\r\n";
    let observed = observe(&header, payload);
    let [Observation::Request(request)] = observed.as_slice() else { panic!("{observed:?}") };
    assert_eq!(request.source.to_string(), "198.51.100.7:5070");
    assert_eq!((request.endpoint, request.proof), (EndpointId(3), Proof::Nonce));
    assert_eq!((request.account.as_str(), request.cseq), ("100@pbx", 2));
    assert_eq!(request.method, Method::Register);
    let credentials = request.credentials.as_ref().unwrap();
    assert!(!credentials.response_empty && credentials.username == "100");
}

#[test]
fn an_answer_with_a_challenge() {
    let header = event(EVENT_RESPONSE, Reason::SipResponse, EVENT_FLAG_OUTBOUND);
    let challenge = "WWW-Authenticate: Digest realm=\"p\", nonce=\"n\"\r\n\r\n";
    let check = |status: u16, challenged: bool| {
        let payload = format!("SIP/2.0 {status} X\r\nCSeq: 2 REGISTER\r\n{challenge}");
        let observed = observe(&header, &payload);
        let [Observation::Response(response)] = observed.as_slice() else { panic!("{observed:?}") };
        assert_eq!(response.direction, Direction::Outbound);
        assert_eq!((response.status, response.challenge.is_some()), (status, challenged));
    };
    check(401, true);
    check(403, false);
}

#[test]
fn what_the_kernel_did() {
    let check = |kind, counted, expected| {
        let header = event(kind, counted, 0);
        let observed = observe(&header, "OPTIONS sip:x SIP/2.0\r\nUser-Agent: friendly\r\n\r\n");
        let [Observation::KernelDrop(drop)] = observed.as_slice() else { panic!("{observed:?}") };
        assert_eq!((drop.reason, drop.user_agent.as_deref()), (expected, Some("friendly")));
    };
    check(EVENT_DROP, Reason::UserAgent, Reason::UserAgent);
    check(EVENT_HOLD, Reason::Held, Reason::Held);
    check(EVENT_RENEWED, Reason::Blocked, Reason::Blocked);
    check(EVENT_NOT_SIP, Reason::NotSip, Reason::NotSip);
}
