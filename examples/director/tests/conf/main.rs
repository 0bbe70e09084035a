//! Reading keepalived.conf: what is understood, and what is said about what is not.

mod broken;
mod language;
mod meaning;
mod properties;
mod rendered;
mod samples;
mod support;
