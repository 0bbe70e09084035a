//! Counters (`IPVS_SVC_ATTR_STATS`, `…_STATS64` and those of destinations).

use super::{
    WireError,
    attribute::{Nested, attributes, nest, put_u32, put_u64},
};
use crate::{Statistics, Traffic};

/// `IPVS_STATS_ATTR_*`, totals first, rates behind them.
const FIRST: u16 = 1;
const INBYTES: u16 = 4;
const OUTBYTES: u16 = 5;

/// The widths in which the counters are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// All but bytes in 32 bits, which wrap (`STATS`).
    Narrow,
    /// All in 64 bits (`STATS64`, Linux 4.1).
    Wide,
}

fn numbers(statistics: &Statistics) -> [u64; 10] {
    let five = |it: Traffic| {
        [
            it.connections,
            it.packets_in,
            it.packets_out,
            it.bytes_in,
            it.bytes_out,
        ]
    };
    let ([a, b, c, d, e], [f, g, h, i, j]) = (five(statistics.total), five(statistics.rate));
    [a, b, c, d, e, f, g, h, i, j]
}

pub(super) fn put_counters(out: &mut Vec<u8>, kind: u16, width: Width, statistics: &Statistics) {
    nest(out, kind, Nested::Plain, |out| {
        for (number, id) in numbers(statistics).into_iter().zip(FIRST..) {
            if width == Width::Wide || matches!(id, INBYTES | OUTBYTES) {
                put_u64(out, id, number);
            } else {
                let [a, b, c, d, ..] = number.to_le_bytes();
                put_u32(out, id, u32::from_le_bytes([a, b, c, d]));
            }
        }
    });
}

/// Reads counters of either width; those that are not told are 0.
pub(super) fn read_counters(value: &[u8]) -> Result<Statistics, WireError> {
    const NAME: &str = "IPVS_STATS_ATTR";
    let mut numbers = [0_u64; 10];
    for attribute in attributes(value) {
        let attribute = attribute?;
        let place = usize::from(attribute.kind).checked_sub(usize::from(FIRST));
        let Some(place) = place.and_then(|place| numbers.get_mut(place)) else {
            continue;
        };
        *place = match attribute.value.len() {
            4 => attribute.u32(NAME)?.into(),
            _ => attribute.u64(NAME)?,
        };
    }
    let [a, b, c, d, e, f, g, h, i, j] = numbers;
    let five = |[connections, packets_in, packets_out, bytes_in, bytes_out]: [u64; 5]| Traffic {
        connections,
        packets_in,
        packets_out,
        bytes_in,
        bytes_out,
    };
    Ok(Statistics {
        total: five([a, b, c, d, e]),
        rate: five([f, g, h, i, j]),
    })
}
