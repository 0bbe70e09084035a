//! A plan for people.

use std::fmt;

use super::{Changed, Connections, Difference, Effect, Kernel, KernelChange, Plan, Setting};

/// What comes, changes and goes, block by block, then the kernel's changes, then how much it is.
/// `+` comes, `~` changes, `-` goes.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (block, part) in self.parts() {
            if !part.is_empty() {
                writeln!(f, "{block}")?;
                part.fmt(f)?;
            }
        }
        if let Some(kernel) = self.kernel.as_ref().filter(|kernel| !kernel.is_empty()) {
            writeln!(f, "ipvs, in this order")?;
            kernel.changes.iter().try_for_each(|change| change.fmt(f))?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        writeln!(f, "{}", self.summary())
    }
}

impl Plan {
    /// How much would change, on one line.
    #[must_use]
    pub fn summary(&self) -> String {
        if self.is_empty() {
            return String::from("nothing changes");
        }
        let mut parts: Vec<String> = Vec::new();
        for (block, part) in self.parts() {
            let counts = [
                (part.added.len(), "added"),
                (part.changed.len(), "changed"),
                (part.removed.len(), "removed"),
            ];
            let counts: Vec<_> = counts
                .into_iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, what)| format!("{count} {what}"))
                .collect();
            if !counts.is_empty() {
                parts.push(format!("{block} {}", counts.join(", ")));
            }
        }
        if let Some(Kernel {
            changes,
            services_kept,
            destinations_kept,
        }) = &self.kernel
        {
            parts.push(format!(
                "{} changes of the kernel's table, in which {services_kept} services and \
                 {destinations_kept} destinations stay as they are",
                changes.len()
            ));
        }
        parts.join("; ")
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in &self.added {
            writeln!(f, "  + {name}")?;
        }
        for Changed { name, settings } in &self.changed {
            writeln!(f, "  ~ {name}")?;
            settings
                .iter()
                .try_for_each(|setting| writeln!(f, "      {setting}"))?;
        }
        for name in &self.removed {
            writeln!(f, "  - {name}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| String::from("unset"));
        let (from, to) = (value(&self.from), value(&self.to));
        write!(f, "{}: {from} -> {to}", self.keyword)
    }
}

impl fmt::Display for KernelChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {}", self.command)?;
        self.settings
            .iter()
            .try_for_each(|setting| writeln!(f, "      {setting}"))?;
        self.effects
            .iter()
            .try_for_each(|effect| writeln!(f, "      ! {effect}"))
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drained {
                connections,
                cut_after,
            } => write!(f, "{connections} go on for at most {cut_after} s"),
            Self::Cut { connections } => write!(f, "{connections} are cut"),
            Self::Remapped { scheduler } => {
                write!(f, "{scheduler} sends some clients to other destinations")
            }
            Self::Rescheduled { from, to } => {
                write!(f, "new connections are spread by {to} instead of {from}")
            }
            Self::PersistenceLost { templates } => {
                write!(
                    f,
                    "{templates} clients no longer stick to their destinations"
                )
            }
        }
    }
}

impl fmt::Display for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            active,
            inactive,
            persistent,
        } = self;
        write!(
            f,
            "{active} active and {inactive} inactive connections and {persistent} persistent clients"
        )
    }
}
