//! Which processes are in a process group, from `/proc`.

use std::fs;

use nix::unistd::Pid;

/// The processes of a group that are not merely waiting to be reaped. Without `/proc`, none.
///
/// Only the kernel's list tells a group that is over from one whose leader has exited.
pub(super) fn members(group: Pid) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| {
            fs::read_to_string(format!("/proc/{pid}/stat"))
                .is_ok_and(|stat| group_of_living(&stat) == Some(group.as_raw()))
        })
        .collect()
}

/// The process group in a line of `/proc/PID/stat`, `None` for a zombie (proc_pid_stat(5)).
fn group_of_living(stat: &str) -> Option<i32> {
    // The name in brackets may hold anything, brackets and blanks too.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace();
    let (state, _parent, group) = (fields.next()?, fields.next()?, fields.next()?);
    if matches!(state, "Z" | "X") {
        None
    } else {
        group.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use nix::unistd::{getpgrp, getpid};

    use super::*;

    #[test]
    fn the_group_is_the_third_field_after_the_name_whatever_the_name_is() {
        assert_eq!(group_of_living("12 (sh) S 1 345 345 0 -1"), Some(345));
        assert_eq!(group_of_living("12 (a) Z 9 9) D 1 345 345"), Some(345));
        assert_eq!(group_of_living("12 (sh) Z 1 345 345"), None);
        for broken in ["", "12 (sh", "12 (sh)", "12 (sh) S 1", "12 (sh) S 1 x"] {
            assert_eq!(group_of_living(broken), None, "{broken}");
        }
    }

    #[test]
    fn this_process_is_a_member_of_its_group() {
        assert!(members(getpgrp()).contains(&getpid().as_raw()));
    }
}
