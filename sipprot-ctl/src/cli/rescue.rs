//! `sipprot rescue`: the kernel's maps alone, for when nothing else works.
//!
//! A configuration that can't be read is no obstacle: then the usual places are looked into.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::Serialize;

use super::args::{Rescue, RescueVerb};
use super::{CliError, Context};
use crate::api::Done;
use crate::config::Daemon;
use crate::daemon::judgement::rescued;
use crate::datapath::{DatapathError, Egress, Mode, rescue};
use crate::report::address;

pub(super) fn run(context: &Context, rescue: Rescue) -> Result<(), CliError> {
    let daemon = match context.load_config() {
        Ok(loaded) => loaded.config.daemon,
        Err(error) => {
            eprintln!("sipprot: {error}; looking into the usual places");
            Daemon::default()
        }
    };
    match rescue.verb {
        RescueVerb::Status => status(context, &daemon),
        RescueVerb::Unblock { address } => unblock(context, &daemon, address),
        RescueVerb::Observe => {
            let count = rescue::observe(&daemon.pin_dir).map_err(failed)?;
            let message = format!("{count} policies only observe now, until a daemon starts");
            done(context, message)
        }
        RescueVerb::Detach => {
            let interfaces = rescue::detach(&daemon.pin_dir).map_err(failed)?;
            let message = match interfaces.as_slice() {
                [] => "nothing was attached".to_owned(),
                some => format!("detached from {}: nothing is protected", some.join(", ")),
            };
            done(context, message)
        }
    }
}

fn failed(error: DatapathError) -> CliError {
    CliError::Failed(error.to_string())
}

fn done(context: &Context, message: String) -> Result<(), CliError> {
    context.print(&Done::new(message), |done| format!("{}\n", done.message))
}

#[derive(Serialize)]
struct RescueStatus {
    interfaces: Vec<RescueInterface>,
    /// Absent when no maps are pinned.
    maps: Option<RescueMaps>,
}

#[derive(Serialize)]
struct RescueInterface {
    name: String,
    xdp: Option<&'static str>,
    egress: bool,
}

#[derive(Serialize)]
struct RescueMaps {
    enforcing: usize,
    observing: usize,
    blocks: usize,
    contained: usize,
    held: usize,
    quarantined: usize,
    trusted: usize,
    allow: usize,
    deny: usize,
}

fn status(context: &Context, daemon: &Daemon) -> Result<(), CliError> {
    let found = rescue::status(&daemon.pin_dir).map_err(failed)?;
    let interfaces = found.attachments.into_iter().map(|it| RescueInterface {
        name: it.interface,
        xdp: match it.mode {
            Mode::Native => Some("native"),
            Mode::Generic => Some("generic"),
            Mode::Gone => None,
        },
        egress: it.egress != Egress::Gone,
    });
    let maps = found.maps.map(|maps| RescueMaps {
        enforcing: maps.enforcing,
        observing: maps.observing,
        blocks: maps.blocks,
        contained: maps.contained,
        held: maps.held,
        quarantined: maps.quarantined,
        trusted: maps.trusted,
        allow: maps.allow_entries,
        deny: maps.deny_entries,
    });
    let status = RescueStatus { interfaces: interfaces.collect(), maps };
    context.print(&status, status_text)
}

fn status_text(status: &RescueStatus) -> String {
    let mut text = String::new();
    if status.interfaces.is_empty() {
        text += "No interface is filtered.\n";
    }
    for interface in &status.interfaces {
        let xdp = interface.xdp.map_or("XDP gone".to_owned(), |mode| format!("XDP {mode}"));
        let egress = if interface.egress { "egress" } else { "egress gone" };
        text += &format!("{}: {xdp}, {egress}\n", interface.name);
    }
    match &status.maps {
        None => text += "No maps are pinned.\n",
        Some(maps) => {
            text += &format!(
                "Policies: {} enforce, {} observe\nBlocks: {}   Contained: {}   Held: {}   \
                 Quarantined ports: {}   Trusted: {}\nAllow: {}   Deny: {}\n",
                maps.enforcing,
                maps.observing,
                maps.blocks,
                maps.contained,
                maps.held,
                maps.quarantined,
                maps.trusted,
                maps.allow,
                maps.deny
            );
        }
    }
    text
}

fn unblock(context: &Context, daemon: &Daemon, asked: IpAddr) -> Result<(), CliError> {
    let undone = rescue::unblock(&daemon.pin_dir, asked).map_err(failed)?;
    let note = rescued::Rescue {
        address: asked,
        denied: undone.denied.iter().map(|(network, _)| *network).collect(),
        at: Timestamp::now(),
    };
    if let Err(error) = rescued::leave(&daemon.state_dir, &note) {
        eprintln!("sipprot: {error}: a daemon that starts later may block {asked} again");
    }
    let mut parts = Vec::new();
    if undone.blocks > 0 {
        parts.push(format!("{} blocks", undone.blocks));
    }
    if undone.contained {
        parts.push("a containment".to_owned());
    }
    if undone.held {
        parts.push("counted attempts".to_owned());
    }
    if undone.quarantined_ports > 0 {
        parts.push(format!("{} quarantined ports", undone.quarantined_ports));
    }
    for (network, _) in &undone.denied {
        parts.push(format!("the denial of {}", address(*network)));
    }
    let mut message = match parts.as_slice() {
        [] => format!("nothing in the kernel stood against {asked}"),
        some => format!("{asked} is let in: lifted {}", some.join(", ")),
    };
    if !undone.geo_policies.is_empty() {
        message += "; geo protection still keeps it out";
    }
    done(context, message)
}
