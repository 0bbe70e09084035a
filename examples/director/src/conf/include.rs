//! `include` and its variants: which files a pattern means, and what is asked of them.

use std::{
    io,
    ops::BitOr,
    path::{Path, PathBuf},
};

use super::environment::Environment;

/// What must hold for the files of an include (`include_check`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Checks(u8);

impl Checks {
    pub(super) const READABLE: Self = Self(1);
    const MATCH: Self = Self(2 | 1);
    const WILDCARD_MATCH: Self = Self(4 | 1);
    const BRACE_MATCH: Self = Self(8 | 1);
    const ALL: Self = Self(15);

    pub(super) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether it is an error that a pattern finds nothing.
    pub(super) const fn asks_for_match(self, found: &Found) -> bool {
        (self.contains(Self::MATCH) && !found.wildcard && !found.from_braces)
            || (self.contains(Self::WILDCARD_MATCH) && found.wildcard)
            || (self.contains(Self::BRACE_MATCH) && found.from_braces)
    }

    /// What `include_check OPTIONS` makes of these checks: `+x` adds, `-x` takes away, without
    /// sign the list starts anew, and no option means all.
    pub(super) fn changed<'w>(self, options: impl Iterator<Item = &'w str>) -> Self {
        let mut checks = self;
        let mut adding = true;
        let mut fresh = true;
        for (index, option) in options.enumerate() {
            let name = match option.as_bytes().first() {
                Some(b'+') => {
                    (adding, fresh) = (true, false);
                    option.get(1..).unwrap_or("")
                }
                Some(b'-') => {
                    (adding, fresh) = (false, false);
                    option.get(1..).unwrap_or("")
                }
                _ => option,
            };
            if index == 0 && fresh {
                checks = Self::default();
            }
            let Some(named) = Self::named(name) else {
                continue;
            };
            checks = if adding {
                checks | named
            } else {
                Self(checks.0 & !(named.0 & !Self::READABLE.0))
            };
            fresh = false;
        }
        if fresh { Self::ALL } else { checks }
    }

    /// The check that an option of `include_check` names.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "readable" => Some(Self::READABLE),
            "match" => Some(Self::MATCH),
            "wildcard_match" => Some(Self::WILDCARD_MATCH),
            "brace_match" => Some(Self::BRACE_MATCH),
            _ => None,
        }
    }
}

impl BitOr for Checks {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The include keyword that `line` starts with, and the checks it adds.
pub(super) fn directive(line: &str) -> Option<(&str, Checks)> {
    let word = line
        .split(|c: char| c.is_ascii_whitespace() || c == '"')
        .next()?;
    let checks = match word {
        "include" => Checks::default(),
        "includer" => Checks::READABLE,
        "includem" => Checks::MATCH,
        "includew" => Checks::WILDCARD_MATCH,
        "includeb" => Checks::BRACE_MATCH,
        "includea" => Checks::ALL,
        _ => return None,
    };
    Some((word, checks))
}

/// What one alternative of a pattern found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The pattern, without braces.
    pub(super) pattern: String,
    /// Whether it has `*`, `?` or `[…]`.
    pub(super) wildcard: bool,
    /// Whether it is one of several alternatives of braces.
    pub(super) from_braces: bool,
    /// The files, in alphabetical order.
    pub(super) files: Vec<PathBuf>,
}

/// Finds the files that `pattern` means, read from `directory`.
pub(super) fn find(environment: &dyn Environment, directory: &Path, pattern: &str) -> Vec<Found> {
    let patterns = expand_braces(pattern);
    let from_braces = pattern.contains('{') && patterns.len() > 1;
    patterns
        .into_iter()
        .map(|pattern| {
            let wildcard = has_wildcard(&pattern);
            let path = directory.join(&pattern);
            let files = if wildcard {
                glob(environment, &path)
            } else {
                Vec::from_iter(exists(environment, &path).then_some(path))
            };
            Found {
                pattern,
                wildcard,
                from_braces,
                files,
            }
        })
        .collect()
}

/// More alternatives than anyone writes.
const MAX_ALTERNATIVES: usize = 1000;

/// `a{b,c{d,e}}f` → `abf`, `acdf`, `acef`. Braces that do not pair stand for themselves.
fn expand_braces(pattern: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut pending = vec![pattern.to_owned()];
    while let Some(pattern) = pending.pop() {
        if done.len() + pending.len() >= MAX_ALTERNATIVES {
            break;
        }
        match first_braces(&pattern) {
            None => done.push(pattern),
            Some((before, alternatives, after)) => {
                let expanded = alternatives
                    .iter()
                    .rev()
                    .map(|alternative| format!("{before}{alternative}{after}"));
                pending.extend(expanded);
            }
        }
    }
    done
}

/// The text before the first pair of braces, the alternatives in it, and the text after it.
fn first_braces(pattern: &str) -> Option<(&str, Vec<&str>, &str)> {
    let open = pattern.find('{')?;
    let mut depth = 0usize;
    let mut start = open + 1;
    let mut alternatives = Vec::new();
    for (at, c) in pattern.char_indices().skip_while(|(at, _)| *at < open) {
        match c {
            '{' => depth += 1,
            ',' if depth == 1 => {
                alternatives.push(pattern.get(start..at)?);
                start = at + 1;
            }
            '}' => {
                depth -= 1;
                if depth == 0 {
                    alternatives.push(pattern.get(start..at)?);
                    return Some((pattern.get(..open)?, alternatives, pattern.get(at + 1..)?));
                }
            }
            _ => {}
        }
    }
    None
}

fn has_wildcard(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

/// Whether there is such a file; one that cannot be read is there.
fn exists(environment: &dyn Environment, path: &Path) -> bool {
    match environment.read(path) {
        Ok(_) => true,
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// The existing paths that match `pattern`, directory by directory.
fn glob(environment: &dyn Environment, pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    let last = pattern.components().count();
    for (index, component) in pattern.components().enumerate() {
        let name = component.as_os_str().to_string_lossy();
        if !has_wildcard(&name) {
            found.iter_mut().for_each(|path| path.push(component));
            if index + 1 == last {
                found.retain(|path| exists(environment, path));
            }
            continue;
        }
        let name: Vec<char> = name.chars().collect();
        found = found
            .iter()
            .flat_map(|directory| {
                let mut names = environment.list(directory).unwrap_or_default();
                names.sort();
                names.retain(|candidate| {
                    let hidden = candidate.starts_with('.') && name.first() != Some(&'.');
                    !hidden && matches(&name, &candidate.chars().collect::<Vec<_>>())
                });
                names.into_iter().map(|name| directory.join(name))
            })
            .collect();
    }
    found
}

/// Whether a name matches a pattern of `*`, `?` and `[…]`.
fn matches(pattern: &[char], name: &[char]) -> bool {
    // Where to go on after the last `*` if what followed it does not fit here.
    let mut retry: Option<(&[char], &[char])> = None;
    let (mut pattern, mut name) = (pattern, name);
    loop {
        let step = match (pattern, name) {
            ([], []) => return true,
            (['*', rest @ ..], _) => {
                retry = Some((rest, name));
                pattern = rest;
                continue;
            }
            (['?', rest @ ..], [_, left @ ..]) => Some((rest, left)),
            (['[', set @ ..], [c, left @ ..]) => match class(set, *c) {
                Some((true, rest)) => Some((rest, left)),
                Some((false, _)) => None,
                None => (*c == '[').then_some((set, left)),
            },
            ([p, rest @ ..], [c, left @ ..]) if p == c => Some((rest, left)),
            _ => None,
        };
        match (step, retry) {
            (Some(next), _) => (pattern, name) = next,
            (None, Some((rest, [_, left @ ..]))) => {
                retry = Some((rest, left));
                (pattern, name) = (rest, left);
            }
            (None, _) => return false,
        }
    }
}

/// Whether `c` is in the set that ends at the next `]`, and what follows; `None` if none ends.
fn class(set: &[char], c: char) -> Option<(bool, &[char])> {
    let (negated, set) = match set {
        ['!' | '^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    // A `]` right at the start is a member.
    let len = set.iter().skip(1).position(|member| *member == ']')? + 1;
    let (mut members, rest) = set.split_at(len);
    let mut found = false;
    loop {
        members = match members {
            [low, '-', high, rest @ ..] => {
                found |= (*low..=*high).contains(&c);
                rest
            }
            [member, rest @ ..] => {
                found |= *member == c;
                rest
            }
            [] => return Some((found != negated, rest.get(1..).unwrap_or(&[]))),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::environment::MemoryEnvironment;

    fn matched(pattern: &str, name: &str) -> bool {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        matches(&chars(pattern), &chars(name))
    }

    #[test]
    fn wildcards_are_those_of_glob() {
        assert!(matched("*.conf", "a.conf"));
        assert!(matched("*a*b*", "xxaxxbxx"));
        assert!(!matched("*a*b", "xxaxxbx"));
        assert!(matched("?[a-c][!0-9]", "xby"));
        assert!(!matched("?[a-c][!0-9]", "xb5"));
        assert!(matched("[]]", "]"));
        assert!(matched("[a", "[a"));
        assert!(!matched("a", ""));
        assert!(matched("*", ""));
    }

    #[test]
    fn braces_expand_in_order_and_nest() {
        assert_eq!(
            expand_braces("a{b,c{d,e},}f"),
            ["abf", "acdf", "acef", "af"]
        );
        assert_eq!(
            expand_braces("{foo/{,cat,dog},bar}"),
            ["foo/", "foo/cat", "foo/dog", "bar"]
        );
        assert_eq!(expand_braces("a{b"), ["a{b"]);
        assert_eq!(expand_braces("a}b"), ["a}b"]);
        assert!(expand_braces(&"{a,b}".repeat(40)).len() <= MAX_ALTERNATIVES);
    }

    #[test]
    fn files_are_found_in_alphabetical_order_and_hidden_ones_are_not() {
        let environment = MemoryEnvironment::with_file("/k/d/b.conf", "")
            .and_file("/k/d/a.conf", "")
            .and_file("/k/d/.c.conf", "")
            .and_file("/k/e/a.conf", "");
        let files = |pattern| {
            find(&environment, Path::new("/k"), pattern)
                .into_iter()
                .flat_map(|found| found.files)
                .map(|path| path.display().to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(files("d/*.conf"), ["/k/d/a.conf", "/k/d/b.conf"]);
        assert_eq!(files("*/a.conf"), ["/k/d/a.conf", "/k/e/a.conf"]);
        assert_eq!(files("{e,d}/a.conf"), ["/k/e/a.conf", "/k/d/a.conf"]);
        assert_eq!(files("/k/e/a.conf"), ["/k/e/a.conf"]);
        assert!(files("nope").is_empty());
    }

    #[test]
    fn include_check_adds_and_takes_away() {
        let changed = |from: Checks, options: &[&str]| from.changed(options.iter().copied());
        assert_eq!(changed(Checks::default(), &[]), Checks::ALL);
        assert_eq!(changed(Checks::ALL, &["readable"]), Checks::READABLE);
        assert_eq!(changed(Checks::READABLE, &["+match"]), Checks::MATCH);
        let without = changed(Checks::ALL, &["-wildcard_match"]);
        assert!(!without.contains(Checks::WILDCARD_MATCH) && without.contains(Checks::MATCH));
    }
}
