//! Whatever a file holds is read as a configuration, or refused with places.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| takeover_fuzz::conf::read_any(bytes));
