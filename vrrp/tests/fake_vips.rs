//! The fake `VipManager`, under tokio's paused clock.

#![expect(clippy::unwrap_used, reason = "a test that goes wrong may panic")]

use std::{error::Error, io::ErrorKind, net::IpAddr, time::Duration};

use tokio::time;
use vrrp::{
    LinkAddress, Network, Vip, VipError, VipManager,
    fake::{Host, Lan, Operation, VipEvent, Vips},
};

const MS: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn acquired_addresses_are_on_the_host_until_they_are_released() {
    let (host, vips) = fixture();
    let set = [vip(100), vip(101)];
    let mut links = host.links();
    links.mark_unchanged();
    vips.acquire(&set).await.unwrap();
    assert_eq!(links.borrow_and_update()["eth0"].addresses.len(), 3);
    assert!(set.iter().all(|vip| host.holds(vip.address)));
    // Both are idempotent: nothing changes, and that is fine.
    vips.acquire(&set).await.unwrap();
    assert!(!links.has_changed().unwrap());
    vips.release(&set).await.unwrap();
    vips.release(&set).await.unwrap();
    assert_eq!(links.borrow_and_update()["eth0"].addresses.len(), 1);
    assert!(!set.iter().any(|vip| host.holds(vip.address)));
}

#[tokio::test(start_paused = true)]
async fn list_tells_all_addresses_with_their_attributes_and_whoever_put_them_there() {
    let (host, vips) = fixture();
    let mut labelled = vip(100);
    labelled.label = Some("eth0:1".into());
    Vips::on(&host)
        .acquire(std::slice::from_ref(&labelled))
        .await
        .unwrap();
    let real = "192.0.2.1/24".parse::<Vip>().unwrap().on("eth0");
    assert_eq!(vips.list("eth0").await.unwrap(), [real, labelled]);
    assert_eq!(vips.events(), []);
}

#[tokio::test(start_paused = true)]
async fn one_address_with_two_prefixes_is_two_and_goes_when_both_are_released() {
    let (host, vips) = fixture();
    let narrow = Vip::host(vip(100).address).on("eth0");
    vips.acquire(&[vip(100), narrow.clone()]).await.unwrap();
    vips.release(&[vip(100)]).await.unwrap();
    assert!(host.holds(narrow.address));
    vips.release(&[narrow]).await.unwrap();
    assert!(!host.holds(vip(100).address));
}

#[tokio::test(start_paused = true)]
async fn what_a_stranger_removes_is_gone_from_the_links_and_the_list() {
    let (host, vips) = fixture();
    vips.acquire(&[vip(100)]).await.unwrap();
    let mut links = host.links();
    links.mark_unchanged();
    host.remove_address("eth0", vip(100).address);
    links.changed().await.unwrap();
    assert!(!links.borrow()["eth0"].has(vip(100).address));
    assert_eq!(vips.list("eth0").await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_interface_that_is_gone_is_an_error_except_for_release() {
    let (host, vips) = fixture();
    vips.acquire(&[vip(100)]).await.unwrap();
    host.remove_interface("eth0");
    assert!(!host.holds(vip(100).address));
    vips.release(&[vip(100)]).await.unwrap();
    for result in [
        vips.acquire(&[vip(100)]).await,
        vips.announce(&[vip(100)]).await,
        vips.list("eth0").await.map(drop),
    ] {
        let error = result.unwrap_err();
        assert!(matches!(error, VipError::NoSuchInterface { .. }), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_interface_that_is_down_takes_addresses_but_announces_none() {
    let (host, vips) = fixture();
    host.link_down("eth0");
    vips.acquire(&[vip(100)]).await.unwrap();
    vips.announce(&[vip(100)]).await.unwrap_err();
    host.link_up("eth0");
    vips.announce(&[vip(100)]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_address_is_tried_when_one_is_refused() {
    let (host, vips) = fixture();
    vips.refuse(vip(100).address, Some(ErrorKind::AddrInUse));
    let unnamed = Vip::host(IpAddr::from([192, 0, 2, 102]));
    let error = vips
        .acquire(&[vip(100), unnamed, vip(101)])
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot add 192.0.2.100/24 dev eth0 (2 of 3 addresses failed)"
    );
    assert!(error.source().is_some());
    assert!(host.holds(vip(101).address));
    assert!(!host.holds(vip(100).address));
    vips.refuse(vip(100).address, None);
    vips.acquire(&[vip(100)]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn failures_come_in_the_order_they_were_asked_for_and_have_no_effect() {
    let (host, vips) = fixture();
    let set = vec![vip(100)];
    vips.fail_next(Operation::Acquire, ErrorKind::PermissionDenied);
    vips.fail_next(Operation::Acquire, ErrorKind::TimedOut);
    vips.fail_every(Operation::Release, ErrorKind::Other);
    let error = vips.acquire(&set).await.unwrap_err();
    assert!(matches!(error, VipError::Forbidden { .. }), "{error}");
    let error = vips.acquire(&set).await.unwrap_err();
    assert!(matches!(error, VipError::Unanswered { .. }), "{error}");
    assert!(!host.holds(set[0].address));
    vips.acquire(&set).await.unwrap();
    for _ in 0..2 {
        let error = vips.release(&set).await.unwrap_err();
        assert!(matches!(error, VipError::Refused { .. }), "{error}");
    }
    assert!(host.holds(set[0].address));
    vips.recover(Operation::Release);
    vips.release(&set).await.unwrap();
    assert_eq!(
        vips.events(),
        [
            VipEvent::Failed(Operation::Acquire, set.clone()),
            VipEvent::Failed(Operation::Acquire, set.clone()),
            VipEvent::Acquired(set.clone()),
            VipEvent::Failed(Operation::Release, set.clone()),
            VipEvent::Failed(Operation::Release, set.clone()),
            VipEvent::Released(set),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_list_can_fail_too() {
    let (_, vips) = fixture();
    vips.fail_next(Operation::List, ErrorKind::TimedOut);
    vips.list("eth0").await.unwrap_err();
    vips.list("eth0").await.unwrap();
    assert_eq!(vips.events(), [VipEvent::Failed(Operation::List, vec![])]);
}

#[tokio::test(start_paused = true)]
async fn what_hangs_goes_on_when_the_operation_recovers() {
    let (host, vips) = fixture();
    vips.hang(Operation::Acquire);
    let hanging = tokio::spawn({
        let vips = vips.clone();
        async move { vips.acquire(&[vip(100)]).await }
    });
    time::sleep(3_600_000 * MS).await;
    assert!(!hanging.is_finished());
    assert!(!host.holds(vip(100).address));
    // Other operations are not held up.
    vips.announce(&[vip(100)]).await.unwrap();
    vips.recover(Operation::Acquire);
    hanging.await.unwrap().unwrap();
    assert!(host.holds(vip(100).address));
}

#[tokio::test(start_paused = true)]
async fn a_delay_passes_on_tokios_clock_and_what_is_dropped_meanwhile_is_not_done() {
    let (host, vips) = fixture();
    vips.delay(Operation::Acquire, 20 * MS);
    let set = [vip(100)];
    let dropped = vips.acquire(&set);
    assert!(time::timeout(10 * MS, dropped).await.is_err());
    assert!(!host.holds(vip(100).address));
    assert_eq!(vips.events(), []);
    vips.announce(&[]).await.unwrap();
    vips.acquire(&[vip(100)]).await.unwrap();
    let journal = vips.take_journal();
    let took = journal[1].at - journal[0].at;
    assert!((20 * MS..=21 * MS).contains(&took), "{took:?}");
    assert!(vips.journal().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_frozen_host_changes_no_address() {
    let (host, vips) = fixture();
    host.freeze();
    assert!(
        time::timeout(1000 * MS, vips.acquire(&[vip(100)]))
            .await
            .is_err()
    );
    assert!(!host.holds(vip(100).address));
    host.thaw();
    vips.acquire(&[vip(100)]).await.unwrap();
}

fn fixture() -> (Host, Vips) {
    let host = Host::new();
    let real = LinkAddress::usable(IpAddr::from([192, 0, 2, 1]), 24);
    host.add_interface("eth0", &Lan::new(1), [real]);
    let vips = Vips::on(&host);
    (host, vips)
}

fn vip(last: u8) -> Vip {
    Vip::new(IpAddr::from([192, 0, 2, last]), 24)
        .unwrap()
        .on("eth0")
}
