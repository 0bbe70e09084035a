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
            play(script, &mut with_clients(Site::OF_SCRIPTS, kernel).await).await;
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
    let histories = history(site, &[Protocol::Tcp, Protocol::Udp], true);
    let agreed = TestRunner::new(config).run(&histories, |steps| {
        in_kernel(async |kernel: Kernel| {
            agrees_with_memory(&steps, &mut with_clients(site, kernel).await).await
        })
    });
    agreed.unwrap_or_else(|error| panic!("{error}"));
}

/// The kernel tells every client itself that it is turned away.
async fn with_clients(site: Site, kernel: Kernel) -> Sockets<Kernel> {
    Sockets::new(site, kernel, |_| 0).await
}
