//! What a fake host opens to advertise.

use std::{
    io,
    net::IpAddr,
    slice,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;

use super::{
    Frame, Host, Lan, Port,
    lan::{Closed, SocketId},
};
use crate::{
    Advertisement, Advertiser, AdvertiserError, Delivery, Destination, Family, Received, Rejections,
};

/// An [`Advertiser`] on an interface of a [`Host`], as [`Network::open`](crate::Network::open)
/// returns it.
///
/// Answers as a raw socket does: sending fails while the interface is down; receiving fails, for
/// good, once it is gone; what is malformed is counted and passed over. While its host is frozen,
/// nothing is sent or received and callers wait.
#[derive(Debug)]
pub struct FakeAdvertiser {
    host: Host,
    interface: Arc<str>,
    lan: Lan,
    port: Port,
    family: Family,
    socket: SocketId,
    rejections: Mutex<Rejections>,
}

const SEND: &str = "send an advertisement";

impl FakeAdvertiser {
    pub(super) fn new(
        host: Host,
        interface: Arc<str>,
        lan: Lan,
        (port, family): (Port, Family),
        socket: SocketId,
    ) -> Self {
        Self {
            host,
            interface,
            lan,
            port,
            family,
            socket,
            rejections: Mutex::default(),
        }
    }

    fn closed(&self) -> AdvertiserError {
        AdvertiserError::Closed {
            interface: Arc::clone(&self.interface),
        }
    }

    fn io(&self, operation: &'static str, source: io::Error) -> AdvertiserError {
        AdvertiserError::Io {
            operation,
            interface: Arc::clone(&self.interface),
            source,
        }
    }
}

#[async_trait]
impl Advertiser for FakeAdvertiser {
    async fn join(&self, group: IpAddr) -> Result<(), AdvertiserError> {
        if !group.is_multicast() {
            let source = io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{group} is not a multicast group"),
            );
            return Err(self.io("join a group", source));
        }
        self.lan
            .join(self.socket, group)
            .map_err(|Closed| self.closed())
    }

    async fn send(
        &self,
        advert: &Advertisement,
        delivery: &Delivery,
    ) -> Result<(), AdvertiserError> {
        self.host.thawed().await;
        if !self.lan.is_open(self.socket) {
            return Err(self.closed());
        }
        self.host
            .may_send(&self.interface, delivery.source)
            .map_err(|source| self.io(SEND, source))?;
        let destinations = match &delivery.to {
            Destination::Group(group) => slice::from_ref(group),
            Destination::Peers(peers) => peers,
        };
        let Delivery {
            source,
            ttl,
            checksum,
            ..
        } = *delivery;
        let mut done = Ok(());
        for destination in destinations {
            if [source, *destination].map(Family::of) == [self.family; 2] {
                let frame = Frame::encode(advert, source, *destination, ttl, checksum);
                self.lan.send(self.port, frame);
            } else {
                let what = format!("{source} and {destination} are not both {}", self.family);
                let source = io::Error::new(io::ErrorKind::InvalidInput, what);
                done = done.and_then(|()| Err(self.io(SEND, source)));
            }
        }
        done
    }

    async fn recv(&self) -> Result<Received, AdvertiserError> {
        loop {
            self.host.thawed().await;
            let frame = self.lan.recv(self.socket).await;
            match frame.map_err(|Closed| self.closed())?.decode() {
                Ok(received) => return Ok(received),
                Err(error) => {
                    tracing::trace!(interface = %self.interface, %error, "malformed advertisement");
                    self.rejections
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .count(error.reason());
                }
            }
        }
    }

    fn rejections(&self) -> Rejections {
        *self
            .rejections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FakeAdvertiser {
    fn drop(&mut self) {
        self.lan.close(self.socket);
    }
}
