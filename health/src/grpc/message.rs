//! The two messages of `grpc.health.v1.Health/Check`, and gRPC's frame around them.
//!
//! `HealthCheckRequest` is one string (field 1), `HealthCheckResponse` one enumeration (field 1).

use std::fmt;

/// The head of a frame: whether it is compressed, and its length.
const FRAME_HEAD: usize = 5;

/// What a server says of a service (`grpc.health.v1.HealthCheckResponse.ServingStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ServingStatus {
    /// It cannot tell (0).
    Unknown,
    /// It does its work (1).
    Serving,
    /// It does not, for now (2).
    NotServing,
    /// There is no such service (3). Meant for `Watch`, though some servers say so to `Check`.
    ServiceUnknown,
    /// A number that the protocol does not have.
    Other(u64),
}

impl ServingStatus {
    const fn new(number: u64) -> Self {
        match number {
            0 => Self::Unknown,
            1 => Self::Serving,
            2 => Self::NotServing,
            3 => Self::ServiceUnknown,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for ServingStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("UNKNOWN"),
            Self::Serving => f.write_str("SERVING"),
            Self::NotServing => f.write_str("NOT_SERVING"),
            Self::ServiceUnknown => f.write_str("SERVICE_UNKNOWN"),
            Self::Other(number) => write!(f, "{number}, which the protocol does not have"),
        }
    }
}

/// The frame that asks for a service. `None`: its name is longer than a frame can hold.
pub(super) fn request(service: &str) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        put_varint(&mut message, u64::try_from(service.len()).ok()?);
        message.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(message.len()).ok()?;
    let mut frame = vec![0];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.append(&mut message);
    Some(frame)
}

/// Reads the one frame of an answer.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn response(body: &[u8]) -> Result<ServingStatus, &'static str> {
    let (head, message) = body
        .split_first_chunk::<FRAME_HEAD>()
        .ok_or("the answer ends before a message")?;
    let [compressed, length @ ..] = *head;
    if compressed != 0 {
        return Err("the message is compressed, which was not asked for");
    }
    if usize::try_from(u32::from_be_bytes(length)) != Ok(message.len()) {
        return Err("the length of the message is not what its head says");
    }
    status(message).ok_or("the message is no HealthCheckResponse")
}

/// The last field 1 of a message; fields of later versions are passed over.
fn status(mut message: &[u8]) -> Option<ServingStatus> {
    let mut status = 0;
    while !message.is_empty() {
        let key = take_varint(&mut message)?;
        if key >> 3 == 0 {
            return None;
        }
        match (key >> 3, key & 7) {
            (1, 0) => status = take_varint(&mut message)?,
            (1, _) => return None,
            (_, 0) => {
                take_varint(&mut message)?;
            }
            (_, 1) => message = message.get(8..)?,
            (_, 2) => {
                let length = usize::try_from(take_varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            (_, 5) => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(ServingStatus::new(status))
}

fn put_varint(to: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            to.push(low & 0x7f);
            return;
        }
        to.push(low | 0x80);
    }
}

/// A number of at most ten bytes, of which the last has one bit.
fn take_varint(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(message: &[u8]) -> Vec<u8> {
        let mut frame = vec![0];
        frame.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(message);
        frame
    }

    #[test]
    fn a_request_is_laid_out_as_protobuf_says() {
        assert_eq!(request("").unwrap(), [0, 0, 0, 0, 0]);
        assert_eq!(request("ab").unwrap(), *b"\0\0\0\0\x04\x0a\x02ab");
        let long = request(&"x".repeat(300)).unwrap();
        assert_eq!(long[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02]);
    }

    #[test]
    fn every_status_is_told_apart() {
        assert_eq!(response(&framed(b"")), Ok(ServingStatus::Unknown));
        assert_eq!(response(&framed(b"\x08\x01")), Ok(ServingStatus::Serving));
        assert_eq!(
            response(&framed(b"\x08\x02")),
            Ok(ServingStatus::NotServing)
        );
        assert_eq!(
            response(&framed(b"\x08\x03")),
            Ok(ServingStatus::ServiceUnknown)
        );
        assert_eq!(response(&framed(b"\x08\x09")), Ok(ServingStatus::Other(9)));
    }

    #[test]
    fn fields_that_are_not_known_are_passed_over() {
        let message = b"\x10\x05\x19abcdefgh\x22\x03abc\x2dabcd\x08\x01";
        assert_eq!(response(&framed(message)), Ok(ServingStatus::Serving));
    }

    #[test]
    fn what_is_cut_short_or_compressed_is_refused() {
        let good = framed(b"\x08\x01");
        for end in 0..good.len() {
            response(&good[..end]).unwrap_err();
        }
        let mut compressed = good.clone();
        compressed[0] = 1;
        assert!(response(&compressed).unwrap_err().contains("compressed"));
        response(&[good.as_slice(), &[0]].concat()).unwrap_err();
        response(&framed(b"\x0a\x01\x01")).unwrap_err();
        response(&framed(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02")).unwrap_err();
        response(&framed(b"\x22\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")).unwrap_err();
    }

    proptest! {
        #[test]
        fn a_number_comes_back(number: u64) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, number);
            let mut rest = bytes.as_slice();
            prop_assert_eq!(take_varint(&mut rest), Some(number));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn no_message_panics(message: Vec<u8>, cut in 0_usize..8) {
            let frame = framed(&message);
            let whole = response(&frame);
            prop_assert_eq!(whole.ok(), status(&message));
            let cut = frame.len().saturating_sub(cut);
            prop_assert!(cut == frame.len() || response(&frame[..cut]).is_err());
            response(&message).ok();
        }
    }
}
