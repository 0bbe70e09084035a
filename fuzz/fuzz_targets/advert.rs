//! Whatever arrives as a VRRP message is parsed or rejected.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| takeover_fuzz::advert::parse_emit_parse(bytes));
