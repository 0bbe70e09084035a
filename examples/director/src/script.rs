//! Scripts: the programs of an operator that decide a role (`vrrp_script`) or are told of it
//! (`notify_*`).
//!
//! What a script is and when it runs are values without IO; only [`checks`], [`notify`] and
//! [`run`] touch a clock or a process:
//!
//! | module | subject |
//! |---|---|
//! | [`command`] | the words of the configuration: program, arguments, user |
//! | [`outcome`] | how one run ended, in keepalived's words |
//! | [`rise_fall`] | how many results of a kind change the state |
//! | [`check`] | one tracked script: when it runs, what its results mean |
//! | [`security`] | who may run what: `script_user`, `enable_script_security` |
//! | [`run`] | one run as a process group that is always over within a known time |
//! | [`checks`] | all tracked scripts, each state published when it changes |
//! | [`fifo`] | FIFOs told of all events, in lines that a program reads |
//! | [`notify`] | scripts told of a role, in the order of the events |
//!
//! What holds for all of them: a script can neither delay the caller nor outstay its time, a
//! script that cannot be executed has **failed** and says why (keepalived passes it), and nothing
//! inherits more than the standard streams.

pub mod check;
pub mod checks;
pub(crate) mod clock;
pub mod command;
#[cfg(test)]
pub(crate) mod fake;
pub mod fifo;
pub mod notify;
pub mod outcome;
pub mod rise_fall;
pub mod run;
pub mod security;
