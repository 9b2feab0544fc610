//! Small disks: one of memory, which gets full, and one with a file system that can fail.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

/// A small disk. Unmounts when it goes; nobody else has this mount.
pub struct Mounted(PathBuf);

impl Mounted {
    pub fn of_memory(at: &Path) -> Result<Self> {
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=32m", "tmpfs"]).arg(at))?;
        Ok(Self(at.to_owned()))
    }

    pub fn of_image(image: &Path, at: &Path) -> Result<Self> {
        let mut mount = Command::new("mount");
        run(mount.args(["-o", "loop,errors=remount-ro"]).arg(image).arg(at))?;
        Ok(Self(at.to_owned()))
    }

    /// As after a bad sector: the kernel makes it read-only.
    pub fn fail(&self) -> Result<()> {
        let device = run(Command::new("findmnt").args(["-n", "-o", "SOURCE"]).arg(&self.0))?;
        let name = device.trim().trim_start_matches("/dev/");
        let trigger = format!("/sys/fs/ext4/{name}/trigger_fs_error");
        fs::write(&trigger, "torture").with_context(|| trigger.clone())
    }
}

pub fn make_ext4(image: &Path) -> Result<()> {
    fs::File::create(image).and_then(|file| file.set_len(64 << 20)).context("make an image")?;
    run(Command::new("mke2fs").args(["-q", "-t", "ext4"]).arg(image)).map(drop)
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("run {command:?}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}", complaint.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

impl Drop for Mounted {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}
