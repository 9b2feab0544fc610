//! What the daemon leaves on the disk is nobody else's, whatever the umask that it is started with.

use std::{
    fs::{self, Metadata},
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use sipprot_tests::{daemon::Settings, outpost::Outpost, process::write_program, topology::UPLINK};

use super::{HOST, PASSWORD, token};

/// Everything below a directory, without links.
fn below(directory: &Path, found: &mut Vec<(PathBuf, Metadata)>) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        let metadata = fs::symlink_metadata(&path)?;
        if metadata.is_dir() {
            below(&path, found)?;
        }
        found.push((path, metadata));
    }
    Ok(())
}

/// The most that others may do with it: nothing, but for the socket of the group and a certificate, which is public.
fn most(path: &Path, metadata: &Metadata) -> u32 {
    match path.extension().and_then(|it| it.to_str()) {
        _ if metadata.file_type().is_socket() => 0o660,
        Some("pem") => 0o644,
        _ => 0o700,
    }
}

#[test]
fn what_it_makes_is_its_own_whatever_the_umask() -> Result<()> {
    let Some(program) = std::env::var_os("SIPPROT_BIN") else {
        return Outpost::build().map(drop);
    };
    let program = Path::new(&program).canonicalize().context("find sipprot")?;
    let directory = tempfile::tempdir().context("make a directory")?;
    let careless = directory.path().join("sipprot");
    let script = format!("#!/bin/sh\numask 0\nexec {} \"$@\"\n", program.display());
    write_program(&careless, script)?;

    let mut outpost = Outpost::of(&careless)?;
    outpost.host.ip(&format!("addr add {HOST}/24 dev {UPLINK}\n"))?;
    // The directory is made by whoever installs it; here it is the daemon's to make.
    fs::remove_dir_all(outpost.daemon.state_dir()).context("remove the state directory")?;
    let api = format!("api.listen = \"{HOST}:8443\"");
    outpost.daemon.configure(&Settings::of(&[&api]))?;
    let config = outpost.daemon.config_file();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o640)).context("the configuration")?;
    outpost.daemon.start()?;
    let daemon = &outpost.daemon;
    daemon.add_user("ann", "admin", PASSWORD)?;
    token(daemon, "read")?;
    daemon.text(&["deny", "add", "198.51.100.7"])?;
    daemon.text(&["config", "set", "rules.register_limit", "11"])?;
    let bundle = daemon.state_dir().join("bundle.tar.gz");
    daemon.text(&["support", "--out", &bundle.display().to_string()])?;
    outpost.daemon.stop()?;
    outpost.daemon.start()?;

    let daemon = &outpost.daemon;
    let mut found = vec![(daemon.socket(), fs::symlink_metadata(daemon.socket())?)];
    for place in [daemon.state_dir(), daemon.pin_dir()] {
        let metadata = fs::symlink_metadata(&place)?;
        below(&place, &mut found)?;
        found.push((place, metadata));
    }
    ensure!(found.len() > 20, "only {} files", found.len());
    let mut wrong = Vec::new();
    for (path, metadata) in &found {
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & !most(path, metadata) != 0 || metadata.uid() != 0 {
            wrong.push(format!("{mode:o} {}", path.display()));
        }
    }
    println!("{} files, directories, sockets and pins", found.len());
    ensure!(wrong.is_empty(), "too much is allowed:\n{}", wrong.join("\n"));
    let kept = fs::metadata(&config)?.permissions().mode() & 0o777;
    ensure!(kept == 0o640, "the configuration has mode {kept:o}");
    Ok(())
}
