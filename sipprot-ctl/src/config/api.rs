//! Where people reach the API, and how safely.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::values::UseTls;

#[derive(Clone, PartialEq, Debug)]
pub struct Api {
    /// `None` is nowhere.
    pub listen: Option<SocketAddr>,
    pub tls: UseTls,
    /// Both or neither; without them the daemon makes its own.
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// How long a login stands without a request.
    pub session_idle: Duration,
    /// And whatever is done.
    pub session_max: Duration,
}

impl Api {
    pub fn speaks_tls(&self) -> bool {
        match self.tls {
            UseTls::On => true,
            UseTls::Off => false,
            UseTls::Auto => {
                self.certificate.is_some() || self.listen.is_some_and(|it| !it.ip().is_loopback())
            }
        }
    }
}

impl Default for Api {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 8060))),
            tls: UseTls::Auto,
            certificate: None,
            key: None,
            session_idle: Duration::from_secs(3600),
            session_max: Duration::from_secs(12 * 3600),
        }
    }
}
