//! The datapath under test: the programs in the kernel, and a model of them on the host.
//!
//! A [`World`] says in plain words what is in the maps. [`Kernel`] loads the object, fills its maps
//! from a world and runs frames through BPF_PROG_TEST_RUN; [`Model`] goes the same way of a packet
//! with other means: etherparse for the headers, ordinary collections for the maps. Both are a
//! [`Datapath`], so that one table of cases tries both and neither is the other's oracle alone.
//!
//! No interface is touched: frames enter and leave through a system call.

/// A row of the table, and how it is tried.
pub mod case;
/// Frames, header by header, right or deliberately wrong.
pub mod frame;
/// The programs in the kernel.
pub mod kernel;
/// SIP messages, as senders of all kinds write them.
pub mod message;
/// The way of a packet on the host.
pub mod model;
/// Packets by policy and reason.
pub mod tally;
/// What is in the maps.
pub mod world;

use anyhow::Result;
use sipprot_common::abi::EventHeader;
use sipprot_common::reason::Reason;
use sipprot_common::source::Address;

pub use case::{Case, check_all};
pub use frame::Frame;
pub use kernel::Kernel;
pub use message::Message;
pub use model::Model;
pub use tally::Tally;
pub use world::{Policy, World};

/// Something that frames go through.
pub trait Datapath {
    /// For messages about differences.
    fn name(&self) -> &'static str;
    /// Runs a frame that comes in; true when it passes.
    fn ingress(&mut self, frame: &[u8]) -> Result<bool>;
    /// Shows a frame that leaves.
    fn egress(&mut self, frame: &[u8]) -> Result<()>;
    /// Lets time go by.
    fn wait(&mut self, seconds: u64) -> Result<()>;
    /// Every counter that is not zero.
    fn tally(&mut self) -> Result<Tally>;
    /// The events since the last call.
    fn events(&mut self) -> Result<Vec<Event>>;
    /// Events that were left out: suppressed and lost.
    fn events_left_out(&mut self) -> Result<(u64, u64)>;
}

/// An event without what differs between two runs: its time and interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    pub kind: u8,
    pub flags: u8,
    pub reason: Option<Reason>,
    pub policy: u32,
    pub protocol: u8,
    pub source: (Address, u16),
    pub destination: (Address, u16),
    pub credentials: u32,
    pub payload_len: u32,
    pub connection: u32,
    pub sequence: u32,
    /// The bytes that follow the header.
    pub bytes: Vec<u8>,
}

impl Event {
    pub fn new(header: &EventHeader, bytes: &[u8]) -> Self {
        Self {
            kind: header.kind,
            flags: header.flags,
            reason: Reason::from_number(header.reason),
            policy: header.policy,
            protocol: header.protocol,
            source: (header.source, header.source_port),
            destination: (header.destination, header.destination_port),
            credentials: header.credentials,
            payload_len: header.payload_len,
            connection: header.connection,
            sequence: header.sequence,
            bytes: bytes.to_vec(),
        }
    }
}
