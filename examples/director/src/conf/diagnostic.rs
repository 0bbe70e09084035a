//! What is wrong with a configuration, and where.

use std::{collections::BTreeSet, fmt};

use serde::{Serialize, Serializer};

use super::source::Span;

/// How bad a [`Diagnostic`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a configuration is good or it is not"
)]
pub enum Severity {
    /// The configuration is used, and probably does not do what was meant.
    Warning,
    /// The configuration is refused.
    Error,
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// What kind of thing; stable, for programs.
    pub code: Code,
    /// Whether the configuration is refused for it.
    pub severity: Severity,
    /// Where.
    pub span: Span,
    /// What is wrong, in one clause.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Other places that belong to it.
    pub notes: Vec<Note>,
}

/// A further place that a [`Diagnostic`] is about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Note {
    /// The place.
    pub span: Span,
    /// What is there.
    pub message: String,
}

impl Diagnostic {
    pub(super) fn new(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.severity(),
            span,
            message: message.into(),
            help: None,
            notes: Vec::new(),
        }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn note(mut self, span: Span, message: impl Into<String>) -> Self {
        self.notes.push(Note {
            span,
            message: message.into(),
        });
        self
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $severity:ident $name:literal,)+) => {
        /// The kinds of [`Diagnostic`]. Their names are stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The stable name, as printed.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// How bad it is unless `--lenient` makes it milder.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self {
                    $(Self::$variant => Severity::$severity,)+
                }
            }
        }
    };
}

codes! {
    // The language.
    /// Text outside a comment is not UTF-8.
    NotUtf8 = Error "not-utf8",
    /// A quote is not closed on its line.
    UnterminatedQuote = Error "unterminated-quote",
    /// A backslash that escapes nothing.
    BadEscape = Error "bad-escape",
    /// An `@` line without a configuration id.
    BadCondition = Error "bad-condition",
    /// A `$NAME=` line that defines nothing.
    BadDefinition = Error "bad-definition",
    /// A `${_NAME …}` that has no value: no such environment variable, bounds that are none.
    BadBuiltIn = Error "bad-built-in",
    /// A definition of a name that starts with `_`.
    ReservedName = Warning "reserved-name",
    /// A definition that refers to itself.
    DefinitionLoop = Error "definition-loop",
    /// Definitions and loops that grow beyond what a configuration may be.
    ExpansionTooLarge = Error "expansion-too-large",
    /// A `$NAME` that nothing defines, left as it is.
    UndefinedName = Warning "undefined-name",
    /// A `~SEQ` or `~LST` that cannot be read.
    BadLoop = Error "bad-loop",
    /// A file that includes itself.
    IncludeCycle = Error "include-cycle",
    /// An included file that cannot be read, where that matters.
    IncludeUnreadable = Error "include-unreadable",
    /// An include that finds no file, where that matters.
    IncludeNoMatch = Error "include-no-match",
    /// An include that finds no file, where keepalived does not mind.
    IncludeMissing = Warning "include-missing",
    /// A block that is not closed.
    MissingBrace = Error "missing-brace",
    /// A brace that opens or closes nothing.
    UnexpectedBrace = Error "unexpected-brace",
    /// Blocks in blocks beyond any sense.
    NestedTooDeep = Error "nested-too-deep",

    // Keywords.
    /// A word that no block knows.
    UnknownKeyword = Error "unknown-keyword",
    /// A keyword of another block.
    WrongBlock = Error "wrong-block",
    /// keepalived knows it, director does not do it yet.
    NotYet = Error "not-yet",
    /// As [`NotYet`](Self::NotYet), and too dangerous to leave out: an error with `--lenient` too.
    NotYetVital = Error "not-yet-vital",
    /// keepalived ignores it, and so does director.
    Ignored = Warning "ignored",
    /// An old name of a keyword.
    DeprecatedKeyword = Warning "deprecated-keyword",
    /// A keyword given twice; the last one counts.
    RepeatedKeyword = Warning "repeated-keyword",
    /// A keyword without its value.
    MissingValue = Error "missing-value",
    /// A block that lacks something it needs.
    MissingKeyword = Error "missing-keyword",
    /// Words after the last one that means something.
    UnexpectedWord = Error "unexpected-word",
    /// A keyword that has a block, without it.
    MissingBlock = Error "missing-block",
    /// A block behind a keyword that has none.
    UnexpectedBlock = Error "unexpected-block",
    /// A block with nothing in it.
    EmptyBlock = Warning "empty-block",

    // Values.
    /// A value that is not what the keyword takes, or is out of range.
    WrongValue = Error "wrong-value",
    /// An address that is not one, or not of the kind needed here.
    WrongAddress = Error "wrong-address",
    /// An address of the other family.
    WrongFamily = Error "wrong-family",
    /// An `auth_pass` of more than 8 bytes.
    PasswordTooLong = Error "password-too-long",
    /// A script that is not an absolute path, or has no program.
    WrongScript = Error "wrong-script",
    /// A regular expression that cannot be one.
    WrongRegex = Error "wrong-regex",
    /// `uthreshold` and `lthreshold` that the kernel refuses.
    WrongThresholds = Error "wrong-thresholds",

    // One thing against another.
    /// Two things with one name.
    DuplicateName = Error "duplicate-name",
    /// Two instances with one VRID on one interface and family.
    DuplicateVrid = Error "duplicate-vrid",
    /// An address listed twice by one instance; it is advertised twice, as by keepalived.
    DuplicateAddress = Warning "duplicate-address",
    /// An address that two instances hold on one interface.
    SharedAddress = Error "shared-address",
    /// The same entry twice in a list.
    DuplicateEntry = Error "duplicate-entry",
    /// A `track_script` entry without its `vrrp_script`.
    UnknownScript = Error "unknown-script",
    /// A sync group member without its `vrrp_instance`.
    UnknownInstance = Error "unknown-instance",
    /// A `FILE_CHECK` without its `track_file`.
    UnknownFile = Error "unknown-file",
    /// A virtual server of a group without its `virtual_server_group`.
    UnknownGroup = Error "unknown-group",
    /// A virtual server of a group that has no address and no mark.
    EmptyGroup = Error "empty-group",
    /// Two virtual servers for one address, port and protocol, or for one mark.
    DuplicateService = Error "duplicate-service",
    /// Settings that exclude one another.
    Conflict = Error "conflict",

    // Good syntax, doubtful meaning.
    /// `nopreempt` or `preempt_delay` with `state MASTER`.
    MasterState = Warning "master-state",
    /// `nopreempt` together with weights: the weights never move the address.
    NopreemptWeight = Warning "nopreempt-weight",
    /// Weights that a sync group or the address owner drops.
    DroppedWeight = Warning "dropped-weight",
    /// A script whose times do not fit together.
    ScriptTiming = Warning "script-timing",
    /// A password that the protocol version ignores.
    IgnoredAuthentication = Warning "ignored-authentication",
    /// A default that few people expect: `protocol`, `lb_algo` or `lb_kind` is missing.
    AssumedDefault = Warning "assumed-default",
    /// `sh` or `mh` without fallback: some clients of a server that takes no more are dropped.
    HashWithoutFallback = Warning "hash-without-fallback",
    /// A real server by DR or TUN with another port than its virtual server.
    PortsDiffer = Warning "ports-differ",
    /// A quorum or hysteresis that the weights of the real servers do not reach.
    QuorumOutOfReach = Warning "quorum-out-of-reach",
    /// Persistence of UDP, which has no end of a connection.
    UdpPersistence = Warning "udp-persistence",
    /// `slow_start` with a scheduler that does not spread connections by weights.
    SlowStartWithoutWeights = Error "slow-start-without-weights",
    /// Something configured that nothing uses.
    Unused = Warning "unused",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The diagnostics of one configuration.
#[derive(Debug, Default)]
pub(super) struct Diagnostics {
    list: Vec<Diagnostic>,
    errors: usize,
    lenient: bool,
}

impl Diagnostics {
    pub(super) const fn new(lenient: bool) -> Self {
        Self {
            list: Vec::new(),
            errors: 0,
            lenient,
        }
    }

    /// Adds a diagnostic. What keepalived lets pass is only a warning with `--lenient`.
    pub(super) fn add(&mut self, mut diagnostic: Diagnostic) {
        if self.lenient && matches!(diagnostic.code, Code::NotYet | Code::UnexpectedWord) {
            diagnostic.severity = Severity::Warning;
            if diagnostic.code == Code::NotYet {
                diagnostic.help = Some("it is left out, and so is its block".to_owned());
            }
        }
        self.errors += usize::from(diagnostic.severity == Severity::Error);
        self.list.push(diagnostic);
    }

    /// How many errors there are.
    pub(super) const fn errors(&self) -> usize {
        self.errors
    }

    /// Adds a diagnostic of a place and a message.
    pub(super) fn say(&mut self, code: Code, span: Span, message: impl Into<String>) {
        self.add(Diagnostic::new(code, span, message));
    }

    /// All of them, in the order of the text. What is said of a place again, as each use of a
    /// definition would, is left out.
    pub(super) fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.list
            .sort_by_key(|diagnostic| (diagnostic.span.file, diagnostic.span.start));
        let mut said = BTreeSet::new();
        self.list.retain(|diagnostic| {
            let span = diagnostic.span;
            let key = (
                diagnostic.code,
                span.file,
                span.range().start,
                span.range().end,
            );
            span.expansion.is_none() || said.insert((key, diagnostic.message.clone()))
        });
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_names_are_unique_and_in_kebab_case() {
        let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(names.iter().all(|name| {
            name.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        }));
    }
}
