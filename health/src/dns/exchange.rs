//! A question to a DNS server and what its answers mean, as values.

use std::fmt::{self, Write};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query},
    rr::{self, Name, RData},
};

use super::{DnsError, QuestionError, Rcode, RecordType};

/// What is asked, and what has to come back.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    query: Query,
    pub(super) rcode: Rcode,
    pub(super) answers: Answers,
}

/// What the records of the answer must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answers {
    /// Whatever they are, even none.
    Any,
    /// These among others.
    Contain(Vec<String>),
    /// These and no others, in any order.
    Equal(Vec<String>),
}

/// What a datagram or message turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// Not an answer to the question; why.
    Stranger(&'static str),
    /// The answer did not fit: it has to be asked for over TCP.
    Truncated,
    /// The answer, and whether it is what was expected.
    Answer(Result<(), DnsError>),
}

impl Exchange {
    pub(super) fn new(name: &str, kind: RecordType) -> Result<Self, QuestionError> {
        let mut name = Name::from_ascii(name).map_err(|error| QuestionError::Name {
            name: name.to_owned(),
            reason: error.to_string(),
        })?;
        name.set_fqdn(true);
        Ok(Self {
            query: Query::query(name, rr::RecordType::from(kind.number())),
            rcode: Rcode::NOERROR,
            answers: Answers::Any,
        })
    }

    /// The question as a message with this number.
    pub(super) fn question(&self, id: u16) -> Result<Vec<u8>, DnsError> {
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(self.query.clone());
        message.to_vec().map_err(|error| DnsError::Unaskable {
            reason: error.to_string(),
        })
    }

    /// Judges a message that may be the answer to question number `id`.
    pub(super) fn judge(&self, id: u16, bytes: &[u8]) -> Received {
        // The header alone tells strangers: a message that cannot be read further but has the
        // number is the server's.
        let Some((&[first, second, flags, ..], _)) = bytes.split_first_chunk::<12>() else {
            return Received::Stranger("shorter than a header");
        };
        if u16::from_be_bytes([first, second]) != id {
            return Received::Stranger("another number");
        }
        if flags & 0x80 == 0 {
            return Received::Stranger("a question");
        }
        let message = match Message::from_vec(bytes) {
            Ok(message) => message,
            // What was cut off may well be cut within a record.
            Err(_) if flags & 0x02 != 0 => return Received::Truncated,
            Err(error) => {
                return Received::Answer(Err(DnsError::Garbage {
                    reason: error.to_string(),
                }));
            }
        };
        let rcode = Rcode::of(message.metadata.response_code);
        match message.queries.as_slice() {
            // An error may come without the question (RFC 8906 §3.2.2 saw servers do so).
            [] if rcode != Rcode::NOERROR => {}
            [query] if self.is_ours(query) => {}
            _ => return Received::Stranger("another question"),
        }
        if message.metadata.truncation {
            return Received::Truncated;
        }
        Received::Answer(self.check(rcode, &message))
    }

    fn is_ours(&self, query: &Query) -> bool {
        query.name == self.query.name
            && query.query_type == self.query.query_type
            && query.query_class == self.query.query_class
    }

    fn check(&self, rcode: Rcode, message: &Message) -> Result<(), DnsError> {
        if rcode != self.rcode {
            let expected = self.rcode;
            return Err(DnsError::Rcode { rcode, expected });
        }
        let mut got: Vec<String> = message
            .answers
            .iter()
            .filter(|record| record.record_type() == self.query.query_type)
            .map(|record| plain(&text_of(&record.data)))
            .collect();
        got.sort();
        match &self.answers {
            Answers::Any => Ok(()),
            Answers::Contain(wanted) => match wanted.iter().find(|want| !got.contains(want)) {
                None => Ok(()),
                Some(missing) => Err(DnsError::Missing {
                    missing: missing.clone(),
                    got,
                }),
            },
            Answers::Equal(wanted) if *wanted == got => Ok(()),
            Answers::Equal(wanted) => Err(DnsError::Different {
                wanted: wanted.clone(),
                got,
            }),
        }
    }
}

/// A record as text; empty for one that has none (OPT), at which `to_string` would panic.
fn text_of(data: &RData) -> String {
    let mut text = String::new();
    match write!(text, "{data}") {
        Ok(()) => text,
        Err(fmt::Error) => String::new(),
    }
}

/// The text of a record in the form in which records are compared: without regard to the case of
/// names, and to the point at their end.
pub(super) fn plain(record: &str) -> String {
    let words = record.split_ascii_whitespace().map(|word| {
        let name = word.strip_suffix('.').unwrap_or(word);
        if name.is_empty() { word } else { name }
    });
    words.collect::<Vec<_>>().join(" ").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use hickory_proto::{op::ResponseCode, rr::Record};
    use proptest::prelude::*;

    use super::*;

    const ID: u16 = 4711;

    fn exchange() -> Exchange {
        Exchange::new("www.example.net", RecordType::A).unwrap()
    }

    fn answer(code: ResponseCode, addresses: &[[u8; 4]]) -> Message {
        let mut message = Message::response(ID, OpCode::Query);
        message.metadata.response_code = code;
        let exchange = exchange();
        message.add_query(exchange.query.clone());
        for &address in addresses {
            let data = RData::A(std::net::Ipv4Addr::from(address).into());
            message.add_answer(Record::from_rdata(exchange.query.name.clone(), 60, data));
        }
        message
    }

    fn judge(exchange: &Exchange, message: &Message) -> Received {
        exchange.judge(ID, &message.to_vec().unwrap())
    }

    #[test]
    fn no_error_passes_and_any_other_code_fails_with_its_name() {
        let passed = judge(&exchange(), &answer(ResponseCode::NoError, &[]));
        assert_eq!(passed, Received::Answer(Ok(())));
        let failed = judge(&exchange(), &answer(ResponseCode::Refused, &[]));
        let Received::Answer(Err(error)) = failed else {
            panic!("{failed:?}");
        };
        assert_eq!(
            error.to_string(),
            "the server answers REFUSED instead of NOERROR"
        );
    }

    #[test]
    fn an_error_may_be_what_is_expected() {
        let mut exchange = exchange();
        exchange.rcode = Rcode::NXDOMAIN;
        let passed = judge(&exchange, &answer(ResponseCode::NXDomain, &[]));
        assert_eq!(passed, Received::Answer(Ok(())));
    }

    #[test]
    fn answers_are_compared_as_sets() {
        let message = answer(ResponseCode::NoError, &[[192, 0, 2, 2], [192, 0, 2, 1]]);
        let one = vec!["192.0.2.2".to_owned()];
        let both = vec!["192.0.2.1".to_owned(), "192.0.2.2".to_owned()];
        let other = vec!["192.0.2.3".to_owned()];
        for (answers, passes) in [
            (Answers::Contain(one.clone()), true),
            (Answers::Contain(other), false),
            (Answers::Equal(both), true),
            (Answers::Equal(one), false),
        ] {
            let mut exchange = exchange();
            exchange.answers = answers;
            let Received::Answer(result) = judge(&exchange, &message) else {
                panic!("no answer");
            };
            assert_eq!(result.is_ok(), passes, "{exchange:?}: {result:?}");
        }
    }

    #[test]
    fn strangers_are_told_from_the_answer() {
        let good = answer(ResponseCode::NoError, &[]);
        let mut other = good.clone();
        other.metadata.id = ID ^ 1;
        assert_eq!(
            judge(&exchange(), &other),
            Received::Stranger("another number")
        );

        let mut other = good;
        other.queries[0].name = Name::from_ascii("www.example.org.").unwrap();
        assert_eq!(
            judge(&exchange(), &other),
            Received::Stranger("another question")
        );

        let question = exchange().question(ID).unwrap();
        let judged = exchange().judge(ID, &question);
        assert_eq!(judged, Received::Stranger("a question"));
        let judged = exchange().judge(ID, &question[..11]);
        assert_eq!(judged, Received::Stranger("shorter than a header"));
    }

    #[test]
    fn garbage_under_our_number_is_the_servers_fault() {
        let mut bytes = answer(ResponseCode::NoError, &[[192, 0, 2, 1]])
            .to_vec()
            .unwrap();
        bytes.truncate(bytes.len() - 2);
        let judged = exchange().judge(ID, &bytes);
        assert!(
            matches!(judged, Received::Answer(Err(DnsError::Garbage { .. }))),
            "{judged:?}"
        );
    }

    #[test]
    fn a_truncated_answer_is_truncated_even_within_a_record() {
        let mut message = answer(ResponseCode::NoError, &[[192, 0, 2, 1]]);
        message.metadata.truncation = true;
        assert_eq!(judge(&exchange(), &message), Received::Truncated);
        let mut bytes = message.to_vec().unwrap();
        bytes.truncate(bytes.len() - 2);
        assert_eq!(exchange().judge(ID, &bytes), Received::Truncated);
    }

    #[test]
    fn the_root_can_be_asked_for_and_no_name_cannot() {
        assert!(
            Exchange::new(".", RecordType::SOA)
                .unwrap()
                .question(1)
                .is_ok()
        );
        let error = Exchange::new("a..b", RecordType::A).unwrap_err();
        assert!(matches!(error, QuestionError::Name { .. }), "{error}");
        assert_eq!(plain("10 Mail.Example.NET."), "10 mail.example.net");
        assert_eq!(plain("."), ".");
    }

    proptest! {
        #[test]
        fn nothing_that_arrives_makes_it_panic_and_noise_never_passes(
            bytes in proptest::collection::vec(any::<u8>(), 0..600),
        ) {
            let judged = exchange().judge(ID, &bytes);
            prop_assert!(judged != Received::Answer(Ok(())) || bytes.starts_with(&ID.to_be_bytes()));
        }

        #[test]
        fn a_changed_byte_never_makes_it_panic(at in 0usize..60, to in any::<u8>()) {
            let mut bytes = answer(ResponseCode::NoError, &[[192, 0, 2, 1]]).to_vec().unwrap();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = to;
            }
            let _judged = exchange().judge(ID, &bytes);
        }
    }
}
