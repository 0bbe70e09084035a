//! Rules of nftables do what every backend has to, as far as they can, with real connections.
//!
//! Not beside other tests that listen on this machine: a socket that was closed is held for a moment
//! more by a child that is about to become `nft`.

use ipvs::{IpvsBackend, Protocol, nftables::NftablesBackend};
use lab::in_namespace;
use proptest::test_runner::{Config, TestRunner};

use super::conformance_of_all::{
    SCRIPTS, Site, Sockets, Subject, agrees_with_memory, history, play,
};

/// Sockets behind rules.
struct Rules(Sockets<NftablesBackend>);

impl Subject for Rules {
    fn site(&self) -> Site {
        self.0.site()
    }

    fn backend(&self) -> &dyn IpvsBackend {
        self.0.backend()
    }

    fn counts(&self) -> bool {
        false
    }

    async fn connect(&mut self, protocol: Protocol, client: u8) -> Option<u8> {
        self.0.connect(protocol, client).await
    }

    async fn again(&mut self, protocol: Protocol, client: u8) -> Option<u8> {
        self.0.again(protocol, client).await
    }
}

/// On the thread of a new namespace, which `nft` inherits.
fn with_rules<T: Send>(site: Site, test: impl AsyncFnOnce(Rules) -> T + Send) -> T {
    in_namespace(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let sockets = Sockets::new(site, NftablesBackend::new(), |_| 0).await;
            test(Rules(sockets)).await
        })
    })
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn nftables_follows_the_scripts_that_count_and_hash_nothing() {
    for script in SCRIPTS {
        with_rules(Site::OF_SCRIPTS, async |mut subject| {
            play(script, &mut subject).await;
        });
    }
}

/// Where clients get to is left to the scripts: round robin begins anew with every change.
#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn nftables_has_the_tables_and_errors_of_the_kernel_in_memory() {
    let site = Site::OF_HISTORIES;
    let histories = history(site, &[Protocol::Tcp, Protocol::Udp], false);
    let mut runner = TestRunner::new(Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    });
    let agreed = runner.run(&histories, |steps| {
        with_rules(site, async |mut subject| {
            agrees_with_memory(&steps, &mut subject).await
        })
    });
    agreed.unwrap_or_else(|error| panic!("{error}"));
}
