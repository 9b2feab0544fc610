//! Observe mode: of a policy, and of each protection alone. Would-be drops pass, are counted and told.

use sipprot_common::abi::*;
use sipprot_common::policy::{self, Protection};
use sipprot_common::reason::Reason;
use sipprot_tests::datapath::world::{Block, Listing};
use sipprot_tests::datapath::{Case, Frame, Message, Policy, World, check_all};

use crate::places::*;

#[test]
fn observation() {
    check_all(&cases());
}

/// Each of them has a row in which its drop is counted as observed, and passes.
#[test]
fn every_protection_can_be_watched_first() {
    let all = cases().into_iter().chain(crate::guards::cases()).chain(crate::tcp::cases());
    let observed: Vec<Reason> = all.flat_map(|case| case.observes().collect::<Vec<_>>()).collect();
    for reason in Reason::ALL.iter().filter(|reason| policy::protection(**reason).is_some()) {
        assert!(observed.contains(reason), "{reason:?}");
    }
}

/// The world in which a protection drops Mallory's packet, and the packet.
struct Trap {
    protection: Protection,
    reason: Reason,
    world: fn(Policy) -> World,
    frame: fn() -> Frame,
    /// As what it passes when it is only observed.
    passes: Reason,
    events: &'static [(u8, u8)],
}

const SEEN: &[(u8, u8)] = &[(EVENT_REQUEST, EVENT_FLAG_OBSERVED)];
const SEEN_DROP: &[(u8, u8)] =
    &[(EVENT_DROP, EVENT_FLAG_OBSERVED), (EVENT_REQUEST, EVENT_FLAG_OBSERVED)];
const TRAPS: &[Trap] = &[
    Trap {
        protection: Protection::Deny,
        reason: Reason::Denied,
        world: |host| World::of(host).deny(Listing::new(MALLORY_ADDRESS)),
        frame: || says(Message::request("OPTIONS")),
        passes: Reason::SipRequest,
        events: SEEN,
    },
    Trap {
        protection: Protection::Block,
        reason: Reason::Blocked,
        world: |host| World::of(host).block(Block::new(MALLORY_ADDRESS)),
        frame: || says(Message::request("OPTIONS")),
        passes: Reason::SipRequest,
        events: SEEN,
    },
    Trap {
        protection: Protection::Block,
        reason: Reason::Quarantined,
        world: |host| {
            World::of(host).trusted(MALLORY_ADDRESS).quarantine(MALLORY_ADDRESS, 5060, 99)
        },
        frame: || says(Message::request("OPTIONS")),
        passes: Reason::SipRequest,
        events: &[(EVENT_REQUEST, EVENT_FLAG_OBSERVED | EVENT_FLAG_TRUSTED)],
    },
    Trap {
        protection: Protection::Containment,
        reason: Reason::Contained,
        world: |host| World::of(host).contained(MALLORY_ADDRESS, 99),
        frame: || says(Message::request("OPTIONS")),
        passes: Reason::SipRequest,
        events: SEEN,
    },
    Trap {
        protection: Protection::Geo,
        reason: Reason::Geo,
        world: |host| World::of(host.geo(GEO_DENY, &["XA"])).geo("203.0.113.0/24", "XA"),
        frame: || Frame::udp(MALLORY, "198.51.100.10:16384"),
        passes: Reason::Other,
        events: &[],
    },
    Trap {
        protection: Protection::UserAgent,
        reason: Reason::UserAgent,
        world: |host| World::of(host).user_agent("evil"),
        frame: || says(Message::request("OPTIONS").agent("evil")),
        passes: Reason::SipRequest,
        events: SEEN_DROP,
    },
];

fn alone(protection: Protection) -> Policy {
    Policy::new(0).observe(protection)
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for trap in TRAPS {
        let name = format!("{:?}", trap.reason);
        let world = |host: Policy| (trap.world)(host);
        let watched = |name: String, host: Policy| {
            Case::new(name, world(host))
                .ingress(&(trap.frame)(), trap.passes)
                .observed(trap.reason)
                .events(trap.events)
        };
        let other = Protection::ALL.into_iter().find(|one| *one != trap.protection);
        let enforced = other.map_or(Policy::new(0), alone);
        cases.extend([
            watched(format!("{name}: the policy observes"), Policy::new(0).mode(MODE_OBSERVE)),
            watched(format!("{name}: its protection observes"), alone(trap.protection)),
            Case::new(format!("{name}: another protection observes"), world(enforced))
                .ingress(&(trap.frame)(), trap.reason),
            Case::new(format!("{name}: off"), world(Policy::new(0).mode(MODE_OFF)))
                .ingress(&(trap.frame)(), Reason::Off)
                .events(&[]),
        ]);
    }
    cases.extend(limits());
    cases
}

/// What takes several packets: each beyond the limit is counted, a hold that begins is told once.
fn limits() -> Vec<Case> {
    let attempts = |host: Policy| Case::new("attempts are only observed", World::of(host));
    let observed = EVENT_FLAG_OBSERVED;
    let proven = EVENT_FLAG_NONCE;
    vec![
        attempts(alone(Protection::Attempts))
            .egress(&answers(Message::response(401, &register()).challenge("n1")))
            .ingress_each(0..10, |number| says(guess("n1", number)), Reason::SipRequest)
            .ingress(&says(guess("n1", 10)), Reason::SipRequest)
            .observed(Reason::Held)
            .ingress(&says(guess("n1", 11)), Reason::SipRequest)
            .observed(Reason::Held)
            .events(&{
                let mut events = vec![(EVENT_RESPONSE, EVENT_FLAG_OUTBOUND)];
                events.extend([(EVENT_REQUEST, proven); 10]);
                events.push((EVENT_HOLD, proven | observed));
                events.extend([(EVENT_REQUEST, proven | observed); 2]);
                events
            }),
        Case::new("containments are only observed", World::of(alone(Protection::Containment)))
            .ingress_each(0..10, |number| says(guess("n", number)), Reason::SipRequest)
            .ingress(&says(guess("n", 10)), Reason::SipRequest)
            .observed(Reason::Contained)
            .ingress(&says(Message::request("OPTIONS")), Reason::SipRequest)
            .observed(Reason::Contained)
            .events(&{
                let mut events = vec![(EVENT_REQUEST, 0); 10];
                events.push((EVENT_HOLD, observed));
                events.extend([(EVENT_REQUEST, observed); 2]);
                events
            }),
        Case::new("ceilings are only observed", {
            World::of(alone(Protection::Ceiling).source_ceiling(1, 2))
        })
        .ingress_each(0..2, |_| says(register()), Reason::SipRequest)
        .ingress(&says(register()), Reason::SipRequest)
        .observed(Reason::SourceCeiling)
        .events(&[
            (EVENT_REQUEST, 0),
            (EVENT_REQUEST, 0),
            (EVENT_DROP, observed),
            (EVENT_REQUEST, observed),
        ]),
        Case::new("an endpoint's ceiling is only observed", {
            World::of(alone(Protection::Ceiling).endpoint_ceiling(1, 2))
        })
        .ingress_each(0..2, |_| says(register()), Reason::SipRequest)
        .ingress(&says(register()), Reason::SipRequest)
        .observed(Reason::EndpointCeiling),
        Case::new("the first reason counts", {
            World::of(Policy::new(0).mode(MODE_OBSERVE))
                .deny(Listing::new(MALLORY_ADDRESS))
                .block(Block::new(MALLORY_ADDRESS))
                .user_agent("evil")
        })
        .ingress(&says(register().agent("evil")), Reason::SipRequest)
        .observed(Reason::Denied),
        Case::new("an observed deny lets the block drop", {
            World::of(alone(Protection::Deny))
                .deny(Listing::new(MALLORY_ADDRESS))
                .block(Block::new(MALLORY_ADDRESS))
        })
        .ingress(&says(register()), Reason::Blocked)
        .observed(Reason::Denied),
        Case::new("an observed block is not renewed", {
            let block = Block::new(MALLORY_ADDRESS).expires(10, 100);
            World::of(alone(Protection::Block)).block(block)
        })
        .then(|case| {
            (0..30).fold(case, |case, number| {
                case.ingress(
                    &says(Message::request("BYE").with("CSeq", &format!("{number} BYE"))),
                    Reason::SipRequest,
                )
                .observed(Reason::Blocked)
            })
        })
        .wait(15)
        .ingress(&says(register()), Reason::SipRequest),
    ]
}
