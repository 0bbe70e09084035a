//! Machines on a network in memory, each with a node that is really driven.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::{broadcast, watch},
    time::{self, Instant},
};
use tracing::{
    Event as LogEvent, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::DefaultGuard,
};
use vrrp::{
    Event, Happening, LinkAddress, Network, NodeHandle, Priority, Role, RouterConfig, Vip,
    VipManager, Vrid,
    fake::{Frame, FrameEvent, Host, Lan, Port, VipEvent, Vips},
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// What a backup of priority 100 waits at an interval of a second.
pub(crate) const DOWN: Duration = Duration::from_micros(3_609_375);

/// tokio's timers tick in milliseconds.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// A network, and the log of all nodes on it.
pub(crate) struct Site {
    pub(crate) lan: Lan,
    pub(crate) started_at: Instant,
    errors: Arc<Mutex<Vec<String>>>,
    _guard: DefaultGuard,
}

impl Site {
    pub(crate) fn new() -> Self {
        let lan = Lan::new(1);
        lan.with(|segment, _| segment.keep_journal(100_000));
        let log = OnlyErrors::default();
        Self {
            lan,
            started_at: now(),
            errors: Arc::clone(&log.0),
            _guard: tracing::subscriber::set_default(log),
        }
    }

    /// A machine with address 192.0.2.NUMBER on `eth0`, and a node on it without routers.
    pub(crate) fn station(&self, number: u8) -> Station {
        let host = self.host(number);
        let network: Arc<dyn Network> = Arc::new(host.clone());
        self.station_with(host, network)
    }

    pub(crate) fn host(&self, number: u8) -> Host {
        let host = Host::new();
        self.add_eth0(&host, number);
        host
    }

    pub(crate) fn add_eth0(&self, host: &Host, number: u8) {
        let address = LinkAddress::usable([192, 0, 2, number].into(), 24);
        host.add_interface("eth0", &self.lan, [address]);
    }

    pub(crate) fn station_with(&self, host: Host, network: Arc<dyn Network>) -> Station {
        let vips = Vips::on(&host);
        let manager: Arc<dyn VipManager> = Arc::new(vips.clone());
        let handle = vrrp::spawn(network, manager);
        let events = handle.events();
        Station {
            host,
            vips,
            handle,
            events,
        }
    }

    /// The time since the test began.
    pub(crate) fn elapsed(&self) -> Duration {
        now() - self.started_at
    }

    /// Every advertisement that was sent, when, from where and with which priority.
    pub(crate) fn sent(&self) -> Vec<(Duration, Port, u8)> {
        self.frames()
            .into_iter()
            .map(|(at, from, frame)| {
                let advert = frame.decode().unwrap().advert;
                (at, from, advert.priority().as_u8())
            })
            .collect()
    }

    /// The same of one machine, without the port.
    pub(crate) fn sent_by(&self, station: &Station) -> Vec<(Duration, u8)> {
        let port = station.host.port("eth0");
        self.sent()
            .into_iter()
            .filter(|(_, from, _)| *from == port)
            .map(|(at, _, priority)| (at, priority))
            .collect()
    }

    pub(crate) fn frames(&self) -> Vec<(Duration, Port, Frame)> {
        let start = self.started_at.into_std();
        self.lan.with(|segment, _| {
            segment
                .journal()
                .filter(|record| record.event == FrameEvent::Sent)
                .map(|record| (record.at - start, record.from, record.frame.clone()))
                .collect()
        })
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(*self.errors.lock().unwrap(), [] as [String; 0]);
        }
    }
}

/// A machine with a node.
pub(crate) struct Station {
    pub(crate) host: Host,
    pub(crate) vips: Vips,
    pub(crate) handle: NodeHandle,
    pub(crate) events: broadcast::Receiver<Happening>,
}

impl Station {
    pub(crate) async fn configure(&self, configs: impl IntoIterator<Item = RouterConfig>) {
        self.handle.configure(configs).await.unwrap();
    }

    pub(crate) fn role(&self) -> watch::Receiver<Role> {
        self.handle.role("VI_1").unwrap()
    }

    /// Waits until its router was told to have a role.
    pub(crate) async fn becomes(&self, role: Role) {
        let mut known = self.role();
        let wait = known.wait_for(|known| *known == role);
        let waited = time::timeout(Duration::from_secs(600), wait).await;
        assert!(waited.is_ok(), "it never became {role}");
    }

    pub(crate) fn is(&self, role: Role) -> bool {
        *self.role().borrow() == role
    }

    pub(crate) fn holds(&self) -> bool {
        self.host.holds([192, 0, 2, 100].into())
    }

    /// What it has told so far and was not asked for yet.
    pub(crate) fn told(&mut self) -> Vec<Event> {
        let mut told = Vec::new();
        while let Ok(happening) = self.events.try_recv() {
            if let Happening::Router { event, .. } = happening {
                told.push(event);
            }
        }
        told
    }

    /// The roles it has told so far and was not asked for yet.
    pub(crate) fn told_roles(&mut self) -> Vec<Role> {
        self.told()
            .into_iter()
            .filter_map(|event| {
                if let Event::RoleChanged { to, .. } = event {
                    Some(to)
                } else {
                    None
                }
            })
            .collect()
    }
}

/// The router of all tests: VRID 51, 192.0.2.100/24, an interval of a second.
pub(crate) fn config(priority: u8) -> RouterConfig {
    let vrid = Vrid::new(51).unwrap();
    let mut config = RouterConfig::new("VI_1", "eth0", vrid, vec![vip()]);
    config.priority = Priority::new(priority).unwrap();
    config
}

pub(crate) fn vip() -> Vip {
    "192.0.2.100/24".parse().unwrap()
}

pub(crate) fn acquired() -> VipEvent {
    VipEvent::Acquired(vec![vip().on("eth0")])
}

pub(crate) fn released() -> VipEvent {
    VipEvent::Released(vec![vip().on("eth0")])
}

pub(crate) fn announced() -> VipEvent {
    VipEvent::Announced(vec![vip().on("eth0")])
}

pub(crate) fn now() -> Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "the tests tell when something happens"
    )]
    let now = Instant::now();
    now
}

/// As close as timers that tick in milliseconds come.
#[track_caller]
pub(crate) fn about(time: Duration, expected: Duration) {
    about_after(1, time, expected);
}

/// The same after some waits, each of which ends up to two ticks late.
#[track_caller]
pub(crate) fn about_after(waits: u32, time: Duration, expected: Duration) {
    let late = time.checked_sub(expected);
    assert!(
        late.is_some_and(|late| late <= 2 * waits * TICK),
        "{time:?} is not {expected:?}"
    );
}

/// Keeps errors, and takes no notice of anything else.
#[derive(Default)]
struct OnlyErrors(Arc<Mutex<Vec<String>>>);

impl Subscriber for OnlyErrors {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &LogEvent<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!("{field}={value:?} "));
    }
}
