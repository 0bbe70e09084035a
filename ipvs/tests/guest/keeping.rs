//! A table is kept, while somebody meddles with ipvsadm.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use ipvs::{
    Change, ChangeOutcome, DrainPolicy, IpvsBackend, IpvsError, Ownership, ReconcileEvent,
    ReconcilePolicy, Removal, Shutdown, Snapshot, Table, TableHandle, netlink::Kernel,
};
use tokio::{sync::broadcast::Receiver, time::timeout};

use super::{in_kernel, ipvsadm, parsed, table};

const DESIRED: &str = "-A -t 10.1.0.1:80 -s wrr -p 60\n\
    -a -t 10.1.0.1:80 -r 10.0.0.1:8080 -m -w 3\n\
    -a -t 10.1.0.1:80 -r 10.0.0.2:8080 -m -w 1 -x 1000 -y 500\n\
    -A -u [fd00::1]:53 -s sh -b sh-port\n\
    -a -u [fd00::1]:53 -r [fd00::2]:53 -g\n\
    -A -f 7 -s lc\n\
    -a -f 7 -r 10.0.0.2:0 -i\n";

/// A service that others set up.
const STRANGE: &str = "-A -u 10.1.0.200:53 -s wlc";

/// For whatever has no bound of its own.
const SOON: Duration = Duration::from_secs(20);

/// A kernel that remembers what it was asked to change.
struct Journal {
    kernel: Kernel,
    changes: Mutex<Vec<Change>>,
}

impl Journal {
    async fn begin() -> Arc<Self> {
        Arc::new(Self {
            kernel: Kernel::connect().await.expect("IPVS"),
            changes: Mutex::default(),
        })
    }

    /// What was asked for since it was last asked about.
    fn take(&self) -> Vec<Change> {
        std::mem::take(&mut self.changes.lock().expect("nobody panics with it"))
    }
}

#[ipvs::async_trait]
impl IpvsBackend for Journal {
    async fn snapshot(&self) -> Result<Snapshot, IpvsError> {
        self.kernel.snapshot().await
    }

    async fn apply(&self, changes: &[Change]) -> Result<Vec<ChangeOutcome>, IpvsError> {
        self.changes
            .lock()
            .expect("nobody panics with it")
            .extend_from_slice(changes);
        self.kernel.apply(changes).await
    }
}

fn meddle(line: &str) {
    ipvsadm(&line.split(' ').collect::<Vec<_>>());
}

/// Keeps the table, and waits until it is as desired.
async fn keep(journal: &Arc<Journal>, desired: &Table) -> TableHandle {
    let backend = Arc::clone(journal);
    let handle = ipvs::spawn(backend, ReconcilePolicy::default(), Ownership::default());
    handle.set(desired.clone(), Removal::AtOnce);
    let settled = timeout(SOON, handle.settled())
        .await
        .expect("in time")
        .expect("it is kept");
    assert_eq!((settled.refused, settled.unreachable), (vec![], None));
    handle
}

/// What differed, once that is repaired.
#[expect(clippy::panic, reason = "a test ends at the first surprise")]
async fn drift(events: &mut Receiver<ReconcileEvent>) -> Vec<Change> {
    let repaired = async {
        let told = events.recv().await.expect("it is kept");
        let ReconcileEvent::Drift(changes) = told else {
            panic!("{told:?}");
        };
        let then = events.recv().await;
        assert_eq!(then, Ok(ReconcileEvent::Converged), "after {changes:?}");
        changes
    };
    timeout(SOON, repaired).await.expect("in time")
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn whatever_ipvsadm_changes_is_told_and_made_as_it_was() {
    in_kernel(async |kernel| {
        meddle(STRANGE);
        let desired = parsed(DESIRED);
        let both = parsed(&format!("{DESIRED}{STRANGE}\n"));
        let journal = Journal::begin().await;
        let handle = keep(&journal, &desired).await;
        let mut events = handle.events();
        journal.take();
        for (meddling, repairs) in [
            ("-e -t 10.1.0.1:80 -r 10.0.0.1:8080 -m -w 9", 1),
            ("-e -t 10.1.0.1:80 -r 10.0.0.2:8080 -m -w 4 -x 7", 1),
            ("-d -f 7 -r 10.0.0.2:0", 1),
            ("-a -f 7 -r 10.0.0.3:0 -i", 1),
            ("-E -t 10.1.0.1:80 -s rr", 1),
            ("-D -u [fd00::1]:53", 2),
            ("-D -f 7", 2),
        ] {
            meddle(meddling);
            handle.look();
            let told = drift(&mut events).await;
            assert_eq!(told.len(), repairs, "{meddling}: {told:?}");
            assert_eq!(journal.take(), told, "{meddling}: nothing but the repair");
            let services = table(&kernel).await.services;
            assert_eq!(services, both.services, "{meddling}");
        }
        handle.shutdown(Shutdown::Remove(Removal::AtOnce)).await;
        assert_eq!(ipvsadm(&["-Sn"]), format!("{STRANGE}\n"));
    });
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn a_second_life_takes_over_without_a_single_change() {
    in_kernel(async |_| {
        meddle(STRANGE);
        let desired = parsed(DESIRED);
        let first = Journal::begin().await;
        let handle = keep(&first, &desired).await;
        assert_eq!(first.take().len(), 7);
        handle.shutdown(Shutdown::Leave).await;
        // The order of its destinations and its counters would tell that it was set up anew.
        let before = ipvsadm(&["-Ln", "--stats", "--nosort"]);
        assert_eq!(before.matches("->").count(), 1 + 4, "{before}");

        let second = Journal::begin().await;
        let handle = keep(&second, &desired).await;
        assert_eq!(second.take(), []);
        assert_eq!(ipvsadm(&["-Ln", "--stats", "--nosort"]), before);

        // It does keep the table from now on.
        let mut events = handle.events();
        ipvsadm(&["-C"]);
        handle.look();
        assert_eq!(drift(&mut events).await, second.take());
        assert_eq!(ipvsadm(&["-Sn"]).lines().count(), 7);

        meddle(STRANGE);
        let mut policy = DrainPolicy::default();
        policy.interval = Duration::from_millis(10);
        let drained = handle.shutdown(Shutdown::Remove(Removal::Drain(policy)));
        timeout(SOON, drained).await.expect("in time");
        assert_eq!(ipvsadm(&["-Sn"]), format!("{STRANGE}\n"));
    });
}
