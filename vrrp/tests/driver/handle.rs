//! What a program sees of its node.

use tokio::{
    sync::broadcast::error::TryRecvError,
    time::{sleep, timeout},
};
use vrrp::{
    Checksum, ConfigProblem, ConfigureError, Event, Family, Happening, Priority, RejectReason,
    Role, TTL, fake::Frame,
};

use crate::rig::*;

#[tokio::test(start_paused = true)]
async fn a_router_that_the_node_does_not_have_has_no_role() {
    let site = Site::new();
    let a = site.station(1);
    assert!(a.handle.role("VI_1").is_none());
    a.configure([config(100)]).await;
    assert!(a.is(Role::Backup), "it has started when configure returns");
    a.configure([]).await;
    assert!(a.handle.role("VI_1").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_configuration_with_an_error_is_refused_and_the_node_goes_on() {
    let site = Site::new();
    let a = site.station(1);
    a.configure([config(100)]).await;
    let error = a
        .handle
        .configure([config(100), config(50)])
        .await
        .unwrap_err();
    let ConfigureError::Config(error) = error else {
        panic!("{error}");
    };
    assert_eq!(error.problem, ConfigProblem::SameName);
    a.becomes(Role::Master).await;
    about(site.elapsed(), DOWN);
}

#[tokio::test(start_paused = true)]
async fn the_status_tells_how_everything_stands() {
    let site = Site::new();
    let [a, b] = [1, 2].map(|number| site.station(number));
    a.configure([config(150)]).await;
    b.configure([config(100)]).await;
    a.becomes(Role::Master).await;
    sleep(SECOND * 5 / 2).await;
    let [of_a, of_b] = [
        a.handle.status().await.unwrap(),
        b.handle.status().await.unwrap(),
    ];
    let (master, backup) = (&of_a.routers[0], &of_b.routers[0]);
    assert_eq!((master.role, backup.role), (Role::Master, Role::Backup));
    assert_eq!(master.priority, Priority::new(150).unwrap());
    assert_eq!(master.source, Some([192, 0, 2, 1].into()));
    assert_eq!(master.counters.sent, 3);
    assert_eq!(backup.counters.received, 3);
    let heard = backup.master.unwrap();
    assert_eq!(heard.address, master.source.unwrap());
    assert_eq!(heard.priority, master.priority);
    assert_eq!(of_a.ports[0].rejections.total(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_lags_misses_the_oldest_events_and_delays_nobody() {
    let site = Site::new();
    let a = site.station(1);
    a.configure([config(150)]).await;
    a.becomes(Role::Master).await;
    let mut slow = a.handle.events();
    let (first, _) = site.sent_by(&a)[0];
    for number in 0..50_u8 {
        for _ in 0..100 {
            site.lan.inject(lower_priority(100 + number));
        }
        sleep(SECOND / 100).await;
    }
    let Err(TryRecvError::Lagged(missed)) = slow.try_recv() else {
        panic!("it did not lag");
    };
    assert_eq!(missed, 5000 - 4096);
    // What is left is in order, and complete.
    let mut left = 0;
    while let Ok(happening) = slow.try_recv() {
        let lower = matches!(
            happening,
            Happening::Router {
                event: Event::LowerPriorityReceived { .. },
                ..
            }
        );
        left += usize::from(lower);
    }
    assert_eq!(left, 4096);
    let sent = site.sent_by(&a);
    assert!(sent.len() > 5000, "each was answered: {}", sent.len());
    assert!(a.is(Role::Master));
    sleep(SECOND * 3 / 2).await;
    assert!(site.sent_by(&a).last().unwrap().0 > first);
}

#[tokio::test(start_paused = true)]
async fn garbage_and_strangers_are_counted() {
    let site = Site::new();
    let mut a = site.station(1);
    a.configure([config(150)]).await;
    let mut broken = lower_priority(9);
    let mut bytes = broken.message.to_vec();
    bytes[6] ^= 0xff;
    broken.message = bytes.into();
    site.lan.inject(broken);
    let mut far = lower_priority(9);
    far.ttl = 64;
    site.lan.inject(far);
    let mut stranger = config(100);
    stranger.vrid = vrrp::Vrid::new(99).unwrap();
    site.lan.inject(frame(&stranger, 9));
    sleep(TICK).await;
    let status = a.handle.status().await.unwrap();
    let checksum = status.ports[0].rejections.of(RejectReason::Checksum);
    assert_eq!(checksum, 1);
    let ttl = status.routers[0].counters.rejected.of(RejectReason::Ttl);
    assert_eq!(ttl, 1);
    assert_eq!(status.unknown_vrids, 1);
    let mut unknown = Vec::new();
    while let Ok(happening) = a.events.try_recv() {
        if let Happening::UnknownVrid { vrid, from, .. } = happening {
            unknown.push((vrid.as_u8(), from));
        }
    }
    assert_eq!(unknown, [(99, [192, 0, 2, 9].into())]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_has_stopped_says_so() {
    let site = Site::new();
    let a = site.station(1);
    a.configure([config(100)]).await;
    let (mut role, mut events) = (a.role(), a.handle.events());
    a.handle.shutdown().await;
    assert_eq!(*role.borrow_and_update(), Role::Stopped);
    let stopped = events.recv().await.unwrap();
    assert!(matches!(
        stopped,
        Happening::Router {
            event: Event::RoleChanged {
                to: Role::Stopped,
                ..
            },
            ..
        }
    ));
    // Nobody will ever tell more.
    let end = timeout(SECOND, events.recv()).await.unwrap();
    assert!(end.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_that_is_not_waited_for_happens_all_the_same() {
    let site = Site::new();
    let a = site.station(1);
    a.configure([config(100)]).await;
    a.becomes(Role::Master).await;
    let host = a.host.clone();
    let shutdown = a.handle.shutdown();
    drop(shutdown);
    sleep(TICK).await;
    assert!(!host.holds(vip().address));
}

fn lower_priority(host: u8) -> Frame {
    frame(&config(1), host)
}

fn frame(config: &vrrp::RouterConfig, host: u8) -> Frame {
    Frame::encode(
        &config.advertisement().unwrap(),
        [192, 0, 2, host].into(),
        Family::V4.multicast_group(),
        TTL,
        Checksum::Message,
    )
}
