//! The kernel's connections, read line by line.
//!
//! `/proc/net/ip_vs_conn` is the only list of them that there is: netlink has none. A director can
//! have millions, so [`Connections`] holds one line at a time:
//!
//! ```
//! use ipvs::{Connections, ServiceKey};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let text = "\
//! Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
//! TCP C0000207 9CBB 0A010064 0050 0A000001 1F90 ESTABLISHED     899
//! TCP C0000207 9CBC 0A010064 01BB 0A000001 1F90 ESTABLISHED     899
//! ";
//! let web = ServiceKey::tcp("10.1.0.100:80".parse()?);
//! let mut connections = Connections::new(text.as_bytes());
//! let mut open = 0;
//! while let Some(connection) = connections.next().await {
//!     match connection {
//!         Ok(connection) if connection.is_of(&web) => open += 1,
//!         Ok(_) => {}
//!         Err(error) => eprintln!("{error}"),
//!     }
//! }
//! assert_eq!(open, 1);
//! # Ok(())
//! # }
//! ```

use std::{
    io, mem,
    net::{IpAddr, Ipv4Addr},
    num::ParseIntError,
};

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

use crate::{Connection, Endpoint, Origin, Protocol, Seconds};

/// Bytes that a line may have. The kernel's have no more than 400.
const LINE: usize = 1024;

/// Connections as `/proc/net/ip_vs_conn` tells them, or `/proc/net/ip_vs_conn_sync`, which tells of
/// each how the kernel knows of it.
///
/// Those of the kernel are had by `netlink::Kernel::connections`. The list is not one moment:
/// connections come and go while it is read.
#[derive(Debug)]
pub struct Connections<R> {
    reader: R,
    /// What has been read of a line, up to [`LINE`] bytes.
    line: Vec<u8>,
    is_too_long: bool,
    /// Lines that have been read to their end.
    lines: u64,
    /// Whether the lines have the column `Origin`.
    has_origin: bool,
    is_over: bool,
}

impl<R: AsyncBufRead + Unpin> Connections<R> {
    /// Reads connections from a text.
    pub const fn new(reader: R) -> Self {
        Self {
            reader,
            line: Vec::new(),
            is_too_long: false,
            lines: 0,
            has_origin: false,
            is_over: false,
        }
    }

    /// The next connection; `None` at the end. Cancel safe.
    ///
    /// # Errors
    /// A line is not a connection, after which come the others, or the text cannot be read, which
    /// is its end.
    pub async fn next(&mut self) -> Option<Result<Connection, ConnectionsError>> {
        while !self.is_over {
            match self.read_line().await {
                Err(source) => {
                    self.is_over = true;
                    return Some(Err(ConnectionsError::Io { source }));
                }
                Ok(()) if self.line.is_empty() && !self.is_too_long => {}
                Ok(()) => {
                    let line = mem::take(&mut self.line);
                    let is_too_long = mem::take(&mut self.is_too_long);
                    let connection = self.read(&line, is_too_long);
                    // Its room serves for the next line.
                    self.line = line;
                    self.line.clear();
                    if let Some(connection) = connection {
                        return Some(connection);
                    }
                }
            }
        }
        None
    }

    /// Reads up to the end of a line; less only at the end of the text.
    async fn read_line(&mut self) -> io::Result<()> {
        loop {
            let available = self.reader.fill_buf().await?;
            let end = available.iter().position(|byte| *byte == b'\n');
            let part = available.get(..end.unwrap_or(available.len()));
            let part = part.unwrap_or_default();
            let kept = part.get(..LINE.saturating_sub(self.line.len()));
            self.is_too_long |= kept.is_some_and(|kept| kept.len() < part.len());
            self.line.extend(kept.unwrap_or(part));
            let is_over = available.is_empty();
            let length = part.len() + usize::from(end.is_some());
            self.reader.consume(length);
            self.is_over = is_over;
            if is_over || end.is_some() {
                self.lines += u64::from(end.is_some() || !self.line.is_empty());
                return Ok(());
            }
        }
    }

    /// The connection in a line; `None` in the one above them.
    fn read(
        &mut self,
        line: &[u8],
        is_too_long: bool,
    ) -> Option<Result<Connection, ConnectionsError>> {
        if self.lines == 1 && line.starts_with(b"Pro ") {
            self.has_origin = line.windows(8).any(|word| word == b" Origin ");
            return None;
        }
        let number = self.lines;
        if is_too_long {
            return Some(Err(ConnectionsError::TooLong { line: number }));
        }
        let line = String::from_utf8_lossy(line);
        let read = Columns(&line).read(self.has_origin);
        Some(read.map_err(|flaw| ConnectionsError::Line {
            line: number,
            what: flaw.what,
            found: flaw.found.chars().take(64).collect(),
        }))
    }
}

/// Why a connection could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionsError {
    /// The text cannot be read any further.
    #[error("cannot read the connections to their end")]
    Io {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line is not as the kernel writes it.
    #[error("connections, line {line}: `{found}` is not {what}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// What was expected.
        what: &'static str,
        /// What is there instead.
        found: String,
    },
    /// A line is longer than any of the kernel's.
    #[error("connections, line {line}: it has more than {LINE} bytes")]
    TooLong {
        /// Its number, from 1.
        line: u64,
    },
}

/// Something in a line that is not what it should be.
#[derive(Debug)]
struct Flaw<'a> {
    what: &'static str,
    found: &'a str,
}

/// The rest of a line.
struct Columns<'a>(&'a str);

impl<'a> Columns<'a> {
    fn read(mut self, has_origin: bool) -> Result<Connection, Flaw<'a>> {
        let protocol = match self.next() {
            "TCP" => Some(Protocol::Tcp),
            "UDP" => Some(Protocol::Udp),
            "SCTP" => Some(Protocol::Sctp),
            "IP" => None,
            found => {
                return Err(Flaw {
                    what: "a protocol that IPVS balances",
                    found,
                });
            }
        };
        let ends = [self.endpoint()?, self.endpoint()?, self.endpoint()?];
        let state = self.next();
        if state.is_empty() {
            return Err(Flaw {
                what: "a state",
                found: state,
            });
        }
        let origin = match has_origin.then(|| self.next()) {
            None => None,
            Some("LOCAL") => Some(Origin::Local),
            Some("SYNC") => Some(Origin::Synced),
            Some(found) => {
                return Err(Flaw {
                    what: "an origin",
                    found,
                });
            }
        };
        let found = self.next();
        let seconds = found.parse().map_err(|_| Flaw {
            what: "a number of seconds",
            found,
        })?;
        let mut connection = Connection::new(protocol, ends, state, Seconds::new(seconds));
        connection.origin = origin;
        let engine = self.next();
        if !engine.is_empty() {
            let data = self.0.strip_prefix(' ').unwrap_or(self.0);
            connection.engine = Some((engine.to_owned(), data.to_owned()));
        }
        Ok(connection)
    }

    /// The next column; empty at the end.
    fn next(&mut self) -> &'a str {
        let rest = self.0.trim_start_matches(' ');
        let (column, rest) = rest.split_at(rest.find(' ').unwrap_or(rest.len()));
        self.0 = rest;
        column
    }

    /// Two columns: an address in eight hexadecimal digits, or in eight groups, and a port in four
    /// digits.
    fn endpoint(&mut self) -> Result<Endpoint, Flaw<'a>> {
        let found = self.next();
        let address = match found.contains(':') {
            true => found.parse().ok().map(IpAddr::V6),
            false => hexadecimal(found, 8, u32::from_str_radix)
                .map(|bits| Ipv4Addr::from_bits(bits).into()),
        };
        let address = address.ok_or(Flaw {
            what: "an address in hexadecimal digits",
            found,
        })?;
        let found = self.next();
        let port = hexadecimal(found, 4, u16::from_str_radix);
        let port = port.ok_or(Flaw {
            what: "a port of four hexadecimal digits",
            found,
        })?;
        Ok(Endpoint::new(address, port))
    }
}

fn hexadecimal<T>(
    text: &str,
    digits: usize,
    parse: impl FnOnce(&str, u32) -> Result<T, ParseIntError>,
) -> Option<T> {
    let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_number.then(|| parse(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests;
