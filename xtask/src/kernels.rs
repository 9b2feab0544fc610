//! `cargo xtask kernels`: the datapath's tests, what they attach, and every kind of interface, on Debian's stock
//! kernel in an emulated machine; with the instructions that its verifier went through.
//!
//! The kernel is fetched as its package and unpacked, never installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use clap::Args;

use crate::{
    build::{self, Profile},
    prerequisites::Purpose,
    process::{self, say},
    setup,
    suites::{self, Kind},
    workspace,
};

/// Depends on the newest one.
const PACKAGE: &str = "linux-image-cloud-amd64";
const SUITES: [&str; 3] = ["datapath", "maps", "interfaces"];

#[derive(Args)]
pub struct Options {
    /// A kernel's package, unpacked, in place of Debian's newest one
    #[arg(long, value_name = "DIR")]
    kernel: Option<PathBuf>,
    /// One suite alone
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
}

pub fn kernels(options: &Options) -> Result<()> {
    setup::ensure(&[Purpose::Build, Purpose::Lab, Purpose::Kernels])?;
    let built = build::build(&build::Options::default(), Profile::Dev)?;
    let kernel = match &options.kernel {
        Some(directory) => directory.clone(),
        None => fetched()?,
    };
    let suites =
        SUITES.into_iter().filter(|it| options.only.as_deref().is_none_or(|only| only == *it));
    let mut cargo = workspace::cargo("test");
    cargo.args(["--package", "sipprot-tests", "--no-run", "--message-format=json"]);
    cargo.args(suites.flat_map(|suite| ["--test", suite]));
    cargo.args(["--bin", "kernels"]).envs(built.environment.iter().cloned());
    let programs = suites::built(&process::printed(&mut cargo)?)?;
    let programs = programs.iter().filter(|it| it.kind == Kind::Integration).map(|it| &it.program);
    let mut cargo = workspace::cargo("build");
    cargo.args(["--quiet", "--package", "sipprot-tests", "--bin", "kernels"]);
    process::run(cargo.envs(built.environment.iter().cloned()))?;
    say(format_args!("{} on the kernel in {}", SUITES.join(", "), kernel.display()));
    let mut trial = Command::new(workspace::binary("debug", "kernels"));
    trial.arg("--kernel").arg(kernel).arg("--object").arg(&built.object);
    Err(process::become_command({
        trial.arg("--sipprot").arg(&built.sipprot).args(programs);
        trial
    }))
}

/// Debian's newest, unpacked below the target directory.
fn fetched() -> Result<PathBuf> {
    let directory = workspace::target_dir().join("kernels");
    fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
    let depends = process::printed(Command::new("apt-cache").args(["depends", PACKAGE]))?;
    let name = newest(&depends).with_context(|| format!("{PACKAGE} depends on no kernel"))?;
    let unpacked = directory.join(name);
    if !unpacked.join("boot").is_dir() {
        process::run(Command::new("apt-get").args(["download", name]).current_dir(&directory))?;
        let package = package_of(&directory, name)?;
        process::run(Command::new("dpkg-deb").arg("-x").arg(package).arg(&unpacked))?;
    }
    Ok(unpacked)
}

fn newest(depends: &str) -> Option<&str> {
    let mut words = depends.split_whitespace();
    words.find(|word| word.starts_with("linux-image-") && *word != PACKAGE)
}

fn package_of(directory: &Path, name: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    let mut paths = entries.flatten().map(|entry| entry.path());
    let is_it = |path: &PathBuf| {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        file.starts_with(&format!("{name}_")) && file.ends_with(".deb")
    };
    paths.find(is_it).with_context(|| format!("no {name} in {}", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_kernel_is_what_the_package_depends_on() {
        let depends = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n";
        assert_eq!(newest(depends), Some("linux-image-6.1.0-56-cloud-amd64"));
        assert_eq!(newest("linux-image-cloud-amd64\n"), None);
    }
}
