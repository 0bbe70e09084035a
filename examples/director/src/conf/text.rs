//! A line's text, and for each part of it the place it was written.

use std::{borrow::Cow, ops::Range};

use super::source::{ExpansionId, FileId, Sources, Span, narrow};

/// A line (or the value of a definition) with the origin of its parts.
///
/// A line of a file is one piece; each definition put into it adds pieces.
#[derive(Debug, Clone)]
pub(super) struct Text<'a> {
    text: Cow<'a, str>,
    pieces: Pieces,
}

/// Pieces in ascending order, the first at 0. Most texts have one, so it does not allocate.
#[derive(Debug, Clone)]
enum Pieces {
    One(Piece),
    Many(Vec<Piece>),
}

#[derive(Debug, Clone, Copy)]
struct Piece {
    /// Where it starts in the text.
    at: u32,
    /// Where it was written.
    origin: Span,
    /// Whether its bytes are those at `origin`, one for one.
    verbatim: bool,
}

impl<'a> Text<'a> {
    /// A stretch of a file as it stands; `start` is its offset there.
    pub(super) fn verbatim(text: &'a str, file: FileId, start: usize) -> Self {
        Self {
            text: Cow::Borrowed(text),
            pieces: Pieces::One(Piece {
                at: 0,
                origin: Span::new(file, narrow(start)..narrow(start + text.len())),
                verbatim: true,
            }),
        }
    }

    /// Stretches of a file, joined by line ends.
    pub(super) fn lines(whole: &str, file: FileId, lines: &[Range<usize>]) -> Text<'static> {
        let mut text = String::new();
        let mut pieces = Vec::with_capacity(lines.len());
        for (index, line) in lines.iter().enumerate() {
            if index > 0 {
                text.push('\n');
            }
            pieces.push(Piece {
                at: narrow(text.len()),
                origin: Span::new(file, narrow(line.start)..narrow(line.end)),
                verbatim: true,
            });
            text.push_str(whole.get(line.clone()).unwrap_or(""));
        }
        let mut lines = Text {
            text: Cow::Owned(text),
            pieces: Pieces::Many(Vec::new()),
        };
        lines.set_pieces(pieces);
        lines
    }

    /// A text that is written nowhere and stands for what is at `origin`.
    pub(super) fn made(text: impl Into<Cow<'a, str>>, origin: Span) -> Self {
        Self {
            text: text.into(),
            pieces: Pieces::One(Piece {
                at: 0,
                origin,
                verbatim: false,
            }),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn into_owned(self) -> Text<'static> {
        Text {
            text: Cow::Owned(self.text.into_owned()),
            pieces: self.pieces,
        }
    }

    fn pieces(&self) -> &[Piece] {
        match &self.pieces {
            Pieces::One(piece) => std::slice::from_ref(piece),
            Pieces::Many(pieces) => pieces,
        }
    }

    fn set_pieces(&mut self, pieces: Vec<Piece>) {
        self.pieces = match pieces.as_slice() {
            [piece] => Pieces::One(*piece),
            _ => Pieces::Many(pieces),
        };
    }

    /// The piece that the byte `at` is in.
    fn piece_of(&self, at: usize) -> Piece {
        let pieces = self.pieces();
        let index = pieces.partition_point(|piece| piece.at as usize <= at);
        *pieces
            .get(index.saturating_sub(1))
            .or_else(|| pieces.first())
            .expect("a text has at least one piece")
    }

    /// Where the stretch `range` of this text was written.
    pub(super) fn locate(&self, range: Range<usize>, sources: &Sources) -> Span {
        let first = self.piece_of(range.start);
        let last = self.piece_of(range.end.saturating_sub(1).max(range.start));
        let (start, end) = (first.origin_of(range.start), last.origin_of(range.end));
        if first.at == last.at {
            Span {
                start: start.start,
                end: end.end,
                ..first.origin
            }
        } else {
            sources.join(start, end)
        }
    }

    /// The pieces that lie in `range`, with offsets from its start.
    fn pieces_of(&self, range: &Range<usize>) -> Vec<Piece> {
        let pieces = self.pieces();
        let index_of = |at: usize| pieces.partition_point(|piece| (piece.at as usize) < at);
        let inner = index_of(range.start + 1)..index_of(range.end);
        let first = self.piece_of(range.start).moved_to(range.start);
        let inner = pieces.get(inner).unwrap_or(&[]).iter().copied();
        std::iter::once(first)
            .chain(inner)
            .map(|piece| Piece {
                at: piece.at - narrow(range.start),
                ..piece
            })
            .collect()
    }

    /// The stretch `range` as a text of its own.
    pub(super) fn slice(&self, range: Range<usize>) -> Text<'static> {
        let mut slice = Text {
            text: Cow::Owned(self.as_str().get(range.clone()).unwrap_or("").to_owned()),
            pieces: Pieces::Many(Vec::new()),
        };
        slice.set_pieces(self.pieces_of(&range));
        slice
    }

    /// Puts `value`, as used by `expansion`, in the place of the stretch `range`.
    pub(super) fn splice(
        &mut self,
        range: Range<usize>,
        value: &Text<'_>,
        expansion: Option<ExpansionId>,
    ) {
        let after = range.end..self.text.len();
        let mut pieces = if range.start > 0 {
            self.pieces_of(&(0..range.start))
        } else {
            Vec::new()
        };
        if !value.text.is_empty() {
            pieces.extend(value.pieces().iter().map(|piece| {
                let mut piece = *piece;
                piece.at += narrow(range.start);
                if expansion.is_some() {
                    piece.origin.expansion = expansion;
                }
                piece
            }));
        }
        if !after.is_empty() || pieces.is_empty() {
            let tail = narrow(range.start + value.text.len());
            pieces.extend(self.pieces_of(&after).into_iter().map(|piece| Piece {
                at: piece.at + tail,
                ..piece
            }));
        }
        self.text.to_mut().replace_range(range, &value.text);
        self.set_pieces(pieces);
    }

    /// Says that what was read in the same expansion as `at` is read in `expansion` instead.
    pub(super) fn move_into(&mut self, expansion: Option<ExpansionId>, at: Span) {
        let pieces = match &mut self.pieces {
            Pieces::One(piece) => std::slice::from_mut(piece),
            Pieces::Many(pieces) => pieces,
        };
        for piece in pieces {
            if piece.origin.expansion == at.expansion {
                piece.origin.expansion = expansion;
            }
        }
    }
}

impl Piece {
    /// The place of the byte `at`, up to the end of the piece's origin.
    fn origin_of(self, at: usize) -> Span {
        if !self.verbatim {
            return self.origin;
        }
        let at = self.origin.start + (narrow(at) - self.at);
        Span {
            start: at,
            end: at,
            ..self.origin
        }
    }

    /// What is left of the piece from the byte `at` on.
    fn moved_to(self, at: usize) -> Self {
        let at = narrow(at);
        let mut piece = self;
        if self.verbatim {
            piece.origin.start += at - self.at;
        }
        piece.at = at;
        piece
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "$P=300\npriority $P # x\n";

    fn line(sources: &mut Sources) -> (Text<'static>, Text<'static>) {
        let file = sources.add("a.conf".into(), FILE.to_owned().into());
        let text = sources.text(file).to_owned();
        let at = |part: &str| text.find(part).unwrap();
        (
            Text::verbatim("priority $P", file, at("priority")).into_owned(),
            Text::verbatim("300", file, at("300")).into_owned(),
        )
    }

    #[test]
    fn a_word_from_a_definition_is_located_in_the_definition() {
        let mut sources = Sources::default();
        let (mut line, value) = line(&mut sources);
        let used = line.locate(9..11, &sources);
        assert_eq!(used.range(), 16..18);
        let expansion = sources.expand("$P".into(), used);
        line.splice(9..11, &value, expansion);
        assert_eq!(line.as_str(), "priority 300");
        let word = line.locate(9..12, &sources);
        assert_eq!((word.range(), word.expansion), (3..6, expansion));
        let whole = line.locate(0..12, &sources);
        assert_eq!((whole.range(), whole.expansion), (7..18, None));
    }

    #[test]
    fn slicing_keeps_the_places() {
        let mut sources = Sources::default();
        let (mut line, value) = line(&mut sources);
        let expansion = sources.expand("$P".into(), line.locate(9..11, &sources));
        line.splice(9..11, &value, expansion);
        let slice = line.slice(4..12);
        assert_eq!(slice.as_str(), "rity 300");
        assert_eq!(slice.locate(0..4, &sources).range(), 11..15);
        assert_eq!(slice.locate(6..8, &sources).range(), 4..6);
    }

    #[test]
    fn a_made_text_stands_for_one_place() {
        let mut sources = Sources::default();
        let (mut line, _) = line(&mut sources);
        let used = line.locate(9..11, &sources);
        line.splice(9..11, &Text::made("a b", used), None);
        assert_eq!(line.locate(11..12, &sources), used);
        assert_eq!(line.locate(0..8, &sources).range(), 7..15);
    }

    #[test]
    fn replacing_all_of_a_text_by_nothing_leaves_a_place() {
        let mut sources = Sources::default();
        let (mut line, _) = line(&mut sources);
        line.splice(
            0..11,
            &Text::made("", Span::new(file_of(&line), 7..8)),
            None,
        );
        assert_eq!(line.as_str(), "");
        assert_eq!(line.locate(0..0, &sources).range().start, 18);
    }

    fn file_of(text: &Text<'_>) -> FileId {
        text.piece_of(0).origin.file
    }
}
