//! Brings the loopback device up, which gives it 127.0.0.1: one netlink message, no ioctl.

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, SendFlags, SocketType, sendto, socket};

/// `RTM_NEWLINK` of `linux/rtnetlink.h`.
const NEW_LINK: u16 = 16;
/// `NLM_F_REQUEST` of `linux/netlink.h`.
const REQUEST: u16 = 1;
/// `IFF_UP` of `linux/if.h`.
const IF_UP: u32 = 1;
/// The loopback device is the first of each network namespace.
const LOOPBACK: u32 = 1;

/// Sets the device's state to up.
pub fn up() -> Result<(), Errno> {
    // Protocol 0 is NETLINK_ROUTE.
    let socket = socket(AddressFamily::NETLINK, SocketType::RAW, None)?;
    sendto(
        &socket,
        &message(),
        SendFlags::empty(),
        &SocketAddrNetlink::new(0, 0),
    )?;
    Ok(())
}

/// `struct nlmsghdr`, then `struct ifinfomsg`.
fn message() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(32);
    bytes.extend(32_u32.to_ne_bytes());
    bytes.extend(NEW_LINK.to_ne_bytes());
    bytes.extend(REQUEST.to_ne_bytes());
    bytes.extend([0; 8]); // sequence and port: nobody answers
    bytes.extend([0; 4]); // family and type
    bytes.extend(LOOPBACK.to_ne_bytes());
    bytes.extend(IF_UP.to_ne_bytes()); // the new flags
    bytes.extend(IF_UP.to_ne_bytes()); // which of them change
    bytes
}
