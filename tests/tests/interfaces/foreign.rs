//! Somebody else's XDP program: two instructions that let everything pass.

use std::{
    ffi::CString,
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use anyhow::{Context, Result};
use sipprot_tests::namespace::Namespace;

/// What the kernel calls it.
pub const NAME: &str = "somebody_else";

const PROG_LOAD: i64 = 5;
const OBJ_GET_INFO: i64 = 15;
const LINK_CREATE: i64 = 28;
const TYPE_XDP: u32 = 6;
const ATTACH_XDP: u32 = 37;
/// `r0 = XDP_PASS` and `exit`.
const PROGRAM: [u64; 2] = [0x0000_0002_0000_00b7, 0x95];

#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    version: u32,
    flags: u32,
    name: [u8; 16],
}

#[repr(C)]
#[derive(Default)]
struct Link {
    program: u32,
    ifindex: u32,
    kind: u32,
    flags: u32,
    options: [u64; 2],
}

#[repr(C)]
struct Question {
    fd: u32,
    length: u32,
    answer: u64,
}

/// A program on an interface; dropping it takes it off.
pub struct Foreign {
    id: u32,
    _link: OwnedFd,
}

impl Foreign {
    pub fn attach(host: &Namespace, interface: &str) -> Result<Self> {
        host.run(|| {
            let program = load().context("load a program of somebody else's")?;
            let name = CString::new(interface)?;
            // SAFETY: the name ends with a NUL.
            let ifindex = unsafe { libc::if_nametoindex(name.as_ptr()) };
            let program_fd = program.as_raw_fd() as u32;
            let mut link =
                Link { program: program_fd, ifindex, kind: ATTACH_XDP, ..Link::default() };
            let link = own(bpf(LINK_CREATE, &mut link).context("attach it")?);
            // Of the kind and the number that every program's information begins with.
            let mut answer = [0u32; 2];
            let mut question =
                Question { fd: program_fd, length: 8, answer: (&raw mut answer) as u64 };
            bpf(OBJ_GET_INFO, &mut question).context("ask for its number")?;
            Ok(Self { id: answer[1], _link: link })
        })
    }

    pub fn id(&self) -> u64 {
        self.id.into()
    }
}

fn load() -> io::Result<OwnedFd> {
    let mut call = Load {
        kind: TYPE_XDP,
        count: PROGRAM.len() as u32,
        instructions: PROGRAM.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        ..Load::default()
    };
    call.name[..NAME.len()].copy_from_slice(NAME.as_bytes());
    bpf(PROG_LOAD, &mut call).map(own)
}

fn bpf<T>(command: i64, attributes: &mut T) -> io::Result<i32> {
    let attributes: *mut T = attributes;
    // SAFETY: each caller hands over the struct that its command takes, whose addresses outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}

fn own(fd: i32) -> OwnedFd {
    // SAFETY: a descriptor that the kernel has just made for us.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
