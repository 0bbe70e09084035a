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

    fn send_one(&self, advert: &Advertisement, delivery: &Delivery, to: IpAddr) -> io::Result<()> {
        let Delivery {
            source,
            ttl,
            checksum,
            ..
        } = *delivery;
        let family = advert.addresses().family();
        if [family, Family::of(source), Family::of(to)] != [self.family; 3] {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "an advertisement of {family} addresses from {source} to {to} does not fit a \
                     socket for {}",
                    self.family
                ),
            ));
        }
        self.host.may_send(&self.interface, source)?;
        let frame = Frame::encode(advert, source, to, ttl, checksum);
        self.lan.send(self.port, frame);
        Ok(())
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
            return Err(AdvertiserError::Io {
                operation: "join a multicast group",
                interface: Arc::clone(&self.interface),
                source,
            });
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
        let destinations = match &delivery.to {
            Destination::Group(group) => slice::from_ref(group),
            Destination::Peers(peers) => peers,
        };
        let failures: Vec<_> = destinations
            .iter()
            .filter_map(|to| Some((*to, self.send_one(advert, delivery, *to).err()?)))
            .collect();
        let failed = failures.len();
        match failures.into_iter().next() {
            None => Ok(()),
            Some((to, source)) => Err(AdvertiserError::Send {
                to,
                interface: Arc::clone(&self.interface),
                failed,
                tried: destinations.len(),
                source,
            }),
        }
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
