//! Whole tables: many, great, and found again.

use std::fmt::Write as _;

use ipvs::{
    Forwarding, SchedulerName, ServiceKey, ServiceSettings, Table,
    netlink::Kernel,
    plan, strategy,
    text::{Dialect, Names, save},
};
use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::TestRunner,
};

use super::{bring, in_kernel, ipvsadm, make, parsed, table, without_what_ipvsadm_loses};

/// A random table that the guest can have, whose kernel lacks a scheduler and whose namespace lacks
/// interfaces, and that ipvsadm has words for.
fn random(runner: &mut TestRunner) -> Table {
    let mut table = strategy::table()
        .new_tree(runner)
        .expect("a table")
        .current();
    table.daemons.clear();
    for service in table.services_mut() {
        if service.settings.scheduler.as_str() == "twos" {
            service.settings.scheduler = SchedulerName::new("rr").expect("a name");
        }
        // Of these it tells the flags that have a name.
        let named = ["sh", "mh"].contains(&service.settings.scheduler.as_str());
        service.settings.flags.third &= !named;
        for settings in service.destinations.values_mut() {
            if matches!(settings.forwarding, Forwarding::Local | Forwarding::Bypass) {
                settings.forwarding = Forwarding::Masquerade;
            }
        }
    }
    table
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn two_hundred_tables_follow_one_another() {
    in_kernel(async |kernel| {
        let mut runner = TestRunner::deterministic();
        for number in 0..200 {
            let desired = random(&mut runner);
            bring(&kernel, &desired).await;
            let read = table(&kernel).await;
            assert_eq!(plan(&read, &desired), [], "table {number}");
            assert_eq!(read.services, desired.services, "table {number}");
            let saved = ipvsadm(&["-Sn"]);
            let ours = save(&read, Dialect::Ipvsadm, &Names::default());
            assert_eq!(saved, ours, "table {number}");
            assert_eq!(
                parsed(&saved),
                without_what_ipvsadm_loses(read),
                "table {number}"
            );
        }
    });
}

/// 1,000 services of 10 destinations each.
fn great() -> Table {
    let mut text = String::new();
    for service in 0..1_000 {
        let name = format!("10.1.{}.{}:80", service / 250, service % 250 + 1);
        writeln!(text, "-A -t {name} -s wrr").expect("a string");
        for destination in 1..=10 {
            writeln!(text, "-a -t {name} -r 10.0.0.{destination}:8080 -m").expect("a string");
        }
    }
    parsed(&text)
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn a_great_table_is_written_read_adopted_and_removed() {
    in_kernel(async |kernel| {
        let desired = great();
        let mut steps = Steps::begin();
        bring(&kernel, &desired).await;
        steps.end("11,000 changes");
        let read = table(&kernel).await;
        steps.end("read");
        assert_eq!(read.services, desired.services);
        let saved = ipvsadm(&["-Sn"]);
        steps.end("read by ipvsadm -Sn");
        assert_eq!(parsed(&saved), without_what_ipvsadm_loses(read));

        // Who comes after us finds everything done.
        drop(kernel);
        let successor = Kernel::connect().await.unwrap();
        let found = table(&successor).await;
        assert_eq!(plan(&found, &desired), []);

        steps.end("adopted");
        make(&successor, &plan(&found, &Table::default())).await;
        steps.end("1,000 removals");
        assert_eq!(table(&successor).await.services.len(), 0);
    });
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn a_table_that_somebody_changes_meanwhile_is_read_all_the_same() {
    in_kernel(async |kernel| {
        let lasting = great();
        let other = Kernel::connect().await.unwrap();
        bring(&kernel, &lasting).await;
        let mut more = lasting.clone();
        for number in 1..=300 {
            let key = ServiceKey::udp(format!("10.2.0.1:{number}").parse().unwrap());
            more.add_service(key, ServiceSettings::default()).unwrap();
        }
        let (there, back) = (plan(&lasting, &more), plan(&more, &lasting));
        let churn = async {
            for _ in 0..10 {
                make(&other, &there).await;
                make(&other, &back).await;
            }
        };
        let look = async {
            for _ in 0..5 {
                let read = table(&kernel).await;
                for (key, service) in &read.services {
                    assert_eq!(more.services[key].settings, service.settings);
                }
            }
        };
        tokio::join!(churn, look);
        assert_eq!(table(&kernel).await.services, lasting.services);
    });
}

/// Says how long the steps took, for whoever looks.
struct Steps(std::time::Instant);

impl Steps {
    #[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
    fn begin() -> Self {
        Self(std::time::Instant::now())
    }

    #[expect(clippy::print_stderr, reason = "shown with --nocapture")]
    fn end(&mut self, step: &str) {
        eprintln!("{step}: {:?}", self.0.elapsed());
        *self = Self::begin();
    }
}
