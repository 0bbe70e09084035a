//! Test-only: network namespaces, real peers and packet captures on one machine.
