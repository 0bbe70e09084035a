//! What stands in the way where a machine does not allow the sandbox.

use std::fmt;
use std::io;

use nix::errno::Errno;

/// What forbids it, as far as the system tells, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hints(Vec<String>);

impl fmt::Display for Hints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|hint| write!(f, "\n  {hint}"))
    }
}

/// A file below `/proc/sys` that forbids it while it has one value and allows it with another.
struct Switch {
    path: &'static str,
    forbids: &'static str,
    allows: &'static str,
    meaning: &'static str,
}

const SWITCHES: [Switch; 6] = [
    Switch {
        path: "kernel/apparmor_restrict_unprivileged_userns",
        forbids: "1",
        allows: "0",
        meaning: "AppArmor takes the rights of root away in unprivileged user namespaces (Ubuntu \
                  23.10 and later)",
    },
    Switch {
        path: "kernel/unprivileged_userns_clone",
        forbids: "0",
        allows: "1",
        meaning: "this kernel gives user namespaces to root alone",
    },
    limit(
        "user/max_user_namespaces",
        "user namespaces are switched off",
    ),
    limit(
        "user/max_net_namespaces",
        "network namespaces are switched off",
    ),
    limit("user/max_pid_namespaces", "PID namespaces are switched off"),
    limit(
        "user/max_mnt_namespaces",
        "mount namespaces are switched off",
    ),
];

const fn limit(path: &'static str, meaning: &'static str) -> Switch {
    Switch {
        path,
        forbids: "0",
        allows: "10000",
        meaning,
    }
}

const BY_ERRNO: [(Errno, &str); 4] = [
    (
        Errno::EINVAL,
        "this kernel has no user, network or PID namespaces (CONFIG_USER_NS, CONFIG_NET_NS, \
         CONFIG_PID_NS)",
    ),
    (Errno::ENOSPC, LIMIT_REACHED),
    (Errno::EUSERS, LIMIT_REACHED),
    (
        Errno::EOPNOTSUPP,
        "this kernel lacks the kind of interface: load the modules with: sudo modprobe -a veth \
         bridge",
    ),
];
const LIMIT_REACHED: &str = "a limit on the number of namespaces is reached: see /proc/sys/user";

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            forbids,
            allows,
            meaning,
            ..
        } = self;
        let name = self.path.replace('/', ".");
        write!(
            f,
            "{name} is {forbids}: {meaning}; allow it with: sudo sysctl -w {name}={allows}"
        )
    }
}

/// Looks for what has led to `error`; `read` gives the content of a file of the system.
pub(super) fn hints(error: &io::Error, read: impl Fn(&str) -> Option<String>) -> Hints {
    let is_set = |switch: &&Switch| {
        read(&format!("/proc/sys/{}", switch.path))
            .is_some_and(|value| value.trim() == switch.forbids)
    };
    let mut hints: Vec<_> = SWITCHES
        .iter()
        .filter(is_set)
        .map(Switch::to_string)
        .collect();
    let by_errno = BY_ERRNO.iter().filter(|(found, _)| *found == errno(error));
    hints.extend(by_errno.map(|(_, hint)| (*hint).to_owned()));
    if is_refusal(error) {
        if has_seccomp_filter(&read) {
            hints.push(String::from(
                "a seccomp filter is on this process, as containers have: start the container with \
                 --security-opt seccomp=unconfined (and apparmor=unconfined where there is \
                 AppArmor), or with --privileged",
            ));
        }
        if hints.is_empty() {
            hints.push(String::from(
                "the system does not tell what forbids it (a security module such as SELinux or \
                 AppArmor, or a change of root directory): try outside of containers, or as root",
            ));
        } else {
            hints.push(String::from(
                "or run the demo as root (of the machine, not of a container)",
            ));
        }
    }
    Hints(hints)
}

fn is_refusal(error: &io::Error) -> bool {
    [Errno::EPERM, Errno::EACCES, Errno::ENOSPC, Errno::EUSERS].contains(&errno(error))
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or_default())
}

fn has_seccomp_filter(read: impl Fn(&str) -> Option<String>) -> bool {
    const FILTER: &str = "2";
    let status = read("/proc/self/status").unwrap_or_default();
    let mode = status
        .lines()
        .find_map(|line| line.strip_prefix("Seccomp:"));
    mode.is_some_and(|mode| mode.trim() == FILTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_that_forbids_it_is_named_with_the_command_that_allows_it() {
        let hints = refused(&[(
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1\n",
        )]);

        assert!(
            hints.contains("apparmor_restrict_unprivileged_userns is 1: AppArmor"),
            "{hints}"
        );
        let command = "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0";
        assert!(hints.contains(command), "{hints}");
        assert!(hints.contains("or run the demo as root"), "{hints}");
    }

    #[test]
    fn a_switch_that_allows_it_is_not_named() {
        let hints = refused(&[
            ("/proc/sys/kernel/unprivileged_userns_clone", "1\n"),
            ("/proc/sys/user/max_user_namespaces", "96365\n"),
        ]);

        assert!(!hints.contains("userns_clone"), "{hints}");
        assert!(hints.contains("the system does not tell"), "{hints}");
    }

    #[test]
    fn a_limit_of_none_is_given_as_a_limit_of_many() {
        let hints = hints_for(
            Errno::ENOSPC,
            &[("/proc/sys/user/max_net_namespaces", "0\n")],
        );

        assert!(
            hints.contains("sysctl -w user.max_net_namespaces=10000"),
            "{hints}"
        );
    }

    #[test]
    fn a_container_is_known_by_its_seccomp_filter() {
        let status = [(
            "/proc/self/status",
            "Name:\tdirector\nSeccomp:\t2\nSeccomp_filters:\t1\n",
        )];

        assert!(refused(&status).contains("--security-opt seccomp=unconfined"));
    }

    #[test]
    fn a_missing_module_is_not_a_matter_of_rights() {
        let status = [("/proc/self/status", "Seccomp:\t2\n")];
        let hints = hints_for(Errno::EOPNOTSUPP, &status);

        assert!(hints.contains("modprobe -a veth bridge"), "{hints}");
        assert!(!hints.contains("seccomp"), "{hints}");
    }

    fn refused(files: &[(&str, &str)]) -> String {
        hints_for(Errno::EPERM, files)
    }

    fn hints_for(errno: Errno, files: &[(&str, &str)]) -> String {
        let read = |path: &str| {
            files
                .iter()
                .find(|(found, _)| *found == path)
                .map(|(_, text)| (*text).to_owned())
        };
        hints(&errno.into(), read).to_string()
    }
}
