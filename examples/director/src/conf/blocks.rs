//! Statements → the tree, and where braces are missing or too many.
//!
//! As long as the braces of a file pair, nothing but braces decides what belongs where. If they
//! do not, the keywords and the indentation tell where the mistake is: a keyword of an outer
//! block inside an inner one means that the inner one should have ended before it.

use super::{
    diagnostic::{Code, Diagnostic, Diagnostics},
    keywords::{Block, FILE},
    lexer::{Statement, Tokens},
    source::{Sources, Span},
    tree::{Item, Tree},
};

/// Blocks in blocks; the deepest of keepalived.conf is 5.
const MAX_DEPTH: usize = 32;

/// Builds the tree of `tokens`.
pub(super) fn build(tokens: Tokens, sources: &Sources, diagnostics: &mut Diagnostics) -> Tree {
    let (opened, closed) = tokens.braces();
    let mut builder = Builder {
        tree: Tree::new(tokens),
        sources,
        diagnostics,
        open: Vec::new(),
        last_item: None,
        last_closed: None,
        missing: opened > closed,
        surplus: closed > opened,
        too_deep: false,
    };
    let mut place = 0;
    while let Some((statement, next)) = builder.tree.tokens().statement(place) {
        match statement {
            Statement::Words(words) => builder.words(words),
            Statement::Open(brace) => builder.open(brace),
            Statement::Close(brace) => builder.close(brace),
        }
        place = next;
    }
    builder.finish()
}

struct Builder<'s> {
    tree: Tree,
    sources: &'s Sources,
    diagnostics: &'s mut Diagnostics,
    /// The blocks around the current place, outermost first.
    open: Vec<OpenBlock>,
    /// The item of the statement just read, if a brace now would be its block's.
    last_item: Option<usize>,
    /// The block that ended last, and the brace that ended it.
    last_closed: Option<(OpenBlock, Span)>,
    /// Whether the file lacks closing braces.
    missing: bool,
    /// Whether it has too many.
    surplus: bool,
    too_deep: bool,
}

#[derive(Clone, Copy)]
struct OpenBlock {
    /// Its item; `None` for a brace that follows no keyword, whose content is read all the same.
    item: Option<usize>,
    brace: Span,
    /// What kind of block it is, if its keyword is known. Only needed where braces do not pair.
    kind: Option<&'static Block>,
}

impl Builder<'_> {
    fn words(&mut self, words: std::ops::Range<u32>) {
        if self.missing || self.surplus {
            let (tokens, place) = (self.tree.tokens(), words.start as usize);
            if let Some(first) = tokens.word(place) {
                let (keyword, span) = (tokens.text_of(place).to_owned(), first.span);
                if self.missing {
                    self.end_blocks_before(&keyword, span);
                } else {
                    self.resume_block_for(&keyword, span);
                }
            }
        }
        self.last_closed = None;
        self.last_item = Some(self.tree.push(words));
    }

    fn open(&mut self, brace: Span) {
        let item = self
            .last_item
            .take()
            .filter(|_| self.open.len() < MAX_DEPTH);
        match item {
            Some(item) => self.tree.open(item),
            None if self.open.len() < MAX_DEPTH => self.diagnostics.add(
                Diagnostic::new(Code::UnexpectedBrace, brace, "this `{` follows no keyword")
                    .help("a block is `KEYWORD [NAME] { ... }`"),
            ),
            None if self.too_deep => {}
            None => {
                self.too_deep = true;
                self.diagnostics.say(
                    Code::NestedTooDeep,
                    brace,
                    format!("blocks are nested more than {MAX_DEPTH} deep"),
                );
            }
        }
        let kind = if self.missing || self.surplus {
            item.and_then(|item| self.kind_of(item))
        } else {
            None
        };
        self.open.push(OpenBlock { item, brace, kind });
    }

    fn kind_of(&self, item: usize) -> Option<&'static Block> {
        let around = self.open.last().map_or(Some(&FILE), |block| block.kind)?;
        around.block(self.tree.item(item)?.keyword().text)
    }

    fn close(&mut self, brace: Span) {
        self.last_item = None;
        if self.missing {
            self.end_blocks_by_indentation(brace);
        }
        match self.open.pop() {
            None => {
                self.diagnostics.add(
                    Diagnostic::new(Code::UnexpectedBrace, brace, "this `}` ends no block")
                        .help("remove it, or look for a block above that ends too early"),
                );
            }
            Some(block) => self.end(block, Some(brace)),
        }
    }

    fn end(&mut self, block: OpenBlock, brace: Option<Span>) {
        if let Some(item) = block.item {
            self.tree.close(item);
        }
        self.last_closed = brace.map(|brace| (block, brace));
    }

    /// Ends the blocks that `keyword` cannot belong to, if it belongs to one around them.
    fn end_blocks_before(&mut self, keyword: &str, span: Span) {
        let Some(innermost) = self.open.last() else {
            return;
        };
        if innermost
            .kind
            .is_some_and(|kind| kind.keyword(keyword).is_some())
        {
            return;
        }
        let has = |block: &OpenBlock| {
            block
                .kind
                .is_some_and(|kind| kind.keyword(keyword).is_some())
        };
        let keep = match self.open.iter().rposition(has) {
            Some(index) => index + 1,
            // A word such as `instance` is too common to end everything for.
            None if FILE.block(keyword).is_some() => 0,
            None => return,
        };
        let owner = keep
            .checked_sub(1)
            .and_then(|index| self.open.get(index)?.kind);
        let belongs = owner.map_or_else(
            || "stands in no block".to_owned(),
            |owner| format!("belongs to {}", owner.described()),
        );
        while self.open.len() > keep {
            self.report_missing(
                span,
                format!("`{keyword}` {belongs}: the `}}` is missing before it"),
            );
        }
    }

    /// Ends the blocks that are indented deeper than `brace`, which ends one around them.
    fn end_blocks_by_indentation(&mut self, brace: Span) {
        let sources = self.sources;
        let indentation = |block: &OpenBlock, tree: &Tree| {
            let item = tree.item(block.item?)?;
            sources.indentation(item.keyword().span)
        };
        let Some(indent) = sources.indentation(brace) else {
            return;
        };
        let of = |block| indentation(block, &self.tree);
        if self
            .open
            .last()
            .and_then(of)
            .is_none_or(|own| own <= indent)
        {
            return;
        }
        let Some(keep) = self
            .open
            .iter()
            .rposition(|block| of(block) == Some(indent))
        else {
            return;
        };
        let owner = self
            .open
            .get(keep)
            .and_then(|block| self.tree.item(block.item?));
        let owner = owner.map_or_else(String::new, |item| item.keyword().text.to_owned());
        while self.open.len() > keep + 1 {
            self.report_missing(
                brace,
                format!("this `}}` seems to end `{owner}`: one is missing before it"),
            );
        }
    }

    /// Ends the innermost block, which lacks its brace.
    fn report_missing(&mut self, place: Span, reason: String) {
        if let Some(block) = self.open.pop() {
            self.end(block, None);
            self.report_unclosed(&block, place, reason);
        }
    }

    fn report_unclosed(&mut self, block: &OpenBlock, place: Span, reason: String) {
        let item = block.item.and_then(|item| self.tree.item(item));
        let name = item.map_or_else(|| "{".to_owned(), block_name);
        let span = item.map_or(block.brace, Item::span);
        self.diagnostics.add(
            Diagnostic::new(
                Code::MissingBrace,
                span,
                format!("the block `{name}` has no `}}`"),
            )
            .note(place, reason),
        );
    }

    /// Takes back the last `}` if what follows still belongs to its block.
    fn resume_block_for(&mut self, keyword: &str, span: Span) {
        let Some((block, brace)) = self.last_closed else {
            return;
        };
        let around = self.open.last().map_or(Some(&FILE), |block| block.kind);
        let fits =
            |kind: Option<&'static Block>| kind.is_some_and(|kind| kind.keyword(keyword).is_some());
        if fits(around) || !fits(block.kind) {
            return;
        }
        let name = block
            .item
            .and_then(|item| self.tree.item(item))
            .map_or_else(String::new, block_name);
        self.last_closed = None;
        self.open.push(block);
        self.diagnostics.add(
            Diagnostic::new(
                Code::UnexpectedBrace,
                brace,
                format!("this `}}` ends `{name}` too early"),
            )
            .note(span, format!("`{keyword}` still belongs to it"))
            .help("remove it"),
        );
    }

    fn finish(mut self) -> Tree {
        let last = self.tree.tokens().words_from(0).next_back();
        let end = last.map(|(_, word)| word.span);
        while let Some(block) = self.open.pop() {
            self.end(block, None);
            let place = end.unwrap_or(block.brace).at_end();
            self.report_unclosed(&block, place, "the text ends here".to_owned());
        }
        self.tree
    }
}

/// A block as it is opened: `vrrp_instance VI_1`.
fn block_name(item: Item<'_>) -> String {
    let words: Vec<&str> = item.words().map(|word| word.text).collect();
    words.join(" ")
}
