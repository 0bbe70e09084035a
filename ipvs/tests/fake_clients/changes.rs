//! What becomes of clients when the table changes.

use std::sync::Arc;

use ipvs::{
    Change, DrainEnd, DrainPolicy, IpvsBackend, Ownership, ReconcileEvent, ReconcilePolicy,
    Removal, SchedulerName, WaitFor,
    fake::{Dropped, Flow, Kernel},
};

use crate::{NAT, SECOND, at, client, counts, kernel, states, table, web, web_address};

#[tokio::test]
async fn connections_of_a_removed_destination_stall_and_go_on_when_it_is_back() {
    let kernel = kernel(NAT);
    let connection = kernel.connect(client(0)).unwrap();
    let (service, destination) = (web(), connection.destination);
    let settings = crate::destination(&kernel, service, "10.0.0.1:8080")
        .await
        .settings;
    let add = Change::AddDestination {
        service,
        destination,
        settings,
    };
    kernel
        .change(Change::RemoveDestination {
            service,
            destination,
        })
        .unwrap();
    assert_eq!(
        kernel.send(client(0)),
        Err(Dropped::Removed { destination })
    );
    assert_eq!(
        kernel.connect(client(0)),
        Err(Dropped::Removed { destination })
    );
    kernel.advance(500 * SECOND);
    kernel.change(add).unwrap();
    assert_eq!(counts(&kernel, service, "10.0.0.1:8080").await, [1, 0, 0]);
    // What was dropped did not prolong it.
    assert_eq!(states(&kernel), [("ESTABLISHED".to_owned(), 400)]);
    kernel.send(client(0)).unwrap();

    // The whole service: another scheduler, the same connections.
    kernel.change(Change::RemoveService { service }).unwrap();
    assert_eq!(
        kernel.send(client(0)),
        Err(Dropped::Removed { destination })
    );
    let settings = ipvs::ServiceSettings::new(SchedulerName::MH);
    kernel
        .change(Change::AddService { service, settings })
        .unwrap();
    kernel.change(add).unwrap();
    kernel.send(client(0)).unwrap();
    assert_eq!(counts(&kernel, service, "10.0.0.1:8080").await, [1, 0, 0]);
}

#[tokio::test]
async fn an_edit_that_keeps_the_scheduler_keeps_its_place_in_the_round() {
    let kernel = kernel(&format!("{NAT}-a -t 10.1.0.100:80 -r 10.0.0.2:8080 -m\n"));
    let first = kernel.connect(client(0)).unwrap().destination;
    let service = web();
    let settings = kernel.snapshot().await.unwrap().services[0].settings;
    kernel
        .change(Change::SetService { service, settings })
        .unwrap();
    let second = kernel.connect(client(1)).unwrap().destination;
    assert_ne!(second, first);
    // Away and back: it begins at the front of the list again, where the newest is.
    for scheduler in [SchedulerName::WLC, "rr".parse().unwrap()] {
        let settings = ipvs::ServiceSettings::new(scheduler);
        kernel
            .change(Change::SetService { service, settings })
            .unwrap();
    }
    let newest = kernel.snapshot().await.unwrap().services[0].destinations[0].key;
    assert_eq!(kernel.connect(client(2)).unwrap().destination, newest);
}

#[tokio::test(start_paused = true)]
async fn a_table_is_emptied_without_cutting_a_client_off() {
    let kernel = Kernel::new();
    let mut policy = DrainPolicy::default();
    policy.wait_for = WaitFor::Traffic;
    let keeper = ipvs::spawn(
        Arc::new(kernel.clone()),
        ReconcilePolicy::default(),
        Ownership::default(),
    );
    let both = format!("{NAT}-a -t 10.1.0.100:80 -r 10.0.0.2:8080 -m\n");
    keeper.set(table(&both), Removal::AtOnce);
    keeper.settled().await.unwrap();
    let mut events = keeper.events();
    let clients: Vec<_> = (0..20).map(client).collect();
    for flow in &clients {
        kernel.connect(*flow).unwrap();
    }

    keeper.set(table(NAT), Removal::Drain(policy));
    let leaving = at("10.0.0.2:8080");
    let mut open = clients.clone();
    while !open.is_empty() {
        for _ in 0..5 {
            tokio::time::sleep(SECOND).await;
            kernel.advance(SECOND);
        }
        for flow in &open {
            kernel.send(*flow).expect("nobody cuts it off");
        }
        kernel.close(open.remove(0)).unwrap();
        let fresh = Flow::tcp(at("192.0.2.9:4012"), web_address());
        assert_ne!(kernel.connect(fresh).unwrap().destination, leaving);
        kernel.reset(fresh).unwrap();
    }
    for _ in 0..5 {
        tokio::time::sleep(SECOND).await;
    }
    let snapshot = kernel.snapshot().await.unwrap();
    assert_eq!(snapshot.table().services, table(NAT).services);
    let mut ends = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let ReconcileEvent::Drained { end, .. } = event {
            ends.push(end);
        }
    }
    assert!(
        matches!(&ends[..], [DrainEnd::Removed { left }] if left.active == 0),
        "{ends:?}"
    );
}

#[tokio::test]
async fn a_removed_destination_is_known_for_two_minutes_after_its_last_connection() {
    for (away, connections) in [(900 + 119, 1), (900 + 120, 0)] {
        let kernel = kernel(NAT);
        let destination = kernel.connect(client(0)).unwrap().destination;
        let service = web();
        let settings = crate::destination(&kernel, service, "10.0.0.1:8080")
            .await
            .settings;
        let remove = Change::RemoveDestination {
            service,
            destination,
        };
        kernel.change(remove).unwrap();
        kernel.advance(away * SECOND);
        let add = Change::AddDestination {
            service,
            destination,
            settings,
        };
        kernel.change(add).unwrap();
        let seen = crate::destination(&kernel, service, "10.0.0.1:8080").await;
        assert_eq!(seen.statistics.total.connections, connections);
        assert_eq!(seen.counts, ipvs::Counts::ZERO);
    }
}
