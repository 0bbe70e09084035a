//! What was measured, and its medians side by side.

use std::{collections::BTreeMap, fmt};

use crate::proxy::Software;

/// One proxy's figures of one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) connections_per_second: f64,
    /// The proxy's own processor time for one.
    pub(crate) connection_cpu_us: f64,
    pub(crate) requests_per_second: f64,
    pub(crate) request_cpu_us: f64,
    pub(crate) gigabits_per_second: f64,
    pub(crate) gigabyte_cpu_ms: f64,
    /// By how much a paced round trip is longer than to the server itself.
    pub(crate) added_p50_us: f64,
    pub(crate) added_p99_us: f64,
    /// Resident memory for each connection that does nothing.
    pub(crate) idle_bytes: f64,
}

type Row = (&'static str, fn(&Figures) -> f64);

const ROWS: [Row; 9] = [
    ("connections/s", |figures| figures.connections_per_second),
    ("  proxy CPU, µs each", |figures| figures.connection_cpu_us),
    ("requests/s", |figures| figures.requests_per_second),
    ("  proxy CPU, µs each", |figures| figures.request_cpu_us),
    ("bulk, Gbit/s", |figures| figures.gigabits_per_second),
    ("  proxy CPU, ms/GB", |figures| figures.gigabyte_cpu_ms),
    ("added latency p50, µs", |figures| figures.added_p50_us),
    ("added latency p99, µs", |figures| figures.added_p99_us),
    ("idle connection, bytes", |figures| figures.idle_bytes),
];

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in ROWS {
            write!(f, "{} {:.1}  ", name.trim(), value(self))?;
        }
        Ok(())
    }
}

/// All that was measured.
#[derive(Debug, Default)]
pub(crate) struct Table(BTreeMap<Software, Vec<Figures>>);

impl Table {
    pub(crate) fn add(&mut self, software: Software, figures: Figures) {
        self.0.entry(software).or_default().push(figures);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:24}", "")?;
        for software in self.0.keys() {
            write!(f, "{software:>12}")?;
        }
        writeln!(f)?;
        for (name, value) in ROWS {
            write!(f, "{name:24}")?;
            for rounds in self.0.values() {
                let mut values: Vec<_> = rounds.iter().map(value).collect();
                values.sort_by(f64::total_cmp);
                let median = values.get(values.len() / 2).unwrap_or(&f64::NAN);
                write!(f, "{median:>12.1}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
