//! Lists and countries, compiled: what a source is asked before any trie is.
//!
//! A trie costs a microsecond for each new source. Nearly every source is on no list, and these
//! tables say so with one or two reads; they also hold nearly everything that is listed. What they
//! can't hold (entries with an end, a scope or an endpoint, and odd lengths in great numbers) stays in
//! the tries, and a table knows where it has to be [`ASK`]ed for.
//!
//! User space compiles a table and exchanges it as a whole; later it changes single words of the one
//! in force while the kernel reads them.

mod cuckoo;
mod place;
mod strangers;
mod v4;
mod v6;
mod word;

pub use self::place::{MIXED, PlaceTable};
pub use self::strangers::Strangers;
pub use self::v4::{Hosts, Networks};
pub use self::v6::Prefixes;
pub use self::word::Word;

use crate::source::Address;

/// The source is denied: by the host, all traffic, without an end.
pub const LISTED: u32 = 1;
/// A single host of this network may be listed; settled by [`ListTable::look`].
pub const HOSTS: u32 = 2;
/// The tries may know more.
pub const ASK: u32 = 4;
/// Some policy may keep its country out.
pub const GEO: u32 = 8;
/// It may be blocked or trusted: it is not among the [`Strangers`].
pub const KNOWN: u32 = 16;

/// Marks types of which all zeroes are a value.
///
/// # Safety
/// They must be.
pub unsafe trait Zeroed {}

// SAFETY: nothing but words.
unsafe impl Zeroed for ListTable {}
// SAFETY: likewise.
unsafe impl Zeroed for PlaceTable {}
// SAFETY: likewise.
unsafe impl Zeroed for Strangers {}

const _: () = assert!(size_of::<ListTable>() == (30 << 20) + (3 << 18) + (1 << 13) + 64);
const _: () = assert!(size_of::<Strangers>() == 1 << 18);
const _: () = assert!(size_of::<PlaceTable>() == (18 << 20) + 528);

/// The allow and deny lists of the host.
#[repr(C)]
pub struct ListTable {
    /// Of the hashes below; new with every table.
    pub seed: Word,
    /// Which generation of the tries belongs to this table.
    pub generation: Word,
    /// Networks that were compiled into it.
    pub compiled: Word,
    /// Zero, which the verifier doesn't know: what begins with it looks the same on every way.
    zero: Word,
    reserved: [Word; 4],
    pub networks: Networks,
    pub hosts: Hosts,
    pub prefixes: Prefixes,
}

impl ListTable {
    /// What is known of an address, as `LISTED`, `ASK` and `GEO` bits.
    #[inline(always)]
    pub fn look(&self, address: &Address) -> u32 {
        let (high, low) = address.halves();
        if !address.is_v4() {
            return self.prefixes.look(high, low, self.seed.get(), self.zero.get());
        }
        let address = low as u32;
        let found = self.networks.look(address, self.zero.get());
        let hit = found & HOSTS != 0 && self.hosts.has(address, self.seed.get());
        if hit { found | LISTED } else { found }
    }
}
