//! Questions to rtnetlink: which XDP programs an interface has, and which classifiers of ours hang in
//! its clsact. Asks only; attaching is elsewhere.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const RTM_GETLINK: u16 = 18;
const RTM_NEWTFILTER: u16 = 44;
const RTM_GETTFILTER: u16 = 46;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const HEADER: usize = 16;
const IFINFO: usize = 16;
const TCMSG: usize = 20;

const IFLA_XDP: u16 = 43;
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_PROG_ID: u16 = 4;
const IFLA_XDP_DRV_PROG_ID: u16 = 5;
const IFLA_XDP_SKB_PROG_ID: u16 = 6;
const IFLA_XDP_HW_PROG_ID: u16 = 7;
const XDP_ATTACHED_NONE: u8 = 0;
const XDP_ATTACHED_SKB: u8 = 2;

const TCA_OPTIONS: u16 = 2;
const TCA_BPF_NAME: u16 = 7;
const TC_EGRESS: u32 = 0xffff_fff3;

const RTM_NEWLINK: u16 = 16;
const IFLA_IFNAME: u16 = 3;

/// What is attached to the XDP hook of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpAttached {
    pub generic: bool,
    pub program: u32,
}

/// A classifier in an interface's clsact egress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    pub priority: u16,
    pub handle: u32,
    pub name: String,
}

/// `None` when there is no interface of this name.
pub fn ifindex(interface: &str) -> Option<u32> {
    let name = CString::new(interface).ok()?;
    // SAFETY: the name ends with a NUL.
    Some(unsafe { libc::if_nametoindex(name.as_ptr()) }).filter(|&index| index != 0)
}

/// The XDP program of an interface, if it has one.
pub fn xdp(ifindex: u32) -> io::Result<Option<XdpAttached>> {
    let mut body = vec![0u8; IFINFO];
    body[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    let mut found = None;
    request(RTM_GETLINK, NLM_F_REQUEST, &body, |_, message| {
        let link = message.get(IFINFO..).unwrap_or_default();
        found = found.or(attribute(link, IFLA_XDP).and_then(parse_xdp));
    })?;
    Ok(found)
}

fn parse_xdp(attributes: &[u8]) -> Option<XdpAttached> {
    let attached = *attribute(attributes, IFLA_XDP_ATTACHED)?.first()?;
    if attached == XDP_ATTACHED_NONE {
        return None;
    }
    let ids = [IFLA_XDP_PROG_ID, IFLA_XDP_DRV_PROG_ID, IFLA_XDP_SKB_PROG_ID, IFLA_XDP_HW_PROG_ID];
    let program = ids.into_iter().find_map(|id| word(attribute(attributes, id)?))?;
    Some(XdpAttached { generic: attached == XDP_ATTACHED_SKB, program })
}

/// The BPF classifiers of this name on the egress side of an interface's clsact.
pub fn egress_filters(ifindex: u32, name: &str) -> io::Result<Vec<Filter>> {
    let mut body = vec![0u8; TCMSG];
    body[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    body[12..16].copy_from_slice(&TC_EGRESS.to_ne_bytes());
    let mut found = Vec::new();
    let asked = request(RTM_GETTFILTER, NLM_F_REQUEST | NLM_F_DUMP, &body, |kind, message| {
        if kind == RTM_NEWTFILTER {
            found.extend(parse_filter(message).filter(|filter| filter.name == name));
        }
    });
    match asked {
        // Without a clsact there are no filters.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOENT)) => {}
        other => other?,
    }
    Ok(found)
}

/// The interfaces that a datagram tells something of; not those that are gone.
pub fn link_names(datagram: &[u8]) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    answer(datagram, &mut |kind, message| {
        let link = message.get(IFINFO..).unwrap_or_default();
        let name = attribute(link, IFLA_IFNAME).filter(|_| kind == RTM_NEWLINK);
        names.extend(name.map(text));
    })?;
    Ok(names)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.strip_suffix(&[0]).unwrap_or(bytes)).into_owned()
}

fn parse_filter(message: &[u8]) -> Option<Filter> {
    let handle = word(message.get(8..12)?)?;
    let priority = (word(message.get(16..20)?)? >> 16) as u16;
    let options = attribute(message.get(TCMSG..)?, TCA_OPTIONS)?;
    let name = attribute(options, TCA_BPF_NAME)?;
    let name = text(name);
    // The head of each priority is told too, with no handle.
    (handle != 0).then_some(Filter { priority, handle, name })
}

fn word(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?))
}

fn half(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?))
}

/// The payload of the first attribute of a type.
fn attribute(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    // The two highest bits of the type are flags.
    const TYPE: u16 = 0x3fff;
    while let (Some(length), Some(kind)) = (half(attributes), attributes.get(2..).and_then(half)) {
        let payload = attributes.get(4..length as usize)?;
        if kind & TYPE == wanted {
            return Some(payload);
        }
        attributes = attributes.get((length as usize).next_multiple_of(4)..)?;
    }
    None
}

/// Sends one request and shows each message of the answer.
fn request(
    kind: u16,
    flags: u16,
    body: &[u8],
    mut visit: impl FnMut(u16, &[u8]),
) -> io::Result<()> {
    // SAFETY: a plain socket; the descriptor is ours.
    let socket = unsafe {
        let fd = libc::socket(
            libc::AF_NETLINK,
            libc::SOCK_RAW | libc::SOCK_CLOEXEC,
            libc::NETLINK_ROUTE,
        );
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    let mut message = Vec::with_capacity(HEADER + body.len());
    message.extend_from_slice(&((HEADER + body.len()) as u32).to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(&flags.to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(body);
    // SAFETY: the kernel reads as many bytes as the vector has.
    let sent = unsafe { libc::send(socket.as_raw_fd(), message.as_ptr().cast(), message.len(), 0) };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    let dump = flags & NLM_F_DUMP == NLM_F_DUMP;
    let mut buffer = vec![0u8; 65_536];
    loop {
        // SAFETY: the kernel writes at most as many bytes as the buffer has.
        let received =
            unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        if received < 0 {
            return Err(io::Error::last_os_error());
        }
        if answer(&buffer[..received as usize], &mut visit)? || !dump {
            return Ok(());
        }
    }
}

/// Goes through one datagram; true at the end of a dump.
fn answer(mut datagram: &[u8], visit: &mut impl FnMut(u16, &[u8])) -> io::Result<bool> {
    while let (Some(length), Some(kind)) = (word(datagram), datagram.get(4..).and_then(half)) {
        let length = length as usize;
        let Some(body) = datagram.get(HEADER..length) else { break };
        match kind {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => match word(body).map(|code| code as i32) {
                Some(0) | None => return Ok(true),
                Some(code) => return Err(io::Error::from_raw_os_error(-code)),
            },
            _ => visit(kind, body),
        }
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = ((4 + payload.len()) as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn attributes_are_found_and_never_overrun() {
        let mut bytes = encoded(1, b"abc");
        bytes.extend(encoded(0x8002, &7u32.to_ne_bytes()));
        assert_eq!(attribute(&bytes, 1), Some(&b"abc"[..]));
        assert_eq!(attribute(&bytes, 2).and_then(word), Some(7));
        assert_eq!(attribute(&bytes, 3), None);
        for end in 0..bytes.len() {
            attribute(&bytes[..end], 3);
        }
        assert_eq!(attribute(&[0, 0, 0, 0, 0], 1), None);
    }

    #[test]
    fn links_are_named() {
        let message = |kind: u16, name: &[u8]| {
            let mut body = vec![0; IFINFO];
            body.extend(encoded(IFLA_IFNAME, name));
            let mut bytes = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
            bytes.extend(kind.to_ne_bytes());
            bytes.resize(HEADER, 0);
            bytes.extend(body);
            bytes
        };
        let gone = RTM_NEWLINK + 1;
        let datagram = [message(RTM_NEWLINK, b"eth0\0"), message(gone, b"eth1\0")].concat();
        assert_eq!(link_names(&datagram).unwrap(), ["eth0"]);
        assert!(link_names(&datagram[..20]).unwrap().is_empty());
    }

    #[test]
    fn xdp_modes() {
        let check = |attached: u8, id: u16, expected: Option<bool>| {
            let mut bytes = encoded(IFLA_XDP_ATTACHED, &[attached]);
            bytes.extend(encoded(id, &9u32.to_ne_bytes()));
            let expected = expected.map(|generic| XdpAttached { generic, program: 9 });
            assert_eq!(parse_xdp(&bytes), expected);
        };
        check(0, IFLA_XDP_PROG_ID, None);
        check(1, IFLA_XDP_PROG_ID, Some(false));
        check(2, IFLA_XDP_SKB_PROG_ID, Some(true));
        check(4, IFLA_XDP_DRV_PROG_ID, Some(false));
    }

    #[test]
    fn loopback_is_known_without_privileges() {
        let index = ifindex("lo").unwrap();
        assert_eq!(ifindex("no-such-one"), None);
        assert_eq!(xdp(index).unwrap(), None);
    }
}
