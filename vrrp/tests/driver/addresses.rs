//! A kernel that refuses, takes its time, does not answer, or a manager that panics.

use std::{
    io::ErrorKind,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::time::sleep;
use vrrp::{
    Event, Role, Vip, VipError, VipManager, async_trait,
    fake::{Operation, Vips},
};

use crate::rig::*;

#[tokio::test(start_paused = true)]
async fn addresses_that_are_refused_are_a_fault_and_tried_again_with_a_longer_pause_each_time() {
    let site = Site::new();
    let mut a = site.station(1);
    for _ in 0..3 {
        a.vips
            .fail_next(Operation::Acquire, ErrorKind::PermissionDenied);
    }
    a.configure([config(100)]).await;
    a.becomes(Role::Master).await;
    about_after(7, site.elapsed(), 4 * DOWN + 7 * SECOND);
    let mut retries = Vec::new();
    let mut roles = Vec::new();
    for event in a.told() {
        if let Event::AcquireFailed { error, retry_in } = &event {
            assert!(error.contains("CAP_NET_ADMIN"), "{error}");
            retries.push(retry_in.as_secs());
        }
        if let Event::RoleChanged { to, .. } = event {
            roles.push(to);
        }
    }
    assert_eq!(retries, [1, 2, 4]);
    let tries = [Role::Backup, Role::Fault].repeat(3);
    assert_eq!(roles, [&tries[..], &[Role::Backup, Role::Master]].concat());
    let sent: Vec<_> = site.sent_by(&a).iter().map(|(_, sent)| *sent).collect();
    assert_eq!(sent, [100, 0, 100, 0, 100, 0, 100]);
}

#[tokio::test(start_paused = true)]
async fn a_kernel_that_does_not_answer_delays_no_advertisement() {
    for hung in [Operation::Acquire, Operation::Announce] {
        let site = Site::new();
        let a = site.station(1);
        a.vips.hang(hung);
        a.configure([config(100)]).await;
        sleep(DOWN + 10 * SECOND + 5 * TICK).await;
        let sent = site.sent_by(&a);
        assert_eq!(sent.len(), 11, "{sent:?}");
        for (n, (at, priority)) in (0..).zip(&sent) {
            about(*at, DOWN + n * SECOND);
            assert_eq!(*priority, 100);
        }
        assert!(a.is(Role::Backup), "nobody is told before it is true");
        a.vips.recover(hung);
        a.becomes(Role::Master).await;
        assert!(a.holds());
    }
}

#[tokio::test(start_paused = true)]
async fn a_kernel_that_is_slow_for_one_router_delays_no_other() {
    let site = Site::new();
    let a = site.station(1);
    let mut other = config(100);
    other.name = "VI_2".into();
    other.vrid = vrrp::Vrid::new(52).unwrap();
    other.vips = vec!["192.0.2.200/24".parse().unwrap()];
    let slow = Slow(a.vips.clone(), vip().address);
    let handle = vrrp::spawn(Arc::new(a.host.clone()), Arc::new(slow));
    handle.configure([config(100), other]).await.unwrap();
    let role = |name: &str| *handle.role(name).unwrap().borrow();
    sleep(DOWN + 10 * TICK).await;
    assert_eq!([role("VI_1"), role("VI_2")], [Role::Backup, Role::Master]);
    sleep(5 * SECOND).await;
    assert_eq!([role("VI_1"), role("VI_2")], [Role::Master, Role::Master]);
}

#[tokio::test(start_paused = true)]
async fn addresses_that_cannot_be_removed_are_tried_again_until_they_are() {
    let site = Site::new();
    let mut a = site.station(1);
    a.configure([config(100)]).await;
    a.becomes(Role::Master).await;
    a.told();
    for _ in 0..3 {
        a.vips
            .fail_next(Operation::Release, ErrorKind::ResourceBusy);
    }
    a.handle.set_fault("VI_1", true);
    sleep(SECOND * 5 / 2).await;
    assert!(a.holds());
    sleep(SECOND).await;
    assert!(!a.holds());
    let failures = a
        .told()
        .into_iter()
        .filter(|event| matches!(event, Event::ReleaseFailed { .. }));
    assert_eq!(failures.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_tells_which_addresses_it_could_not_remove() {
    let site = Site::new();
    let mut a = site.station(1);
    a.configure([config(100)]).await;
    a.becomes(Role::Master).await;
    a.told();
    a.vips
        .fail_every(Operation::Release, ErrorKind::ResourceBusy);
    let mut events = a.handle.events();
    a.handle.shutdown().await;
    let mut told = Vec::new();
    while let Ok(happening) = events.try_recv() {
        if let vrrp::Happening::Router { event, .. } = happening {
            told.push(event);
        }
    }
    assert!(
        matches!(
            &told[..],
            [
                Event::RoleChanged {
                    to: Role::Stopped,
                    ..
                },
                Event::ReleaseFailed { .. }
            ]
        ),
        "{told:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_ever() {
    let site = Site::new();
    let a = site.station(1);
    a.configure([config(100)]).await;
    a.becomes(Role::Master).await;
    a.vips.hang(Operation::Release);
    let began_at = site.elapsed();
    a.handle.shutdown().await;
    about(site.elapsed(), began_at + 10 * SECOND);
    assert_eq!(site.sent().last().unwrap().2, 0);
}

#[tokio::test(start_paused = true)]
async fn announcements_with_a_gap_give_way_to_what_comes_after() {
    let site = Site::new();
    let a = site.station(1);
    let mut slow = config(100);
    slow.announce.gap = 10 * SECOND;
    a.configure([slow]).await;
    sleep(DOWN + 10 * TICK).await;
    assert!(a.is(Role::Master), "it is told without waiting for them");
    let began_at = site.elapsed();
    a.handle.shutdown().await;
    about(site.elapsed(), began_at);
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_panics_has_failed_and_is_asked_again() {
    let site = Site::new();
    let host = site.host(1);
    let manager = Panics(Vips::on(&host), AtomicU32::new(2));
    let handle = vrrp::spawn(Arc::new(host.clone()), Arc::new(manager));
    let mut events = handle.events();
    handle.configure([config(100)]).await.unwrap();
    let mut role = handle.role("VI_1").unwrap();
    role.wait_for(|role| *role == Role::Master).await.unwrap();
    assert!(host.holds(vip().address));
    let mut failures = 0;
    while let Ok(happening) = events.try_recv() {
        if let vrrp::Happening::Router {
            event: Event::AcquireFailed { error, .. },
            ..
        } = happening
        {
            assert!(error.contains("panicked"), "{error}");
            failures += 1;
        }
    }
    assert_eq!(failures, 2);
    handle.shutdown().await;
    assert!(!host.holds(vip().address));
}

/// Takes five seconds for sets with one address in them.
struct Slow(Vips, std::net::IpAddr);

#[async_trait]
impl VipManager for Slow {
    async fn acquire(&self, vips: &[Vip]) -> Result<(), VipError> {
        if vips.iter().any(|vip| vip.address == self.1) {
            sleep(Duration::from_secs(5)).await;
        }
        self.0.acquire(vips).await
    }

    async fn release(&self, vips: &[Vip]) -> Result<(), VipError> {
        self.0.release(vips).await
    }

    async fn announce(&self, vips: &[Vip]) -> Result<(), VipError> {
        self.0.announce(vips).await
    }

    async fn list(&self, interface: &str) -> Result<Vec<Vip>, VipError> {
        self.0.list(interface).await
    }
}

/// Panics when it is asked to add addresses, so many times.
struct Panics(Vips, AtomicU32);

#[async_trait]
impl VipManager for Panics {
    async fn acquire(&self, vips: &[Vip]) -> Result<(), VipError> {
        let left = self.1.load(Ordering::Relaxed);
        self.1.store(left.saturating_sub(1), Ordering::Relaxed);
        assert_eq!(left, 0, "a mistake in the embedding program");
        self.0.acquire(vips).await
    }

    async fn release(&self, vips: &[Vip]) -> Result<(), VipError> {
        self.0.release(vips).await
    }

    async fn announce(&self, vips: &[Vip]) -> Result<(), VipError> {
        self.0.announce(vips).await
    }

    async fn list(&self, interface: &str) -> Result<Vec<Vip>, VipError> {
        self.0.list(interface).await
    }
}
