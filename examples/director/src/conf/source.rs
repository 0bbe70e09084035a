//! The texts a configuration was read from, and places in them.

use std::{
    num::NonZeroU32,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

/// Which of the [`Sources`] a place is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(u32);

/// Which use of a definition or turn of a loop brought a text to where it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExpansionId(NonZeroU32);

/// A stretch of a file's text, in bytes, and how it came to be read there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// Its first byte.
    pub start: u32,
    /// The byte after its last.
    pub end: u32,
    /// The use of a definition or the turn of a loop that this text was read in, if any.
    pub expansion: Option<ExpansionId>,
}

impl Span {
    /// The stretch `range` of a file, read as it stands there.
    pub(super) const fn new(file: FileId, range: Range<u32>) -> Self {
        Self {
            file,
            start: range.start,
            end: range.end,
            expansion: None,
        }
    }

    /// From the beginning of this stretch to the end of `other`, which is of the same text.
    pub(super) const fn to(self, other: Self) -> Self {
        Self {
            end: if other.end > self.end {
                other.end
            } else {
                self.end
            },
            ..self
        }
    }

    /// The empty stretch at the end of this one.
    pub(super) const fn at_end(self) -> Self {
        Self {
            start: self.end,
            ..self
        }
    }

    /// As a range of indices into the file's text.
    #[must_use]
    pub const fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// One use of a definition, or one turn of a loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expansion {
    /// What was put in: `$NAME`, or `NAME=value` for a loop's turn.
    pub(super) what: Box<str>,
    /// Where it was used.
    pub(super) at: Span,
}

impl Expansion {
    /// What `at` has to do with a place inside.
    pub(super) fn described(&self) -> String {
        if self.what.starts_with('$') {
            format!("in this use of `{}`", self.what)
        } else {
            format!("in the turn `{}` of this loop", self.what)
        }
    }
}

/// A line and a column, both counted from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "a position is these two")]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// One file's text.
#[derive(Debug)]
pub(super) struct SourceFile {
    /// As it was named by the user or by the `include`.
    path: PathBuf,
    text: Arc<String>,
    /// Only who reports a place needs them.
    line_starts: OnceLock<Vec<u32>>,
}

impl SourceFile {
    fn line_starts(&self) -> &[u32] {
        self.line_starts.get_or_init(|| {
            let ends = self.text.match_indices('\n');
            std::iter::once(0)
                .chain(ends.map(|(at, _)| narrow(at + 1)))
                .collect()
        })
    }
}

/// Every text that a configuration was read from.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<SourceFile>,
    expansions: Vec<Expansion>,
}

impl Sources {
    /// Files are addressed with 32 bits.
    pub(super) const MAX_FILE_LEN: usize = u32::MAX as usize - 1;

    /// Adds a file's text, of at most [`MAX_FILE_LEN`](Self::MAX_FILE_LEN) bytes.
    pub(super) fn add(&mut self, path: PathBuf, text: Arc<String>) -> FileId {
        self.files.push(SourceFile {
            path,
            text,
            line_starts: OnceLock::new(),
        });
        FileId(narrow(self.files.len() - 1))
    }

    /// Records that `what` was put in at `at`.
    pub(super) fn expand(&mut self, what: Box<str>, at: Span) -> Option<ExpansionId> {
        self.expansions.push(Expansion { what, at });
        u32::try_from(self.expansions.len())
            .ok()
            .and_then(NonZeroU32::new)
            .map(ExpansionId)
    }

    fn expansion(&self, id: ExpansionId) -> Option<&Expansion> {
        self.expansions.get(id.0.get() as usize - 1)
    }

    /// The uses and turns that `span` was read in, innermost first.
    pub(super) fn expansions_of(&self, span: Span) -> impl Iterator<Item = &Expansion> {
        let step = |span: Span| span.expansion.and_then(|id| self.expansion(id));
        std::iter::successors(step(span), move |expansion| step(expansion.at))
    }

    /// The stretch from `a` to `b`, two places of one line as it was read.
    ///
    /// Where they come from different texts, it is the place of the innermost text that both
    /// were put into.
    pub(super) fn join(&self, mut a: Span, mut b: Span) -> Span {
        while a.expansion != b.expansion {
            let (depth_a, depth_b) = (self.expansions_of(a).count(), self.expansions_of(b).count());
            let deeper = if depth_a >= depth_b { &mut a } else { &mut b };
            match deeper.expansion.and_then(|id| self.expansion(id)) {
                Some(expansion) => *deeper = expansion.at,
                None => break,
            }
        }
        if a.file == b.file { a.to(b) } else { a }
    }

    /// The path of a file, as it was named.
    #[must_use]
    pub fn path(&self, file: FileId) -> &Path {
        self.file(file)
            .map_or_else(|| Path::new(""), |file| &file.path)
    }

    /// The text of a file.
    #[must_use]
    pub fn text(&self, file: FileId) -> &str {
        self.file(file).map_or("", |file| &file.text)
    }

    fn file(&self, file: FileId) -> Option<&SourceFile> {
        self.files.get(file.0 as usize)
    }

    /// Where a stretch starts.
    #[must_use]
    pub fn start(&self, span: Span) -> Position {
        self.position(span.file, span.start)
    }

    /// Where a stretch ends: the position after its last character.
    #[must_use]
    pub fn end(&self, span: Span) -> Position {
        self.position(span.file, span.end)
    }

    fn position(&self, file: FileId, at: u32) -> Position {
        let line = self.line_of(file, at);
        let before = self
            .text(file)
            .get(self.line_start(file, line)..at as usize)
            .unwrap_or("");
        Position {
            line: line + 1,
            column: before.chars().count() + 1,
        }
    }

    /// The index of the line that a byte is in.
    fn line_of(&self, file: FileId, at: u32) -> usize {
        self.file(file).map_or(0, |file| {
            file.line_starts()
                .partition_point(|&start| start <= at)
                .saturating_sub(1)
        })
    }

    fn line_start(&self, file: FileId, line: usize) -> usize {
        self.file(file)
            .and_then(|file| file.line_starts().get(line))
            .map_or(0, |&start| start as usize)
    }

    /// The whole lines that a stretch lies in, as a range of the file's text.
    pub(super) fn lines_around(&self, span: Span) -> Range<usize> {
        let text = self.text(span.file);
        let start = self.line_start(span.file, self.line_of(span.file, span.start));
        let last = span.end.max(span.start + 1) as usize - 1;
        let end = text
            .get(last.min(text.len())..)
            .and_then(|rest| rest.find('\n'))
            .map_or(text.len(), |at| last.min(text.len()) + at);
        start..end.max(start)
    }

    /// How far the line that a stretch starts in is indented, in bytes; `None` if something
    /// else stands before it on that line.
    pub(super) fn indentation(&self, span: Span) -> Option<usize> {
        let start = self.line_start(span.file, self.line_of(span.file, span.start));
        let before = self.text(span.file).get(start..span.start as usize)?;
        before
            .chars()
            .all(|c| c == ' ' || c == '\t')
            .then_some(before.len())
    }
}

/// An offset into a text whose length was checked against [`Sources::MAX_FILE_LEN`].
pub(super) fn narrow(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(text: &str) -> (Sources, FileId) {
        let mut sources = Sources::default();
        let file = sources.add("a.conf".into(), Arc::new(text.to_owned()));
        (sources, file)
    }

    #[test]
    fn lines_and_columns_count_from_one_and_columns_count_characters() {
        let (sources, file) = sources("state MASTER\n# ü\n  é x\n");
        let x = sources.text(file).rfind('x').map(narrow).unwrap();
        let position = sources.start(Span::new(file, x..x + 1));
        assert_eq!(position, Position { line: 3, column: 5 });
        assert_eq!(
            sources.start(Span::new(file, 0..1)),
            Position { line: 1, column: 1 }
        );
    }

    #[test]
    fn the_end_of_the_text_is_a_place_too() {
        let (sources, file) = sources("a\n");
        assert_eq!(
            sources.start(Span::new(file, 2..2)),
            Position { line: 2, column: 1 }
        );
        assert_eq!(sources.lines_around(Span::new(file, 2..2)), 2..2);
        assert_eq!(sources.lines_around(Span::new(file, 0..1)), 0..1);
    }

    #[test]
    fn places_of_different_texts_join_where_both_were_put_in() {
        let (mut sources, file) = sources("$A=10\n$B=${A}.1\nx ${B} y\n");
        let use_of_b = Span::new(file, 18..22);
        let in_b = sources.expand("$B".into(), use_of_b);
        let use_of_a = Span {
            expansion: in_b,
            ..Span::new(file, 9..13)
        };
        let in_a = sources.expand("$A".into(), use_of_a);
        let ten = Span {
            expansion: in_a,
            ..Span::new(file, 3..5)
        };
        let dot_one = Span {
            expansion: in_b,
            ..Span::new(file, 13..15)
        };
        let joined = sources.join(ten, dot_one);
        assert_eq!((joined.start, joined.end, joined.expansion), (9, 15, in_b));
        let y = Span::new(file, 23..24);
        let joined = sources.join(ten, y);
        assert_eq!((joined.start, joined.end, joined.expansion), (18, 24, None));
    }
}
