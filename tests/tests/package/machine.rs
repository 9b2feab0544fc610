//! A machine of Debian 12 with its stock kernel, emulated, into which the package is installed while two sources
//! that it drops and one that it doesn't keep sending.

use std::{
    fs,
    net::UdpSocket,
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use sipprot_tests::{emulated::Machine, namespace::Namespace, process::Process};

use super::{has, printed, root};

const SCENARIO: &str = "tests/machine";
/// What the guest's script uses.
const PACKAGES: &str = "systemd-sysv,udev,iproute2,linux-image-cloud-amd64,init-system-helpers,ifupdown,procps,\
     nftables,libpam-systemd,dbus,bash-completion,man-db,kmod,libcap2-bin";
const NAMESPACE: &str = "sipprot-machine";
const HARDWARE: &str = "52:54:00:12:34:56";
const GUEST: &str = "192.0.2.11:5060";
/// Denied, blocked, and neither.
const SENDERS: [&str; 3] = ["198.51.100.10", "198.51.100.20", "203.0.113.7"];
const PAUSE: Duration = Duration::from_millis(20);
/// Two boots and all that is done, on a machine that emulates.
const LIMIT: Duration = Duration::from_secs(1800);
const REQUEST: &str = "OPTIONS sip:a@192.0.2.11 SIP/2.0\r\n\
    Via: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bKa\r\nFrom: <sip:a@192.0.2.11>;tag=a\r\n\
    To: <sip:a@192.0.2.11>\r\nCall-ID: a\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";

pub fn missing() -> Option<String> {
    let programs = ["mmdebstrap", "qemu-system-x86_64", "mke2fs", "ip"];
    let absent: Vec<&str> = programs.into_iter().filter(|program| !has(program)).collect();
    (!absent.is_empty()).then(|| absent.join(", "))
}

/// What the guest reports: each check, and what it measured.
pub fn play(old: &Path, new: &Path) -> Result<String> {
    let directory = tempfile::tempdir().context("make a directory")?;
    let directory = directory.path();
    let disk = disk(directory, old, new)?;
    let namespace = Wire::lay()?;
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for source in SENDERS {
            let (wire, ended) = (&namespace.0, &ended);
            scope.spawn(move || send(wire, source, ended));
        }
        let booted = boot(&namespace.0, directory, &disk);
        ended.store(true, Ordering::Relaxed);
        booted
    })?;
    fs::read_to_string(directory.join("report")).context("read the report")
}

fn disk(directory: &Path, old: &Path, new: &Path) -> Result<std::path::PathBuf> {
    let tree = directory.join("root");
    let include = format!("--include={PACKAGES}");
    println!("making a Debian 12 root");
    printed(
        Command::new("mmdebstrap").args(["--variant=minbase", &include, "bookworm"]).arg(&tree),
    )?;
    let scenario = root().join(SCENARIO);
    let put = |from: &Path, to: &str| -> Result<()> {
        let to = tree.join(to);
        fs::create_dir_all(to.parent().context("a directory")?)?;
        fs::copy(from, &to).with_context(|| format!("put {}", to.display())).map(drop)
    };
    put(&scenario.join("guest.sh"), "scenario/guest.sh")?;
    put(old, "scenario/old.deb")?;
    put(new, "scenario/new.deb")?;
    put(&scenario.join("seen.nft"), "etc/nftables.conf")?;
    put(&scenario.join("interfaces"), "etc/network/interfaces")?;
    let unit = "etc/systemd/system/scenario.service";
    put(&scenario.join("scenario.service"), unit)?;
    for (target, unit) in [
        ("multi-user", "/etc/systemd/system/scenario.service"),
        ("sysinit", "/lib/systemd/system/nftables.service"),
    ] {
        let wants = tree.join(format!("etc/systemd/system/{target}.target.wants"));
        fs::create_dir_all(&wants)?;
        let name = Path::new(unit).file_name().context("a name")?;
        std::os::unix::fs::symlink(unit, wants.join(name)).context("enable a unit")?;
    }
    fs::write(tree.join("etc/fstab"), "/dev/vda / ext4 defaults 0 1\n")?;
    for name in ["vmlinuz", "initrd.img"] {
        fs::copy(tree.join(name), directory.join(name)).with_context(|| format!("no {name}"))?;
    }
    let disk = directory.join("disk");
    printed(
        Command::new("mke2fs").args(["-q", "-t", "ext4", "-d"]).arg(&tree).arg(&disk).arg("2G"),
    )?;
    Ok(disk)
}

/// The wire to the machine. Dropping it takes it away.
struct Wire(Namespace);

impl Wire {
    fn lay() -> Result<Self> {
        let wire = Self(Namespace::create(NAMESPACE)?);
        let addresses: String =
            SENDERS.map(|it| format!("address add {it}/32 dev tap0\n")).concat();
        wire.0.ip(&format!(
            "tuntap add tap0 mode tap\naddress add 192.0.2.1/24 dev tap0\n{addresses}\
             link set tap0 up\nneighbour replace 192.0.2.11 lladdr {HARDWARE} dev tap0 nud permanent\n"
        ))?;
        Ok(wire)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", NAMESPACE]).status();
    }
}

fn send(wire: &Namespace, source: &str, ended: &AtomicBool) {
    let bound = wire.run(|| UdpSocket::bind((source, 5060)).context("bind"));
    let Ok(socket) = bound.inspect_err(|error| println!("{source} sends nothing: {error:#}"))
    else {
        return;
    };
    while !ended.load(Ordering::Relaxed) {
        // Nobody may listen there yet.
        let _ = socket.send_to(REQUEST.as_bytes(), GUEST);
        std::thread::sleep(PAUSE);
    }
}

/// Until the guest turns itself off.
fn boot(wire: &Namespace, directory: &Path, disk: &Path) -> Result<()> {
    let mut qemu = wire.command("qemu-system-x86_64");
    let machine = Machine {
        kernel: directory.join("vmlinuz"),
        initrd: directory.join("initrd.img"),
        append: "root=/dev/vda rw console=ttyS0 quiet".to_owned(),
        memory_mib: 1024,
    };
    machine.start_by(&mut qemu, &directory.join("console"));
    qemu.args(["-drive", &format!("file={},if=virtio,format=raw", disk.display())]);
    qemu.args(["-netdev", "tap,id=wire,ifname=tap0,script=no,downscript=no"]);
    qemu.args(["-device", &format!("virtio-net-pci,netdev=wire,mac={HARDWARE},addr=5")]);
    qemu.args(["-serial", &format!("file:{}", directory.join("report").display())]);
    let mut running = Process::start(qemu, &directory.join("qemu.log"))?;
    running.wait(LIMIT).map(drop)
}
