//! The body of the fuzz target `ipvs_wire`, which the property tests of `ipvs` run too.

use ipvs::{
    Family,
    wire::{Reply, Request},
};

/// Reads any bytes as a request and as a reply; what is one has to mean the same after it was
/// written again.
pub fn decode_any(bytes: &[u8]) {
    match Request::decode(bytes) {
        Ok(request) => {
            let mut again = Vec::new();
            request.encode(&mut again);
            assert_eq!(Request::decode(&again).expect("it was encoded"), request);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    for service in [None, Some(Family::V4), Some(Family::V6)] {
        match Reply::decode(bytes, service) {
            Ok(reply) => {
                let mut again = Vec::new();
                reply.encode(&mut again);
                assert_eq!(
                    Reply::decode(&again, service).expect("it was encoded"),
                    reply
                );
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}
