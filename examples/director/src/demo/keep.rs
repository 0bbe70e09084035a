//! `--keep`: how to look around in the demo from outside of its sandbox.
//!
//! Nothing leaves the sandbox for it. Whoever has started the demo may follow `/proc/PID/root` into
//! its mount namespace, where the control sockets are (a socket is found by its file, whatever the
//! network namespace), enter the namespaces that its process holds open, and kill its processes.

use std::fs;
use std::io;

use super::machines::Machines;
use super::sandbox::Users;
use super::scenario::{Node, SERVICE_PORT, Server, VIP};
use super::{director, sandbox};

/// What to type in another shell, one line each. A user namespace of the sandbox's own has to be
/// entered first.
pub(super) fn commands(machines: &Machines, users: Users) -> io::Result<Vec<String>> {
    // The mounted /proc is still that of the machine: it has the numbers that are known outside.
    let pid = fs::read_link("/proc/self")?;
    let pid = pid.display();
    let program = fs::read_link("/proc/self/exe")?;
    let program = program.display();
    let mut lines = Vec::new();

    for node in Node::ALL {
        let socket = director::control_socket(node, &sandbox::directory());
        lines.push(format!(
            "{program} status --control /proc/{pid}/root{}",
            socket.display()
        ));
    }
    let [server, _] = Server::ALL.map(Server::address);
    let socket = director::control_socket(Node::ALL[0], &sandbox::directory());
    for order in ["drain", "undrain"] {
        lines.push(format!(
            "{program} {order} {server}:{SERVICE_PORT} --control /proc/{pid}/root{}",
            socket.display()
        ));
    }

    let enter_users = match users {
        Users::Own => format!("--user=/proc/{pid}/ns/user --preserve-credentials "),
        Users::OfTheMachine => String::new(),
    };
    for (machine, command) in machines.namespaces().map(|(name, descriptor)| {
        let command = match name {
            "client" => format!("curl -s http://{VIP}/"),
            _ => String::from("ip address"),
        };
        (descriptor, command)
    }) {
        lines.push(format!(
            "nsenter {enter_users}--net=/proc/{pid}/fd/{machine} {command}"
        ));
    }

    let children = children()?;
    for (name, inner) in machines.processes() {
        if let Some(child) = children.iter().find(|child| child.inner == inner) {
            lines.push(format!("kill -9 {:<8} # {name}", child.outer));
        }
    }
    Ok(lines)
}

/// A process of the sandbox: its number there, and on the machine.
#[derive(Debug, PartialEq, Eq)]
struct Child {
    inner: u32,
    outer: u32,
}

/// The children of this process.
fn children() -> io::Result<Vec<Child>> {
    let own = fs::read_to_string("/proc/self/status")?;
    let parent = field(&own, "Pid:").and_then(|pid| pid.parse().ok());
    let statuses = fs::read_dir("/proc")?.flatten().filter_map(|entry| {
        // One that has ended meanwhile is no child any more.
        fs::read_to_string(entry.path().join("status")).ok()
    });
    Ok(statuses
        .filter_map(|status| child(&status, parent?))
        .collect())
}

/// Reads a `/proc/PID/status`; `None` if it is not that of a child in a PID namespace of its own.
fn child(status: &str, parent: u32) -> Option<Child> {
    let is_child = field(status, "PPid:")?.parse() == Ok(parent);
    let number = |text: &str| text.parse().ok();
    let inner = field(status, "NSpid:")?.split_whitespace().next_back()?;
    is_child.then_some(Child {
        inner: number(inner)?,
        outer: number(field(status, "Pid:")?)?,
    })
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tdirector\nPid:\t4713\nPPid:\t4711\nNSpid:\t4713\t9\t3\n";

    #[test]
    fn a_child_has_a_number_inside_and_one_outside() {
        let child = child(STATUS, 4711);

        let expected = Child {
            inner: 3,
            outer: 4713,
        };
        assert_eq!(child, Some(expected));
    }

    #[test]
    fn the_children_of_others_and_what_is_no_status_are_left_out() {
        assert_eq!(child(STATUS, 471), None);
        assert_eq!(child("Name:\tdirector\nPid:\tx\nPPid:\t4711\n", 4711), None);
        assert_eq!(child("", 4711), None);
    }
}
