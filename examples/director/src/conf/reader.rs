//! Files → the lines that count: comments, `@id` conditions, definitions, loops, includes.

use std::{
    collections::BTreeSet,
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    definitions::{Definitions, Random, definition},
    diagnostic::{Code, Diagnostic, Diagnostics},
    environment::{Environment, normal},
    include::{self, Checks},
    lexer::{Statement, Tokens, without_comment},
    loops::Loop,
    source::{FileId, Sources, Span, narrow},
    text::Text,
};

/// Files included from one another.
const MAX_INCLUDE_DEPTH: usize = 32;

/// Reads files into [`Tokens`].
pub(super) struct Reader<'e> {
    pub(super) environment: &'e dyn Environment,
    pub(super) config_id: String,
    /// Bytes that definitions and loops may still add.
    pub(super) allowance: usize,
    /// What is still to be read, the next on top.
    pub(super) pending: Vec<Pending>,
    pub(super) definitions: Definitions,
    /// The names already reported as undefined or looping: once is enough.
    pub(super) reported: BTreeSet<String>,
    pub(super) random: Random,
    pub(super) sources: Sources,
    pub(super) tokens: Tokens,
    pub(super) diagnostics: Diagnostics,
}

pub(super) enum Pending {
    File(OpenFile),
    /// The lines of an expansion from a byte on.
    Lines(Text<'static>, usize),
    /// A loop's further turns, the line it repeats, and its place.
    Loop(Loop, Text<'static>, Span),
}

pub(super) struct OpenFile {
    id: FileId,
    text: Arc<String>,
    /// The next line's first byte.
    at: usize,
    pub(super) path: PathBuf,
    pub(super) checks: Checks,
    /// Whether some of it was not UTF-8.
    lossy: bool,
}

impl<'e> Reader<'e> {
    pub(super) fn new(
        environment: &'e dyn Environment,
        config_id: String,
        allowance: usize,
        diagnostics: Diagnostics,
    ) -> Self {
        Self {
            environment,
            config_id,
            allowance,
            pending: Vec::new(),
            definitions: Definitions::default(),
            reported: BTreeSet::new(),
            random: Random(environment.random_seed()),
            sources: Sources::default(),
            tokens: Tokens::default(),
            diagnostics,
        }
    }

    /// Reads the file and all it includes.
    pub(super) fn read(&mut self, path: &Path) -> io::Result<()> {
        let file = self.open(path, Checks::default())?;
        self.pending.push(Pending::File(file));
        while let Some(pending) = self.pending.pop() {
            match pending {
                Pending::File(file) => self.read_file(file),
                Pending::Lines(text, at) => self.read_expanded_line(text, at),
                Pending::Loop(turns, line, at) => self.read_turn(turns, line, at),
            }
        }
        Ok(())
    }

    fn open(&mut self, path: &Path, checks: Checks) -> io::Result<OpenFile> {
        let bytes = self.environment.read(path)?;
        if bytes.len() > Sources::MAX_FILE_LEN {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let (text, lossy) = match String::from_utf8(bytes) {
            Ok(text) => (text, false),
            Err(error) => (String::from_utf8_lossy(error.as_bytes()).into_owned(), true),
        };
        self.tokens.reserve(text.len());
        let text = Arc::new(text);
        Ok(OpenFile {
            id: self.sources.add(path.to_owned(), Arc::clone(&text)),
            at: if text.starts_with('\u{feff}') { 3 } else { 0 },
            text,
            path: normal(path),
            checks,
            lossy,
        })
    }

    /// Reads a file's lines up to the first that puts something before the rest of the file.
    fn read_file(&mut self, mut file: OpenFile) {
        let whole = Arc::clone(&file.text);
        while let Some(range) = file.next_line() {
            let line = whole.get(range.clone()).unwrap_or("");
            let code = without_comment(line);
            if file.lossy && code.contains('\u{fffd}') {
                self.report_not_utf8(file.id, code, range.start);
            }
            let first = code.trim_start_matches(['\t', ' ']);
            match first.as_bytes().first() {
                None | Some(b'\r') => {}
                Some(b'@' | b'~' | b'$') => {
                    let line = file.logical_line(&whole, range.start, code);
                    self.pending.push(Pending::File(file));
                    return self.read_line(line);
                }
                Some(b'i') if include::directive(first).is_some() => {
                    let line = Text::verbatim(code, file.id, range.start).into_owned();
                    let start = code.len() - first.len();
                    let (path, checks) = (file.path.clone(), file.checks);
                    self.pending.push(Pending::File(file));
                    return self.include(&line, start, &path, checks);
                }
                Some(_) if code.contains('$') => {
                    let line = Text::verbatim(code, file.id, range.start).into_owned();
                    self.pending.push(Pending::File(file));
                    return self.read_line(line);
                }
                Some(_) => {
                    let (id, start) = (file.id, range.start);
                    let locate = |part: Range<usize>| {
                        Span::new(id, narrow(start + part.start)..narrow(start + part.end))
                    };
                    let from = self.tokens.len();
                    self.tokens.read_line(code, locate, &mut self.diagnostics);
                    if let Some(checks) = self.heed(from, file.checks) {
                        file.checks = checks;
                    }
                }
            }
        }
    }

    fn report_not_utf8(&mut self, file: FileId, code: &str, start: usize) {
        if let Some(at) = code.find('\u{fffd}') {
            let start = narrow(start + at);
            let span = Span::new(file, start..start + 3);
            self.diagnostics.add(
                Diagnostic::new(Code::NotUtf8, span, "this is not UTF-8")
                    .help("save the file as UTF-8; only comments may hold anything"),
            );
        }
    }

    pub(super) fn current_file(&self) -> Option<&OpenFile> {
        self.pending.iter().rev().find_map(|pending| match pending {
            Pending::File(file) => Some(file),
            Pending::Lines(..) | Pending::Loop(..) => None,
        })
    }

    pub(super) fn current_file_mut(&mut self) -> Option<&mut OpenFile> {
        self.pending
            .iter_mut()
            .rev()
            .find_map(|pending| match pending {
                Pending::File(file) => Some(file),
                Pending::Lines(..) | Pending::Loop(..) => None,
            })
    }

    /// Heeds the keywords that tell how the rest is to be read, among the statements from
    /// `from` on: `random_seed` at once, `include_check` by the checks that hold from here on.
    pub(super) fn heed(&mut self, from: usize, checks: Checks) -> Option<Checks> {
        let mut changed = None;
        for statement in self.tokens.statements_from(from) {
            let Statement::Words(places) = statement else {
                continue;
            };
            let mut texts = places.map(|place| self.tokens.text_of(place as usize));
            match texts.next() {
                Some("random_seed") => {
                    if let Some(seed) = texts.next().and_then(|text| text.parse().ok()) {
                        self.random = Random(seed);
                    }
                }
                Some("include_check") => changed = Some(checks.changed(texts)),
                _ => {}
            }
        }
        changed
    }

    /// Opens the files of an `include` line, which is read before the rest of its file.
    fn include(&mut self, line: &Text<'static>, start: usize, from: &Path, checks: Checks) {
        let text = line.as_str();
        let Some((directive, added)) = text.get(start..).and_then(include::directive) else {
            return;
        };
        let pattern_start = start + directive.len();
        let rest = text.get(pattern_start..).unwrap_or("");
        let pattern = rest.trim_matches(|c: char| c.is_ascii_whitespace());
        let pattern_start = pattern_start + rest.find(pattern).unwrap_or(0);
        let span = line.locate(pattern_start..pattern_start + pattern.len(), &self.sources);
        let pattern = pattern.trim_matches(['"', '\'']);
        if pattern.is_empty() {
            let span = line.locate(start..start + directive.len(), &self.sources);
            return self.diagnostics.add(
                Diagnostic::new(
                    Code::MissingValue,
                    span,
                    format!("`{directive}` needs a file name"),
                )
                .help("a file or a pattern, as `include conf.d/*.conf`"),
            );
        }
        let checks = checks | added;
        let directory = from.parent().map(Path::to_owned).unwrap_or_default();
        let mut files = Vec::new();
        for found in include::find(self.environment, &directory, pattern) {
            if found.files.is_empty() {
                self.report_no_match(&found, checks, span);
            }
            for path in found.files {
                if let Some(file) = self.open_included(&path, checks, span) {
                    files.push(Pending::File(file));
                }
            }
        }
        self.pending.extend(files.into_iter().rev());
    }

    fn report_no_match(&mut self, found: &include::Found, checks: Checks, span: Span) {
        let message = format!("no file matches `{}`", found.pattern);
        if checks.asks_for_match(found) {
            self.diagnostics.say(Code::IncludeNoMatch, span, message);
        } else if !found.wildcard && !found.from_braces {
            self.diagnostics.add(
                Diagnostic::new(Code::IncludeMissing, span, message)
                    .help("keepalived goes on without it; `includea` makes this an error"),
            );
        }
    }

    fn open_included(&mut self, path: &Path, checks: Checks, span: Span) -> Option<OpenFile> {
        let normal = normal(path);
        let open = || {
            self.pending.iter().filter_map(|pending| match pending {
                Pending::File(file) => Some(&file.path),
                Pending::Lines(..) | Pending::Loop(..) => None,
            })
        };
        if open().any(|open| *open == normal) || open().count() >= MAX_INCLUDE_DEPTH {
            self.diagnostics.say(
                Code::IncludeCycle,
                span,
                format!("`{}` is included from itself", path.display()),
            );
            return None;
        }
        match self.open(path, checks) {
            Ok(file) => Some(file),
            Err(error) => {
                let code = if checks.contains(Checks::READABLE) {
                    Code::IncludeUnreadable
                } else {
                    Code::IncludeMissing
                };
                let message = format!("cannot read `{}`: {error}", path.display());
                self.diagnostics.say(code, span, message);
                None
            }
        }
    }
}

impl OpenFile {
    /// The next line, without its end.
    fn next_line(&mut self) -> Option<Range<usize>> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let start = self.at;
        let end = start + rest.find('\n').unwrap_or(rest.len());
        self.at = end + 1;
        Some(start..end)
    }

    /// The line `code` at `start`, with the lines that continue it if it is a definition: all
    /// but the last end in a backslash.
    fn logical_line(&mut self, whole: &str, start: usize, code: &str) -> Text<'static> {
        let trimmed = |line: &str| {
            line.trim_end_matches(|c: char| c.is_ascii_whitespace())
                .len()
        };
        let continues = |line: &str| line.get(..trimmed(line)).is_some_and(|l| l.ends_with('\\'));
        let first = code.trim_start();
        let unconditional = match first.strip_prefix('@') {
            Some(rest) => rest.split_once([' ', '\t']).map_or("", |(_, rest)| rest),
            None => first,
        };
        if !continues(code) || definition(unconditional.trim_start()).is_none() {
            return Text::verbatim(code, self.id, start).into_owned();
        }
        let mut lines = Vec::new();
        lines.push(start..start + trimmed(code) - 1);
        while let Some(range) = self.next_line() {
            let code = without_comment(whole.get(range.clone()).unwrap_or(""));
            if continues(code) {
                lines.push(range.start..range.start + trimmed(code) - 1);
            } else {
                lines.push(range.start..range.start + code.len());
                break;
            }
        }
        Text::lines(whole, self.id, &lines)
    }
}
