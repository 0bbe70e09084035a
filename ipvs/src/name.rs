//! Names as the kernel keeps them: of schedulers, persistence engines and interfaces.

use std::{fmt, str::FromStr};

/// Text of 1 to 15 bytes without blanks; shorter ones are filled up with zeros.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Short([u8; LONGEST]);

/// 15 bytes: the kernel's fields have 16 and end with a zero (`IP_VS_SCHEDNAME_MAXLEN`,
/// `IP_VS_PENAME_MAXLEN`, `IP_VS_IFNAME_MAXLEN`).
const LONGEST: usize = 15;

impl Short {
    fn new(text: &str) -> Option<Self> {
        let fits = (1..=LONGEST).contains(&text.len());
        if !fits || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return None;
        }
        let mut bytes = [0; LONGEST];
        for (to, from) in bytes.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        Some(Self(bytes))
    }

    const fn ascii(text: &[u8]) -> Self {
        let mut bytes = [0; LONGEST];
        let (to, _) = bytes.split_at_mut(text.len());
        to.copy_from_slice(text);
        Self(bytes)
    }

    fn as_str(&self) -> &str {
        let text = self.0.split(|byte| *byte == 0).next().unwrap_or_default();
        std::str::from_utf8(text).expect("it was copied from a text")
    }
}

/// A text that cannot be the name of anything in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` cannot be the name of {what}: expected 1 to 15 bytes without blanks, as {like}")]
#[non_exhaustive]
pub struct NameError {
    /// What was given.
    pub text: String,
    /// What it should have named.
    pub what: &'static str,
    /// Names that could have been meant.
    pub like: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $like:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Short);

        impl $name {
            /// Takes a name of 1 to 15 bytes without blanks and control characters.
            ///
            /// # Errors
            /// The text is not one.
            pub fn new(text: &str) -> Result<Self, NameError> {
                let refused = || NameError { text: text.to_owned(), what: $what, like: $like };
                Short::new(text).map(Self).ok_or_else(refused)
            }

            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }
    };
}

name! {
    /// Name of a scheduler: the kernel's module without `ip_vs_`.
    ///
    /// Any name can be given, for a kernel may have schedulers of its own; the known ones are in
    /// [`SchedulerName::KNOWN`].
    SchedulerName, "a scheduler", "rr or wlc"
}

name! {
    /// Name of a persistence engine: the kernel's module without `ip_vs_pe_`. There is one, `sip`.
    EngineName, "a persistence engine", "sip"
}

name! {
    /// Name of a network interface.
    InterfaceName, "a network interface", "eth0"
}

impl SchedulerName {
    /// `wlc`, which ipvsadm takes where none is named.
    pub const WLC: Self = Self(Short::ascii(b"wlc"));
    /// Round robin.
    pub const RR: Self = Self(Short::ascii(b"rr"));
    /// `sh`, whose flags have names of their own.
    pub const SH: Self = Self(Short::ascii(b"sh"));
    /// `mh`, whose flags have names of their own.
    pub const MH: Self = Self(Short::ascii(b"mh"));

    /// The fourteen schedulers of Linux.
    pub const KNOWN: [&'static str; 14] = [
        "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh",
        "twos",
    ];
}

impl Default for SchedulerName {
    fn default() -> Self {
        Self::WLC
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_it_was_made_from() {
        for text in ["w", "wlc", "fifteen-bytes-x", "größer"] {
            assert_eq!(SchedulerName::new(text).unwrap().as_str(), text);
        }
        assert_eq!(SchedulerName::new("wlc").unwrap(), SchedulerName::WLC);
        assert_eq!(SchedulerName::new("sh").unwrap(), SchedulerName::SH);
        assert_eq!(SchedulerName::new("mh").unwrap(), SchedulerName::MH);
    }

    #[test]
    fn names_sort_as_their_texts_do() {
        let mut names =
            ["wrr", "rr", "mh", "lblcr", "lblc"].map(|t| SchedulerName::new(t).unwrap());
        names.sort();
        assert_eq!(
            names.map(|name| name.to_string()),
            ["lblc", "lblcr", "mh", "rr", "wrr"]
        );
    }

    #[test]
    fn what_the_kernel_could_not_keep_is_refused_with_an_example() {
        for text in ["", "sixteen-bytes-xx", "a b", "tab\t", "nul\0"] {
            assert!(InterfaceName::new(text).is_err(), "{text:?}");
        }
        assert_eq!(
            EngineName::new("").unwrap_err().to_string(),
            "`` cannot be the name of a persistence engine: expected 1 to 15 bytes without blanks, \
             as sip"
        );
    }
}
