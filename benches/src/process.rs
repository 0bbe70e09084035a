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

/// The numbers of the processes of a process group, by the group's.
///
/// # Errors
/// `/proc` cannot be read.
pub fn group(leader: u32) -> anyhow::Result<Vec<u32>> {
    let mut members = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(process) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // It may have ended meanwhile.
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // After the name, which may have spaces: state, parent, group.
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let group = after_name.split_whitespace().nth(2);
        if group == Some(leader.to_string().as_str()) {
            members.push(process);
        }
    }
    Ok(members)
}
