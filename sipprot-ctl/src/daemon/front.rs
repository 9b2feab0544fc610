//! The API over TCP: opened as the configuration says, and again when that changes.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::SystemTime;

use anyhow::Context;
use tracing::{error, info};

use super::core::Core;
use crate::access::Times;
use crate::config::{Api, Config};
use crate::daemon::answers::reports::host_name;
use crate::http::{self, Rooms, Server};
use crate::tls::{self, Acceptor, Files};

/// What is open, and for which configuration.
#[derive(Default)]
pub struct Front {
    rooms: Option<Rooms>,
    server: Option<Server>,
    opened: Option<(Api, Option<SystemTime>)>,
    /// Why it isn't open.
    pub complaint: Option<String>,
}

pub fn times(config: &Config) -> Times {
    Times { idle: config.api.session_idle, whole: config.api.session_max }
}

impl Core {
    pub(super) fn open_front(&mut self, rooms: Rooms) {
        self.front.rooms = Some(rooms);
        self.follow_front();
    }

    /// Opens it anew if its configuration or its certificate is another one.
    pub(super) fn follow_front(&mut self) {
        self.access.set_times(times(&self.config));
        let Some(rooms) = self.front.rooms.clone() else { return };
        rooms.wear(&self.config.branding);
        let api = self.config.api.clone();
        let files = files(&api, &self.config.daemon.state_dir);
        let written = files.as_ref().ok().and_then(|it| it.as_ref()?.written_at());
        let wanted = (api, written);
        if self.front.opened.as_ref() == Some(&wanted) && self.front.complaint.is_none() {
            return;
        }
        // First the old one goes: it may have the address.
        self.front.server = None;
        let opened = files.map_err(Into::into).and_then(|files| open(&wanted.0, files, rooms));
        self.front.opened = Some(wanted);
        self.front.complaint = None;
        match opened {
            Ok(server) => self.front.server = server,
            Err(problem) => {
                let what = format!("no API over TCP: {problem:#}");
                error!("{what}");
                self.front.complaint = Some(what);
            }
        }
    }
}

fn open(api: &Api, files: Option<Files>, rooms: Rooms) -> anyhow::Result<Option<Server>> {
    let Some(address) = api.listen else { return Ok(None) };
    let acceptor = files.as_ref().map(Acceptor::new).transpose()?;
    let scheme = if acceptor.is_some() { "https" } else { "http" };
    let server = http::start_server(address, acceptor, rooms)
        .with_context(|| format!("cannot listen on {address}"))?;
    info!("the API is served on {scheme}://{address}");
    Ok(Some(server))
}

/// The configured certificate, or our own; none where no TLS is spoken.
fn files(api: &Api, state: &Path) -> io::Result<Option<Files>> {
    let Some(address) = api.listen.filter(|_| api.speaks_tls()) else { return Ok(None) };
    match api.certificate.clone().zip(api.key.clone()) {
        Some((chain, key)) => Ok(Some(Files { chain, key })),
        None => tls::own(state, "api", own_names(address.ip())).map(Some),
    }
}

fn own_names(address: IpAddr) -> Vec<String> {
    let mut names = vec!["localhost".to_owned()];
    names.extend(Some(host_name()).filter(|name| !name.is_empty()));
    names.extend((!address.is_unspecified()).then(|| address.to_string()));
    names
}
