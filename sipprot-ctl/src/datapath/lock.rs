//! One daemon per set of maps: a lock file that the kernel releases when its holder dies.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

use super::error::{DatapathError, Result, system};

pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, or says who has it.
    pub fn take(path: &Path, pin_dir: &Path) -> Result<Self> {
        let what = path.display().to_string();
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(system(parent.display().to_string()))?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(system(what.clone()))?;
        // SAFETY: flock on a descriptor that we hold.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::WouldBlock {
                return Err(system(what)(error));
            }
            let mut pid = String::new();
            // The holder may not have written its number yet.
            let _ = file.read_to_string(&mut pid);
            let pid = if pid.trim().is_empty() { "unknown".into() } else { pid.trim().into() };
            return Err(DatapathError::Busy { pid, pin_dir: pin_dir.into() });
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(system(what))?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_has_it() {
        let directory = tempfile::tempdir().unwrap();
        let (path, pins) = (directory.path().join("run/lock"), Path::new("/pins"));
        let first = Lock::take(&path, pins).unwrap();
        let message = Lock::take(&path, pins).err().unwrap().to_string();
        let pid = std::process::id();
        assert_eq!(message, format!("another sipprot (pid {pid}) runs with /pins"));
        drop(first);
        Lock::take(&path, pins).unwrap();
    }
}
