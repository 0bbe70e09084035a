//! The end of what a script wrote.

use std::collections::VecDeque;

const MOST: usize = 4096;

/// The last 4 KiB of a stream.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: VecDeque<u8>,
    cut: bool,
}

impl Tail {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let fresh = bytes
            .get(bytes.len().saturating_sub(MOST)..)
            .unwrap_or(bytes);
        self.bytes.extend(fresh);
        let excess = self.bytes.len().saturating_sub(MOST);
        self.bytes.drain(..excess);
        self.cut |= excess > 0 || fresh.len() < bytes.len();
    }

    /// The text without the blank around it; "…" in front when something was dropped.
    pub(super) fn take(&mut self) -> String {
        let Self { bytes, cut } = std::mem::take(self);
        let bytes: Vec<u8> = bytes.into();
        let text = String::from_utf8_lossy(&bytes);
        format!("{}{}", if cut { "…" } else { "" }, text.trim())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail_of(pieces: &[&[u8]]) -> String {
        let mut tail = Tail::default();
        pieces.iter().for_each(|piece| tail.push(piece));
        tail.take()
    }

    #[test]
    fn a_short_text_is_kept_whole() {
        assert_eq!(tail_of(&[b"one\n", b"two\n"]), "one\ntwo");
        assert_eq!(tail_of(&[]), "");
        assert_eq!(tail_of(&[&[b'x'; MOST]]), "x".repeat(MOST));
    }

    #[test]
    fn of_a_long_text_the_end_is_kept() {
        let end = format!("…{}{}", "a".repeat(MOST - 3), "end");
        assert_eq!(tail_of(&[&[b'a'; 3 * MOST], b"end"]), end);
        let pieces = vec![&b"abcdefgh"[..]; 1000];
        assert_eq!(tail_of(&pieces).chars().count(), MOST + 1);
    }

    #[test]
    fn what_is_not_text_is_replaced() {
        assert_eq!(tail_of(&[b"a\xffb"]), "a\u{fffd}b");
    }
}
