//! What changes by hand have in common: what they are refused for, and how they are answered.

use std::sync::Arc;

use ipnetwork::IpNetwork;

use super::answers::Outcome;
use super::core::Core;
use crate::api::{Code, Fault, TEXT_MAX};
use crate::config::unmapped;
use crate::datapath::DatapathError;
use crate::message::clean;
use crate::report::address;
use crate::store::{List, Store};

pub(super) fn now_or_fault(result: Result<Outcome, Fault>) -> Outcome {
    result.unwrap_or_else(|fault| Outcome::Now(Err(fault)))
}

impl Core {
    pub(super) fn needs_store(&self) -> Result<Arc<Store>, Fault> {
        self.store.clone().ok_or_else(super::journal::not_stored)
    }

    pub(super) fn fault(&mut self, what: &str, error: &DatapathError) -> Fault {
        self.kernel.failed(what, error);
        match error {
            DatapathError::MapFull { .. } => Fault::new(Code::Full, "the kernel has no room left"),
            DatapathError::Invalid(what) => Fault::new(Code::Invalid, what.clone()),
            _ => Fault::internal(),
        }
    }

    /// The host must not cut itself off.
    pub(super) fn spares_own(&self, network: IpNetwork) -> Result<(), Fault> {
        match self.own.within(network) {
            Some(what) => Err(Fault::refused(format!("{} holds {what}", address(network)))),
            None => Ok(()),
        }
    }
}

/// Without host bits, and IPv4 as IPv4.
pub fn plain(network: IpNetwork) -> IpNetwork {
    let network = unmapped(network);
    IpNetwork::new(network.network(), network.prefix()).unwrap_or(network)
}

pub(super) fn is_one_source(network: IpNetwork) -> bool {
    match network {
        IpNetwork::V4(v4) => v4.prefix() == 32,
        IpNetwork::V6(v6) => v6.prefix() >= 64,
    }
}

pub(super) fn text(field: &str, given: &str) -> Result<String, Fault> {
    if given.len() > TEXT_MAX {
        return Err(Fault::invalid(field, format!("longer than {TEXT_MAX} bytes")));
    }
    Ok(clean(given.as_bytes(), TEXT_MAX))
}

pub(super) const fn name(list: List) -> &'static str {
    match list {
        List::Allow => "allowlist",
        List::Deny => "denylist",
    }
}
