//! Lines that say more than they show: `@id` conditions, definitions, their uses, loops.

use super::{
    definitions::{Reference, definition, failed_definition, next_reference, random_bounds},
    diagnostic::{Code, Diagnostic},
    loops::{Loop, LoopHead, Unclosed, loop_head},
    reader::{Pending, Reader},
    source::Span,
    suggest::did_you_mean,
    text::Text,
};

/// What one use of a definition or one turn of a loop is charged at least.
const STEP_CHARGE: usize = 32;

/// Definitions used in the values of definitions.
const MAX_DEPTH: usize = 64;

impl Reader<'_> {
    /// Reads the next line of an expansion of several lines.
    pub(super) fn read_expanded_line(&mut self, text: Text<'static>, at: usize) {
        let rest = text.as_str().get(at..).unwrap_or("");
        let len = rest.find('\n').unwrap_or(rest.len());
        let line = text.slice(at..at + len);
        if len < rest.len() {
            self.pending.push(Pending::Lines(text, at + len + 1));
        }
        self.read_line(line);
    }

    /// Reads a loop's line with its variables set to the next values.
    pub(super) fn read_turn(&mut self, mut turns: Loop, line: Text<'static>, at: Span) {
        let Some(values) = turns.next_turn() else {
            return;
        };
        if !self.charge(line.as_str().len(), at) {
            return;
        }
        let mut what = String::new();
        for (name, value) in turns.variables.iter().zip(values) {
            if !what.is_empty() {
                what.push(' ');
            }
            what.push_str(name);
            what.push('=');
            what.push_str(&value);
            self.definitions.set(name, Text::made(value, at));
        }
        let expansion = self.sources.expand(what.into(), at);
        let mut turn = line.clone();
        turn.move_into(expansion, at);
        self.pending.push(Pending::Loop(turns, line, at));
        self.read_line(turn);
    }

    /// Reads one line, wherever it comes from.
    pub(super) fn read_line(&mut self, mut line: Text<'static>) {
        // References that stay as they are lie before this byte.
        let mut done = 0;
        loop {
            let text = line.as_str();
            let start = text.len() - text.trim_start_matches(blank).len();
            let first = text.get(start..).unwrap_or("");
            if let Some(condition) = first.strip_prefix('@') {
                let id = condition
                    .split(|c: char| c.is_ascii_whitespace())
                    .next()
                    .unwrap_or("");
                let end = start + 1 + id.len();
                match self.condition_holds(id) {
                    Some(true) => {
                        line = line.slice(end..line.as_str().len());
                        done = 0;
                        continue;
                    }
                    Some(false) => return,
                    None => {
                        let span = line.locate(start..end, &self.sources);
                        self.diagnostics.add(
                            Diagnostic::new(Code::BadCondition, span, "`@` without an id").help(
                                "`@ID` keeps the line on the host called ID, `@^ID` on all others",
                            ),
                        );
                        return;
                    }
                }
            }
            if let Some((name, value)) = definition(first) {
                let name = name.to_owned();
                return self.define(&name, &line, start, start + value);
            }
            if let Some(head) = loop_head(first) {
                return self.start_loop(&line, start, head);
            }
            match self.substitute(&mut line, done) {
                Substitution::None => break,
                Substitution::Kept(end) => done = end,
                Substitution::Done => {
                    if let Some(end) = line.as_str().find('\n') {
                        let rest = line.slice(end + 1..line.as_str().len());
                        self.pending.push(Pending::Lines(rest, 0));
                        line = line.slice(0..end);
                    }
                }
                Substitution::TooLarge => return,
            }
        }
        self.emit(&line);
    }

    fn condition_holds(&self, id: &str) -> Option<bool> {
        let (id, wanted) = id.strip_prefix('^').map_or((id, true), |id| (id, false));
        (!id.is_empty()).then(|| (id == self.config_id) == wanted)
    }

    fn define(&mut self, name: &str, line: &Text<'static>, start: usize, value: usize) {
        if name.starts_with('_') {
            let span = line.locate(start..start + 1 + name.len(), &self.sources);
            self.diagnostics.add(
                Diagnostic::new(
                    Code::ReservedName,
                    span,
                    format!("names with a leading `_`, as `{name}`, are reserved"),
                )
                .help("name it without the leading `_`"),
            );
        }
        let text = line.as_str().get(value..).unwrap_or("");
        let leading = text.len() - text.trim_start_matches(blank).len();
        let len = text.trim_end_matches(blank).len().max(leading);
        self.definitions
            .set(name, line.slice(value + leading..value + len));
    }

    fn start_loop(&mut self, line: &Text<'static>, start: usize, head: Result<LoopHead, Unclosed>) {
        let end = line.as_str().len();
        let Ok(head) = head else {
            let span = line.locate(start..end, &self.sources);
            return self
                .diagnostics
                .say(Code::BadLoop, span, "this loop's `(` is not closed");
        };
        let mut arguments = line.slice(start + head.arguments.start..start + head.arguments.end);
        let mut done = 0;
        loop {
            match self.substitute(&mut arguments, done) {
                Substitution::None => break,
                Substitution::Kept(end) => done = end,
                Substitution::Done => {}
                Substitution::TooLarge => return,
            }
        }
        let at = line.locate(start..start + head.rest, &self.sources);
        match Loop::parse(head.kind, arguments.as_str()) {
            Ok(turns) => {
                let rest = line.slice(start + head.rest..end);
                self.pending.push(Pending::Loop(turns, rest, at));
            }
            Err(message) => self.diagnostics.say(Code::BadLoop, at, message),
        }
    }

    /// Puts in the value of the first reference behind `from`.
    fn substitute(&mut self, line: &mut Text<'static>, from: usize) -> Substitution {
        let text = line.as_str().to_owned();
        let Some(reference) = next_reference(&text, from) else {
            return Substitution::None;
        };
        let range = reference.range.clone();
        let at = line.locate(range.clone(), &self.sources);
        let Some((value, named)) = self.value_of(&reference, at) else {
            return Substitution::Kept(range.end);
        };
        if !self.charge(line.as_str().len() + value.as_str().len(), at) {
            return Substitution::TooLarge;
        }
        let expansion = if named {
            self.sources
                .expand(format!("${}", reference.name).into(), at)
        } else {
            None
        };
        line.splice(range, &value, expansion);
        Substitution::Done
    }

    /// What a reference stands for, and whether that is written in a definition.
    fn value_of(&mut self, reference: &Reference<'_>, at: Span) -> Option<(Text<'static>, bool)> {
        let name = reference.name;
        if let Some(value) = self.built_in(reference, at) {
            return Some((Text::made(value, at), false));
        }
        let value = self.definitions.value(name)?.clone();
        let what = format!("${name}");
        let mut depth = 0;
        let mut within_itself = false;
        for outer in self.sources.expansions_of(at) {
            depth += 1;
            within_itself |= *outer.what == *what;
        }
        if (within_itself || depth >= MAX_DEPTH) && self.reported.insert(format!("loop {name}")) {
            let message = if within_itself {
                format!("the value of `{what}` refers to `{what}` itself")
            } else {
                format!("`{what}` is used in definitions nested more than {depth} deep")
            };
            self.diagnostics.say(Code::DefinitionLoop, at, message);
        }
        (!within_itself && depth < MAX_DEPTH).then_some((value, true))
    }

    /// The value of a built-in name; if it can have none, that is reported and it is empty.
    fn built_in(&mut self, reference: &Reference<'_>, at: Span) -> Option<String> {
        let parameters = reference.parameters;
        let problem = match reference.name {
            "_PWD" => return Some(self.directory()),
            "_INSTANCE" => return Some(self.config_id.clone()),
            "_HASH" => return Some("#".to_owned()),
            "_BANG" => return Some("!".to_owned()),
            "_ENV" => match self.environment.variable(parameters) {
                Some(value) => return Some(value),
                None => format!("there is no environment variable `{parameters}`"),
            },
            "_RANDOM" => match random_bounds(parameters) {
                Some((min, max)) => return Some(self.random.between(min, max).to_string()),
                None => format!(
                    "`{parameters}` are no bounds: expected `${{_RANDOM [MIN [MAX]]}}`, MIN at \
                     most MAX"
                ),
            },
            _ if parameters.is_empty() => return None,
            name => format!("nothing defines `{name}`, and definitions take no parameters"),
        };
        self.diagnostics.say(Code::BadBuiltIn, at, problem);
        Some(String::new())
    }

    /// The directory of the file being read.
    fn directory(&self) -> String {
        self.current_file()
            .and_then(|file| file.path.parent())
            .map(|directory| directory.display().to_string())
            .unwrap_or_default()
    }

    /// Pays for an expansion; `false` if that is too much: then nothing more is read.
    fn charge(&mut self, cost: usize, at: Span) -> bool {
        if let Some(left) = self.allowance.checked_sub(cost + STEP_CHARGE) {
            self.allowance = left;
            return true;
        }
        self.allowance = 0;
        self.pending.clear();
        self.diagnostics.add(
            Diagnostic::new(
                Code::ExpansionTooLarge,
                at,
                "definitions and loops make the configuration too large",
            )
            .help("what follows was not read; let the loops make less"),
        );
        false
    }

    /// Takes the words of a line whose references are resolved.
    fn emit(&mut self, line: &Text<'static>) {
        if let Some(range) = failed_definition(line.as_str().trim_start()) {
            let indent = line.as_str().len() - line.as_str().trim_start().len();
            let span = line.locate(indent + range.start..indent + range.end, &self.sources);
            self.diagnostics.add(
                Diagnostic::new(Code::BadDefinition, span, "this defines nothing").help(
                    "a definition is `$NAME=value`: no blank before `=`, a name of letters, \
                     digits and `_` that starts with no digit",
                ),
            );
            return;
        }
        let from = self.tokens.len();
        let sources = &self.sources;
        self.tokens.read_line(
            line.as_str(),
            |range| line.locate(range, sources),
            &mut self.diagnostics,
        );
        self.report_undefined(from);
        let checks = self.current_file().map(|file| file.checks);
        let changed = checks.and_then(|checks| self.heed(from, checks));
        if let (Some(checks), Some(file)) = (changed, self.current_file_mut()) {
            file.checks = checks;
        }
    }

    /// Reports references that nothing defines; in quotes they may be a script's own.
    fn report_undefined(&mut self, from: usize) {
        for (place, word) in self.tokens.words_from(from) {
            let text = self.tokens.text_of(place);
            let Some(reference) = next_reference(text, 0).filter(|_| !word.quoted) else {
                continue;
            };
            let name = reference.name;
            let known = self.definitions.value(name).is_some();
            if known || !self.reported.insert(name.to_owned()) {
                continue;
            }
            let mut diagnostic = Diagnostic::new(
                Code::UndefinedName,
                word.span,
                format!("nothing defines `${name}`; it stays as it is"),
            );
            if let Some(near) = did_you_mean(name, self.definitions.names()) {
                diagnostic = diagnostic.help(format!("did you mean `${near}`?"));
            }
            self.diagnostics.add(diagnostic);
        }
    }
}

/// A blank inside a line; a line end in a line separates the lines of a definition.
fn blank(c: char) -> bool {
    c.is_ascii_whitespace() && c != '\n'
}

/// What became of the first reference in a line.
enum Substitution {
    None,
    /// It has no value and stays; the next one may be behind this byte.
    Kept(usize),
    Done,
    TooLarge,
}
