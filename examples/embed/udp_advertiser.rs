//! Advertisements in UDP datagrams: nobody has to be root, and no router stops them.

use std::{io, net::IpAddr, sync::Mutex};

use tokio::net::UdpSocket;
use vrrp::fake::Frame;
use vrrp::{Advertisement, Advertiser, AdvertiserError, Delivery, Destination};
use vrrp::{Received, Rejections, TTL, async_trait};

/// Where everybody listens.
const PORT: u16 = 11200;

pub(crate) struct UdpAdvertiser(IpAddr, UdpSocket, Mutex<Rejections>);

impl UdpAdvertiser {
    pub(crate) fn open(address: IpAddr) -> Result<Self, AdvertiserError> {
        let bind = || {
            let socket = std::net::UdpSocket::bind((address, PORT))?;
            socket.set_nonblocking(true)?;
            UdpSocket::from_std(socket)
        };
        Ok(Self(address, bind().map_err(failed)?, Mutex::default()))
    }
}

#[async_trait]
impl Advertiser for UdpAdvertiser {
    async fn join(&self, _: IpAddr) -> Result<(), AdvertiserError> {
        Err(failed(io::ErrorKind::Unsupported.into()))
    }

    async fn send(&self, advert: &Advertisement, way: &Delivery) -> Result<(), AdvertiserError> {
        let Destination::Peers(peers) = &way.to else {
            return Err(failed(io::ErrorKind::Unsupported.into()));
        };
        let sent = peers.iter().map(|peer| {
            let frame = Frame::encode(advert, self.0, *peer, TTL, way.checksum);
            self.1.try_send_to(&frame.message, (*peer, PORT).into())
        });
        // To all of them, though one fails.
        let sent: Vec<_> = sent.collect();
        sent.into_iter()
            .try_for_each(|sent| sent.map(drop).map_err(failed))
    }

    async fn recv(&self) -> Result<Received, AdvertiserError> {
        let mut bytes = [0; 1500];
        loop {
            let (length, from) = self.1.recv_from(&mut bytes).await.map_err(failed)?;
            let message = bytes.get(..length).unwrap_or_default();
            match Frame::new(from.ip(), self.0, TTL, message).decode() {
                Ok(received) => return Ok(received),
                Err(error) => self.2.lock().expect("whole").count(error.reason()),
            }
        }
    }

    fn rejections(&self) -> Rejections {
        *self.2.lock().expect("whole")
    }
}

fn failed(source: io::Error) -> AdvertiserError {
    let (operation, interface) = ("use a socket", "udp".into());
    AdvertiserError::Io {
        operation,
        interface,
        source,
    }
}
