//! What a checker counts.

/// What a checker has counted since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Probes that passed.
    pub passed: u64,
    /// Probes that failed, those past their deadline among them.
    pub failed: u64,
    /// Probes that had not ended at their deadline.
    pub timed_out: u64,
    /// Outcomes of probes that had been given up by then; they were ignored.
    pub late: u64,
    /// Passes that would have brought the server up but for [`Damping`](super::Damping).
    pub held: u64,
}

/// What was seen in a row since a server's last change of health: one of the two is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Streak {
    /// Checks that passed, of which [`CheckConfig::rise`](super::CheckConfig::rise) bring a server up.
    pub passes: u32,
    /// Probes that failed, of which [`CheckConfig::fall`](super::CheckConfig::fall) bring a server down. Of one that is down
    /// they are not counted, unless it is tried again at once ([`WhenDown::Retry`](super::WhenDown::Retry)).
    pub failures: u32,
}
