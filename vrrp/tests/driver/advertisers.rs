//! Advertisers that cannot be opened, close, fail or wait; interfaces that come and go.

use std::{
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use tokio::{sync::Notify, time::sleep};
use vrrp::{
    Advertisement, Advertiser, AdvertiserError, Delivery, Event, Family, FaultCause, Links,
    Network, Received, Rejections, Role, async_trait, fake::Host,
};

use crate::rig::*;

#[tokio::test(start_paused = true)]
async fn an_advertiser_that_cannot_be_opened_is_a_fault_and_tried_again_every_second() {
    let site = Site::new();
    let (a, faulty) = station(&site, 1);
    faulty.refuse.store(true, Ordering::Relaxed);
    a.configure([config(150)]).await;
    assert!(a.is(Role::Fault));
    let status = a.handle.status().await.unwrap();
    let expected = FaultCause::NoAdvertiser("eth0".into());
    assert_eq!(status.routers[0].faults, [expected]);
    sleep(5 * SECOND / 2).await;
    assert_eq!(faulty.opened.load(Ordering::Relaxed), 3);
    faulty.refuse.store(false, Ordering::Relaxed);
    a.becomes(Role::Backup).await;
    about(site.elapsed(), 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn an_advertiser_that_closes_is_opened_again_and_the_next_advert_is_on_time() {
    let site = Site::new();
    let (a, faulty) = station(&site, 1);
    a.configure([config(150)]).await;
    a.becomes(Role::Master).await;
    let (first, _) = site.sent_by(&a)[0];
    sleep(SECOND * 3 / 2).await;
    faulty.close.notify_waiters();
    sleep(SECOND).await;
    assert_eq!(faulty.opened.load(Ordering::Relaxed), 2);
    let sent = site.sent_by(&a);
    about(sent.last().unwrap().0, first + 2 * SECOND);
    // It hears again, too.
    let b = site.station(2);
    b.configure([config(200)]).await;
    a.becomes(Role::Backup).await;
}

#[tokio::test(start_paused = true)]
async fn an_advertiser_that_closes_at_once_every_time_is_not_opened_without_pause() {
    let site = Site::new();
    let (a, faulty) = station(&site, 1);
    faulty.closes.store(true, Ordering::Relaxed);
    a.configure([config(150)]).await;
    sleep(10 * SECOND + 10 * TICK).await;
    let opened = faulty.opened.load(Ordering::Relaxed);
    assert!((10..=12).contains(&opened), "{opened}");
}

#[tokio::test(start_paused = true)]
async fn an_advertiser_that_cannot_send_is_told_and_one_that_waits_is_cut_off() {
    let site = Site::new();
    let (mut a, faulty) = station(&site, 1);
    a.configure([config(150)]).await;
    a.becomes(Role::Master).await;
    a.told();
    faulty.waits.store(true, Ordering::Relaxed);
    sleep(SECOND * 7 / 2).await;
    let told = a.told();
    assert!(
        matches!(&told[..], [Event::SendFailed { error }] if error.contains("at once")),
        "{told:?}"
    );
    let status = a.handle.status().await.unwrap();
    assert_eq!(status.routers[0].counters.send_failures, 3);
    assert!(a.is(Role::Master));
}

#[tokio::test(start_paused = true)]
async fn an_interface_that_is_removed_and_made_again_is_another_one_and_works() {
    let site = Site::new();
    let [mut a, b] = [1, 2].map(|number| site.station(number));
    a.configure([config(150)]).await;
    b.configure([config(100)]).await;
    a.becomes(Role::Master).await;
    let old_port = a.host.port("eth0");
    for _ in 0..3 {
        a.told();
        a.host.remove_interface("eth0");
        a.becomes(Role::Fault).await;
        assert!(!a.holds());
        b.becomes(Role::Master).await;
        site.add_eth0(&a.host, 1);
        a.becomes(Role::Master).await;
        b.becomes(Role::Backup).await;
        let roles = a.told_roles();
        assert_eq!(roles, [Role::Fault, Role::Backup, Role::Master]);
    }
    assert_ne!(a.host.port("eth0"), old_port);
}

#[tokio::test(start_paused = true)]
async fn an_interface_that_is_replaced_in_one_go_is_noticed_and_costs_no_pause() {
    let site = Site::new();
    let [a, b] = [1, 2].map(|number| site.station(number));
    a.configure([config(150)]).await;
    b.configure([config(100)]).await;
    a.becomes(Role::Master).await;
    let (first, _) = site.sent_by(&a)[0];
    sleep(SECOND * 3 / 2).await;
    site.add_eth0(&a.host, 1);
    // The address went with the old interface and is put on the new one.
    sleep(SECOND).await;
    assert!(a.is(Role::Master) && a.holds());
    assert!(b.is(Role::Backup));
    about(site.sent_by(&a)[0].0, first + 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_flaps_ends_in_the_state_it_has() {
    let site = Site::new();
    let a = site.station(1);
    a.configure([config(150)]).await;
    a.becomes(Role::Master).await;
    for _ in 0..5 {
        a.host.link_down("eth0");
        a.host.link_up("eth0");
    }
    a.host.link_down("eth0");
    a.becomes(Role::Fault).await;
    a.host.link_up("eth0");
    a.becomes(Role::Master).await;
}

#[tokio::test(start_paused = true)]
async fn two_families_on_one_interface_have_an_advertiser_each_and_all_routers_share_them() {
    let site = Site::new();
    let (a, faulty) = station(&site, 1);
    let link_local = vrrp::LinkAddress::usable("fe80::1".parse().unwrap(), 64);
    a.host.add_address("eth0", link_local);
    let configs = (1..=20_u8).map(|number| {
        let mut config = config(100);
        config.name = format!("VI_{number}").into();
        config.vrid = vrrp::Vrid::new(number).unwrap();
        config.vips = match number % 2 {
            0 => vec![format!("fe80::{number}/64").parse().unwrap()],
            _ => vec![format!("192.0.2.{}/24", 100 + number).parse().unwrap()],
        };
        config
    });
    a.configure(configs).await;
    assert_eq!(faulty.opened.load(Ordering::Relaxed), 2);
    a.becomes(Role::Master).await;
    sleep(TICK).await;
    let status = a.handle.status().await.unwrap();
    let masters = status.routers.iter().filter(|it| it.role == Role::Master);
    assert_eq!(masters.count(), 20);
    let ports: Vec<_> = status.ports.iter().map(|port| port.family).collect();
    assert_eq!(ports, [Family::V4, Family::V6]);
}

/// A station whose advertisers fail as they are told.
fn station(site: &Site, number: u8) -> (Station, Arc<Faults>) {
    let host = site.host(number);
    let faults = Arc::new(Faults::default());
    let network = FaultyNetwork {
        host: host.clone(),
        faults: Arc::clone(&faults),
    };
    (site.station_with(host, Arc::new(network)), faults)
}

#[derive(Default)]
struct Faults {
    /// To open.
    refuse: AtomicBool,
    /// As soon as it is read from.
    closes: AtomicBool,
    /// When it sends.
    waits: AtomicBool,
    close: Notify,
    /// How often it was tried.
    opened: AtomicU32,
}

struct FaultyNetwork {
    host: Host,
    faults: Arc<Faults>,
}

impl Network for FaultyNetwork {
    fn links(&self) -> tokio::sync::watch::Receiver<Links> {
        self.host.links()
    }

    fn open(
        &self,
        interface: &str,
        family: Family,
    ) -> Result<Arc<dyn Advertiser>, AdvertiserError> {
        self.faults.opened.fetch_add(1, Ordering::Relaxed);
        if self.faults.refuse.load(Ordering::Relaxed) {
            return Err(AdvertiserError::Forbidden {
                operation: "open a raw socket",
                interface: interface.into(),
                source: io::ErrorKind::PermissionDenied.into(),
            });
        }
        Ok(Arc::new(Faulty {
            inner: self.host.open(interface, family)?,
            faults: Arc::clone(&self.faults),
            interface: interface.into(),
        }))
    }
}

struct Faulty {
    inner: Arc<dyn Advertiser>,
    faults: Arc<Faults>,
    interface: Arc<str>,
}

#[async_trait]
impl Advertiser for Faulty {
    async fn join(&self, group: IpAddr) -> Result<(), AdvertiserError> {
        self.inner.join(group).await
    }

    async fn send(
        &self,
        advert: &Advertisement,
        delivery: &Delivery,
    ) -> Result<(), AdvertiserError> {
        if self.faults.waits.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        self.inner.send(advert, delivery).await
    }

    async fn recv(&self) -> Result<Received, AdvertiserError> {
        let interface = Arc::clone(&self.interface);
        if self.faults.closes.load(Ordering::Relaxed) {
            return Err(AdvertiserError::Closed { interface });
        }
        tokio::select! {
            received = self.inner.recv() => received,
            () = self.faults.close.notified() => Err(AdvertiserError::Closed { interface }),
        }
    }

    fn rejections(&self) -> Rejections {
        self.inner.rejections()
    }
}
