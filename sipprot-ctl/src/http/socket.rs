//! The API's socket as a file: made, shielded, and taken over from a daemon that died.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use super::credentials::group_id;

#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("another sipprot answers on {}", .0.display())]
    InUse(PathBuf),
    #[error("{} is in the way and no socket", .0.display())]
    NoSocket(PathBuf),
    #[error("cannot listen on {}: {source}", path.display())]
    Unusable { path: PathBuf, source: io::Error },
}

/// Owner and group may talk to the daemon.
const SOCKET_MODE: u32 = 0o660;
const DIRECTORY_MODE: u32 = 0o755;

pub(super) fn bind(path: &Path) -> Result<UnixListener, SocketError> {
    let unusable = |source| SocketError::Unusable { path: path.to_owned(), source };
    if let Some(directory) = path.parent().filter(|directory| !directory.exists()) {
        fs::create_dir_all(directory).map_err(unusable)?;
        fs::set_permissions(directory, fs::Permissions::from_mode(DIRECTORY_MODE))
            .map_err(unusable)?;
    }
    clear(path)?;
    let listener = UnixListener::bind(path).map_err(unusable)?;
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    if let Some(group) = group_id(&groups) {
        chown(path, None, Some(group)).map_err(unusable)?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE)).map_err(unusable)?;
    Ok(listener)
}

/// Removes what a dead daemon left.
fn clear(path: &Path) -> Result<(), SocketError> {
    let unusable = |source| SocketError::Unusable { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unusable(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(SocketError::NoSocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(SocketError::InUse(path.to_owned())),
        Err(_) => fs::remove_file(path).map_err(unusable),
    }
}
