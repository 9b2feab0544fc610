//! A datapath of its own for each test: a private pin directory, and a network namespace of the
//! test's thread. Guards remove both.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use sipprot_ctl::datapath::{Datapath, MapSizes, Object, Options, Result, rescue};

static NUMBER: AtomicU32 = AtomicU32::new(0);

pub struct Fixture {
    pub pin_dir: PathBuf,
    run: tempfile::TempDir,
    object: PathBuf,
}

impl Fixture {
    /// `None`, with a line that says why, where the test can't run.
    pub fn new() -> Option<Self> {
        // SAFETY: asks for our own user id.
        if unsafe { libc::geteuid() } != 0 {
            eprintln!("skipped: needs root");
            return None;
        }
        let Some(object) = std::env::var_os("SIPPROT_EBPF_OBJECT") else {
            eprintln!("skipped: SIPPROT_EBPF_OBJECT does not name an eBPF object");
            return None;
        };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let pin_dir = format!("/sys/fs/bpf/sipprot-test-{}-{number}", std::process::id());
        let run = tempfile::tempdir().unwrap();
        Some(Self { pin_dir: pin_dir.into(), run, object: object.into() })
    }

    pub fn options(&self) -> Options {
        Options {
            pin_dir: self.pin_dir.clone(),
            lock: self.run.path().join("lock"),
            object: Object::File(self.object.clone()),
            ..Options::default()
        }
    }

    pub fn open(&self) -> Datapath {
        Datapath::open(&self.options()).unwrap()
    }

    pub fn open_with(&self, map_sizes: MapSizes) -> Result<Datapath> {
        Datapath::open(&Options { map_sizes, ..self.options() })
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if let Err(error) = rescue::detach(&self.pin_dir) {
            eprintln!("detaching: {error}");
        }
        remove(&self.pin_dir);
    }
}

/// bpffs has no recursive removal of files by `remove_dir_all` alone on every kernel.
fn remove(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => remove(&entry.path()),
            _ => drop(fs::remove_file(entry.path())),
        }
    }
    let _ = fs::remove_dir(path);
}

/// Runs a test in a thread with a network namespace of its own, which goes when the thread ends.
pub fn in_namespace(test: impl FnOnce(Fixture) + Send + 'static) {
    let Some(fixture) = Fixture::new() else { return };
    let thread = std::thread::spawn(move || {
        // SAFETY: gives this thread alone a new network namespace.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0, "unshare");
        test(fixture);
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs `ip` in the thread's namespace.
pub fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A veth pair: what is sent into `{name}-peer` comes in at `{name}`.
pub fn veth(name: &str) {
    ip(&format!("link add {name} type veth peer name {name}-peer"));
    ip(&format!("link set {name} up"));
    ip(&format!("link set {name}-peer up"));
}

/// Sends one UDP datagram in a frame of its own out of an interface.
pub fn send_udp(interface: &str, from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), payload: &[u8]) {
    let builder = etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [0xff; 6])
        .ipv4(from.0.octets(), to.0.octets(), 64)
        .udp(from.1, to.1);
    let mut frame = Vec::new();
    builder.write(&mut frame, payload).unwrap();
    let name = std::ffi::CString::new(interface).unwrap();
    // SAFETY: a packet socket of ours, an address that is zeroed and then filled, and a frame that
    // outlives the call.
    unsafe {
        let socket = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
        assert!(socket >= 0);
        let mut address: libc::sockaddr_ll = std::mem::zeroed();
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_ifindex = libc::if_nametoindex(name.as_ptr()) as i32;
        let sent = libc::sendto(
            socket,
            frame.as_ptr().cast(),
            frame.len(),
            0,
            (&raw const address).cast(),
            size_of_val(&address) as u32,
        );
        libc::close(socket);
        assert_eq!(sent, frame.len() as isize, "{}", std::io::Error::last_os_error());
    }
}
