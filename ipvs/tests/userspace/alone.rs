//! Tests that look at their process.

use std::process::Command;

/// Runs a test of this target in a process of its own, unless this is it: those beside which it runs
/// have descriptors and threads too. Tells whether it is.
pub(crate) fn is_alone(name: &str, command: &str) -> bool {
    if std::env::var_os("ALONE").is_some() {
        return true;
    }
    let program = std::env::current_exe().expect("it runs");
    let status = Command::new("sh")
        .args(["-c", command, "sh"])
        .arg(program)
        .args([name, "--exact", "--nocapture"])
        .env("ALONE", "1")
        .status();
    assert!(status.expect("there is a shell").success());
    false
}

/// Runs one on this thread.
pub(crate) fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(test);
}
