//! The host itself: its clock, the room on its disk, who may write where.

use std::ffi::CString;
use std::fs;
use std::mem::zeroed;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Finding;
use crate::config::{Config, Loaded};

const MIB: u64 = 1 << 20;
/// Less than this, and the store is in danger.
const SPACE_MIN: u64 = 64 * MIB;
const SPACE_LOW: u64 = 512 * MIB;

pub fn look(config: &Config, loaded: Option<&Loaded>) -> Vec<Finding> {
    let mut findings = vec![clock(is_synchronised())];
    let directory = &config.daemon.state_dir;
    match fs::metadata(directory) {
        Err(_) => findings.push(Finding::warning(
            "store",
            format!("there is no {} yet", directory.display()),
            "sipprot setup, or the daemon's first start, makes it",
        )),
        Ok(metadata) => {
            findings.extend(free(directory).map(|free| space(directory, free)));
            findings.push(private(directory, metadata.mode(), metadata.uid()));
        }
    }
    for file in loaded.into_iter().flat_map(|loaded| &loaded.files) {
        if let Ok(metadata) = fs::metadata(file) {
            findings.extend(writable(file, metadata.mode(), metadata.uid()));
        }
    }
    findings
}

/// `None` where the kernel doesn't tell.
fn is_synchronised() -> Option<bool> {
    // SAFETY: plain integers: all zeroes is a value, and as `modes` changes nothing.
    let mut facts: libc::timex = unsafe { zeroed() };
    // SAFETY: the kernel fills the struct.
    let state = unsafe { libc::adjtimex(&mut facts) };
    (state >= 0).then_some(state != libc::TIME_ERROR && facts.status & libc::STA_UNSYNC == 0)
}

fn clock(synchronised: Option<bool>) -> Finding {
    const CHECK: &str = "clock";
    match synchronised {
        Some(true) => Finding::ok(CHECK, "it is synchronised"),
        Some(false) => Finding::warning(
            CHECK,
            "it is not synchronised: times in reports, and ends of list entries, may be wrong",
            "timedatectl set-ntp true, or install chrony",
        ),
        None => Finding::unknown(CHECK, "whether it is synchronised: the kernel doesn't tell"),
    }
}

fn free(directory: &Path) -> Option<u64> {
    let path = CString::new(directory.as_os_str().as_bytes()).ok()?;
    // SAFETY: plain integers: all zeroes is a value.
    let mut facts: libc::statvfs = unsafe { zeroed() };
    // SAFETY: the path ends with a NUL, and the kernel fills the struct.
    let done = unsafe { libc::statvfs(path.as_ptr(), &mut facts) };
    (done == 0).then(|| facts.f_bavail.saturating_mul(facts.f_frsize))
}

fn space(directory: &Path, free: u64) -> Finding {
    const CHECK: &str = "store";
    let what = format!("{} MiB are free for {}", free / MIB, directory.display());
    let remedy = "make room on that disk, or set daemon.state_dir to another";
    match free {
        ..SPACE_MIN => Finding::problem(CHECK, what, remedy),
        SPACE_MIN..SPACE_LOW => Finding::warning(CHECK, what, remedy),
        _ => Finding::ok(CHECK, what),
    }
}

fn private(directory: &Path, mode: u32, owner: u32) -> Finding {
    const CHECK: &str = "store";
    let shown = directory.display();
    if mode & 0o077 != 0 || owner != 0 {
        let what = format!("{shown} is open to others (mode {:o}, owner {owner})", mode & 0o7777);
        let remedy = format!("chown root {shown}; chmod 700 {shown}");
        return Finding::warning(CHECK, what, remedy);
    }
    Finding::ok(CHECK, format!("{shown} is root's alone"))
}

fn writable(file: &Path, mode: u32, owner: u32) -> Option<Finding> {
    let shown = file.display();
    (mode & 0o002 != 0 || owner != 0).then(|| {
        let what = format!("others than root may write {shown}: they may switch everything off");
        Finding::problem("configuration", what, format!("chown root {shown}; chmod o-w {shown}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn room_and_modes() {
        let path = Path::new("/x");
        let states = [63, 511, 513].map(|mib| space(path, mib * MIB).state);
        assert_eq!(states, [State::Problem, State::Warning, State::Ok]);
        let states =
            [(0o40700, 0), (0o40750, 0), (0o40700, 1)].map(|(m, o)| private(path, m, o).state);
        assert_eq!(states, [State::Ok, State::Warning, State::Warning]);
        let found =
            [(0o644, 0), (0o664, 0), (0o666, 0), (0o644, 7)].map(|(m, o)| writable(path, m, o));
        assert_eq!(found.map(|it| it.is_some()), [false, false, true, true]);
        assert!(free(Path::new("/")).is_some());
        assert_eq!(clock(Some(false)).state, State::Warning);
    }
}
