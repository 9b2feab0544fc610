//! Where things are in this checkout, and the cargo that builds the host's crates.
//!
//! It knows nothing of the eBPF toolchain, which has a cargo of its own.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

/// The root of the checkout. Cargo's run-time variable comes first, since a target directory that is
/// shared between checkouts may hold a binary that another one compiled.
pub fn root() -> PathBuf {
    let manifest_dir = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest_dir.parent().map_or(manifest_dir.clone(), Path::to_path_buf)
}

/// The host crates' target directory, absolute.
pub fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR")
        .and_then(|dir| std::path::absolute(dir).ok())
        .unwrap_or_else(|| root().join("target"))
}

/// A binary of one of cargo's profiles.
pub fn binary(profile: &str, name: &str) -> PathBuf {
    target_dir().join(profile).join(name)
}

/// The eBPF crate, which is a workspace of its own.
pub fn ebpf_dir() -> PathBuf {
    root().join("sipprot-ebpf")
}

/// The dashboard's sources.
pub fn ui_dir() -> PathBuf {
    root().join("sipprot-ctl/ui")
}

/// A cargo command on the workspace's root, by the same cargo that started xtask.
pub fn cargo(verb: &str) -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.arg(verb).current_dir(root()).env("CARGO_TARGET_DIR", target_dir());
    command
}
