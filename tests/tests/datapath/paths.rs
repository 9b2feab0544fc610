//! The main paths: both families, both transports, VLAN tags, and what is not SIP at all.

use sipprot_common::reason::Reason;
use sipprot_tests::datapath::{Case, Frame, Message, World, check_all};

const TRANSPORTS: [fn(&str, &str) -> Frame; 2] = [Frame::udp, Frame::tcp];

#[test]
fn families_transports_and_tags() {
    let mut cases = Vec::new();
    for (source, destination) in
        [("203.0.113.7:5060", "198.51.100.10"), ("[2001:db8:bad::7]:5060", "[2001:db8:100::10]")]
    {
        for (transport, frame) in TRANSPORTS.iter().enumerate() {
            for tags in 0..=3 {
                let request = frame(source, &format!("{destination}:5060"))
                    .payload(Message::request("OPTIONS"))
                    .vlans(tags);
                let rtp =
                    frame(source, &format!("{destination}:16384")).payload([0x80; 172]).vlans(tags);
                let too_many = tags > 2;
                let or = |reason| if too_many { Reason::TooManyHeaders } else { reason };
                let name = format!("{source} to {destination}, transport {transport}, {tags} tags");
                cases.push(
                    Case::new(name, World::new())
                        .ingress(&request, or(Reason::SipRequest))
                        .ingress(&rtp, or(Reason::Other)),
                );
            }
        }
    }
    check_all(&cases);
}
