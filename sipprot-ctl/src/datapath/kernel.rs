//! What the machine must have before anything is loaded: capabilities, a new enough kernel, a BPF
//! file system.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::error::{DatapathError, Result, system};

const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_BPF: u32 = 39;
const BPF_FS_MAGIC: i64 = 0xcafe_4a11;
const BPF_FS: &str = "/sys/fs/bpf";

/// What our programs and this module use, by the kernel that brought it.
const NEEDS: [((u32, u32), &str); 5] = [
    ((5, 8), "BPF ring buffers"),
    ((5, 9), "XDP links"),
    ((5, 17), "bpf_loop"),
    ((5, 18), "bpf_xdp_load_bytes"),
    ((6, 1), "the verifier that the programs are made for"),
];

pub fn check_privileges() -> Result<()> {
    let status = fs::read_to_string("/proc/thread-self/status")
        .map_err(system("/proc/thread-self/status"))?;
    if privileged(&status) { Ok(()) } else { Err(DatapathError::NotPrivileged) }
}

fn privileged(status: &str) -> bool {
    let Some(set) = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
    else {
        return false;
    };
    let has = |capability: u32| set >> capability & 1 != 0;
    has(CAP_NET_ADMIN) && (has(CAP_BPF) || has(CAP_SYS_ADMIN))
}

pub fn check_version() -> Result<()> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_err(system("/proc/sys/kernel/osrelease"))?;
    let release = release.trim();
    match lacks(release) {
        Some(lacks) => Err(DatapathError::OldKernel { release: release.into(), lacks }),
        None => Ok(()),
    }
}

/// What a kernel of this release lacks; a release that we can't read is given the chance.
fn lacks(release: &str) -> Option<String> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().ok());
    let version: (u32, u32) = (numbers.next()??, numbers.next()??);
    let missing: Vec<&str> =
        NEEDS.iter().filter(|(since, _)| version < *since).map(|(_, what)| *what).collect();
    (!missing.is_empty()).then(|| missing.join(", "))
}

pub fn is_bpf_fs(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: statfs is plain integers: all zeroes is a value.
    let mut facts: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path ends with a NUL, and the kernel fills the struct.
    unsafe { libc::statfs(path.as_ptr(), &mut facts) == 0 && facts.f_type as i64 == BPF_FS_MAGIC }
}

/// Makes sure that the pin directory will lie on a BPF file system, and mounts the usual one.
pub fn ensure_bpf_fs(pin_dir: &Path) -> Result<()> {
    let existing = pin_dir.ancestors().find(|path| path.exists()).unwrap_or(pin_dir);
    if is_bpf_fs(existing) {
        return Ok(());
    }
    if existing == Path::new(BPF_FS) {
        let (kind, target) = (c"bpf", c"/sys/fs/bpf");
        // SAFETY: all strings end with a NUL; no data is passed.
        let result = unsafe {
            libc::mount(kind.as_ptr(), target.as_ptr(), kind.as_ptr(), 0, std::ptr::null())
        };
        if result == 0 && is_bpf_fs(existing) {
            return Ok(());
        }
    }
    Err(DatapathError::NoBpfFs { path: PathBuf::from(pin_dir) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_kernels_are_told_what_they_lack() {
        let check = |release: &str, expected: Option<&str>| {
            assert_eq!(lacks(release).as_deref(), expected, "{release}");
        };
        check("6.1.0-28-cloud-amd64", None);
        check("6.18.44", None);
        check("7.0-rc1", None);
        check("5.17.3", Some("bpf_xdp_load_bytes, the verifier that the programs are made for"));
        check("6.0", Some("the verifier that the programs are made for"));
        check("unreadable", None);
        assert!(lacks("4.19.0-27-amd64").unwrap().starts_with("BPF ring buffers, XDP links"));
    }

    #[test]
    fn capabilities() {
        let check = |mask: u64, expected| {
            assert_eq!(privileged(&format!("Name:\tx\nCapEff:\t{mask:016x}\n")), expected);
        };
        check(u64::MAX, true);
        check(1 << CAP_BPF | 1 << CAP_NET_ADMIN, true);
        check(1 << CAP_SYS_ADMIN | 1 << CAP_NET_ADMIN, true);
        check(1 << CAP_BPF, false);
        check(0, false);
        assert!(!privileged(""));
    }
}
