//! lab

/// The datapath in the kernel and its model on the host, as tables of packets and verdicts.
pub mod datapath;
