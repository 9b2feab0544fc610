//! What can be known of the kernel and of interfaces without loading anything.

use std::path::Path;

use sipprot_common::abi::PROGRAM_INGRESS;

use super::error::Result;
use super::{kernel, netlink, sys};

pub fn privileges() -> Result<()> {
    kernel::check_privileges()
}

pub fn version() -> Result<()> {
    kernel::check_version()
}

/// Whether pins can be made there.
pub fn has_bpf_fs(pin_dir: &Path) -> bool {
    let existing = pin_dir.ancestors().find(|path| path.exists());
    existing.is_some_and(kernel::is_bpf_fs)
}

/// The XDP program on an interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Xdp {
    pub name: String,
    pub generic: bool,
}

impl Xdp {
    pub fn is_ours(&self) -> bool {
        // The kernel keeps fifteen characters of a name.
        !self.name.is_empty() && PROGRAM_INGRESS.starts_with(&self.name)
    }
}

/// `None` where there is no program, or nobody can tell.
pub fn xdp(interface: &str) -> Option<Xdp> {
    let attached = netlink::xdp(netlink::ifindex(interface)?).ok()??;
    let name = sys::program_name(attached.program).unwrap_or_default();
    Some(Xdp { name, generic: attached.generic })
}
