//! The messages of the kernel's generic netlink family `IPVS`, version 1, without the netlink and
//! generic netlink framing of a socket: what follows the 16 bytes of `nlmsghdr`.
//!
//! A message is the four bytes of `genlmsghdr` and attributes, nested once:
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+-------------------------------+
//! |    command    |  version = 1  |          reserved = 0         |
//! +---------------+---------------+---+-+-------------------------+
//! |       length with header      |N|B|          type             |  N: attributes inside
//! +-------------------------------+---+---------------------------+  B: in network order
//! |                  value, filled up to 4 bytes                  |
//! +---------------------------------------------------------------+
//! ```
//!
//! Numbers are in the machine's order, except ports of services and destinations, IPv4 addresses
//! and netmasks, which are in network order whatever bit B says; the netmask of IPv6 clients is
//! the length of a prefix, in the machine's order. Attributes that are not known are passed over,
//! and so is whether the kernel sets bit N, which it does not.
//!
//! [`Request`] is what the kernel is asked, [`Reply`] what it answers; both can be written and
//! read, so that a test can be the other side. [`Request::encode`] and [`Request::decode`] are the
//! inverse of one another, and so are those of [`Reply`].

pub(crate) mod attribute;
mod counters;
mod daemon;
mod destination;
mod reply;
mod request;
mod service;

pub use reply::Reply;
pub use request::{Query, Request};

/// Name of the generic netlink family.
pub const FAMILY: &str = "IPVS";

/// Version of the family.
pub const VERSION: u8 = 1;

/// A message that is not one of the family.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// It ends too early, or an attribute is longer than what holds it.
    #[error("the message ends in the middle of {what}")]
    Truncated {
        /// Of what.
        what: &'static str,
    },
    /// A command that is not expected here.
    #[error("command {command} is not one that is expected here")]
    Command {
        /// Its number (`IPVS_CMD_*`).
        command: u8,
    },
    /// An attribute that has to be there.
    #[error("there is no {attribute}")]
    Missing {
        /// Its name in the kernel's header.
        attribute: &'static str,
    },
    /// An attribute of a length that its type does not have.
    #[error("{attribute} has {length} bytes")]
    Length {
        /// Its name in the kernel's header.
        attribute: &'static str,
        /// The length in bytes.
        length: usize,
    },
    /// An attribute with a value that means nothing.
    #[error("{attribute} is {value}, which means nothing")]
    Value {
        /// Its name in the kernel's header.
        attribute: &'static str,
        /// The value.
        value: u32,
    },
    /// An attribute whose text is no name.
    #[error("{attribute} is not a name")]
    Name {
        /// Its name in the kernel's header.
        attribute: &'static str,
    },
}

/// `IPVS_CMD_*`.
mod command {
    pub(super) const NEW_SERVICE: u8 = 1;
    pub(super) const SET_SERVICE: u8 = 2;
    pub(super) const DEL_SERVICE: u8 = 3;
    pub(super) const GET_SERVICE: u8 = 4;
    pub(super) const NEW_DEST: u8 = 5;
    pub(super) const SET_DEST: u8 = 6;
    pub(super) const DEL_DEST: u8 = 7;
    pub(super) const GET_DEST: u8 = 8;
    pub(super) const NEW_DAEMON: u8 = 9;
    pub(super) const DEL_DAEMON: u8 = 10;
    pub(super) const GET_DAEMON: u8 = 11;
    pub(super) const SET_CONFIG: u8 = 12;
    pub(super) const GET_CONFIG: u8 = 13;
    pub(super) const SET_INFO: u8 = 14;
    pub(super) const GET_INFO: u8 = 15;
    pub(super) const ZERO: u8 = 16;
    pub(super) const FLUSH: u8 = 17;
}

/// `IPVS_CMD_ATTR_*`: the attributes of a message itself.
mod top {
    pub(super) const SERVICE: u16 = 1;
    pub(super) const DEST: u16 = 2;
    pub(super) const DAEMON: u16 = 3;
    pub(super) const TIMEOUT_TCP: u16 = 4;
    pub(super) const TIMEOUT_TCP_FIN: u16 = 5;
    pub(super) const TIMEOUT_UDP: u16 = 6;
}

fn begin(command: u8, out: &mut Vec<u8>) {
    out.extend([command, VERSION, 0, 0]);
}

/// The command of a message and its attributes.
fn open(message: &[u8]) -> Result<(u8, &[u8]), WireError> {
    match message {
        [command, _, _, _, attributes @ ..] => Ok((*command, attributes)),
        _ => Err(WireError::Truncated { what: "genlmsghdr" }),
    }
}
