//! The guest itself: what its kernel offers.

use std::process::Command;

use lab::{Lab, in_namespace};

use crate::site::load;

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn the_kernel_has_ipvs_and_every_namespace_a_table_of_its_own() {
    let added = in_namespace(|| {
        ipvsadm(&["-A", "-t", "192.0.2.1:80", "-s", "rr"]);
        ipvsadm(&["-Ln"])
    });
    let elsewhere = in_namespace(|| ipvsadm(&["-Ln"]));

    assert!(
        added.starts_with("IP Virtual Server version 1.2.1 "),
        "{added}"
    );
    assert!(added.contains("TCP  192.0.2.1:80 rr"), "{added}");
    assert!(!elsewhere.contains("TCP"), "{elsewhere}");
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn a_lab_works_in_the_guest_and_modules_come_as_they_are_needed() {
    let lab = Lab::new("modules");
    let lan = lab.lan("lan");
    let node = lab.node("a");
    let _cable = lan.connect(&node, "eth0", &["192.0.2.1/24", "2001:db8::1/64"]);
    node.namespace()
        .ip("link add tunnel type ipip local 192.0.2.1\n\
         link add generic type gre local 192.0.2.1\n\
         link add dummy0 type dummy");
    node.run(
        "iptables-legacy",
        &["-t", "nat", "-A", "POSTROUTING", "-j", "MASQUERADE"],
    );

    let schedulers = "rr wrr lc wlc fo ovf lblc lblcr dh sh mh sed nq";
    let services = (1..).zip(schedulers.split(' '));
    let lines = services.map(|(port, name)| format!("-A -t 192.0.2.1:{port} -s {name}\n"));
    load(&node, &lines.collect::<String>());
}

fn ipvsadm(arguments: &[&str]) -> String {
    let output = Command::new("ipvsadm")
        .args(arguments)
        .output()
        .expect("ipvsadm is installed");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("ASCII")
}
