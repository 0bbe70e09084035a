//! What a DNS server is asked: types and response codes by name and number.

use std::{fmt, str::FromStr};

use hickory_proto::{op::ResponseCode, rr};

/// A type of DNS record (RFC 1035 §3.2.2 and later).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordType(u16);

impl RecordType {
    /// An IPv4 address.
    pub const A: Self = Self(1);
    /// A name server.
    pub const NS: Self = Self(2);
    /// Another name for the same.
    pub const CNAME: Self = Self(5);
    /// The start of a zone: what keepalived asks for unless told otherwise.
    pub const SOA: Self = Self(6);
    /// A name for an address.
    pub const PTR: Self = Self(12);
    /// A mail server.
    pub const MX: Self = Self(15);
    /// Text.
    pub const TXT: Self = Self(16);
    /// An IPv6 address.
    pub const AAAA: Self = Self(28);
    /// A server of a service.
    pub const SRV: Self = Self(33);
    /// A signature (DNSSEC).
    pub const RRSIG: Self = Self(46);
    /// A key (DNSSEC).
    pub const DNSKEY: Self = Self(48);

    /// The type of a number.
    #[must_use]
    pub const fn from_number(number: u16) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = rr::RecordType::from(self.0);
        if let rr::RecordType::Unknown(number) = known {
            write!(f, "TYPE{number}")
        } else {
            known.fmt(f)
        }
    }
}

/// Reads the name of a type in any case, or `TYPE65280` (RFC 3597 §5).
impl FromStr for RecordType {
    type Err = QuestionError;

    fn from_str(text: &str) -> Result<Self, QuestionError> {
        let upper = text.to_ascii_uppercase();
        if let Some(number) = upper.strip_prefix("TYPE").and_then(|n| n.parse().ok()) {
            return Ok(Self(number));
        }
        match upper.parse() {
            Ok(rr::RecordType::Unknown(_)) | Err(_) => Err(QuestionError::Type(text.to_owned())),
            Ok(known) => Ok(Self(u16::from(known))),
        }
    }
}

/// What a DNS server thinks of a question (RFC 1035 §4.1.1 and later).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rcode(u16);

impl Rcode {
    /// No error.
    pub const NOERROR: Self = Self(0);
    /// The server does not understand the question.
    pub const FORMERR: Self = Self(1);
    /// The server has failed.
    pub const SERVFAIL: Self = Self(2);
    /// There is no such name.
    pub const NXDOMAIN: Self = Self(3);
    /// The server does not do this kind of question.
    pub const NOTIMP: Self = Self(4);
    /// The server does not want to answer.
    pub const REFUSED: Self = Self(5);

    /// The code of a number.
    #[must_use]
    pub const fn from_number(number: u16) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    pub(super) fn of(code: ResponseCode) -> Self {
        Self(code.into())
    }
}

/// Written as dig does where it has a name of its own, else `RCODE` and the number.
impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(code, _)| code == self) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "RCODE{}", self.0),
        }
    }
}

const NAMES: [(Rcode, &str); 6] = [
    (Rcode::NOERROR, "NOERROR"),
    (Rcode::FORMERR, "FORMERR"),
    (Rcode::SERVFAIL, "SERVFAIL"),
    (Rcode::NXDOMAIN, "NXDOMAIN"),
    (Rcode::NOTIMP, "NOTIMP"),
    (Rcode::REFUSED, "REFUSED"),
];

/// Reads the name of a code in any case, or `RCODE23`.
impl FromStr for Rcode {
    type Err = QuestionError;

    fn from_str(text: &str) -> Result<Self, QuestionError> {
        let upper = text.to_ascii_uppercase();
        NAMES
            .iter()
            .find_map(|(code, name)| (*name == upper).then_some(*code))
            .or_else(|| Some(Self(upper.strip_prefix("RCODE")?.parse().ok()?)))
            .ok_or_else(|| QuestionError::Rcode(text.to_owned()))
    }
}

/// A question that cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuestionError {
    /// The name is no domain name.
    #[error("\"{name}\" is no domain name: {reason}")]
    Name {
        /// The text.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No such type.
    #[error("\"{0}\" is no type of DNS record: write one such as A, AAAA, SOA or TYPE65280")]
    Type(String),
    /// No such code.
    #[error("\"{0}\" is no DNS response code: write one such as NOERROR, NXDOMAIN or RCODE23")]
    Rcode(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_codes_are_read_as_they_are_written() {
        for name in [
            "A",
            "NS",
            "CNAME",
            "SOA",
            "PTR",
            "MX",
            "TXT",
            "AAAA",
            "SRV",
            "RRSIG",
            "DNSKEY",
            "TYPE65280",
        ] {
            let kind: RecordType = name.parse().unwrap();
            assert_eq!(kind.to_string(), name);
            assert_eq!(name.to_lowercase().parse(), Ok(kind));
        }
        for name in ["NOERROR", "NXDOMAIN", "REFUSED", "RCODE23"] {
            let code: Rcode = name.parse().unwrap();
            assert_eq!(code.to_string(), name);
        }
        assert_eq!("RRSIG".parse(), Ok(RecordType::RRSIG));
        assert_eq!("DNSKEY".parse(), Ok(RecordType::DNSKEY));
        assert_eq!("SRV".parse(), Ok(RecordType::SRV));
    }

    #[test]
    fn what_is_no_name_is_refused_with_what_would_be_one() {
        let error = "ADDRESS".parse::<RecordType>().unwrap_err().to_string();
        assert!(
            error.contains("\"ADDRESS\"") && error.contains("AAAA"),
            "{error}"
        );
        let error = "FINE".parse::<Rcode>().unwrap_err().to_string();
        assert!(error.contains("NXDOMAIN"), "{error}");
    }
}
