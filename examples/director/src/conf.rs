//! keepalived.conf: its text, its tree, and what it means.
//!
//! [`load`] reads a file the way keepalived does (comments, `@id` conditions, `$NAME`
//! definitions, `~SEQ` and `~LST` loops, `include`), builds the [`Tree`] and from it a [`model::Config`].
//! Unlike keepalived it takes nothing it does not understand: every mistake in the file becomes
//! a [`Diagnostic`] with its place, all of them at once, and a file with an error yields no
//! configuration at all.
//!
//! ```
//! use director::conf::{MemoryEnvironment, Options, load, render};
//!
//! let machine = MemoryEnvironment::with_file(
//!     "/etc/keepalived/keepalived.conf",
//!     "vrrp_instance VI_1 {\n  interface eth0\n  virtual_router_id 51\n  \
//!      virtual_ipadress { 192.0.2.10/24 }\n}\n",
//! );
//! let loaded = load("/etc/keepalived/keepalived.conf", &machine, &Options::default())?;
//! assert!(loaded.config.is_none());
//! let first = &loaded.diagnostics[1];
//! assert_eq!(first.help.as_deref(), Some("did you mean `virtual_ipaddress`?"));
//! println!("{}", render::text(&loaded.diagnostics, &loaded.sources, false));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! The steps, one module each: `reader` (files to lines, with `definitions`, `loops` and
//! `include`), `lexer` (lines to words), `blocks` (words to the tree, with the places of missing
//! braces), `context` and `keywords` (which words count where), `build` and the modules named
//! after blocks (values; `lvs`, `virtual_server` and `checker` for load balancing), `router` and
//! `trackers` (what follows from them).
//!
//! A new block (say `bfd_instance`) is: its keywords in `keywords` without "later", a module
//! that reads it, an arm in `build`, its types in `model`.

mod address;
mod blocks;
mod build;
mod checker;
mod context;
mod definitions;
mod diagnostic;
mod environment;
mod expand;
mod fifo;
mod global;
mod include;
mod instance;
mod keywords;
mod lexer;
mod loops;
mod lvs;
pub mod model;
mod reader;
pub mod render;
mod router;
mod script;
mod source;
mod suggest;
mod sync_group;
mod text;
mod track;
mod track_file;
mod trackers;
mod tree;
mod tunables;
mod values;
mod virtual_server;

use std::{io, path::Path};

pub use diagnostic::{Code, Diagnostic, Note, Severity};
pub use environment::{Environment, MemoryEnvironment};
pub use source::{ExpansionId, FileId, Position, Sources, Span};
pub use tree::{Item, Items, Tree, Word};

use context::Context;
use diagnostic::Diagnostics;
use model::Config;
use reader::Reader;

/// How a configuration is read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// What keepalived lets pass and director does not do (keywords it does not have yet, words
    /// too many) is a warning, and left out.
    pub lenient: bool,
    /// The id that `@id` lines are for (`-i`); `None`: the first label of the host's name.
    pub config_id: Option<String>,
    /// How many bytes definitions and loops may add; beyond that the configuration is an error.
    /// Default: 128 MiB.
    pub max_expansion: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lenient: false,
            config_id: None,
            max_expansion: 128 << 20,
        }
    }
}

/// A configuration that was read, good or not.
#[derive(Debug)]
#[non_exhaustive]
pub struct Loaded {
    /// What it means; `None` if there is an error among the diagnostics.
    pub config: Option<Config>,
    /// What is wrong with it, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts that the places of the diagnostics are in.
    pub sources: Sources,
}

/// Reads the configuration that starts at `path`.
///
/// # Errors
///
/// The file itself cannot be read. An included file that cannot be is a diagnostic.
pub fn load(
    path: impl AsRef<Path>,
    environment: &dyn Environment,
    options: &Options,
) -> io::Result<Loaded> {
    load_beside(path.as_ref(), environment, options, None)
}

/// Reads a configuration that is to follow another. Virtual servers that are the same in both are
/// shared, so that they take no memory of their own and can be told to be the same at a glance;
/// their places in the file are those of `before` then.
///
/// # Errors
///
/// As [`load`].
pub fn load_after(
    before: &Config,
    path: impl AsRef<Path>,
    environment: &dyn Environment,
    options: &Options,
) -> io::Result<Loaded> {
    load_beside(path.as_ref(), environment, options, Some(before))
}

fn load_beside(
    path: &Path,
    environment: &dyn Environment,
    options: &Options,
    before: Option<&Config>,
) -> io::Result<Loaded> {
    let (tree, sources, mut diagnostics) = read_tree(path, environment, options)?;
    let config = build::build(
        &mut Context {
            diagnostics: &mut diagnostics,
        },
        &tree,
        before,
    );
    Ok(Loaded {
        config: (diagnostics.errors() == 0).then_some(config),
        diagnostics: diagnostics.into_sorted(),
        sources,
    })
}

/// A configuration's tree, not yet looked at for what it means.
#[derive(Debug)]
#[non_exhaustive]
pub struct Parsed {
    /// The tree, as far as the text has one.
    pub tree: Tree,
    /// What is wrong with the text, in its order.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts.
    pub sources: Sources,
}

/// Reads the tree of the configuration that starts at `path`, without its meaning.
///
/// # Errors
///
/// As [`load`].
pub fn parse(
    path: impl AsRef<Path>,
    environment: &dyn Environment,
    options: &Options,
) -> io::Result<Parsed> {
    let (tree, sources, diagnostics) = read_tree(path.as_ref(), environment, options)?;
    Ok(Parsed {
        tree,
        diagnostics: diagnostics.into_sorted(),
        sources,
    })
}

fn read_tree(
    path: &Path,
    environment: &dyn Environment,
    options: &Options,
) -> io::Result<(Tree, Sources, Diagnostics)> {
    let config_id = options.config_id.clone().unwrap_or_else(|| {
        let host_name = environment.host_name();
        host_name.split('.').next().unwrap_or("").to_owned()
    });
    let diagnostics = Diagnostics::new(options.lenient);
    let mut reader = Reader::new(environment, config_id, options.max_expansion, diagnostics);
    reader.read(path)?;
    let Reader {
        sources,
        tokens,
        mut diagnostics,
        ..
    } = reader;
    let tree = blocks::build(tokens, &sources, &mut diagnostics);
    Ok((tree, sources, diagnostics))
}
