//! What can go wrong with the datapath, by what the caller does about it.

use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum DatapathError {
    /// The operator has to start it otherwise.
    #[error("needs root (CAP_BPF, CAP_NET_ADMIN)")]
    NotPrivileged,
    #[error("this build has no eBPF object in it: build with `cargo xtask build`")]
    NoObject,
    #[error("Linux {release} is too old: it lacks {lacks}; SIPprot needs Linux 6.1 or later")]
    OldKernel { release: String, lacks: String },
    #[error("{path} is not on a BPF file system: mount -t bpf bpf /sys/fs/bpf", path = .path.display())]
    NoBpfFs { path: PathBuf },
    /// Another daemon works here: don't start.
    #[error("another sipprot (pid {pid}) runs with {pin_dir}", pin_dir = .pin_dir.display())]
    Busy { pid: String, pin_dir: PathBuf },
    /// Pinned maps of another build: start with [`super::OnMismatch::StartFresh`], or use that build.
    #[error("the pinned map {map} is of another build: {difference}")]
    Layout { map: String, difference: String },
    /// The kernel's verifier said no; `log` has what it said.
    #[error("the kernel refuses the program {program}: {summary}")]
    Rejected { program: &'static str, summary: String, log: String },
    #[error("cannot load the eBPF object: {0}")]
    Load(String),
    /// Retry later: [`super::Datapath::reconcile`] does.
    #[error("there is no interface {interface}")]
    NoInterface { interface: String },
    #[error("another XDP program is attached to {interface}: id {id}, name {name}")]
    Occupied { interface: String, id: u32, name: String },
    #[error("cannot attach to {interface}: {what}: {source}")]
    Attach { interface: String, what: &'static str, source: io::Error },
    /// Refused; count it and raise an alarm.
    #[error("the map {map} is full")]
    MapFull { map: &'static str },
    #[error("{operation} in the map {map}: {source}")]
    Map { map: &'static str, operation: &'static str, source: io::Error },
    /// The caller's value is out of the ABI's range.
    #[error("{0}")]
    Invalid(String),
    #[error("{what}: {source}")]
    System { what: String, source: io::Error },
}

impl DatapathError {
    /// Nothing but another kernel or another build helps: trying again is in vain.
    pub fn is_for_good(&self) -> bool {
        matches!(self, Self::Rejected { .. } | Self::OldKernel { .. } | Self::NoObject)
    }
}

pub type Result<T> = std::result::Result<T, DatapathError>;

pub(super) fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> DatapathError {
    let what = what.into();
    move |source| DatapathError::System { what, source }
}
