//! What a fake segment carries.

use std::{net::IpAddr, sync::Arc};

use crate::{Advertisement, Checksum, Packet, ParseError, Received};

/// A VRRP message on the segment, and what its IP header says.
///
/// Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// Source address.
    pub source: IpAddr,
    /// Destination address: a multicast group or an address of a port.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// What follows the IP header: a VRRP message, or whatever a test puts there.
    pub message: Arc<[u8]>,
}

impl Frame {
    /// A frame of any bytes.
    #[must_use]
    pub fn new(
        source: IpAddr,
        destination: IpAddr,
        ttl: u8,
        message: impl Into<Arc<[u8]>>,
    ) -> Self {
        Self {
            source,
            destination,
            ttl,
            message: message.into(),
        }
    }

    /// A frame with an advertisement in it, encoded as for a real socket.
    #[must_use]
    pub fn encode(
        advert: &Advertisement,
        source: IpAddr,
        destination: IpAddr,
        ttl: u8,
        checksum: Checksum,
    ) -> Self {
        let mut message = Vec::with_capacity(advert.wire_len());
        advert.emit(&mut message, checksum, source, destination);
        Self::new(source, destination, ttl, message)
    }

    /// The advertisement in it, and how it arrived: what an
    /// [`Advertiser`](crate::Advertiser) returns.
    ///
    /// # Errors
    /// The bytes are not an advertisement.
    pub fn decode(&self) -> Result<Received, ParseError> {
        let packet = Packet::parse(&self.message, self.source, self.destination)?;
        Ok(Received::new(
            packet.to_advertisement(None),
            self.source,
            self.destination,
            self.ttl,
            packet.checksum(),
        ))
    }
}
