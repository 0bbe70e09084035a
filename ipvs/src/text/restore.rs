//! What `ipvsadm -R` reads.

use super::{
    Problem,
    command::command,
    options::{Word, words},
};
use crate::{Change, Table};

/// A line of a saved table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line {
    /// Its number, from 1.
    pub number: usize,
    /// What it does.
    pub change: Change,
}

/// Something that is wrong in a saved table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
#[non_exhaustive]
pub struct ParseError {
    /// Number of the line, from 1.
    pub line: usize,
    /// Character of the line, from 1.
    pub column: usize,
    /// What is wrong.
    pub problem: Problem,
}

/// Reads a saved table: the commands of ipvsadm that change something, one a line, with or without
/// `ipvsadm` in front. Unlike there, empty lines and such that begin with `#` are passed over, and
/// nothing is done before all is read.
///
/// # Errors
/// Everything that is wrong, one a line.
pub fn parse(text: &str) -> Result<Vec<Line>, Vec<ParseError>> {
    let (mut lines, mut errors) = (Vec::new(), Vec::new());
    for (line, number) in text.lines().zip(1..) {
        match read(line) {
            Ok(change) => lines.extend(change.map(|change| Line { number, change })),
            Err((column, problem)) => errors.push(ParseError {
                line: number,
                column,
                problem,
            }),
        }
    }
    if errors.is_empty() {
        Ok(lines)
    } else {
        Err(errors)
    }
}

/// The table that a saved one restores where there was none before.
///
/// # Errors
/// Everything that is wrong, also what cannot be after the lines before it.
///
/// ```
/// use ipvs::text::{Dialect, Names, parse_table, save};
///
/// let text = "-A -t 10.1.0.100:80 -s rr\n-a -t 10.1.0.100:80 -r 10.0.0.1:8080 -m -w 3 -x 100\n";
/// let table = parse_table(text).map_err(|errors| errors[0].clone())?;
/// assert_eq!(save(&table, Dialect::Complete, &Names::default()), text);
///
/// let errors = parse_table("-A -t 10.1.0.100:80\n-a -t 10.1.0.100:80 -r 10.0.0.1 -w x").unwrap_err();
/// assert_eq!(
///     errors[0].to_string(),
///     "line 2, column 36: `x` is not a weight of 0 to 2147483647",
/// );
/// # Ok::<(), ipvs::text::ParseError>(())
/// ```
pub fn parse_table(text: &str) -> Result<Table, Vec<ParseError>> {
    let (mut table, mut errors) = (Table::default(), Vec::new());
    for (line, number) in text.lines().zip(1..) {
        let wrong = match read(line) {
            Ok(None) => continue,
            Ok(Some(change)) => {
                let column = words(line).first().map_or(1, |word| word.column);
                table.apply(&change).map_err(|error| (column, error.into()))
            }
            Err(wrong) => Err(wrong),
        };
        if let Err((column, problem)) = wrong {
            errors.push(ParseError {
                line: number,
                column,
                problem,
            });
        }
    }
    if errors.is_empty() {
        Ok(table)
    } else {
        Err(errors)
    }
}

/// What one command of ipvsadm does, given as its words, which may have blanks.
///
/// ```
/// let error = ipvs::text::parse_words(&["-A", "-t", "10.1.0.100"]).unwrap_err();
/// assert_eq!(error.0, 0, "it is the whole command that is wrong");
/// assert!(error.1.to_string().ends_with("add -p, or name a port"));
/// ```
///
/// # Errors
/// Something is wrong; tells with which word, from 0.
pub fn parse_words(words: &[&str]) -> Result<Change, (usize, Problem)> {
    let words = words.iter().zip(0..);
    let words: Vec<_> = words.map(|(text, column)| Word { text, column }).collect();
    command(&words)
}

/// What a line does, if it does anything.
fn read(line: &str) -> Result<Option<Change>, (usize, Problem)> {
    let words = words(line);
    let words = match words.as_slice() {
        [Word { text, .. }, ..] if text.starts_with('#') => return Ok(None),
        [
            Word {
                text: "ipvsadm", ..
            },
            rest @ ..,
        ] => rest,
        words => words,
    };
    if words.is_empty() {
        return Ok(None);
    }
    command(words).map(Some)
}
