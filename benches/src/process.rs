//! What processes cost, as the kernel counts it under /proc.

use std::{fs, path::Path, time::Duration};

use anyhow::Context;

/// How long a process has had a processor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Processor {
    /// How long its threads have run, in the kernel too.
    pub ran: Duration,
    /// How long they wanted to run and others did.
    pub waited: Duration,
}

/// The processor time of a process by its number, or of `self`; of threads that still live.
///
/// # Errors
/// There is no such process, or the kernel does not count (`CONFIG_SCHED_INFO`).
pub fn processor(process: &str) -> anyhow::Result<Processor> {
    let (mut ran, mut waited) = (0, 0);
    for task in fs::read_dir(Path::new("/proc").join(process).join("task"))? {
        let spent = fs::read_to_string(task?.path().join("schedstat"))?;
        let mut numbers = spent.split_whitespace();
        ran += numbers.next().context("schedstat")?.parse::<u64>()?;
        waited += numbers.next().context("schedstat")?.parse::<u64>()?;
    }
    Ok(Processor {
        ran: Duration::from_nanos(ran),
        waited: Duration::from_nanos(waited),
    })
}

/// A line of `/proc/PROCESS/status` that counts KiB: `VmHWM`, the most memory it had, or `VmRSS`.
///
/// # Errors
/// There is no such process or line.
pub fn memory_kib(process: &str, line: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string(Path::new("/proc").join(process).join("status"))?;
    let mut lines = status.lines().filter_map(|text| text.strip_prefix(line));
    let number = lines.find_map(|rest| rest.strip_prefix(':')?.split_whitespace().next());
    let number = number.with_context(|| format!("no {line}"))?;
    Ok(number.parse()?)
}
