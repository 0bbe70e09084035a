//! Bytes from outside as a person can read them.

use std::fmt;

/// As much as a line of a log should hold of what a server said.
const MOST: usize = 120;

/// Writes bytes in quotes, at most 120 of them, anything but printable ASCII as an escape.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Excerpt<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing");
        }
        let shown = self.0.get(..MOST).unwrap_or(self.0);
        write!(f, "\"{}\"", shown.escape_ascii())?;
        if shown.len() < self.0.len() {
            write!(f, "... ({} bytes)", self.0.len())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_could_obey_is_escaped() {
        let bytes = b"a\"\x1b[2J\xff\r\n";
        assert_eq!(Excerpt(bytes).to_string(), r#""a\"\x1b[2J\xff\r\n""#);
        assert_eq!(Excerpt(b"").to_string(), "nothing");
    }

    #[test]
    fn long_text_is_cut_and_its_length_told() {
        let text = Excerpt(&[b'x'; 500]).to_string();
        assert!(text.len() < 150, "{text}");
        assert!(text.ends_with("... (500 bytes)"), "{text}");
    }
}
