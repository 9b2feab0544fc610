//! SIP messages as the controller needs them: from an event's bytes to an observation.
//!
//! Finds headers with the kernel's own scanner, so that both sides see the same message, and adds
//! what only the host needs: identities, transactions, digest parameters; and whole messages out of
//! TCP's segments. It knows no socket, no
//! rule and no clock. All text in it was written by strangers: what is shown is bounded and free of
//! control characters, what is compared is a hash of the bytes.

mod connections;
mod digest;
mod observe;
mod split;
mod stream;
mod text;
mod uri;

pub use connections::{Connections, Direction, Segment};
pub use digest::{Challenge, Credentials};
pub use observe::{Nonces, Packet, observations};
pub use split::Reader;
pub use text::{clean, is_clean, shortened, signature};
pub use uri::Identity;

use sipprot_common::sip::Method;

/// One SIP message, or as much of it as was captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub start: StartLine,
    /// The method of the request, or the one in the response's CSeq.
    pub method: Method,
    pub call_id: String,
    pub cseq: u32,
    /// Of the topmost Via.
    pub branch: String,
    pub from: Option<Identity>,
    pub to: Option<Identity>,
    pub to_tag: Option<u64>,
    pub user_agent: Option<String>,
    pub credentials: Vec<Credentials>,
    pub challenges: Vec<Challenge>,
    /// The empty line behind the headers was seen.
    pub complete: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartLine {
    Request,
    /// With its status code.
    Response(u16),
}

impl Message {
    /// The account that this message is about, `user@host`: who registers, or who calls.
    pub fn account(&self) -> Option<&Identity> {
        match self.method {
            Method::Register => self.to.as_ref().or(self.from.as_ref()),
            _ => self.from.as_ref(),
        }
    }

    /// In-dialog requests and those without an outcome mean nothing to the rules.
    pub fn is_telling(&self) -> bool {
        use Method::{Ack, Bye, Cancel, Info, Notify, Prack, Update};
        let silent = matches!(self.method, Ack | Bye | Cancel | Prack | Update | Info | Notify);
        !silent || self.start != StartLine::Request
    }
}
