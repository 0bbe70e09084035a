//! More connections than a program should hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use ipvs::{
    Connection, ConnectionsError, Endpoint, Family, IpvsBackend, IpvsError, Protocol, Seconds,
};
use ipvsctl::{Connections, Host, Services, Status, Streams, async_trait, run};

const MANY: usize = 200_000;
/// How many may be held at a time.
const HELD: usize = 1024;

/// A machine with many connections, which counts how many of them were written.
#[derive(Debug, Default)]
struct Busy {
    written: Arc<AtomicUsize>,
    services: Services,
}

/// Connections of ever new clients.
struct Made {
    made: usize,
    written: Arc<AtomicUsize>,
}

#[async_trait]
impl Connections for Made {
    async fn next(&mut self) -> Option<Result<Connection, ConnectionsError>> {
        let held = self
            .made
            .saturating_sub(self.written.load(Ordering::Relaxed));
        assert!(held <= HELD, "{held} are held");
        if self.made == MANY {
            return None;
        }
        self.made += 1;
        let client = 0x0a00_0000 | u32::try_from(self.made).unwrap();
        let client = Endpoint::new(IpAddr::V4(client.into()), 40_000);
        let others = ["192.0.2.1:80", "192.0.2.2:80"].map(|text| text.parse().unwrap());
        let ends = [client, others[0], others[1]];
        let connection = Connection::new(Some(Protocol::Tcp), ends, "CLOSE", Seconds::new(9));
        Some(Ok(connection))
    }
}

/// Counts lines of connections.
struct Counter(Arc<AtomicUsize>);

impl Write for Counter {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        if text.ends_with(b"192.0.2.2:80\n") {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Host for Busy {
    async fn backend(&self) -> Result<Arc<dyn IpvsBackend>, IpvsError> {
        unreachable!("connections are not in the table")
    }

    async fn connections(&self) -> Result<Box<dyn Connections>, IpvsError> {
        let written = Arc::clone(&self.written);
        Ok(Box::new(Made { made: 0, written }))
    }

    async fn address_of(&self, _: &str, _: Option<Family>) -> Option<IpAddr> {
        unreachable!("nobody is named")
    }

    async fn names_of(&self, addresses: BTreeSet<IpAddr>) -> BTreeMap<IpAddr, String> {
        assert!(addresses.len() <= 3 * HELD, "{}", addresses.len());
        BTreeMap::new()
    }

    fn services(&self) -> &Services {
        &self.services
    }
}

#[test]
fn connections_are_written_as_they_are_read() {
    for line in ["-Lnc", "-Lc"] {
        let busy = Busy::default();
        let arguments = [line.to_owned()];
        let mut errors = Vec::new();
        let streams = Streams {
            input: &mut io::empty(),
            output: &mut Counter(Arc::clone(&busy.written)),
            errors: &mut errors,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let status = runtime.block_on(run(&arguments, streams, &busy));
        assert_eq!((status, &*errors), (Status::Done, &b""[..]), "{line}");
        assert_eq!(busy.written.load(Ordering::Relaxed), MANY, "{line}");
    }
}
