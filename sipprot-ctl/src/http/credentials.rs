//! Who is at the other end of the Unix socket, as the kernel tells it.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;

use tokio::net::UnixStream;

use super::door::Peer;

/// Its members may do what root may, here.
pub(super) const GROUP: &str = "sipprot";
const GROUPS_MAX: usize = 1024;

/// Root, the daemon's own user, and the group.
pub(super) fn peer(stream: &UnixStream) -> Peer {
    let Ok(credentials) = stream.peer_cred() else { return Peer::Stranger };
    let (user, group) = (credentials.uid(), credentials.gid());
    // SAFETY: geteuid has no arguments and cannot fail.
    let own = unsafe { libc::geteuid() };
    let is_member = || {
        let wanted = group_id(&fs::read_to_string("/etc/group").unwrap_or_default());
        wanted.is_some_and(|it| it == group || groups(stream).is_ok_and(|all| all.contains(&it)))
    };
    if user == 0 || user == own || is_member() {
        Peer::Trusted(user_name(user))
    } else {
        Peer::Stranger
    }
}

/// `sipprot:x:998:ann,bob`
pub(super) fn group_id(groups: &str) -> Option<u32> {
    let mut fields = groups.lines().map(|line| line.split(':'));
    let mut found = fields.find(|line| line.clone().next() == Some(GROUP))?;
    found.nth(2)?.parse().ok()
}

fn user_name(id: u32) -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let id = id.to_string();
    let found = users.lines().find(|line| line.split(':').nth(2) == Some(&id));
    found.and_then(|line| line.split(':').next()).unwrap_or(&id).to_owned()
}

/// The groups beside the first one.
fn groups(stream: &UnixStream) -> io::Result<Vec<u32>> {
    let mut groups = vec![0_u32; GROUPS_MAX];
    let mut length = libc::socklen_t::try_from(size_of_val(groups.as_slice())).unwrap_or_default();
    // SAFETY: the buffer has as many bytes as `length` says, and the kernel writes no more.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERGROUPS,
            groups.as_mut_ptr().cast(),
            &mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    groups.truncate(length as usize / size_of::<u32>());
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_and_the_user() {
        let groups = "root:x:0:\nsipprot2:x:7:\nsipprot:x:998:ann,bob\n";
        assert_eq!(group_id(groups), Some(998));
        assert_eq!(group_id("root:x:0:\n"), None);
        assert_eq!(user_name(0), "root");
        assert_eq!(user_name(4_000_000_000), "4000000000");
    }

    #[tokio::test]
    async fn the_kernel_tells_who_it_is() {
        let (near, _far) = UnixStream::pair().unwrap();
        assert!(matches!(peer(&near), Peer::Trusted(_)));
        assert!(groups(&near).is_ok());
    }
}
