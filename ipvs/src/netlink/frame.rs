//! Messages in a datagram: netlink's header, acknowledgements and the ends of lists.
//!
//! neli writes the headers. They are read here, because neli's reader subtracts lengths that it has
//! not looked at, and cannot read the error of a kernel that was told to leave out the request.

use std::io::Cursor;

use neli::{
    ToBytes as _,
    consts::nl::{NlmF, Nlmsg, NlmsgerrAttr},
    nl::{NlPayload, NlmsghdrBuilder},
    types::Buffer,
};

use crate::wire::{WireError, attribute::attributes};

/// Length of `nlmsghdr`.
const HEADER: usize = 16;

/// Appends a message to a datagram.
pub(super) fn put(out: &mut Vec<u8>, kind: u16, flags: NlmF, sequence: u32, payload: &[u8]) {
    let message = NlmsghdrBuilder::default()
        .nl_type(kind)
        .nl_flags(flags)
        .nl_seq(sequence)
        .nl_payload(NlPayload::Payload(Buffer::from(payload)))
        .build()
        .expect("type, flags and payload are set");
    let mut cursor = Cursor::new(std::mem::take(out));
    cursor.set_position(cursor.get_ref().len() as u64);
    message
        .to_bytes(&mut cursor)
        .expect("a vector takes what is written to it");
    *out = cursor.into_inner();
}

/// A message of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message<'a> {
    /// The request that it answers.
    pub(super) sequence: u32,
    /// Whether what is listed has changed while it was.
    pub(super) interrupted: bool,
    pub(super) content: Content<'a>,
}

/// What a message tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content<'a> {
    /// A message of the family.
    Payload(&'a [u8]),
    /// The request is done with.
    End(Answer),
    /// Nothing.
    Nothing,
}

/// How a request ended.
pub(super) type Answer = Result<(), Denial>;

/// That the kernel refused a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Denial {
    /// The error number.
    pub(super) errno: i32,
    /// The kernel's own words, if it has any.
    pub(super) text: Option<Box<str>>,
}

/// The messages of a datagram. After an error there are no more.
pub(super) fn messages(
    mut datagram: &[u8],
) -> impl Iterator<Item = Result<Message<'_>, WireError>> {
    std::iter::from_fn(move || {
        if datagram.is_empty() {
            return None;
        }
        let read = split(datagram).and_then(|(raw, rest)| Some((raw.read()?, rest)));
        let (message, rest) = read.unzip();
        datagram = rest.unwrap_or_default();
        Some(message.ok_or(WireError::Truncated {
            what: "a netlink message",
        }))
    })
}

/// A message of which no more than the header is understood.
struct Raw<'a> {
    kind: u16,
    flags: NlmF,
    sequence: u32,
    payload: &'a [u8],
}

fn split(datagram: &[u8]) -> Option<(Raw<'_>, &[u8])> {
    let length = usize::try_from(u32_at(datagram, 0)?).ok()?;
    let raw = Raw {
        kind: u16_at(datagram, 4)?,
        flags: NlmF::from_bits_retain(u16_at(datagram, 6)?),
        sequence: u32_at(datagram, 8)?,
        payload: datagram.get(HEADER..length)?,
    };
    let rest = datagram.get(length.next_multiple_of(4)..);
    Some((raw, rest.unwrap_or_default()))
}

impl<'a> Raw<'a> {
    fn read(self) -> Option<Message<'a>> {
        let content = match Nlmsg::from(self.kind) {
            Nlmsg::Noop | Nlmsg::Overrun => Content::Nothing,
            Nlmsg::Error => {
                let request = match self.flags.contains(NlmF::CAPPED) {
                    true => HEADER,
                    false => usize::try_from(u32_at(self.payload, 4)?).ok()?,
                };
                Content::End(self.end(request.checked_next_multiple_of(4)?)?)
            }
            Nlmsg::Done if self.payload.is_empty() => Content::End(Ok(())),
            Nlmsg::Done => Content::End(self.end(0)?),
            Nlmsg::UnrecognizedConst(_) => Content::Payload(self.payload),
        };
        Some(Message {
            sequence: self.sequence,
            interrupted: self.flags.contains(NlmF::DUMP_INTR),
            content,
        })
    }

    /// The error number, 0 or negative, and behind the request so many bytes later the kernel's
    /// words.
    fn end(&self, request: usize) -> Option<Answer> {
        let errno = u32_at(self.payload, 0)?.cast_signed().checked_neg()?;
        if errno == 0 {
            return Some(Ok(()));
        }
        let told = match self.flags.contains(NlmF::ACK_TLVS) {
            true => self.payload.get(4_usize.checked_add(request)?..)?,
            false => &[],
        };
        let text = attributes(told)
            .map_while(Result::ok)
            .find(|attribute| attribute.kind == u16::from(NlmsgerrAttr::Msg))
            .and_then(|attribute| attribute.text("NLMSGERR_ATTR_MSG").ok().flatten());
        Some(Err(Denial {
            errno,
            text: text.map(Into::into),
        }))
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let number = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_ne_bytes(*number))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let number = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*number))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(datagram: &[u8]) -> Vec<Result<Message<'_>, WireError>> {
        messages(datagram).collect()
    }

    #[test]
    fn a_datagram_of_several_messages_is_read_to_its_end() {
        let mut datagram = Vec::new();
        put(
            &mut datagram,
            0x22,
            NlmF::MULTI | NlmF::DUMP_INTR,
            7,
            &[1, 2, 3, 4],
        );
        put(&mut datagram, Nlmsg::Noop.into(), NlmF::empty(), 7, &[]);
        put(
            &mut datagram,
            Nlmsg::Done.into(),
            NlmF::MULTI,
            8,
            &(-4_i32).to_ne_bytes(),
        );
        let message = |sequence, interrupted, content| {
            Ok(Message {
                sequence,
                interrupted,
                content,
            })
        };
        let denial = Denial {
            errno: 4,
            text: None,
        };
        assert_eq!(
            all(&datagram),
            [
                message(7, true, Content::Payload(&[1, 2, 3, 4])),
                message(7, false, Content::Nothing),
                message(8, false, Content::End(Err(denial))),
            ]
        );
    }

    #[test]
    fn a_header_has_the_fields_of_nlmsghdr_in_their_places() {
        let mut datagram = vec![0xff; 4];
        put(
            &mut datagram,
            0x22,
            NlmF::REQUEST | NlmF::ACK,
            0x0102_0304,
            &[9; 4],
        );
        let mut expected = vec![0xff; 4];
        expected.extend(20_u32.to_ne_bytes());
        expected.extend(0x22_u16.to_ne_bytes());
        expected.extend(5_u16.to_ne_bytes());
        expected.extend(0x0102_0304_u32.to_ne_bytes());
        expected.extend([0, 0, 0, 0, 9, 9, 9, 9]);
        assert_eq!(datagram, expected);
    }

    #[test]
    fn what_ends_too_early_is_an_error_and_the_last_one() {
        let mut datagram = Vec::new();
        put(
            &mut datagram,
            Nlmsg::Error.into(),
            NlmF::empty(),
            1,
            &[0xff; 36],
        );
        for length in 1..datagram.len() {
            let read = all(&datagram[..length]);
            assert!(matches!(read[..], [Err(_)]), "{length}: {read:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_messages_or_an_error(bytes: Vec<u8>) {
            all(&bytes);
        }

        #[test]
        fn any_error_is_an_end_or_an_error(flags: u16, kind in 0..5_u16, payload: Vec<u8>) {
            let mut datagram = Vec::new();
            put(&mut datagram, kind, NlmF::from_bits_retain(flags), 1, &payload);
            prop_assert!(all(&datagram).len() <= 1 + payload.len());
        }
    }
}
