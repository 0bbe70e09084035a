//! `director demo` where the kernel has IPVS and lets root use it: the requests go through that.

use std::process::Command;

use lab::director;

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn the_demo_sends_its_requests_through_the_kernel() {
    let output = Command::new(director()).arg("demo").output().unwrap();

    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    for expected in [
        "Requests go through the kernel's IPVS",
        "Everything shown worked",
    ] {
        assert!(stdout.contains(expected), "{stdout}\n{stderr}");
    }
    assert!(output.status.success(), "{:?}", output.status);
}
