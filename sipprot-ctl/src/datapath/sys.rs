//! The bpf(2) calls that aya 0.14 does not wrap: batches, links by interface index, facts about
//! what is pinned. It knows commands and structs, not what our maps mean.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Commands of bpf(2), from the kernel's `enum bpf_cmd`.
#[repr(u32)]
#[derive(Clone, Copy)]
pub enum Command {
    MapCreate = 0,
    Lookup = 1,
    Update = 2,
    Delete = 3,
    NextKey = 4,
    ObjectPin = 6,
    ObjectGet = 7,
    ProgramById = 13,
    MapById = 14,
    Info = 15,
    BtfLoad = 18,
    LookupBatch = 24,
    UpdateBatch = 26,
    DeleteBatch = 27,
    LinkCreate = 28,
    LinkUpdate = 29,
    LinkDetach = 34,
}

/// The error that the kernel uses for "this map has no batches"; it has no name in user space.
pub const ENOTSUPP: i32 = 524;

/// Of one element: look-up, update, delete, next key (which it writes to `value`).
#[repr(C)]
pub struct Element {
    pub map: u32,
    pub pad: u32,
    pub key: u64,
    pub value: u64,
    pub flags: u64,
}

#[repr(C)]
pub struct Batch {
    pub from: u64,
    pub to: u64,
    pub keys: u64,
    pub values: u64,
    /// In: how many there is room for; out: how many were done.
    pub count: u32,
    pub map: u32,
    pub element_flags: u64,
    pub flags: u64,
}

#[repr(C)]
struct Object {
    path: u64,
    fd: u32,
    flags: u32,
}

#[repr(C)]
struct Info {
    fd: u32,
    length: u32,
    info: u64,
}

#[repr(C)]
struct LinkCreate {
    program: u32,
    ifindex: u32,
    attach_type: u32,
    flags: u32,
    options: [u64; 2],
}

#[repr(C)]
struct LinkUpdate {
    link: u32,
    program: u32,
    flags: u32,
    old_program: u32,
}

#[repr(C)]
#[derive(Default)]
struct MapCreate {
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    inner_map: u32,
    numa_node: u32,
    name: [u8; 16],
    ifindex: u32,
    btf: u32,
    key_type: u32,
    value_type: u32,
}

#[repr(C)]
struct BtfLoad {
    btf: u64,
    log: u64,
    size: u32,
    log_size: u32,
    log_level: u32,
    pad: u32,
}

/// The head of the kernel's `struct bpf_map_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MapInfo {
    pub kind: u32,
    pub id: u32,
    pub key_size: u32,
    pub value_size: u32,
    pub max_entries: u32,
    pub flags: u32,
}

/// The head of `struct bpf_link_info`, as XDP and TCX links fill it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct LinkInfo {
    pub kind: u32,
    pub id: u32,
    pub program: u32,
    pub pad: u32,
    /// 0 once the interface is gone.
    pub ifindex: u32,
    pub attach_type: u32,
}

/// The head of `struct bpf_prog_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct ProgramInfo {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    lengths: [u32; 2],
    instructions: [u64; 2],
    load_time: u64,
    uid: u32,
    map_count: u32,
    map_ids: u64,
    name: [u8; 16],
}

/// # Safety
/// `attributes` must be the struct that the command takes, and each address in it valid for what the
/// command reads or writes there.
pub unsafe fn bpf<T>(command: Command, attributes: &mut T) -> io::Result<RawFd> {
    let attributes: *mut T = attributes;
    // SAFETY: the caller's promise; the size is that of the struct.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_long, attributes, size_of::<T>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as RawFd) }
}

fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: only called with a descriptor that the kernel has just made for us.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidFilename))
}

pub fn object_get(path: &Path) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    let mut object = Object { path: path.as_ptr() as u64, fd: 0, flags: 0 };
    // SAFETY: the path ends with a NUL and outlives the call.
    unsafe { bpf(Command::ObjectGet, &mut object) }.map(own)
}

pub fn object_pin(fd: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = c_path(path)?;
    let mut object = Object { path: path.as_ptr() as u64, fd: fd.as_raw_fd() as u32, flags: 0 };
    // SAFETY: the path ends with a NUL and outlives the call.
    unsafe { bpf(Command::ObjectPin, &mut object) }.map(drop)
}

/// # Safety
/// `T` must be plain integers, laid out as the head of the info struct of this kind of object.
unsafe fn info<T: Default>(fd: BorrowedFd<'_>) -> io::Result<T> {
    let mut answer = T::default();
    let address: *mut T = &mut answer;
    let mut call =
        Info { fd: fd.as_raw_fd() as u32, length: size_of::<T>() as u32, info: address as u64 };
    // SAFETY: the kernel writes at most `length` bytes, and any bytes are a value of T.
    unsafe { bpf(Command::Info, &mut call) }?;
    Ok(answer)
}

/// Makes an array of one value that user space can map into its memory.
///
/// It has types, as the array in the object has that stands for it in its slot: Linux 6.1 takes no other
/// (`bpf_map_meta_equal` compares `timer_off`, which tells a structure from no type at all).
pub fn mappable_array(value_size: u32, name: &str) -> io::Result<OwnedFd> {
    const ARRAY: u32 = 2;
    const MMAPABLE: u32 = 1 << 10;
    let types = load_types(value_size)?;
    let mut call = MapCreate {
        kind: ARRAY,
        key_size: 4,
        value_size,
        max_entries: 1,
        flags: MMAPABLE,
        btf: types.as_raw_fd() as u32,
        key_type: KEY_TYPE,
        value_type: VALUE_TYPE,
        ..MapCreate::default()
    };
    for (place, byte) in call.name.iter_mut().take(15).zip(name.bytes()) {
        *place = byte;
    }
    // SAFETY: no addresses.
    unsafe { bpf(Command::MapCreate, &mut call) }.map(own)
}

/// The numbers of the two types of [`types`].
const KEY_TYPE: u32 = 1;
const VALUE_TYPE: u32 = 2;

fn load_types(value_size: u32) -> io::Result<OwnedFd> {
    let types = types(value_size);
    let mut call = BtfLoad {
        btf: types.as_ptr() as u64,
        log: 0,
        size: types.len() as u32,
        log_size: 0,
        log_level: 0,
        pad: 0,
    };
    // SAFETY: the kernel reads `size` bytes of `btf`, which lives through the call.
    unsafe { bpf(Command::BtfLoad, &mut call) }.map(own)
}

/// BTF of a `u32` and of a structure of that size, whose members are nobody's affair.
fn types(value_size: u32) -> Vec<u8> {
    const NAMES: &[u8] = b"\0u32\0table\0";
    const INTEGER: u32 = 1 << 24;
    const STRUCTURE: u32 = 4 << 24;
    const MAGIC: u32 = 0xeb9f | 1 << 16;
    // Names by their places in `NAMES`; the integer has 32 bits.
    let types = [[1, INTEGER, 4, 32].as_slice(), &[5, STRUCTURE, value_size]].concat();
    let types_size = size_of_val(&types[..]) as u32;
    let head = [MAGIC, 24, 0, types_size, types_size, NAMES.len() as u32];
    let words = head.iter().chain(&types);
    words.flat_map(|word: &u32| word.to_ne_bytes()).chain(NAMES.iter().copied()).collect()
}

pub fn map_by_id(id: u32) -> io::Result<OwnedFd> {
    let mut call = [id, 0, 0];
    // SAFETY: the command reads an id and two flags words.
    unsafe { bpf(Command::MapById, &mut call) }.map(own)
}

pub fn map_info(fd: BorrowedFd<'_>) -> io::Result<MapInfo> {
    // SAFETY: MapInfo is six integers.
    unsafe { info(fd) }
}

pub fn link_info(fd: BorrowedFd<'_>) -> io::Result<LinkInfo> {
    // SAFETY: LinkInfo is six integers.
    unsafe { info(fd) }
}

/// The name of a loaded program, at most 15 bytes.
pub fn program_name(id: u32) -> io::Result<String> {
    let mut call = [id, 0, 0];
    // SAFETY: the command reads an id and two flags words.
    let program = own(unsafe { bpf(Command::ProgramById, &mut call) }?);
    // SAFETY: ProgramInfo is integers and bytes; its lengths are zero, so the kernel follows no address.
    let info: ProgramInfo = unsafe { info(std::os::fd::AsFd::as_fd(&program)) }?;
    let end = info.name.iter().position(|&byte| byte == 0).unwrap_or(info.name.len());
    Ok(String::from_utf8_lossy(&info.name[..end]).into_owned())
}

pub fn link_create(
    program: BorrowedFd<'_>,
    ifindex: u32,
    attach_type: u32,
    flags: u32,
) -> io::Result<OwnedFd> {
    let program = program.as_raw_fd() as u32;
    let mut call = LinkCreate { program, ifindex, attach_type, flags, options: [0; 2] };
    // SAFETY: no addresses; the options that follow are zero.
    unsafe { bpf(Command::LinkCreate, &mut call) }.map(own)
}

/// Replaces the program of a link, with no moment without one.
pub fn link_update(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut call = LinkUpdate {
        link: link.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        flags: 0,
        old_program: 0,
    };
    // SAFETY: no addresses.
    unsafe { bpf(Command::LinkUpdate, &mut call) }.map(drop)
}

pub fn link_detach(link: BorrowedFd<'_>) -> io::Result<()> {
    let mut call = link.as_raw_fd() as u32;
    // SAFETY: the command reads one descriptor.
    unsafe { bpf(Command::LinkDetach, &mut call) }.map(drop)
}
