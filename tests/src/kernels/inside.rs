//! The first process of the machine: mounts, modules, programs, and the end.

use std::{
    ffi::CString,
    fs::{self, File},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, ensure};

use super::{ALL_PASSED, MODULES, OBJECT, PROGRAMS, SIPPROT};

const MOUNTS: [(&str, &str); 5] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("tmpfs", "/tmp"),
    ("tmpfs", "/run"),
];
/// What takes long and tells nothing of a kernel: frames by the ten thousand.
const SKIPPED: [&str; 5] =
    ["robustness", "mutated", "parallel", "torture", "blocks_and_lists_of_a_million"];

/// Says what came of it, and turns the machine off.
pub fn main() -> ! {
    match run() {
        Ok(true) => println!("{ALL_PASSED}"),
        Ok(false) => println!("kernels: failed"),
        Err(error) => println!("kernels: {error:#}"),
    }
    // SAFETY: plain system calls; there is nothing to be saved in this machine.
    unsafe {
        libc::sync();
        libc::reboot(libc::RB_POWER_OFF);
    }
    std::process::exit(1)
}

fn run() -> Result<bool> {
    for (kind, at) in MOUNTS {
        fs::create_dir_all(at).with_context(|| format!("make {at}"))?;
        mount(kind, at)?;
    }
    mount("bpf", "/sys/fs/bpf")?;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").context("which kernel")?;
    println!("kernels: Linux {}", release.trim());
    println!("kernels: modules: {}", load_modules()?.join(" "));
    let mut passed = true;
    for program in files(PROGRAMS)? {
        passed &= run_program(&program)?;
    }
    Ok(passed)
}

fn run_program(program: &Path) -> Result<bool> {
    let start = Instant::now();
    let mut command = Command::new(program);
    command.args(["--nocapture", "--test-threads=1"]);
    command.args(SKIPPED.iter().flat_map(|name| ["--skip", name]));
    command.env("PATH", "/bin").env("SIPPROT_EBPF_OBJECT", Path::new("/").join(OBJECT));
    command.env("SIPPROT_BIN", Path::new("/").join(SIPPROT)).env("TMPDIR", "/tmp");
    command.env("SIPPROT_TEST_SLOWNESS", "10");
    // A test's own place in its crate isn't here.
    command.current_dir("/tmp").stdin(Stdio::null());
    let status = command.status().with_context(|| format!("start {}", program.display()))?;
    println!("kernels: {} {status}, {} s", program.display(), start.elapsed().as_secs());
    Ok(status.success())
}

fn mount(kind: &str, at: &str) -> Result<()> {
    let (kind, at) = (CString::new(kind)?, CString::new(at)?);
    // SAFETY: the strings end with a NUL, and there is no data.
    let done =
        unsafe { libc::mount(kind.as_ptr(), at.as_ptr(), kind.as_ptr(), 0, std::ptr::null()) };
    let error = std::io::Error::last_os_error();
    // The kernel may have mounted /dev by itself.
    let is_there = error.raw_os_error() == Some(libc::EBUSY);
    ensure!(done == 0 || is_there, "mount {at:?}: {error}");
    Ok(())
}

fn files(directory: &str) -> Result<Vec<PathBuf>> {
    let directory = Path::new("/").join(directory);
    let entries = fs::read_dir(&directory).with_context(|| directory.display().to_string())?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}

/// Which need which, nobody says: those that find what they need go first, until none is left that does.
fn load_modules() -> Result<Vec<String>> {
    let mut waiting = files(MODULES)?;
    let mut loaded = Vec::new();
    loop {
        let before = waiting.len();
        waiting.retain(|path| {
            let is_in = insert(path).is_ok();
            let name = path.file_stem().map(|it| it.to_string_lossy().into_owned());
            loaded.extend(name.filter(|_| is_in));
            !is_in
        });
        if waiting.is_empty() || waiting.len() == before {
            return Ok(loaded);
        }
    }
}

fn insert(module: &Path) -> Result<()> {
    let file = File::open(module)?;
    // SAFETY: a descriptor that is open, and parameters that are an empty string.
    let done = unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), c"".as_ptr(), 0) };
    ensure!(done == 0, "{}: {}", module.display(), std::io::Error::last_os_error());
    Ok(())
}
