//! The runner as the first process of a container: what it takes away from its steps.
//!
//! The container gives the runner a few capabilities more than its steps get (`NET_ADMIN`, for the
//! routes). It uses them before the first step and gives them up. With `no_new_privs` an exec
//! cannot bring back what the process does not have (capabilities(7), prctl(2)). Steps run as the
//! user that the image names.

use std::fs;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};
use nix::unistd::{Gid, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

use crate::protocol::Confinement;

/// Who the steps run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct User {
    pub(super) user: u32,
    pub(super) group: u32,
}

impl User {
    pub(super) fn is_root(self) -> bool {
        self.user == 0
    }
}

/// Blocks what must not be reached, and gives up what steps must not have. Call it before threads
/// that start steps exist.
///
/// # Errors
/// Words that read after "failed to …"; nothing may be run then.
pub(super) fn confine(confinement: &Confinement) -> Result<User, String> {
    for network in &confinement.blocked {
        block(network).map_err(|error| format!("block {network}: {error}"))?;
    }
    let user = find_user(
        &confinement.user,
        &fs::read_to_string("/etc/passwd").unwrap_or_default(),
        &fs::read_to_string("/etc/group").unwrap_or_default(),
    )?;
    nix::sys::prctl::set_no_new_privs()
        .map_err(|error| format!("forbid the steps new privileges: {error}"))?;
    let wanted = CapabilitySet::CHOWN
        | CapabilitySet::DAC_OVERRIDE
        | CapabilitySet::FOWNER
        | CapabilitySet::FSETID
        | CapabilitySet::KILL
        | CapabilitySet::SETGID
        | CapabilitySet::SETUID;
    let have = capabilities(None).map_err(|error| format!("read the capabilities: {error}"))?;
    let kept = have.permitted & wanted;
    set_capabilities(
        None,
        CapabilitySets {
            effective: kept,
            permitted: kept,
            inheritable: CapabilitySet::empty(),
        },
    )
    .map_err(|error| format!("give up capabilities: {error}"))?;
    Ok(user)
}

/// Gives what was unpacked to the user of the steps; links are not followed.
pub(super) fn hand_over(folder: &Path, user: User) -> Result<(), String> {
    if user.is_root() {
        return Ok(());
    }
    for entry in walkdir::WalkDir::new(folder) {
        let path = match &entry {
            Ok(entry) => entry.path(),
            Err(error) => return Err(format!("hand over {}: {error}", folder.display())),
        };
        std::os::unix::fs::lchown(path, Some(user.user), Some(user.group))
            .map_err(|error| format!("hand over {}: {error}", path.display()))?;
    }
    Ok(())
}

/// The user that an image means by `name`, `1000`, `name:group` or `1000:1000`.
fn find_user(text: &str, passwd: &str, group: &str) -> Result<User, String> {
    let (name, group_name) = match text.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (text, None),
    };
    let name = if name.is_empty() { "0" } else { name };
    let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let number = |text: Option<&String>| text.and_then(|text| text.parse::<u32>().ok());
    let known = passwd.lines().map(fields).find(|fields| {
        fields.first().is_some_and(|found| found == name)
            || fields.get(2).is_some_and(|found| found == name)
    });
    let user = match &known {
        Some(fields) => number(fields.get(2)),
        None => name.parse().ok(),
    }
    .ok_or_else(|| format!("run as the image's user `{name}`: the image has no such user"))?;
    let group = match group_name {
        None => known.and_then(|fields| number(fields.get(3))).unwrap_or(0),
        Some(wanted) => group
            .lines()
            .map(fields)
            .find(|fields| fields.first().is_some_and(|found| found == wanted))
            .and_then(|fields| number(fields.get(2)))
            .or_else(|| wanted.parse().ok())
            .ok_or_else(|| {
                format!("run as the image's group `{wanted}`: the image has no such group")
            })?,
    };
    // The highest number means "unchanged" to the system.
    if Uid::from_raw(user) == Uid::from_raw(u32::MAX)
        || Gid::from_raw(group) == Gid::from_raw(u32::MAX)
    {
        return Err(format!("run as the image's user `{text}`: that is none"));
    }
    Ok(User { user, group })
}

/// Adds a route into nowhere, by rtnetlink(7): `RTM_NEWROUTE` with the type `RTN_BLACKHOLE`.
fn block(network: &str) -> Result<(), String> {
    const NEW_ROUTE: u16 = 24;
    /// Request, acknowledge, create.
    const FLAGS: u16 = 0x1 | 0x4 | 0x400;
    const MAIN_TABLE: u8 = 254;
    const BOOT: u8 = 3;
    const BLACKHOLE: u8 = 6;
    const DESTINATION: u16 = 1;
    let (address, prefix) = network.split_once('/').ok_or("it is no network")?;
    let address: IpAddr = address.parse().map_err(|_| "it is no address")?;
    let prefix: u8 = prefix.parse().map_err(|_| "it has no prefix")?;
    let (family, bytes) = match address {
        IpAddr::V4(address) => (AddressFamily::Inet, address.octets().to_vec()),
        IpAddr::V6(address) => (AddressFamily::Inet6, address.octets().to_vec()),
    };
    let family = u8::try_from(family as i32).unwrap_or(0);
    let mut body = vec![family, prefix, 0, 0, MAIN_TABLE, BOOT, 0, BLACKHOLE];
    body.extend(0u32.to_ne_bytes());
    let length = u16::try_from(4 + bytes.len()).unwrap_or(0);
    body.extend(length.to_ne_bytes());
    body.extend(DESTINATION.to_ne_bytes());
    body.extend(bytes);
    let mut message = Vec::new();
    message.extend(u32::try_from(16 + body.len()).unwrap_or(0).to_ne_bytes());
    message.extend(NEW_ROUTE.to_ne_bytes());
    message.extend(FLAGS.to_ne_bytes());
    message.extend(1u32.to_ne_bytes());
    message.extend(0u32.to_ne_bytes());
    message.extend(body);
    let words = |error: nix::errno::Errno| error.to_string();
    let netlink = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )
    .map_err(words)?;
    send(netlink.as_raw_fd(), &message, MsgFlags::empty()).map_err(words)?;
    let mut answer = vec![0; 4096];
    let length = recv(netlink.as_raw_fd(), &mut answer, MsgFlags::empty()).map_err(words)?;
    // An answer is a head of 16 bytes and an error number, negative, or 0.
    let code = answer
        .get(16..20)
        .filter(|_| length >= 20)
        .and_then(|bytes| bytes.try_into().ok())
        .map(i32::from_ne_bytes)
        .ok_or("the system gave no answer")?;
    match nix::errno::Errno::from_raw(-code) {
        _ if code == 0 => Ok(()),
        // The system has no IPv6: nothing of it can be reached.
        nix::errno::Errno::EEXIST
        | nix::errno::Errno::EAFNOSUPPORT
        | nix::errno::Errno::EOPNOTSUPP => Ok(()),
        error => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::{User, find_user};

    #[test]
    fn the_user_of_an_image_is_found_by_name_and_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1001::/home/node:/bin/sh\n";
        let group = "root:x:0:\nusers:x:100:\n";
        let find = |text| find_user(text, passwd, group);
        let user = |user, group| Ok(User { user, group });
        assert_eq!(find(""), user(0, 0));
        assert_eq!(find("node"), user(1000, 1001));
        assert_eq!(find("1000"), user(1000, 1001));
        assert_eq!(find("node:users"), user(1000, 100));
        assert_eq!(find("5:7"), user(5, 7));
        assert_eq!(find("5"), user(5, 0));
        assert!(find("ghost").unwrap_err().contains("no such user"));
        assert!(find("node:ghosts").unwrap_err().contains("no such group"));
        assert!(find("4294967295").is_err());
    }
}
