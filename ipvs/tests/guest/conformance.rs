//! The kernel does what every backend has to, with real connections.

use ipvs::{Protocol, netlink::Kernel};
use proptest::test_runner::{Config, TestRunner};

use super::{
    conformance_of_all::{SCRIPTS, Site, Sockets, agrees_with_memory, history, play},
    in_kernel,
};

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn the_kernel_follows_the_scripts() {
    for script in SCRIPTS {
        in_kernel(async |kernel| {
            play(script, &mut Sockets::new(Site::OF_SCRIPTS, kernel).await).await;
        });
    }
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn the_kernel_agrees_with_the_one_in_memory() {
    let config = Config {
        cases: 20,
        failure_persistence: None,
        ..Config::default()
    };
    let site = Site::OF_HISTORIES;
    let histories = history(site, &[Protocol::Tcp, Protocol::Udp]);
    let agreed = TestRunner::new(config).run(&histories, |steps| {
        in_kernel(async |kernel: Kernel| {
            agrees_with_memory(&steps, &mut Sockets::new(site, kernel).await).await
        })
    });
    agreed.unwrap_or_else(|error| panic!("{error}"));
}
