//! From words to options, as ipvsadm takes them: letters in clusters, values attached or not.

use std::iter::Peekable;

use ipvs::text::Word;

use crate::{
    fault::{Fault, Status, TRY_HELP},
    options::{KNOWN, Known, SERVICE, Takes, belonging_to, goes_with_all},
};

/// An option that was given.
#[derive(Debug, Clone)]
pub(crate) struct Given<'a> {
    pub(crate) known: &'static Known,
    /// The word that it is in.
    pub(crate) word: Word<'a>,
    pub(crate) values: Vec<&'a str>,
}

/// A command and its options, which belong to it.
#[derive(Debug, Clone)]
pub(crate) struct Command<'a> {
    pub(crate) given: Given<'a>,
    pub(crate) options: Vec<Given<'a>>,
}

impl<'a> Command<'a> {
    pub(crate) fn name(&self) -> &'static str {
        self.given.known.name
    }

    /// An option by its word.
    pub(crate) fn find(&self, name: &str) -> Option<&Given<'a>> {
        self.options.iter().find(|given| given.known.name == name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    pub(crate) fn value(&self, name: &str) -> Option<&'a str> {
        self.find(name)
            .and_then(|given| given.values.first().copied())
    }

    /// The option that names the service.
    pub(crate) fn service(&self) -> Option<&Given<'a>> {
        let mut options = self.options.iter();
        options.find(|given| given.known.called == SERVICE)
    }
}

/// The command that some words are; without words the one that lists everything.
pub(crate) fn scan<'a>(words: &[Word<'a>]) -> Result<Command<'a>, Fault> {
    let mut scanner = Scanner {
        words: words.iter().copied().peekable(),
        cluster: None,
        others: Vec::new(),
    };
    let no_command = || Fault::new(Status::Refused, TRY_HELP);
    if words.is_empty() {
        let list = Word {
            text: "--list",
            column: 0,
        };
        return scan(&[list]);
    }
    // ipvsadm does not tell why it does not make out the first option.
    let first = scanner.next().map_err(|fault| match fault.status {
        Status::Refused => no_command().with_help(fault.message),
        Status::Done | Status::NotListed | Status::Usage => fault,
    })?;
    let given = first
        .filter(|given| given.known.is_command)
        .ok_or_else(|| {
            no_command().with_help("a command has to be the first option, as -L or -A")
        })?;
    let mut command = Command {
        given,
        options: Vec::new(),
    };
    if ["help", "version"].contains(&command.name()) {
        return Ok(command);
    }
    while let Some(given) = scanner.next()? {
        let at = given.word.column;
        let called = given.known.called;
        if given.known.is_command {
            let text = given.word.text;
            return Err(Fault::usage(format!("invalid option `{text}'"))
                .with_help(format!(
                    "one command at a time; --{} is the other",
                    command.name()
                ))
                .at(at));
        }
        if given.known.name == "ipv6" && !command.has("fwmark-service") {
            return Err(Fault::usage("-6 used before -f")
                .with_help(
                    "-6 goes behind -f MARK; other services show by their address what they are",
                )
                .at(at));
        }
        let repeated = command.options.iter().any(|it| it.known.called == called);
        if repeated && !goes_with_all(called) {
            return Err(Fault::usage(format!("multiple '{called}' options specified")).at(at));
        }
        command.options.push(given);
    }
    if let Some(other) = scanner.others.first() {
        let text = other.text;
        return Err(Fault::usage(format!("unexpected argument {text}")).at(other.column));
    }
    command.check()?;
    Ok(command)
}

impl Command<'_> {
    /// Whether the options belong to the command and go together.
    fn check(&self) -> Result<(), Fault> {
        let command = self.given.known.called;
        let (required, allowed) = belonging_to(self.name());
        for known in KNOWN.iter().filter(|known| !known.is_command) {
            let called = known.called;
            let given = self
                .options
                .iter()
                .find(|given| given.known.called == called);
            match given {
                None if required.contains(&called) => {
                    return Err(Fault::usage(format!(
                        "You need to supply the '{called}' option for the '{command}' command"
                    )));
                }
                Some(given) if !allowed.contains(&called) && !goes_with_all(called) => {
                    let message = format!("Illegal '{called}' option with the '{command}' command");
                    return Err(Fault::usage(message).at(given.word.column));
                }
                _ => {}
            }
        }
        if self.has("json") && self.name() != "list" && !self.has("dry-run") {
            return Err(Fault::usage(format!(
                "You need to supply the 'dry-run' option for the 'json' option of the \
                 '{command}' command"
            )));
        }
        self.check_list()
    }

    /// What excludes each other in lists.
    fn check_list(&self) -> Result<(), Fault> {
        if self.name() != "list" {
            return Ok(());
        }
        let called = |called: &str| self.options.iter().any(|it| it.known.called == called);
        let mut views = ["connection", SERVICE, "timeout", "daemon"]
            .into_iter()
            .filter(|view| called(view));
        if let (Some(one), Some(other)) = (views.next(), views.next()) {
            return Err(Fault::usage(format!(
                "The option '{other}' conflicts with the '{one}' option in the 'list' command"
            )));
        }
        let any = |names: &[&str]| names.iter().any(|name| called(name));
        let counted = ["stats", "rate", "thresholds"];
        let conflict = any(&["connection", "timeout", "daemon"]) && any(&counted)
            || any(&["timeout", "daemon"]) && called("persistent-conn");
        match conflict {
            true => Err(
                Fault::usage("options conflicts in the list command").with_help(
                    "--stats, --rate, --thresholds and --persistent-conn are views of services",
                ),
            ),
            false => Ok(()),
        }
    }
}

struct Scanner<'a, I: Iterator<Item = Word<'a>>> {
    words: Peekable<I>,
    /// Letters of a word that were not looked at.
    cluster: Option<(Word<'a>, &'a str)>,
    /// Words that are not options.
    others: Vec<Word<'a>>,
}

impl<'a, I: Iterator<Item = Word<'a>>> Scanner<'a, I> {
    fn next(&mut self) -> Result<Option<Given<'a>>, Fault> {
        loop {
            if let Some((word, letters)) = self.cluster.take() {
                return self.letter(word, letters).map(Some);
            }
            let Some(word) = self.words.next() else {
                return Ok(None);
            };
            match word.text.strip_prefix('-') {
                None | Some("") => self.others.push(word),
                // What follows is no option, whatever it looks like.
                Some("-") => self.others.extend(self.words.by_ref()),
                Some(rest) => match rest.strip_prefix('-') {
                    Some(long) => return self.long(word, long).map(Some),
                    None => self.cluster = Some((word, rest)),
                },
            }
        }
    }

    fn long(&mut self, word: Word<'a>, long: &'a str) -> Result<Given<'a>, Fault> {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (long, None),
        };
        let known = KNOWN.iter().find(|known| known.name == name);
        let known = known.ok_or_else(|| unknown(word))?;
        self.given(known, word, value)
    }

    fn letter(&mut self, word: Word<'a>, letters: &'a str) -> Result<Given<'a>, Fault> {
        let mut rest = letters.chars();
        let letter = rest.next();
        let mut known = KNOWN.iter();
        let known = known.find(|known| letter.is_some() && known.letter == letter);
        let known = known.ok_or_else(|| unknown(word))?;
        let rest = Some(rest.as_str()).filter(|rest| !rest.is_empty());
        if matches!(known.takes, Takes::Nothing | Takes::Three) {
            self.cluster = rest.map(|rest| (word, rest));
            return self.given(known, word, None);
        }
        let value = rest.map(|rest| rest.strip_prefix('=').unwrap_or(rest));
        self.given(known, word, value)
    }

    fn given(
        &mut self,
        known: &'static Known,
        word: Word<'a>,
        attached: Option<&'a str>,
    ) -> Result<Given<'a>, Fault> {
        let refused = |message: &str| {
            Fault::new(Status::Refused, format!("{}: {message}", word.text)).at(word.column)
        };
        let mut values: Vec<_> = attached.into_iter().collect();
        match known.takes {
            Takes::Nothing | Takes::Three if attached.is_some() => {
                return Err(refused("option does not take an argument"));
            }
            Takes::Nothing => {}
            Takes::One if values.is_empty() => {
                let next = self
                    .words
                    .next()
                    .ok_or_else(|| refused("missing argument"))?;
                values.push(next.text);
            }
            Takes::MaybeOne if values.is_empty() => values.extend(self.argument()),
            Takes::One | Takes::MaybeOne => {}
            Takes::Three => {
                values.extend((0..3).map_while(|_| self.argument()));
                if values.len() < 3 {
                    let message = "--set option requires 3 timeout values";
                    return Err(Fault::usage(message).at(word.column));
                }
            }
        }
        Ok(Given {
            known,
            word,
            values,
        })
    }

    /// The next word, unless it is an option.
    fn argument(&mut self) -> Option<&'a str> {
        let word = self.words.next_if(|next| !next.text.starts_with('-'))?;
        Some(word.text)
    }
}

fn unknown(word: Word<'_>) -> Fault {
    let text = word.text;
    let fault = Fault::new(Status::Refused, format!("{text}: unknown option")).at(word.column);
    fault.with_help("`ipvsctl -h' lists the options")
}
