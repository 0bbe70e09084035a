//! The tree of a configuration: blocks of items, an item being a keyword with its values.

use std::{fmt, ops::Range};

use super::{
    lexer::Tokens,
    source::{Span, narrow},
};

/// A configuration as it is written: keywords, values and blocks, not yet what they mean.
///
/// Items lie in one list in the order of the text, each with the end of its subtree, so that a
/// hundred thousand of them are a few allocations.
#[derive(Debug, Default)]
pub struct Tree {
    tokens: Tokens,
    items: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    /// Places in [`Tokens`]; never empty. If it has a block, its brace is behind them.
    words: Range<u32>,
    /// The index after the last item below this one.
    end: u32,
    has_block: bool,
}

impl Tree {
    pub(super) const fn new(tokens: Tokens) -> Self {
        Self {
            tokens,
            items: Vec::new(),
        }
    }

    /// The items outside any block.
    #[must_use]
    pub fn items(&self) -> Items<'_> {
        Items {
            tree: self,
            next: 0,
            end: narrow(self.items.len()),
        }
    }

    /// How many items there are, on all levels.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is no item.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) const fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Adds an item behind all others; its end is set by [`close`](Self::close).
    pub(super) fn push(&mut self, words: Range<u32>) -> usize {
        let index = self.items.len();
        self.items.push(Node {
            words,
            end: narrow(index + 1),
            has_block: false,
        });
        index
    }

    /// Gives an item the block whose brace is behind its words.
    pub(super) fn open(&mut self, item: usize) {
        if let Some(node) = self.items.get_mut(item) {
            node.has_block = true;
        }
    }

    /// Ends an item's block: what was added since belongs to it.
    pub(super) fn close(&mut self, item: usize) {
        let end = narrow(self.items.len());
        if let Some(node) = self.items.get_mut(item) {
            node.end = end;
        }
    }

    pub(super) fn item(&self, index: usize) -> Option<Item<'_>> {
        (index < self.items.len()).then_some(Item { tree: self, index })
    }
}

/// An item of a [`Tree`].
#[derive(Clone, Copy)]
pub struct Item<'t> {
    tree: &'t Tree,
    index: usize,
}

impl<'t> Item<'t> {
    fn node(self) -> &'t Node {
        self.tree
            .items
            .get(self.index)
            .expect("an item is only made for an index of its tree")
    }

    /// The places of its words.
    fn places(self) -> Range<usize> {
        let words = &self.node().words;
        words.start as usize..words.end as usize
    }

    /// All its words, the keyword first.
    pub fn words(self) -> impl ExactSizeIterator<Item = Word<'t>> + Clone {
        (0..self.places().len()).map(move |index| {
            self.word(index)
                .expect("the index is below the number of words")
        })
    }

    /// The word at an index, the keyword being 0.
    pub(super) fn word(self, index: usize) -> Option<Word<'t>> {
        let tokens = &self.tree.tokens;
        let place = self.places().nth(index)?;
        tokens.word(place).map(|word| Word {
            text: tokens.text_of(place),
            span: word.span,
            quoted: word.quoted,
        })
    }

    /// The first word.
    #[must_use]
    pub fn keyword(self) -> Word<'t> {
        self.word(0).expect("an item has at least its keyword")
    }

    /// The words after the keyword.
    pub fn args(self) -> impl ExactSizeIterator<Item = Word<'t>> + Clone {
        self.words().skip(1)
    }

    /// From the keyword to the last word.
    #[must_use]
    pub fn span(self) -> Span {
        let first = self.keyword().span;
        let last = self.places().next_back();
        match last.and_then(|place| self.tree.tokens.word(place)) {
            Some(last) if last.span.file == first.file && last.span.start >= first.start => {
                first.to(last.span)
            }
            _ => first,
        }
    }

    /// Its block's opening brace, if it has a block.
    #[must_use]
    pub fn brace(self) -> Option<Span> {
        let behind = self.node().has_block.then_some(self.places().end)?;
        self.tree.tokens.word(behind).map(|brace| brace.span)
    }

    /// The items of its block; none if it has none.
    #[must_use]
    pub fn items(self) -> Items<'t> {
        Items {
            tree: self.tree,
            next: narrow(self.index + 1),
            end: self.node().end,
        }
    }
}

impl fmt::Debug for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.words()).finish()
    }
}

/// One word of an [`Item`].
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Word<'t> {
    /// Its text, without quotes and escapes.
    pub text: &'t str,
    /// What was written.
    pub span: Span,
    /// Whether any of it was in quotes.
    pub quoted: bool,
}

/// The items of one block, in the order of the text.
#[derive(Debug, Clone)]
pub struct Items<'t> {
    tree: &'t Tree,
    next: u32,
    end: u32,
}

impl<'t> Iterator for Items<'t> {
    type Item = Item<'t>;

    fn next(&mut self) -> Option<Item<'t>> {
        if self.next >= self.end {
            return None;
        }
        let item = Item {
            tree: self.tree,
            index: self.next as usize,
        };
        self.next = item.node().end;
        Some(item)
    }
}

/// Writes the tree as a configuration that reads as the same tree.
impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_items(f, self.items(), 0)
    }
}

fn write_items(f: &mut fmt::Formatter<'_>, items: Items<'_>, depth: usize) -> fmt::Result {
    for item in items {
        write!(f, "{:indent$}", "", indent = depth * 4)?;
        for (index, word) in item.words().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            write_word(f, word.text)?;
        }
        if item.brace().is_some() {
            f.write_str(" {\n")?;
            write_items(f, item.items(), depth + 1)?;
            write!(f, "{:indent$}}}", "", indent = depth * 4)?;
        }
        f.write_str("\n")?;
    }
    Ok(())
}

/// Writes a word so that it reads as itself: bare if it can be, else in double quotes.
fn write_word(f: &mut fmt::Formatter<'_>, word: &str) -> fmt::Result {
    let bare = |c: char| c.is_alphanumeric() || "_-./:,+*=%()[]<>|&;^".contains(c);
    if !word.is_empty() && word.chars().all(bare) && !word.starts_with("include") {
        return f.write_str(word);
    }
    f.write_str("\"")?;
    for c in word.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            // A `$` in quotes is still put in, and the lexer takes no `\n` in a word.
            '$' | '\u{1}'..='\u{1f}' => write!(f, "\\{:03o}", u32::from(c))?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}
