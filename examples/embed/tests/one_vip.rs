//! The shortest program, on two machines.

use std::{net::IpAddr, process::Command, time::Duration};

use lab::{Lab, Node, Process, wait_until};
use nix::sys::signal::Signal;

const SOON: Duration = Duration::from_secs(20);

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn the_address_goes_to_the_next_node_when_the_program_ends() {
    let lab = Lab::new("one-vip");
    let lan = lab.lan("lan");
    let [one, two] = ["one", "two"].map(|name| lab.node(name));
    let _cables = [(&one, "192.0.2.1/24"), (&two, "192.0.2.2/24")]
        .map(|(node, address)| lan.connect(node, "eth0", &[address]));
    let vip: IpAddr = "192.0.2.100".parse().unwrap();

    let mut first = start(&one, "150");
    wait_until("the first to have it", SOON, || one.holds(vip));
    let _second = start(&two, "100");
    first.signal(Signal::SIGINT);
    assert!(first.wait(SOON).success());
    assert!(!one.holds(vip), "it is gone before the program is");
    wait_until("the second to have it", SOON, || two.holds(vip));
}

fn start(node: &Node, priority: &str) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_one_vip"));
    command.args(["eth0", "192.0.2.100/24", priority]);
    node.spawn("one_vip", command)
}
