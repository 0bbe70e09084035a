//! Reading keepalived.conf: what is understood, and what is said about what is not.

mod balancing;
mod broken;
mod broken_balancing;
mod checkers;
mod fifos;
mod language;
mod meaning;
mod peer;
mod properties;
mod rendered;
mod samples;
mod support;
