//! Programs onto interfaces and off again, by links that outlive us.
//!
//! A pinned link that still holds its interface has its program replaced, whichever version pinned
//! it: there is no moment without a filter. What the programs do is not known here.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use aya::programs::links::Link;
use aya::programs::tc::{
    NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle, qdisc_add_clsact,
};
use aya::programs::{ProgramError, SchedClassifier, TcAttachType};
use sipprot_common::abi::PROGRAM_EGRESS;

use super::error::{DatapathError, Result};
use super::link::{Hook, PinnedLink};
use super::load::Programs;
use super::netlink::{self, Filter};
use super::pins::{Direction, Pins};
use super::sys;

/// Where our classifier hangs in a clsact: fixed, so that it is found and replaced.
const CLSACT_PRIORITY: u16 = 5060;
const CLSACT_HANDLE: TcHandle = TcHandle::new(0, 1);

/// Where the ingress program runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// In the driver.
    Native,
    /// After the kernel has made its own buffer: slower, on any interface.
    Generic,
    /// Nowhere: the interface is gone, or the program was taken off.
    Gone,
}

/// Where the egress program hangs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Egress {
    /// A link of its own (Linux 6.6).
    Tcx,
    /// A filter in the interface's clsact.
    Clsact,
    Gone,
}

#[derive(Clone, Debug)]
pub struct Attachment {
    pub interface: String,
    /// 0 when the interface is gone.
    pub ifindex: u32,
    pub mode: Mode,
    pub egress: Egress,
    /// The program of an earlier run was replaced in place.
    pub replaced: bool,
    /// Why it is generic and not native.
    pub fallback: Option<String>,
}

/// What the operator may force.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice {
    pub generic: bool,
    pub clsact: bool,
}

fn failed(interface: &str, what: &'static str) -> impl Fn(io::Error) -> DatapathError {
    move |source| DatapathError::Attach { interface: interface.into(), what, source }
}

fn index_of(interface: &str) -> Result<u32> {
    netlink::ifindex(interface)
        .ok_or_else(|| DatapathError::NoInterface { interface: interface.into() })
}

/// Attaches both programs to an interface, or leaves it as it was.
pub fn attach(
    pins: &Pins,
    programs: &mut Programs,
    interface: &str,
    choice: Choice,
) -> Result<Attachment> {
    let ifindex = index_of(interface)?;
    let ingress = attach_ingress(pins, programs.ingress.as_fd(), interface, ifindex, choice)?;
    let egress = attach_egress(pins, programs, interface, ifindex, choice);
    if egress.is_err() && !ingress.replaced {
        // Half a filter would hold nobody back: it never sees an answer.
        detach(pins, interface)?;
    }
    pins.remove_other_versions();
    Ok(Attachment { egress: egress?, ..ingress })
}

/// A pinned link of any version that still holds this interface; stale ones are removed.
fn live_link(
    pins: &Pins,
    interface: &str,
    ifindex: u32,
    direction: Direction,
) -> io::Result<Option<PinnedLink>> {
    for path in pins.links_of(interface, direction) {
        let Some(link) = PinnedLink::open(&path)? else { continue };
        if link.ifindex()? == ifindex {
            return Ok(Some(link));
        }
        link.detach()?;
    }
    Ok(None)
}

/// Replaces the program of a live link and takes its pin over. False when there is none.
fn replace(
    pins: &Pins,
    program: BorrowedFd<'_>,
    interface: &str,
    ifindex: u32,
    direction: Direction,
) -> Result<bool> {
    let found = live_link(pins, interface, ifindex, direction)
        .map_err(failed(interface, "reading the pinned link"))?;
    let Some(mut link) = found else { return Ok(false) };
    link.replace_program(program).map_err(failed(interface, "replacing the program"))?;
    link.move_to(&pins.link(interface, direction))
        .map_err(failed(interface, "moving the pinned link"))?;
    Ok(true)
}

fn attach_ingress(
    pins: &Pins,
    program: BorrowedFd<'_>,
    interface: &str,
    ifindex: u32,
    choice: Choice,
) -> Result<Attachment> {
    let attached = |mode, replaced, fallback| Attachment {
        interface: interface.into(),
        ifindex,
        mode,
        egress: Egress::Gone,
        replaced,
        fallback,
    };
    if replace(pins, program, interface, ifindex, Direction::Ingress)? {
        return Ok(attached(mode(ifindex), true, None));
    }
    refuse_occupied(interface, ifindex)?;
    let path = pins.link(interface, Direction::Ingress);
    let mut fallback = None;
    if !choice.generic {
        match PinnedLink::create(&path, program, ifindex, Hook::XdpNative) {
            Ok(_) => return Ok(attached(Mode::Native, false, None)),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EEXIST)) => {
                refuse_occupied(interface, ifindex)?;
                return Err(failed(interface, "XDP")(error));
            }
            Err(error) => fallback = Some(format!("native XDP: {error}")),
        }
    }
    PinnedLink::create(&path, program, ifindex, Hook::XdpGeneric)
        .map_err(failed(interface, "generic XDP"))?;
    Ok(attached(Mode::Generic, false, fallback))
}

fn refuse_occupied(interface: &str, ifindex: u32) -> Result<()> {
    let attached = netlink::xdp(ifindex).map_err(failed(interface, "asking for XDP programs"))?;
    let Some(attached) = attached else { return Ok(()) };
    let id = attached.program;
    let name = sys::program_name(id).unwrap_or_else(|_| "unknown".into());
    Err(DatapathError::Occupied { interface: interface.into(), id, name })
}

fn mode(ifindex: u32) -> Mode {
    match netlink::xdp(ifindex) {
        Ok(Some(attached)) if attached.generic => Mode::Generic,
        Ok(Some(_)) => Mode::Native,
        _ => Mode::Gone,
    }
}

fn attach_egress(
    pins: &Pins,
    programs: &mut Programs,
    interface: &str,
    ifindex: u32,
    choice: Choice,
) -> Result<Egress> {
    if !choice.clsact && attach_tcx(pins, programs.egress.as_fd(), interface, ifindex)? {
        remove_filters(interface, ifindex, |_| true)?;
        return Ok(Egress::Tcx);
    }
    attach_clsact(programs.classifier()?, interface, ifindex)?;
    let tcx = live_link(pins, interface, ifindex, Direction::Egress);
    if let Some(link) = tcx.map_err(failed(interface, "reading the pinned link"))? {
        link.detach().map_err(failed(interface, "detaching the TCX link"))?;
    }
    Ok(Egress::Clsact)
}

/// False when the kernel has no TCX.
fn attach_tcx(pins: &Pins, program: BorrowedFd<'_>, interface: &str, ifindex: u32) -> Result<bool> {
    if replace(pins, program, interface, ifindex, Direction::Egress)? {
        return Ok(true);
    }
    let path = pins.link(interface, Direction::Egress);
    match PinnedLink::create(&path, program, ifindex, Hook::TcxEgress) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP)) => {
            Ok(false)
        }
        Err(error) => Err(failed(interface, "TCX egress")(error)),
    }
}

fn filters(interface: &str, ifindex: u32) -> Result<Vec<Filter>> {
    netlink::egress_filters(ifindex, PROGRAM_EGRESS)
        .map_err(failed(interface, "asking for egress filters"))
}

fn is_ours(filter: &Filter) -> bool {
    filter.priority == CLSACT_PRIORITY && filter.handle == u32::from(CLSACT_HANDLE)
}

/// A handle on a filter in the clsact; dropping it would take the filter off.
fn filter_link(interface: &str, priority: u16, handle: u32) -> io::Result<SchedClassifierLink> {
    let egress = TcAttachType::Egress;
    SchedClassifierLink::attached(interface, egress, priority, handle.into(), None)
}

fn attach_clsact(program: &mut SchedClassifier, interface: &str, ifindex: u32) -> Result<()> {
    let wrong =
        |what, error: ProgramError| failed(interface, what)(io::Error::other(error.to_string()));
    if let Err(error) = qdisc_add_clsact(interface) {
        let exists = matches!(&error, aya::programs::tc::TcError::NetlinkError(error)
            if error.raw_os_error() == Some(libc::EEXIST));
        if !exists {
            return Err(failed(interface, "clsact")(io::Error::other(error.to_string())));
        }
    }
    let id = if filters(interface, ifindex)?.iter().any(is_ours) {
        let old = filter_link(interface, CLSACT_PRIORITY, CLSACT_HANDLE.into())
            .map_err(failed(interface, "the egress filter"))?;
        program.attach_to_link(old)
    } else {
        let options = NlOptions { priority: CLSACT_PRIORITY, handle: CLSACT_HANDLE, classid: None };
        let options = TcAttachOptions::Netlink(options);
        program.attach_with_options(interface, TcAttachType::Egress, options)
    };
    let link = id
        .and_then(|id| program.take_link(id))
        .map_err(|error| wrong("attaching the egress filter", error))?;
    // The filter stays when we go.
    std::mem::forget(link);
    remove_filters(interface, ifindex, |filter| !is_ours(filter))?;
    match filters(interface, ifindex)?.len() {
        1 => Ok(()),
        count => Err(failed(interface, "the egress filter")(io::Error::other(format!(
            "{count} filters of ours are attached, not 1"
        )))),
    }
}

/// Takes filters of our name off the clsact egress.
fn remove_filters(interface: &str, ifindex: u32, which: impl Fn(&Filter) -> bool) -> Result<()> {
    for filter in filters(interface, ifindex)?.into_iter().filter(which) {
        let link = filter_link(interface, filter.priority, filter.handle)
            .map_err(failed(interface, "the egress filter"))?;
        link.detach().map_err(|error| {
            failed(interface, "removing an egress filter")(io::Error::other(error.to_string()))
        })?;
    }
    Ok(())
}

/// Takes both programs of every version off an interface. False when there were none.
pub fn detach(pins: &Pins, interface: &str) -> Result<bool> {
    let mut any = false;
    for direction in [Direction::Ingress, Direction::Egress] {
        for path in pins.links_of(interface, direction) {
            any = true;
            match PinnedLink::open(&path) {
                Ok(Some(link)) => link.detach().map_err(failed(interface, "detaching"))?,
                Ok(None) => {}
                // Not a link: nothing that we attached hangs on it.
                Err(_) => fs::remove_file(&path).map_err(failed(interface, "unpinning"))?,
            }
        }
    }
    if let Some(ifindex) = netlink::ifindex(interface) {
        any |= !filters(interface, ifindex)?.is_empty();
        remove_filters(interface, ifindex, |_| true)?;
    }
    Ok(any)
}

/// What is attached, by the pins of every version.
pub fn attachments(pins: &Pins) -> Vec<Attachment> {
    pins.interfaces().into_iter().map(|interface| attachment(pins, interface)).collect()
}

fn attachment(pins: &Pins, interface: String) -> Attachment {
    // The index that a pinned link of this direction holds, 0 when there is none.
    let held = |direction| {
        let links = pins.links_of(&interface, direction);
        let indices = links.iter().filter_map(|path| PinnedLink::open(path).ok()??.ifindex().ok());
        indices.max().unwrap_or(0)
    };
    let ifindex = held(Direction::Ingress);
    let egress = if ifindex == 0 {
        Egress::Gone
    } else if held(Direction::Egress) == ifindex {
        Egress::Tcx
    } else if filters(&interface, ifindex).is_ok_and(|filters| !filters.is_empty()) {
        Egress::Clsact
    } else {
        Egress::Gone
    };
    let mode = if ifindex == 0 { Mode::Gone } else { mode(ifindex) };
    Attachment { interface, ifindex, mode, egress, replaced: false, fallback: None }
}

/// Is everything in place on the interface that has this name now?
pub fn in_place(pins: &Pins, interface: &str, ifindex: u32) -> bool {
    let found = attachment(pins, interface.into());
    found.ifindex == ifindex && found.mode != Mode::Gone && found.egress != Egress::Gone
}
