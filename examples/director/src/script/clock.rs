//! The clock of the drivers: tokio's, so that a paused clock moves the values too.

use std::time::Instant;

#[expect(clippy::disallowed_methods, reason = "only drivers use it")]
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Sleeps until `at`; without a time for ever.
pub(super) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
