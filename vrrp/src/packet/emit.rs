//! Advertisement to bytes.

use std::net::IpAddr;

use super::{
    Advertisement, Authentication, Checksum, Family, Format, Version, address_len, checksum,
};

const TYPE_ADVERTISEMENT: u8 = 1;
const CHECKSUM_AT: usize = 6;

impl Advertisement {
    /// Appends the message to `buffer`, which keeps what it holds (an IP header, say).
    ///
    /// `checksum` chooses the convention where there is a choice (version 3 over IPv4); the two
    /// addresses are those of the IP header and enter the checksum where it has a pseudo header.
    /// Does not allocate if the buffer has room for [`Advertisement::wire_len`] more bytes.
    pub fn emit(
        &self,
        buffer: &mut Vec<u8>,
        checksum: Checksum,
        source: IpAddr,
        destination: IpAddr,
    ) {
        let start = buffer.len();
        buffer.reserve(self.wire_len());
        buffer.push(version_number(self.version()) << 4 | TYPE_ADVERTISEMENT);
        buffer.push(self.vrid.as_u8());
        buffer.push(self.priority.as_u8());
        buffer.push(u8::try_from(self.addresses.len()).unwrap_or(u8::MAX));
        buffer.extend(self.interval_field());
        buffer.extend([0, 0]);
        for address in self.addresses.iter() {
            match address {
                IpAddr::V4(address) => buffer.extend(address.octets()),
                IpAddr::V6(address) => buffer.extend(address.octets()),
            }
        }
        match self.format {
            Format::V2(Authentication::Pass(password)) => buffer.extend(password.0),
            Format::V2(Authentication::None) => buffer.extend([0; super::AUTH_LEN]),
            Format::V3 => {}
        }
        let message = buffer.get_mut(start..).unwrap_or_default();
        debug_assert_eq!(message.len(), self.wire_len(), "wire_len tells the truth");
        let sum = checksum::compute(self.checksum_kind(checksum), message, source, destination);
        if let Some(field) = message.get_mut(CHECKSUM_AT..CHECKSUM_AT + 2) {
            field.copy_from_slice(&sum.to_be_bytes());
        }
    }

    fn interval_field(&self) -> [u8; 2] {
        match self.format {
            Format::V2(authentication) => {
                let kind = match authentication {
                    Authentication::None => 0,
                    Authentication::Pass(_) => 1,
                };
                [kind, self.interval.as_secs().unwrap_or(u8::MAX)]
            }
            Format::V3 => self.interval.as_centis().to_be_bytes(),
        }
    }

    fn checksum_kind(&self, chosen: Checksum) -> Checksum {
        match (self.version(), self.addresses.family()) {
            (Version::V2, _) => Checksum::Message,
            (Version::V3, Family::V6) => Checksum::PseudoHeader,
            (Version::V3, Family::V4) => chosen,
        }
    }
}

const fn version_number(version: Version) -> u8 {
    match version {
        Version::V2 => 2,
        Version::V3 => 3,
    }
}

const _: () = assert!(address_len(Family::V4) == 4 && address_len(Family::V6) == 16);
