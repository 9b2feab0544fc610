//! SIP over TCP: proof by acknowledgement numbers, several messages in a segment, the byte budget.

use sipprot_common::abi::*;
use sipprot_common::policy::Protection;
use sipprot_common::reason::Reason;
use sipprot_tests::datapath::frame::{ACK, PSH, RST, SYN};
use sipprot_tests::datapath::{Case, Frame, Message, Policy, World, check_all};

use crate::places::*;

#[test]
fn tcp() {
    check_all(&cases());
}

/// The sequence number with which the PBX begins.
const FIRST: u32 = 0xffff_ff00;

fn says_tcp(acknowledged: u32, message: impl Into<Vec<u8>>) -> Frame {
    let acknowledged = FIRST.wrapping_add(acknowledged);
    Frame::tcp(MALLORY, PBX).segment(PSH | ACK, 1, acknowledged).payload(message)
}

/// The PBX accepted Mallory's connection.
fn connected(name: &str) -> Case {
    connected_in(name, World::new())
}

fn connected_in(name: &str, world: World) -> Case {
    let accepted = Frame::tcp(PBX, MALLORY).segment(SYN | ACK, FIRST, 1);
    Case::new(name, world)
        .ingress(&Frame::tcp(MALLORY, PBX).segment(SYN, 0, 0), Reason::SipKeepalive)
        .egress(&accepted)
}

fn sent(from: u32, bytes: usize) -> Frame {
    Frame::tcp(PBX, MALLORY)
        .segment(PSH | ACK, FIRST.wrapping_add(from), 1)
        .payload(vec![b'x'; bytes])
}

pub fn cases() -> Vec<Case> {
    let mut cases = proofs();
    cases.extend(segments());
    cases.extend(budgets());
    cases
}

fn proofs() -> Vec<Case> {
    let proven = (EVENT_SEGMENT, EVENT_FLAG_TCP);
    let unproven = (EVENT_SEGMENT, 0);
    let told = (EVENT_SEGMENT, EVENT_FLAG_OUTBOUND);
    vec![
        connected("an acknowledged handshake proves")
            .ingress_each(0..10, |number| says_tcp(1, guess("n", number)), Reason::SipRequest)
            .events(&[proven; 10])
            .ingress(&says_tcp(1, guess("n", 10)), Reason::Held)
            .events(&[(EVENT_HOLD, EVENT_FLAG_TCP)])
            .ingress(&Frame::tcp(MALLORY, PBX).segment(SYN, 0, 0), Reason::Held),
        connected("a guessed acknowledgement does not")
            .ingress(&says_tcp(0, guess("n", 0)), Reason::SipRequest)
            .ingress(&says_tcp(2, guess("n", 1)), Reason::SipRequest)
            .ingress(&says_tcp(0x8000_0000, guess("n", 2)), Reason::SipRequest)
            .events(&[unproven; 3])
            .ingress_each(3..10, |number| says_tcp(2, guess("n", number)), Reason::SipRequest)
            .ingress(&says_tcp(2, guess("n", 10)), Reason::Contained),
        connected("what the PBX sent may be acknowledged, over the wrap")
            .egress(&sent(1, 300))
            .egress(&sent(301, 100))
            .ingress(&says_tcp(401, guess("n", 0)), Reason::SipRequest)
            .ingress(&says_tcp(301, guess("n", 1)), Reason::SipRequest)
            .ingress(&says_tcp(402, guess("n", 2)), Reason::SipRequest)
            .events(&[told, told, proven, proven, unproven]),
        connected("a reset acknowledges nothing new")
            .egress(
                &Frame::tcp(PBX, MALLORY).segment(RST, FIRST.wrapping_add(5000), 1).payload("x"),
            )
            .ingress(&says_tcp(5001, guess("n", 0)), Reason::SipRequest)
            .events(&[told, unproven]),
        Case::new("without a handshake there is no proof", World::new())
            .egress(&sent(1, 100))
            .ingress(&says_tcp(50, guess("n", 0)), Reason::SipRequest)
            .events(&[told, unproven]),
        connected("another port is another connection")
            .ingress(
                &Frame::tcp("203.0.113.7:5061", PBX)
                    .segment(PSH | ACK, 1, FIRST.wrapping_add(1))
                    .payload(guess("n", 0)),
                Reason::SipRequest,
            )
            .events(&[unproven]),
    ]
}

fn segments() -> Vec<Case> {
    let messages = |from: u32| {
        let one = |number| {
            let response = format!("Authorization: Digest response=\"{number}\"");
            format!("REGISTER sip:x SIP/2.0\r\n{response}\r\n\r\n")
        };
        (from..from + 4).map(one).collect::<String>()
    };
    let four = |from: u32| Frame::tcp(MALLORY, PBX).payload(messages(from));
    let proven_four = |from: u32| says_tcp(1, messages(from));
    vec![
        Case::new("several messages in a segment all count", World::new())
            .ingress(&four(0), Reason::SipRequest)
            .ingress(&four(4), Reason::SipRequest)
            .ingress(&four(8), Reason::Contained),
        Case::new("the same segment again is a retransmission", World::new()).ingress_each(
            0..9,
            |_| four(0),
            Reason::SipRequest,
        ),
        connected("proven ones are held")
            .ingress(&proven_four(0), Reason::SipRequest)
            .ingress(&proven_four(4), Reason::SipRequest)
            .ingress(&proven_four(8), Reason::Held),
        Case::new("a segment that goes on", World::new())
            .ingress(
                &Frame::tcp(MALLORY, PBX).payload("v=0\r\no=- 1 1 IN IP4 x\r\n"),
                Reason::SipSegment,
            )
            .ingress(&Frame::tcp(MALLORY, PBX).payload([0x80; 50]), Reason::SipSegment)
            .ingress(&Frame::tcp(MALLORY, PBX).payload("\r\n\r\n"), Reason::SipKeepalive)
            .ingress(&Frame::tcp(MALLORY, PBX).segment(ACK, 1, 1), Reason::SipKeepalive)
            .events(&[(EVENT_SEGMENT, 0); 3]),
        Case::new("contained over TCP", World::new().contained(MALLORY_ADDRESS, 60))
            .ingress(&Frame::tcp(MALLORY, PBX).segment(SYN, 0, 0), Reason::SipKeepalive)
            .ingress(&Frame::tcp(MALLORY, PBX).payload(register()), Reason::Trickle)
            .ingress(&Frame::tcp(MALLORY, PBX).payload("v=0\r\n"), Reason::Contained)
            .ingress(&Frame::tcp(MALLORY, PBX).payload("\r\n\r\n"), Reason::SipKeepalive),
    ]
}

fn budgets() -> Vec<Case> {
    let bulk = || says_tcp(1, vec![b'x'; 1024]);
    let forged = || Frame::tcp(MALLORY, PBX).payload(vec![b'x'; 1024]);
    let accepted = Message::response(200, &guess("n", 0));
    let segment = (EVENT_SEGMENT, EVENT_FLAG_TCP);
    vec![
        connected("sixteen kibibytes without an acceptance")
            .ingress_each(0..16, |_| bulk(), Reason::SipSegment)
            .ingress(&bulk(), Reason::TcpBudget)
            .ingress(&bulk(), Reason::Held)
            .ingress(&says(register()), Reason::Held)
            .events(&{
                let mut events = vec![segment; 16];
                events.push((EVENT_HOLD, EVENT_FLAG_TCP));
                events
            })
            .wait(61)
            .ingress_each(0..16, |_| bulk(), Reason::SipSegment)
            .ingress(&bulk(), Reason::TcpBudget),
        connected_in(
            "the budget is only observed",
            World::of(Policy::new(0).observe(Protection::Attempts)),
        )
        .ingress_each(0..16, |_| bulk(), Reason::SipSegment)
        .ingress(&bulk(), Reason::SipSegment)
        .observed(Reason::TcpBudget)
        .ingress(&bulk(), Reason::SipSegment)
        .observed(Reason::Held),
        connected("an acceptance gives a new one")
            .ingress_each(0..15, |_| bulk(), Reason::SipSegment)
            .ingress(&says_tcp(1, guess("n", 0)), Reason::SipRequest)
            .egress(&Frame::tcp(PBX, MALLORY).payload(accepted))
            .ingress_each(0..16, |_| bulk(), Reason::SipSegment)
            .ingress(&bulk(), Reason::TcpBudget),
        connected("a minute does too")
            .ingress_each(0..16, |_| bulk(), Reason::SipSegment)
            .wait(61)
            .ingress_each(0..16, |_| bulk(), Reason::SipSegment),
        Case::new("segments of no connection take nothing from it", World::new())
            .ingress_each(0..40, |_| forged(), Reason::SipSegment)
            .ingress(&says(register()), Reason::SipRequest),
        Case::new("trusted sources have none", World::new().trusted(MALLORY_ADDRESS)).ingress_each(
            0..40,
            |_| bulk(),
            Reason::SipSegment,
        ),
        Case::new("UDP has none", World::new()).ingress_each(
            0..40,
            |_| sends(&[b'x'; 1024]),
            Reason::NotSip,
        ),
    ]
}
