//! What the service manager is told: that the daemon is ready, reads its configuration again, ends, and is
//! still alive (sd_notify(3)). Without a manager that asks, nothing is told.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use tracing::debug;

use super::core::Core;
use crate::datapath::monotonic_precise_ns;

const SOCKET: &str = "NOTIFY_SOCKET";
const WATCHDOG: &str = "WATCHDOG_USEC";

/// The one that started us, if it wants to be told.
#[derive(Debug, Default)]
pub struct Manager {
    socket: Option<UnixDatagram>,
    is_watchful: bool,
    status: String,
}

impl Manager {
    pub fn of_environment() -> Self {
        let Some(name) = env::var_os(SOCKET).and_then(|name| name.into_string().ok()) else {
            return Self::default();
        };
        let socket = connect(&name).inspect_err(|error| debug!("{SOCKET}={name}: {error}")).ok();
        Self { socket, is_watchful: env::var_os(WATCHDOG).is_some(), status: String::new() }
    }

    pub fn ready(&mut self, status: String) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
        self.status = status;
    }

    /// Once a second: a daemon that no longer says so is started anew.
    pub fn alive(&mut self, status: impl FnOnce() -> String) {
        if self.socket.is_none() {
            return;
        }
        if self.is_watchful {
            self.tell("WATCHDOG=1");
        }
        let status = status();
        if status != self.status {
            self.tell(&format!("STATUS={status}"));
            self.status = status;
        }
    }

    pub fn reloading(&self) {
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_precise_ns() / 1000));
    }

    pub fn reloaded(&self) {
        self.tell("READY=1");
    }

    pub fn ending(&self) {
        self.tell("STOPPING=1");
    }

    fn tell(&self, what: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(what.as_bytes()) {
            debug!("the service manager can't be told: {error}");
        }
    }
}

/// A path, or a name in the abstract namespace behind an @.
fn connect(name: &str) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match name.strip_prefix('@') {
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        None => socket.connect(name)?,
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

impl Core {
    /// In one line, for `systemctl status`.
    pub(super) fn in_short(&self) -> String {
        let filtered: Vec<String> = self
            .interface_views()
            .into_iter()
            .map(|it| if it.attached { it.name } else { format!("{} (not filtered)", it.name) })
            .collect();
        match filtered.as_slice() {
            [] => "no interface is named yet: sipprot setup".to_owned(),
            names => format!("mode {}, {}", self.mode(), names.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 256];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[test]
    fn a_manager_hears_each_change_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let mut manager = Manager {
            socket: connect(path.to_str().unwrap()).ok(),
            is_watchful: true,
            status: String::new(),
        };
        manager.ready("a".to_owned());
        assert_eq!(heard(&socket), "READY=1\nSTATUS=a");
        manager.alive(|| "a".to_owned());
        manager.alive(|| "b".to_owned());
        let three: Vec<String> = (0..3).map(|_| heard(&socket)).collect();
        assert_eq!(three, ["WATCHDOG=1", "WATCHDOG=1", "STATUS=b"]);
        manager.reloading();
        assert!(heard(&socket).starts_with("RELOADING=1\nMONOTONIC_USEC="));
        manager.ending();
        assert_eq!(heard(&socket), "STOPPING=1");
    }

    #[test]
    fn an_abstract_name_is_reached() {
        let name = format!("sipprot-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        let manager = Manager { socket: connect(&format!("@{name}")).ok(), ..Manager::default() };
        manager.reloaded();
        assert_eq!(heard(&socket), "READY=1");
    }

    #[test]
    fn without_a_manager_nothing_is_looked_at() {
        Manager::default().alive(|| unreachable!("nobody asks for it"));
    }
}
