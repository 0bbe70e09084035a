//! What every block is read with: which keywords count, and their values.

use super::{
    diagnostic::{Code, Diagnostic, Diagnostics},
    keywords::{Block, Content, Form, Support, blocks_with},
    source::Span,
    suggest::did_you_mean,
    tree::{Item, Items, Word},
};

/// Reads items into values and reports what is wrong with them.
#[derive(Debug)]
pub(super) struct Context<'d> {
    pub(super) diagnostics: &'d mut Diagnostics,
}

impl Context<'_> {
    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.add(diagnostic);
    }

    /// The items of a block that director acts on, by their present names; all others are
    /// reported.
    pub(super) fn keywords<'t>(
        &mut self,
        block: &'static Block,
        items: Items<'t>,
    ) -> Vec<(&'static str, Item<'t>)> {
        let mut once: Vec<(&'static str, Span)> = Vec::new();
        let mut found = Vec::new();
        for item in items {
            let word = item.keyword();
            let Some(keyword) = block.keyword(word.text) else {
                self.report_unknown(block, item);
                continue;
            };
            let mut name = keyword.name;
            match keyword.support {
                Support::Done => {}
                Support::NotYet => {
                    self.report_not_yet(&format!("`{name}`"), word.span);
                    continue;
                }
                Support::Refused(because) => {
                    self.report_refused(&format!("`{name}`"), word.span, because);
                    continue;
                }
                Support::NotYetVital => {
                    self.report_not_yet_vital(&format!("`{name}`"), word.span, "remove it");
                    continue;
                }
                Support::NoEffect(because) => {
                    let message = format!("`{name}` has no effect: {because}");
                    self.report(Diagnostic::new(Code::Ignored, word.span, message));
                    continue;
                }
                Support::OldNameOf(present) => {
                    let message = format!("`{name}` is an old name of `{present}`");
                    let help = format!("write `{present}`");
                    self.report(
                        Diagnostic::new(Code::DeprecatedKeyword, word.span, message).help(help),
                    );
                    name = present;
                }
                Support::OtherNameOf(present) => name = present,
            }
            if !self.has_right_form(keyword.form, item) {
                continue;
            }
            found.push((name, item));
            if keyword.repeatable {
                continue;
            }
            match once.iter().find(|(other, _)| *other == name) {
                None => once.push((name, word.span)),
                Some((_, first)) => self.report(
                    Diagnostic::new(
                        Code::RepeatedKeyword,
                        word.span,
                        format!("`{name}` is set again; the last one counts"),
                    )
                    .note(*first, "first set here")
                    .help("keep one of them"),
                ),
            }
        }
        found
    }

    fn has_right_form(&mut self, form: Form, item: Item<'_>) -> bool {
        let word = item.keyword();
        match (form, item.brace()) {
            (Form::Line, None) => true,
            (Form::Block(block), Some(_)) => {
                if let (Content::Entries(what), None) = (&block.content, item.items().next()) {
                    let message = format!("`{}` lists nothing", block.name);
                    self.report(
                        Diagnostic::new(Code::EmptyBlock, item.span(), message)
                            .help(format!("write {what} on each line, or remove the block")),
                    );
                }
                true
            }
            (Form::Line, Some(brace)) => {
                self.report(
                    Diagnostic::new(
                        Code::UnexpectedBlock,
                        brace,
                        format!("`{}` has no block", word.text),
                    )
                    .help("its value stands on the same line, without braces"),
                );
                false
            }
            (Form::Block(_), None) => {
                self.report(
                    Diagnostic::new(
                        Code::MissingBlock,
                        item.span(),
                        format!("`{}` needs a block", word.text),
                    )
                    .help(format!("write `{} {{ ... }}`", word.text)),
                );
                false
            }
        }
    }

    fn report_unknown(&mut self, block: &'static Block, item: Item<'_>) {
        let word = item.keyword();
        let others = blocks_with(word.text);
        let diagnostic = if others.is_empty() {
            let mut diagnostic = Diagnostic::new(
                Code::UnknownKeyword,
                word.span,
                if block.name.is_empty() {
                    format!("`{}` is not a keyword", word.text)
                } else {
                    format!("`{}` is not a keyword of `{}`", word.text, block.name)
                },
            );
            let names = block.keywords().iter().map(|keyword| keyword.name);
            diagnostic.help = did_you_mean(word.text, names)
                .map(|near| format!("did you mean `{near}`?"))
                .or_else(|| elsewhere(word.text));
            diagnostic
        } else {
            let homes: Vec<String> = others.iter().map(|block| block.described()).collect();
            Diagnostic::new(
                Code::WrongBlock,
                word.span,
                if block.name.is_empty() {
                    format!("`{}` stands outside its block", word.text)
                } else {
                    format!("`{}` does not belong to `{}`", word.text, block.name)
                },
            )
            .help(format!("it belongs to {}", homes.join(", ")))
        };
        self.report(diagnostic);
    }

    pub(super) fn report_not_yet(&mut self, what: &str, span: Span) {
        self.report(
            Diagnostic::new(
                Code::NotYet,
                span,
                format!("keepalived knows {what}, director does not do it yet"),
            )
            .help("remove it, or run with `--lenient` to go on without it"),
        );
    }

    /// Of what director leaves to something else.
    fn report_refused(&mut self, what: &str, span: Span, because: &str) {
        let message = format!("keepalived knows {what}, director does not do it: {because}");
        self.report(
            Diagnostic::new(Code::NotYet, span, message)
                .help("remove it, or run with `--lenient` to go on without it"),
        );
    }

    /// As [`report_not_yet`](Self::report_not_yet), for what `--lenient` must not leave out.
    pub(super) fn report_not_yet_vital(&mut self, what: &str, span: Span, help: &str) {
        let message = format!("keepalived knows {what}, director does not do it yet");
        self.report(Diagnostic::new(Code::NotYetVital, span, message).help(help));
    }

    /// The value of a keyword that has exactly one. `what` names it in errors.
    pub(super) fn one<T>(
        &mut self,
        item: Item<'_>,
        what: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let mut args = Args::of(item);
        let word = args.required(self, what)?;
        args.end(self);
        self.parsed(word, parse)
    }

    /// What `parse` makes of a word; what it says is wrong is reported there.
    pub(super) fn parsed<T>(
        &mut self,
        word: Word<'_>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match parse(word.text) {
            Ok(value) => Some(value),
            Err(message) => {
                self.report(Diagnostic::new(Code::WrongValue, word.span, message));
                None
            }
        }
    }

    /// A keyword that stands alone.
    pub(super) fn flag(&mut self, item: Item<'_>) -> bool {
        Args::of(item).end(self);
        true
    }

    /// A keyword that may have `on` or `off`; alone it means on.
    pub(super) fn switch(&mut self, item: Item<'_>) -> Option<bool> {
        if item.args().len() == 0 {
            return Some(true);
        }
        self.one(item, "on or off", super::values::boolean)
    }

    /// The name of a block such as `vrrp_instance NAME { … }`.
    pub(super) fn name<'t>(&mut self, item: Item<'t>) -> Option<Word<'t>> {
        let mut args = Args::of(item);
        let name = args.required(self, "a name");
        args.end(self);
        name
    }
}

/// Another place that the unknown `word` may have been meant for.
fn elsewhere(word: &str) -> Option<String> {
    let lower = word.to_lowercase();
    let owners = blocks_with(&lower);
    let owner = owners.first()?;
    Some(format!("`{lower}` is a keyword of {}", owner.described()))
}

/// The words after a keyword, taken one by one.
#[derive(Debug)]
pub(super) struct Args<'t> {
    item: Item<'t>,
    next: usize,
}

impl<'t> Args<'t> {
    pub(super) const fn of(item: Item<'t>) -> Self {
        Self { item, next: 1 }
    }

    /// All words of an entry that starts with no keyword.
    pub(super) const fn of_entry(item: Item<'t>) -> Self {
        Self { item, next: 0 }
    }

    pub(super) fn next(&mut self) -> Option<Word<'t>> {
        let word = self.item.word(self.next);
        self.next += usize::from(word.is_some());
        word
    }

    /// The next word, which must be there.
    pub(super) fn required(&mut self, context: &mut Context<'_>, what: &str) -> Option<Word<'t>> {
        let word = self.next();
        if word.is_none() {
            let before = self
                .item
                .words()
                .last()
                .unwrap_or_else(|| self.item.keyword());
            context.report(Diagnostic::new(
                Code::MissingValue,
                before.span,
                format!("`{}` needs {what} behind it", before.text),
            ));
        }
        word
    }

    /// Reports the words that are left.
    pub(super) fn end(mut self, context: &mut Context<'_>) {
        let Some(first) = self.next() else {
            return;
        };
        let last = self.item.words().last().unwrap_or(first);
        let span = if last.span.file == first.span.file && last.span.start >= first.span.start {
            first.span.to(last.span)
        } else {
            first.span
        };
        context.report(
            Diagnostic::new(
                Code::UnexpectedWord,
                span,
                format!("`{}` takes nothing more", self.item.keyword().text),
            )
            .help(
                "keepalived drops such words silently; remove them, or quote what belongs together",
            ),
        );
    }
}
