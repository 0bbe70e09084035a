//! The reference daemon.
fn main() {}
