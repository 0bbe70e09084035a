//! What a chapter tells its reader to do, read from its Markdown.

use std::fmt;

/// A chapter: one network after another, and what is done in each.
#[derive(Debug, Default)]
pub struct Chapter {
    scenes: Vec<Scene>,
}

/// A network, from its table to the next, and what is done there.
#[derive(Debug, Default)]
pub struct Scene {
    cards: Vec<Card>,
    steps: Vec<Step>,
}

/// A row of a table: a machine's card on a network.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Card {
    pub(super) machine: String,
    pub(super) name: String,
    pub(super) network: String,
    /// With their prefix lengths.
    pub(super) addresses: Vec<String>,
    /// Where the machine's default route leads, through this card.
    pub(super) gateway: Option<String>,
}

/// Something that the reader does.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    File(File),
    Command(Command),
}

/// A file that the reader writes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) line: usize,
    pub(super) machines: Vec<String>,
    pub(super) path: String,
    pub(super) content: Vec<String>,
}

/// A command that the reader types.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) line: usize,
    pub(super) machine: String,
    /// As bash reads it, of several lines perhaps.
    pub(super) text: String,
    pub(super) prints: Vec<String>,
    pub(super) outcome: Outcome,
}

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// With status 0.
    Succeeds,
    /// With any other status.
    Fails,
    /// With status 0 and as it is written, sooner or later: it is repeated until then.
    Until,
}

/// A place where a chapter's form is wrong.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a place and what is wrong there")]
pub struct Mistake {
    /// From 1.
    pub line: usize,
    /// What is wrong, and what was expected.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.line, self.what)
    }
}

impl Chapter {
    /// Reads a chapter.
    ///
    /// # Errors
    ///
    /// All mistakes of its form.
    pub fn parse(text: &str) -> Result<Self, Vec<Mistake>> {
        let mut reader = Reader::default();
        for (line, text) in (1..).zip(text.lines()) {
            reader.read(line, text);
        }
        reader.finish()
    }

    /// Its networks, in their order.
    #[must_use]
    pub fn scenes(&self) -> &[Scene] {
        &self.scenes
    }
}

impl Scene {
    pub(super) fn cards(&self) -> &[Card] {
        &self.cards
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    fn has(&self, machine: &str) -> bool {
        self.cards.iter().any(|card| card.machine == machine)
    }
}

/// Where in the Markdown the reader is.
#[derive(Debug, Default)]
enum Place {
    #[default]
    Prose,
    /// In a table of machines.
    Table,
    /// In a fenced block of commands.
    Commands(Outcome),
    /// In a fenced block that is a file.
    File(File),
    /// In a fenced block that only shows something.
    Picture,
}

#[derive(Debug, Default)]
struct Reader {
    chapter: Chapter,
    place: Place,
    /// The line at which the fenced block began.
    opened: usize,
    /// Of prose: what comes before a block says which file that is.
    paragraph: String,
    mistakes: Vec<Mistake>,
}

const FENCE: &str = "```";
const COLUMNS: [&str; 5] = ["machine", "card", "network", "address", "gateway"];

impl Reader {
    fn read(&mut self, line: usize, text: &str) {
        let opens_or_closes = text.starts_with(FENCE);
        match std::mem::take(&mut self.place) {
            Place::Prose if opens_or_closes => self.open(line, text),
            Place::Prose => self.read_prose(line, text),
            Place::Table => self.read_row(line, text),
            Place::Commands(_) | Place::Picture if opens_or_closes => self.paragraph.clear(),
            Place::File(file) if opens_or_closes => {
                self.paragraph.clear();
                self.push(line, Step::File(file));
            }
            Place::Commands(outcome) => {
                self.read_command(line, text, outcome);
                self.place = Place::Commands(outcome);
            }
            Place::File(mut file) => {
                file.content.push(text.to_owned());
                self.place = Place::File(file);
            }
            Place::Picture => {
                self.refuse_prompt(line, text);
                self.place = Place::Picture;
            }
        }
    }

    fn finish(mut self) -> Result<Chapter, Vec<Mistake>> {
        if !matches!(self.place, Place::Prose | Place::Table) {
            self.wrong(self.opened, "this block has no end");
        }
        if self.mistakes.is_empty() {
            Ok(self.chapter)
        } else {
            Err(self.mistakes)
        }
    }

    fn open(&mut self, line: usize, text: &str) {
        self.opened = line;
        let words: Vec<_> = text.trim_start_matches('`').split_whitespace().collect();
        self.place = match words.as_slice() {
            ["console"] => Place::Commands(Outcome::Succeeds),
            ["console", "fails"] => Place::Commands(Outcome::Fails),
            ["console", "until"] => Place::Commands(Outcome::Until),
            ["text"] => Place::Picture,
            [_, place] if place.contains(':') => self.open_file(line, place),
            _ => {
                self.wrong(
                    line,
                    "nobody runs such a block: it is `console`, `console fails`, `console until`, \
                     `text`, or a file, `LANGUAGE MACHINE:PATH`",
                );
                Place::Picture
            }
        };
    }

    fn open_file(&mut self, line: usize, place: &str) -> Place {
        let (machines, path) = place.split_once(':').unwrap_or((place, ""));
        if !path.starts_with('/') {
            self.wrong(line, format!("{path:?} is not an absolute path"));
        }
        if !self.paragraph.contains(&format!("`{path}`")) {
            self.wrong(
                line,
                format!("the paragraph before it does not name `{path}`"),
            );
        }
        let machines: Vec<_> = machines.split(',').map(str::to_owned).collect();
        for machine in &machines {
            self.know(line, machine);
        }
        Place::File(File {
            line,
            machines,
            path: path.to_owned(),
            content: Vec::new(),
        })
    }

    fn read_prose(&mut self, line: usize, text: &str) {
        self.refuse_prompt(line, text);
        let trimmed = text.trim_start();
        if trimmed.starts_with(FENCE) || trimmed.starts_with("~~~") {
            self.wrong(line, "a block begins with ``` at the start of its line");
        }
        let cells = cells(text);
        if cells.len() >= 4 && COLUMNS.starts_with(&cells) {
            self.chapter.scenes.push(Scene::default());
            self.place = Place::Table;
        } else if text.trim().is_empty() {
            // A block may stand apart from its paragraph; the next paragraph begins with text.
            self.paragraph.push('\n');
        } else {
            if self.paragraph.ends_with('\n') {
                self.paragraph.clear();
            }
            self.paragraph.push_str(text);
            self.paragraph.push(' ');
        }
    }

    fn read_row(&mut self, line: usize, text: &str) {
        let cells = cells(text);
        let Some(scene) = self.chapter.scenes.last_mut() else {
            return;
        };
        match cells.as_slice() {
            [] if scene.cards.is_empty() => self.wrong(line, "a table without machines"),
            [] => return,
            [first, ..] if first.starts_with('-') => {}
            [machine, card, network, addresses, gateway @ ..] if gateway.len() <= 1 => {
                let above = scene.cards.last().map(|card| card.machine.clone());
                let machine = match above {
                    Some(above) if machine.is_empty() => above,
                    _ => (*machine).to_owned(),
                };
                let gateway = gateway.first().filter(|address| !address.is_empty());
                scene.cards.push(Card {
                    machine,
                    name: (*card).to_owned(),
                    network: (*network).to_owned(),
                    addresses: (addresses.split(',').map(str::trim))
                        .filter(|address| !address.is_empty())
                        .map(str::to_owned)
                        .collect(),
                    gateway: gateway.map(|address| (*address).to_owned()),
                });
            }
            _ => self.wrong(
                line,
                "a row is machine, card, network, address and, perhaps, gateway",
            ),
        }
        self.place = Place::Table;
    }

    fn read_command(&mut self, line: usize, text: &str, outcome: Outcome) {
        if let Some((machine, command)) = prompt(text) {
            self.know(line, machine);
            let command = Command {
                line,
                machine: machine.to_owned(),
                text: command.to_owned(),
                prints: Vec::new(),
                outcome,
            };
            self.push(line, Step::Command(command));
            return;
        }
        let opened = self.opened;
        let steps = self.chapter.scenes.last_mut().map(|scene| &mut scene.steps);
        match steps.and_then(|steps| steps.last_mut()) {
            Some(Step::Command(command)) if command.line > opened => {
                match text.strip_prefix("> ") {
                    Some(more) if command.prints.is_empty() => {
                        command.text.push('\n');
                        command.text.push_str(more);
                    }
                    _ => command.prints.push(text.to_owned()),
                }
            }
            _ => self.wrong(line, "a block of commands begins with `MACHINE# COMMAND`"),
        }
    }

    fn push(&mut self, line: usize, step: Step) {
        match self.chapter.scenes.last_mut() {
            Some(scene) => scene.steps.push(step),
            None => self.wrong(line, "a table of machines comes before what is done there"),
        }
    }

    fn know(&mut self, line: usize, machine: &str) {
        let scene = self.chapter.scenes.last();
        if !scene.is_some_and(|scene| scene.has(machine)) {
            self.wrong(line, format!("no machine {machine:?} in the table above"));
        }
    }

    /// A command that nobody runs would be one that nobody has tried.
    fn refuse_prompt(&mut self, line: usize, text: &str) {
        if prompt(text).is_some() {
            self.wrong(line, "a command outside of a `console` block");
        }
    }

    fn wrong(&mut self, line: usize, what: impl Into<String>) {
        let what = what.into();
        self.mistakes.push(Mistake { line, what });
    }
}

/// The machine and the command of a line `MACHINE# COMMAND`.
fn prompt(text: &str) -> Option<(&str, &str)> {
    let (machine, command) = text.split_once("# ")?;
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let named = !machine.is_empty() && machine.bytes().all(is_name);
    named.then_some((machine, command))
}

/// The cells of a table's row, without their padding and code marks; none for another line.
fn cells(text: &str) -> Vec<&str> {
    let row = text.trim().strip_prefix('|');
    let row = row.and_then(|row| row.strip_suffix('|'));
    row.map_or_else(Vec::new, |row| {
        let cells = row.split('|');
        cells.map(|cell| cell.trim().trim_matches('`')).collect()
    })
}

#[cfg(test)]
mod tests;
