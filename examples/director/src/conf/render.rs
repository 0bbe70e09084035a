//! Diagnostics → text for people, JSON for programs.

use std::fmt::Write as _;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

use super::{
    diagnostic::{Code, Diagnostic, Severity},
    source::{Sources, Span},
};

/// Uses of definitions shown around one place; more of them tell nothing new.
const MAX_EXPANSIONS: usize = 4;

/// Writes diagnostics as a compiler does: the line, a caret, a help. `colour` is for terminals.
#[must_use]
pub fn text(diagnostics: &[Diagnostic], sources: &Sources, colour: bool) -> String {
    let renderer = if colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut text = String::new();
    for diagnostic in diagnostics {
        let rendered = renderer.render(&report(diagnostic, sources));
        // Writing to a string cannot fail.
        writeln!(text, "{rendered}\n").unwrap_or_default();
    }
    text
}

fn report<'s>(diagnostic: &'s Diagnostic, sources: &'s Sources) -> Vec<Group<'s>> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let expansions: Vec<_> = sources
        .expansions_of(diagnostic.span)
        .take(MAX_EXPANSIONS)
        .map(|expansion| (expansion.at, expansion.described()))
        .collect();
    let notes = diagnostic
        .notes
        .iter()
        .map(|note| (note.span, note.message.clone()));
    // A place on the same or a nearby line of the same file is shown in the one picture.
    let mut group = level
        .primary_title(diagnostic.message.as_str())
        .id(diagnostic.code.as_str())
        .element(snippet(
            sources,
            diagnostic.span,
            AnnotationKind::Primary,
            None,
        ));
    for (span, label) in notes.chain(expansions) {
        group = group.element(snippet(sources, span, AnnotationKind::Context, Some(label)));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    vec![group]
}

/// The lines around a place, alone: a file may be large.
fn snippet<'s>(
    sources: &'s Sources,
    span: Span,
    kind: AnnotationKind,
    label: Option<String>,
) -> Snippet<'s, annotate_snippets::Annotation<'s>> {
    let lines = sources.lines_around(span);
    let text = sources.text(span.file).get(lines.clone()).unwrap_or("");
    let within = |at: u32| (at as usize).saturating_sub(lines.start).min(text.len());
    Snippet::source(text)
        .line_start(sources.start(span).line)
        .path(sources.path(span.file).display().to_string())
        .annotation(kind.span(within(span.start)..within(span.end)).label(label))
}

/// The result of a check for programs. Its fields stay what they are; more may be added.
#[derive(Debug, Serialize)]
struct Report<'d> {
    /// Version of this schema: 1.
    version: u32,
    /// The file that was checked, as it was named.
    file: String,
    /// How many diagnostics are errors; the configuration is good if it is 0.
    errors: usize,
    /// How many are warnings.
    warnings: usize,
    /// In the order of the text.
    diagnostics: Vec<Entry<'d>>,
}

#[derive(Debug, Serialize)]
struct Entry<'d> {
    severity: Severity,
    code: Code,
    message: &'d str,
    #[serde(flatten)]
    place: Place,
    help: Option<&'d str>,
    /// Other places: what they have to do with it.
    notes: Vec<Related>,
    /// The uses of definitions and turns of loops that the place was read in, innermost first.
    expansions: Vec<Related>,
}

#[derive(Debug, Serialize)]
struct Related {
    message: String,
    #[serde(flatten)]
    place: Place,
}

/// Lines and columns count from 1, columns in characters; the end is behind the last one.
#[derive(Debug, Serialize)]
struct Place {
    file: String,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
}

/// Writes diagnostics as one JSON object, on one line:
///
/// ```json
/// {"version":1,"file":"k.conf","errors":1,"warnings":0,"diagnostics":[
///   {"severity":"error","code":"unknown-keyword","message":"…","file":"k.conf","line":3,
///    "column":5,"end_line":3,"end_column":9,"help":"did you mean `state`?","notes":[],
///    "expansions":[]}]}
/// ```
///
/// Lines and columns count from 1, columns in characters, and the end is the position behind
/// the last character. `help` may be null. Each of `notes` and `expansions` has a `message` and
/// the same fields for its place.
///
/// # Errors
///
/// None that the values allow; serde's are passed on.
pub fn json(
    file: &str,
    diagnostics: &[Diagnostic],
    sources: &Sources,
) -> Result<String, serde_json::Error> {
    let (errors, warnings) = count(diagnostics);
    serde_json::to_string(&Report {
        version: 1,
        file: file.to_owned(),
        errors,
        warnings,
        diagnostics: diagnostics.iter().map(|one| entry(one, sources)).collect(),
    })
}

fn entry<'d>(diagnostic: &'d Diagnostic, sources: &Sources) -> Entry<'d> {
    let related = |message: &str, span| Related {
        message: message.to_owned(),
        place: place(span, sources),
    };
    let notes = diagnostic.notes.iter();
    let expansions = sources.expansions_of(diagnostic.span);
    Entry {
        severity: diagnostic.severity,
        code: diagnostic.code,
        message: &diagnostic.message,
        place: place(diagnostic.span, sources),
        help: diagnostic.help.as_deref(),
        notes: notes
            .map(|note| related(&note.message, note.span))
            .collect(),
        expansions: expansions
            .map(|expansion| related(&expansion.described(), expansion.at))
            .collect(),
    }
}

fn place(span: Span, sources: &Sources) -> Place {
    let (start, end) = (sources.start(span), sources.end(span));
    Place {
        file: sources.path(span.file).display().to_string(),
        line: start.line,
        column: start.column,
        end_line: end.line,
        end_column: end.column,
    }
}

/// How many errors and how many warnings there are.
#[must_use]
pub fn count(diagnostics: &[Diagnostic]) -> (usize, usize) {
    let errors = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error)
        .count();
    (errors, diagnostics.len() - errors)
}
