//! What the programs need of the kernel, and of whoever starts them.

use std::fs;
use std::path::Path;

use super::Finding;
use crate::config::Config;
use crate::datapath::probe;

const CHECK: &str = "kernel";
/// Types of the running kernel, by which the programs are fitted to it.
const BTF: &str = "/sys/kernel/btf/vmlinux";

pub fn look(config: &Config) -> Vec<Finding> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    vec![
        match probe::privileges() {
            Ok(()) => Finding::ok("privileges", "CAP_BPF and CAP_NET_ADMIN are there"),
            Err(error) => Finding::problem("privileges", error.to_string(), "run it as root"),
        },
        match probe::version() {
            Ok(()) => Finding::ok(CHECK, format!("Linux {} has what is needed", release.trim())),
            Err(error) => {
                Finding::problem(CHECK, error.to_string(), "install a kernel of 6.1 or later")
            }
        },
        match Path::new(BTF).exists() {
            true => Finding::ok(CHECK, "it tells its types (BTF)"),
            false => Finding::problem(
                CHECK,
                format!("it tells no types: there is no {BTF}"),
                "boot a kernel with CONFIG_DEBUG_INFO_BTF, as distributions build them",
            ),
        },
        match probe::has_bpf_fs(&config.daemon.pin_dir) {
            true => Finding::ok(CHECK, "a BPF file system is mounted"),
            false => Finding::problem(
                CHECK,
                format!("{} is not on a BPF file system", config.daemon.pin_dir.display()),
                "mount -t bpf bpf /sys/fs/bpf (the daemon does it for the usual place)",
            ),
        },
    ]
}
