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
mod tests {
    use std::{
        pin::Pin,
        task::{Context, Poll},
    };

    use proptest::prelude::*;
    use tokio::io::{AsyncRead, AsyncWriteExt as _, BufReader, ReadBuf, duplex};

    use super::*;

    const TITLE: &str =
        "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n";
    const ROW: &str = "TCP C0000207 9CBB 0A010064 0050 0A000001 1F90 ESTABLISHED     899\n";

    async fn all(text: &[u8]) -> Vec<Result<Connection, String>> {
        // A few bytes at a time, as they may come.
        let mut connections = Connections::new(BufReader::with_capacity(7, text));
        let mut read = Vec::new();
        while let Some(connection) = connections.next().await {
            read.push(connection.map_err(|error| error.to_string()));
        }
        assert!(connections.next().await.is_none(), "the end is the end");
        read
    }

    fn row(protocol: Option<Protocol>, ends: [&str; 3], state: &str, expires: u32) -> Connection {
        let ends = ends.map(|text| text.parse().unwrap());
        Connection::new(protocol, ends, state, Seconds::new(expires))
    }

    #[tokio::test]
    async fn rows_of_every_kind_are_read() {
        let v6 = "UDP 2001:0db8:0000:0000:0000:0000:0000:0001 C350 \
                  fd00:0000:0000:0000:0000:0000:0000:0100 0035 0A000001 0035 UDP             299\n";
        let engine =
            "UDP C0000207 13C4 0A010064 13C4 0A000001 13C4 NONE            119 sip 3c26 7@host\n";
        let template = "IP  C0000200 0000 00000007 0000 0A000001 0000 NONE              9";
        let read = all([TITLE, ROW, v6, engine, template].concat().as_bytes()).await;
        let mut by_engine = row(
            Some(Protocol::Udp),
            ["192.0.2.7:5060", "10.1.0.100:5060", "10.0.0.1:5060"],
            "NONE",
            119,
        );
        by_engine.engine = Some(("sip".to_owned(), "3c26 7@host".to_owned()));
        let expected = [
            row(
                Some(Protocol::Tcp),
                ["192.0.2.7:40123", "10.1.0.100:80", "10.0.0.1:8080"],
                "ESTABLISHED",
                899,
            ),
            row(
                Some(Protocol::Udp),
                ["[2001:db8::1]:50000", "[fd00::100]:53", "10.0.0.1:53"],
                "UDP",
                299,
            ),
            by_engine,
            row(None, ["192.0.2.0:0", "0.0.0.7:0", "10.0.0.1:0"], "NONE", 9),
        ];
        assert_eq!(read, expected.map(Ok));
    }

    #[tokio::test]
    async fn the_origin_is_read_where_there_is_one() {
        let title = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Origin Expires\n";
        let local = "TCP C0000207 9CBB 0A010064 0050 0A000001 1F90 ESTABLISHED LOCAL      899\n";
        let synced = local.replace("LOCAL ", "SYNC  ");
        let read = all([title, local, &synced].concat().as_bytes()).await;
        let origins: Vec<_> = read.into_iter().map(|row| row.unwrap().origin).collect();
        assert_eq!(origins, [Some(Origin::Local), Some(Origin::Synced)]);
        let wrong = all([title, ROW].concat().as_bytes()).await;
        assert_eq!(
            wrong,
            [Err("connections, line 2: `899` is not an origin".to_owned())]
        );
    }

    #[tokio::test]
    async fn a_wrong_line_is_told_with_its_number_and_the_others_are_read() {
        let long = "TCP ".repeat(10_000) + "\n";
        let wrong = [
            (
                "ICMP C0000207",
                "`ICMP` is not a protocol that IPVS balances",
            ),
            (
                "TCP C00002",
                "`C00002` is not an address in hexadecimal digits",
            ),
            (
                "TCP +0000207",
                "`+0000207` is not an address in hexadecimal digits",
            ),
            (
                "TCP C0000207 50",
                "`50` is not a port of four hexadecimal digits",
            ),
            (
                "TCP C0000207 9CBB 0A010064 0050",
                "`` is not an address in hexadecimal digits",
            ),
            (
                &ROW.replace("899", "never"),
                "`never` is not a number of seconds",
            ),
            (&ROW[..45], "`` is not a state"),
            (&long, "it has more than 1024 bytes"),
            ("\u{0}", "`\u{0}` is not a protocol that IPVS balances"),
        ];
        for (line, complaint) in wrong {
            let text = [TITLE, ROW, line.trim_end(), "\n", ROW].concat();
            let read = all(text.as_bytes()).await;
            assert_eq!(read.len(), 3, "{line}");
            assert!(read[0].is_ok() && read[2].is_ok(), "{line}");
            assert_eq!(read[1], Err(format!("connections, line 3: {complaint}")));
        }
        assert_eq!(all(b"").await, []);
        assert_eq!(all(TITLE.as_bytes()).await, []);
    }

    /// A line, again and again.
    struct Endless {
        rows_left: usize,
        at: usize,
    }

    impl AsyncRead for Endless {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            while self.rows_left > 0 && buffer.remaining() > 0 {
                let part = &ROW.as_bytes()[self.at..];
                let length = part.len().min(buffer.remaining());
                buffer.put_slice(&part[..length]);
                self.at = (self.at + length) % ROW.len();
                self.rows_left -= usize::from(self.at == 0);
            }
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_million_lines_are_read_in_the_room_of_one() {
        let rows_left = 1_000_000;
        let mut connections = Connections::new(BufReader::new(Endless { rows_left, at: 0 }));
        let mut read = 0;
        while let Some(connection) = connections.next().await {
            assert!(connection.is_ok());
            read += 1;
        }
        assert_eq!(read, rows_left);
        assert!(connections.line.capacity() <= 2 * LINE);
    }

    #[tokio::test]
    async fn what_is_dropped_in_the_middle_of_a_line_goes_on_there() {
        let (mut kernel, reader) = duplex(16);
        let mut connections = Connections::new(BufReader::new(reader));
        for part in ROW.as_bytes().chunks(10) {
            kernel.write_all(part).await.unwrap();
            let next = tokio::select! {
                biased;
                next = connections.next() => next,
                () = tokio::task::yield_now() => None,
            };
            assert_eq!(next.is_some(), part.ends_with(b"\n"));
        }
    }

    #[tokio::test]
    async fn a_text_that_breaks_off_is_told_of_once() {
        struct Broken;
        impl AsyncRead for Broken {
            fn poll_read(
                self: Pin<&mut Self>,
                _: &mut Context<'_>,
                _: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                Poll::Ready(Err(io::ErrorKind::Other.into()))
            }
        }
        let mut connections = Connections::new(BufReader::new(Broken));
        assert!(matches!(
            connections.next().await,
            Some(Err(ConnectionsError::Io { .. }))
        ));
        assert!(connections.next().await.is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_connections_or_errors(bytes: Vec<u8>) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            prop_assert!(runtime.block_on(all(&bytes)).len() <= lines.count());
        }
    }
}
