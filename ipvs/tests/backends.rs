//! Backends that need no kernel with IPVS do what all of them have to: see `conformance`.
#![cfg(feature = "userspace")]

mod conformance;

use ipvs::{
    Protocol,
    userspace::{Config, UserspaceBackend},
};
use proptest::test_runner::TestRunner;

use conformance::{Memory, SCRIPTS, Site, Sockets, agrees_with_memory, history, play};

#[tokio::test]
async fn the_kernel_in_memory_follows_the_scripts() {
    for script in SCRIPTS {
        play(script, &mut Memory::new(Site::OF_SCRIPTS)).await;
    }
}

#[test]
fn the_data_plane_of_this_process_follows_the_scripts() {
    for script in SCRIPTS {
        with_the_data_plane(Site::OF_SCRIPTS, async |mut subject| {
            play(script, &mut subject).await;
        });
    }
}

#[test]
fn the_data_plane_of_this_process_agrees_with_the_kernel_in_memory() {
    let site = Site::OF_HISTORIES;
    let histories = history(site, &[Protocol::Tcp, Protocol::Udp], true);
    let agreed = TestRunner::default().run(&histories, |steps| {
        with_the_data_plane(site, async |mut subject| {
            agrees_with_memory(&steps, &mut subject).await
        })
    });
    agreed.unwrap_or_else(|error| panic!("{error}"));
}

/// With an empty table; all sockets are closed afterwards.
fn with_the_data_plane<T>(site: Site, test: impl AsyncFnOnce(Sockets<UserspaceBackend>) -> T) -> T {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let backend = UserspaceBackend::start(Config::default()).expect("threads");
        let refused = |it: &UserspaceBackend| it.tally().no_destination;
        test(Sockets::new(site, backend, refused).await).await
    })
}
