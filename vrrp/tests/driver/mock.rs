//! The order of things, as strictly as a mock can ask for it.

use std::sync::Arc;

use mockall::{Sequence, predicate::function};
use tokio::time::sleep;
use vrrp::{MockVipManager, Role, Vip};

use crate::rig::*;

fn ours(vips: &[Vip]) -> bool {
    vips == [vip().on("eth0")]
}

#[tokio::test(start_paused = true)]
async fn addresses_are_added_before_they_are_announced_and_removed_last() {
    let site = Site::new();
    let mut vips = MockVipManager::new();
    let mut order = Sequence::new();
    let sent = |lan: &vrrp::fake::Lan| {
        let last = lan.with(|segment, _| segment.journal().last().cloned());
        last.map(|record| record.frame.decode().unwrap().advert.priority().as_u8())
    };
    vips.expect_release()
        .with(function(ours))
        .times(1)
        .in_sequence(&mut order)
        .returning(|_| Ok(()));
    let lan = site.lan.clone();
    vips.expect_acquire()
        .with(function(ours))
        .times(1)
        .in_sequence(&mut order)
        .returning(move |_| {
            assert_eq!(sent(&lan), Some(100), "advertised before they are added");
            Ok(())
        });
    vips.expect_announce()
        .with(function(ours))
        .times(5)
        .in_sequence(&mut order)
        .returning(|_| Ok(()));
    let lan = site.lan.clone();
    vips.expect_release()
        .with(function(ours))
        .times(1)
        .in_sequence(&mut order)
        .returning(move |_| {
            assert_eq!(sent(&lan), Some(0), "given up before they are removed");
            Ok(())
        });

    let handle = vrrp::spawn(Arc::new(site.host(1)), Arc::new(vips));
    handle.configure([config(100)]).await.unwrap();
    let mut role = handle.role("VI_1").unwrap();
    role.wait_for(|role| *role == Role::Master).await.unwrap();
    sleep(2 * SECOND).await;
    handle.shutdown().await;
}
