//! Who is where in the tables, and what they send.

use sipprot_tests::datapath::{Frame, Message};

/// The endpoint that everybody wants.
pub const PBX: &str = "198.51.100.10:5060";
pub const PBX_V6: &str = "[2001:db8:100::10]:5060";
/// Another endpoint of the same host.
pub const OTHER_PBX: &str = "198.51.100.20:5060";
pub const MALLORY: &str = "203.0.113.7:5060";
pub const MALLORY_ADDRESS: &str = "203.0.113.7";
pub const MALLORY_V6: &str = "[2001:db8:bad::7]:5060";
pub const BYSTANDER: &str = "192.0.2.33:5060";

/// A datagram from Mallory to the PBX.
pub fn says(message: Message) -> Frame {
    Frame::udp(MALLORY, PBX).payload(message)
}

/// A datagram with any payload from Mallory to the PBX.
pub fn sends(payload: &[u8]) -> Frame {
    Frame::udp(MALLORY, PBX).payload(payload)
}

/// The PBX's datagram to Mallory.
pub fn answers(message: Message) -> Frame {
    Frame::udp(PBX, MALLORY).payload(message)
}

pub fn register() -> Message {
    Message::request("REGISTER")
}

/// The `number`th guess at a password, answering `nonce`.
pub fn guess(nonce: &str, number: u32) -> Message {
    register().attempt(nonce, number)
}
