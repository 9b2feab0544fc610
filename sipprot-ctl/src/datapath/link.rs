//! A pinned link: what keeps a program attached when nobody runs.
//!
//! aya's links hide the interface index, fall back to netlink by themselves and detach when dropped;
//! these do none of it. Which interface should have which link is decided elsewhere.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::sys;

const BPF_XDP: u32 = 37;
const BPF_TCX_EGRESS: u32 = 47;
const XDP_FLAGS_SKB_MODE: u32 = 2;
const XDP_FLAGS_DRV_MODE: u32 = 4;

#[derive(Clone, Copy)]
pub enum Hook {
    XdpNative,
    XdpGeneric,
    TcxEgress,
}

pub struct PinnedLink {
    fd: OwnedFd,
    path: PathBuf,
}

impl PinnedLink {
    /// `None` when nothing is pinned there.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        match sys::object_get(path) {
            Ok(fd) => Ok(Some(Self { fd, path: path.into() })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Attaches and pins; when the pinning fails nothing stays attached.
    pub fn create(
        path: &Path,
        program: BorrowedFd<'_>,
        ifindex: u32,
        hook: Hook,
    ) -> io::Result<Self> {
        let (attach_type, flags) = match hook {
            Hook::XdpNative => (BPF_XDP, XDP_FLAGS_DRV_MODE),
            Hook::XdpGeneric => (BPF_XDP, XDP_FLAGS_SKB_MODE),
            Hook::TcxEgress => (BPF_TCX_EGRESS, 0),
        };
        let fd = sys::link_create(program, ifindex, attach_type, flags)?;
        sys::object_pin(fd.as_fd(), path)?;
        Ok(Self { fd, path: path.into() })
    }

    /// 0 once the interface is gone.
    pub fn ifindex(&self) -> io::Result<u32> {
        Ok(sys::link_info(self.fd.as_fd())?.ifindex)
    }

    pub fn replace_program(&self, program: BorrowedFd<'_>) -> io::Result<()> {
        sys::link_update(self.fd.as_fd(), program)
    }

    /// Moves the pin; the link stays as it is.
    pub fn move_to(&mut self, path: &Path) -> io::Result<()> {
        if self.path != path {
            fs::rename(&self.path, path)?;
            self.path = path.into();
        }
        Ok(())
    }

    /// Detaches now, not when the last reference goes.
    pub fn detach(self) -> io::Result<()> {
        match sys::link_detach(self.fd.as_fd()) {
            // The interface took the attachment with it.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOLINK | libc::ENODEV)) => {}
            other => other?,
        }
        fs::remove_file(&self.path)
    }
}
