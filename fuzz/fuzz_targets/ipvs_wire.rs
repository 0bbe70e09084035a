//! Whatever arrives as a message of the family `IPVS` is read or refused.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| takeover_fuzz::ipvs_wire::decode_any(bytes));
