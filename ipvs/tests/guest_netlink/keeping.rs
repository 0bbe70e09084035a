//! A table is kept, while somebody meddles with ipvsadm.

use std::{sync::Arc, time::Duration};

use ipvs::{
    DrainPolicy, Ownership, ReconcileEvent, ReconcilePolicy, Removal, Shutdown, TableHandle,
    netlink::Kernel,
};
use tokio::{sync::broadcast::Receiver, time::timeout};

use super::{in_kernel, ipvsadm, parsed, table};

const WEB: &str = "-A -t 10.1.0.100:80 -s rr\n\
                   -a -t 10.1.0.100:80 -r 10.0.0.1:80 -m -w 1\n\
                   -a -t 10.1.0.100:80 -r 10.0.0.2:80 -m -w 1\n";
const STRANGE: [&str; 5] = ["-A", "-u", "10.1.0.200:53", "-s", "wlc"];

fn keep(kernel: &Kernel) -> TableHandle {
    let owned = Ownership::of(&parsed(WEB));
    let backend = Arc::new(kernel.clone());
    ipvs::spawn(backend, ReconcilePolicy::default(), owned)
}

/// Waits for an event, but not for ever.
async fn wait_for(
    events: &mut Receiver<ReconcileEvent>,
    is_it: impl Fn(&ReconcileEvent) -> bool,
) -> Vec<ReconcileEvent> {
    let mut seen = Vec::new();
    let waiting = async {
        loop {
            seen.push(events.recv().await.expect("it is kept"));
            if seen.last().is_some_and(&is_it) {
                return;
            }
        }
    };
    let came = timeout(Duration::from_secs(60), waiting).await;
    assert!(came.is_ok(), "it never comes: {seen:?}");
    seen
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn drift_is_repaired_strangers_stay_and_the_next_life_touches_nothing() {
    in_kernel(async |kernel| {
        ipvsadm(&STRANGE);
        let desired = parsed(WEB);
        let first = keep(&kernel);
        first.set(desired.clone(), Removal::AtOnce);
        first.settled().await.expect("it is kept");
        let kept = ipvsadm(&["-Sn"]);
        assert!(
            kept.contains("10.0.0.2:80") && kept.contains("10.1.0.200:53"),
            "{kept}"
        );

        for meddled in [
            &["-d", "-t", "10.1.0.100:80", "-r", "10.0.0.2:80"][..],
            &["-E", "-t", "10.1.0.100:80", "-s", "wrr"],
            &["-a", "-t", "10.1.0.100:80", "-r", "10.0.0.3:80", "-m"],
            &["-D", "-t", "10.1.0.100:80"],
        ] {
            let mut events = first.events();
            ipvsadm(meddled);
            first.look();
            let seen = wait_for(&mut events, |it| *it == ReconcileEvent::Converged).await;
            assert!(
                matches!(seen[..], [ReconcileEvent::Drift(_), _]),
                "{seen:?}"
            );
            let services = table(&kernel).await.services;
            assert!(
                desired
                    .services
                    .iter()
                    .all(|(key, it)| services.get(key) == Some(it))
            );
            assert_eq!(services.len(), 2, "the stranger's too");
        }
        first.shutdown(Shutdown::Leave).await;

        // The order of the list tells whether anything was added anew.
        let (before, order) = (table(&kernel).await, ipvsadm(&["-Ln", "--nosort"]));
        let second = keep(&kernel);
        let mut events = second.events();
        second.set(desired, Removal::AtOnce);
        second.settled().await.expect("it is kept");
        assert_eq!(events.recv().await, Ok(ReconcileEvent::Converged));
        assert_eq!(table(&kernel).await, before);
        assert_eq!(ipvsadm(&["-Ln", "--nosort"]), order);

        let mut policy = DrainPolicy::default();
        policy.interval = Duration::from_millis(10);
        second
            .shutdown(Shutdown::Remove(Removal::Drain(policy)))
            .await;
        assert_eq!(ipvsadm(&["-Sn"]), "-A -u 10.1.0.200:53 -s wlc\n");
    });
}
