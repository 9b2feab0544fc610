//! A machine that QEMU emulates: a machine within a machine seldom has KVM.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// What a machine is started with.
#[derive(Clone, Debug)]
pub struct Machine {
    pub kernel: PathBuf,
    pub initrd: PathBuf,
    /// For the kernel's command line.
    pub append: String,
    pub memory_mib: u32,
}

impl Machine {
    /// Makes a command that starts qemu-system-x86_64 start this machine. Its first serial line goes into a file.
    pub fn start_by(&self, qemu: &mut Command, console: &Path) {
        qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"]);
        qemu.args(["-m", &self.memory_mib.to_string()]);
        qemu.args(["-display", "none", "-monitor", "none", "-nodefaults"]);
        qemu.arg("-kernel").arg(&self.kernel).arg("-initrd").arg(&self.initrd);
        qemu.args(["-append", &self.append]);
        qemu.args(["-serial", &format!("file:{}", console.display())]);
    }
}
