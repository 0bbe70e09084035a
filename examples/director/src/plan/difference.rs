//! Lists of named things: which of them come, go and change.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};

/// What differs between two lists of named things.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Difference {
    /// Who comes, in the order of the new list.
    pub added: Vec<String>,
    /// Who changes, in the order of the new list.
    pub changed: Vec<Changed>,
    /// Who goes, in the order of the old list.
    pub removed: Vec<String>,
}

/// Something that stays, with other settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Changed {
    /// Its name.
    pub name: String,
    /// What is set otherwise; never empty.
    pub settings: Vec<Setting>,
}

/// A setting that has another value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Setting {
    /// The keyword.
    pub keyword: Cow<'static, str>,
    /// What it is set to; `None`: it is not set.
    pub from: Option<String>,
    /// What it would be set to; `None`: it would not be set.
    pub to: Option<String>,
}

/// Keywords and their values, each keyword once.
pub(super) type Settings = Vec<(&'static str, String)>;

impl Setting {
    /// What differs between two lists of settings.
    pub(super) fn between(before: Settings, after: Settings) -> Vec<Self> {
        let mut before: BTreeMap<_, _> = before.into_iter().collect();
        let mut differing = Vec::new();
        for (keyword, to) in after {
            let from = before.remove(keyword);
            if from.as_ref() != Some(&to) {
                differing.push(Self {
                    keyword: keyword.into(),
                    from,
                    to: Some(to),
                });
            }
        }
        let unset = before.into_iter().map(|(keyword, from)| Self {
            keyword: keyword.into(),
            from: Some(from),
            to: None,
        });
        differing.extend(unset);
        differing
    }

    /// A setting whose values are not shown.
    pub(super) fn hidden(keyword: &'static str) -> Self {
        Self {
            keyword: keyword.into(),
            from: Some(String::from("(not shown)")),
            to: Some(String::from("(not shown, another)")),
        }
    }
}

impl Difference {
    /// Whether nothing differs.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }

    /// Notes something that was there, will be there, and has these settings otherwise.
    pub(super) fn note(
        &mut self,
        name: impl ToString,
        was: bool,
        is: bool,
        settings: Vec<Setting>,
    ) {
        match (was, is) {
            (false, true) => self.added.push(name.to_string()),
            (true, false) => self.removed.push(name.to_string()),
            (true, true) if !settings.is_empty() => self.changed.push(Changed {
                name: name.to_string(),
                settings,
            }),
            _ => {}
        }
    }

    /// As [`note`](Self::note), with what says how each is set.
    pub(super) fn compare<T>(
        &mut self,
        name: impl ToString,
        before: Option<&T>,
        after: Option<&T>,
        settings: impl Fn(&T) -> Settings,
    ) {
        let differing = match (before, after) {
            (Some(before), Some(after)) => Setting::between(settings(before), settings(after)),
            _ => Vec::new(),
        };
        self.note(name, before.is_some(), after.is_some(), differing);
    }
}

/// Something by its key, as it was and as it will be.
pub(super) type Pair<'a, K, T> = (K, Option<&'a T>, Option<&'a T>);

/// The members of two lists side by side, by a key: those of the new list in its order, then those
/// that are only in the old one in its order.
pub(super) fn pairs<'a, K: Ord + Copy, T>(
    before: &'a [T],
    after: &'a [T],
    key: impl Fn(&'a T) -> K,
) -> Vec<Pair<'a, K, T>> {
    let mut old: BTreeMap<K, &'a T> = before.iter().map(|it| (key(it), it)).collect();
    let mut pairs: Vec<_> = after
        .iter()
        .map(|it| (key(it), old.remove(&key(it)), Some(it)))
        .collect();
    let gone = before.iter().filter(|it| old.contains_key(&key(it)));
    pairs.extend(gone.map(|it| (key(it), Some(it), None)));
    pairs
}
