//! The backend on a kernel with IPVS, with ipvsadm as the judge.
//!
//! How these tests are run: `lab/src/guest.rs`.
#![cfg(feature = "netlink")]

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use ipvs::{
    Change, ChangeOutcome, DestinationSettings, Forwarding, IpvsBackend as _, Table,
    netlink::Kernel, plan, text::parse_table,
};

mod conformance;
#[path = "../conformance/mod.rs"]
mod conformance_of_all;
mod connections;
mod fake;
mod keeping;
mod refusals;
mod settings;
mod tables;

/// Runs a test in a network namespace of its own, where the table is empty.
fn in_kernel<T: Send, F: Future<Output = T>>(test: impl FnOnce(Kernel) -> F + Send) -> T {
    lab::in_namespace(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async { test(Kernel::connect().await.expect("IPVS")).await })
    })
}

/// What is set up now.
async fn table(kernel: &Kernel) -> Table {
    let snapshot = kernel.snapshot().await.expect("a table");
    assert_eq!(snapshot.unreadable, []);
    snapshot.table()
}

/// Brings the kernel's table to another one.
async fn bring(kernel: &Kernel, desired: &Table) {
    make(kernel, &plan(&table(kernel).await, desired)).await;
}

/// Makes changes that the kernel has no reason to refuse.
async fn make(kernel: &Kernel, changes: &[Change]) {
    let outcomes = kernel.apply(changes).await.expect("a kernel that answers");
    for (change, outcome) in changes.iter().zip(outcomes) {
        assert!(outcome.is_done(), "{change}: {outcome:?}");
    }
}

/// What becomes of one change.
async fn one(kernel: &Kernel, change: Change) -> ChangeOutcome {
    let outcomes = kernel
        .apply(&[change])
        .await
        .expect("a kernel that answers");
    outcomes.into_iter().next().expect("an outcome")
}

fn parsed(text: &str) -> Table {
    parse_table(text).expect("a table")
}

/// What of a table ipvsadm saves.
fn without_what_ipvsadm_loses(mut table: Table) -> Table {
    (table.timeouts, table.daemons) = Default::default();
    let services = table.services_mut();
    for settings in services.flat_map(|it| it.destinations.values_mut()) {
        settings.thresholds = DestinationSettings::new(settings.forwarding).thresholds;
        if settings.forwarding == Forwarding::Local {
            settings.forwarding = Forwarding::DirectRoute;
        }
    }
    table
}

/// What ipvsadm writes to its standard output.
fn ipvsadm(arguments: &[&str]) -> String {
    ipvsadm_with(arguments, "")
}

fn ipvsadm_with(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("ipvsadm")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("ipvsadm is installed");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("ASCII")
}
