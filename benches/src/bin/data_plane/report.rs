//! What was measured, and its medians side by side.

use std::{collections::BTreeMap, fmt};

use crate::proxy::Software;

/// All that was measured.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// In the order in which they were measured first.
    names: Vec<&'static str>,
    /// Of each round one.
    figures: BTreeMap<(&'static str, Software), Vec<f64>>,
}

impl Table {
    pub(crate) fn add(&mut self, name: &'static str, software: Software, figure: f64) {
        if !self.names.contains(&name) {
            self.names.push(name);
        }
        let rounds = self.figures.entry((name, software)).or_default();
        rounds.push(figure);
    }

    fn of(&self, name: &'static str, software: Software) -> &[f64] {
        let rounds = self.figures.get(&(name, software));
        rounds.map_or(&[], Vec::as_slice)
    }

    /// What the data plane has for one of another proxy, in the same round.
    fn ratio(&self, name: &'static str, to: Software) -> Option<f64> {
        let own = self.of(name, Software::Takeover).iter();
        let pairs = own.zip(self.of(name, to));
        median(pairs.map(|(own, other)| own / other))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:24}", "")?;
        for software in Software::ALL {
            write!(f, "{software:>12}")?;
        }
        writeln!(f, "   of HAProxy's    of nginx's")?;
        for name in &self.names {
            write!(f, "{name:24}")?;
            for software in Software::ALL {
                cell(f, median(self.of(name, software).iter().copied()), 12, 1)?;
            }
            for software in [Software::HaProxy, Software::Nginx] {
                cell(f, self.ratio(name, software), 14, 2)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn cell(
    f: &mut fmt::Formatter<'_>,
    figure: Option<f64>,
    width: usize,
    digits: usize,
) -> fmt::Result {
    match figure {
        Some(figure) => write!(f, "{figure:>width$.digits$}"),
        None => write!(f, "{:>width$}", "-"),
    }
}

fn median(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}
