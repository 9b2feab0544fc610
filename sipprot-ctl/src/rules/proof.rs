//! Proof belongs to each failure, not to its source: what shows that the sender of *this* request
//! also receives what is sent to its address. Whether it does is the kernel's to say; here it is
//! only named.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// Anyone may have sent it in the source's name.
    #[default]
    None,
    /// It echoes a nonce that our egress sent to this source and to no other.
    Nonce,
    /// It rides a TCP connection with data acknowledged both ways.
    Tcp,
    /// A log tells of it, of a protocol that needs a connection.
    Logged,
}

impl Proof {
    pub const fn is_proven(self) -> bool {
        !matches!(self, Self::None)
    }

    /// For people: proven by what.
    pub const fn by(self) -> &'static str {
        match self {
            Self::None => "nothing: the source may be forged",
            Self::Nonce => "a nonce sent to this source alone",
            Self::Tcp => "an established TCP connection",
            Self::Logged => "a connection that a log tells of",
        }
    }
}
