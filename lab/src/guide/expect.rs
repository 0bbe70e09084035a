//! Whether a text is what a chapter says, with `...` for anything.

const ANYTHING: &str = "...";

/// Whether `text` is these lines; spaces at the end of a line, and empty lines at the end of the
/// text, do not count.
pub(super) fn matches(written: &[String], text: &str) -> bool {
    let written: Vec<_> = written.iter().map(|line| line.trim_end()).collect();
    let lines: Vec<_> = text.trim_end().lines().map(str::trim_end).collect();
    lines_match(&written, &lines)
}

fn lines_match(written: &[&str], lines: &[&str]) -> bool {
    match written.split_first() {
        None => lines.is_empty(),
        Some((&ANYTHING, rest)) => {
            (0..=lines.len()).any(|skipped| lines_match(rest, lines.get(skipped..).unwrap_or(&[])))
        }
        Some((line, rest)) => lines
            .split_first()
            .is_some_and(|(first, others)| line_matches(line, first) && lines_match(rest, others)),
    }
}

fn line_matches(written: &str, line: &str) -> bool {
    let Some((start, rest)) = written.split_once(ANYTHING) else {
        return written == line;
    };
    let Some(mut left) = line.strip_prefix(start) else {
        return false;
    };
    let mut parts = rest.split(ANYTHING).peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return left.ends_with(part);
        }
        match left.split_once(part) {
            Some((_, after)) => left = after,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(written: &str, text: &str) -> bool {
        let written: Vec<_> = written.lines().map(str::to_owned).collect();
        matches(&written, text)
    }

    #[test]
    fn what_is_written_is_what_comes() {
        assert!(is("a\nb", "a\nb\n"));
        assert!(is("", ""));
        assert!(is("a  \n  b", "a\n  b   \n\n"));
        assert!(!is("a", "a\nb\n"));
        assert!(!is("a\nb", "a\n"));
        assert!(!is("", "a\n"));
        assert!(!is("a", ""));
        assert!(!is(" a", "a"));
    }

    #[test]
    fn dots_in_a_line_are_anything_there() {
        assert!(is("TCP ... ESTABLISHED", "TCP 14:59 ESTABLISHED"));
        assert!(is("rs... 192...", "rs1 192.0.2.10"));
        assert!(is("...10", "192.0.2.10"));
        assert!(is("a...a...a", "aXaYa"));
        assert!(!is("a...a", "a"));
        assert!(!is("TCP ... ESTABLISHED", "TCP 14:59 SYN_RECV"));
        assert!(!is("a...a...a", "aa"));
    }

    #[test]
    fn dots_alone_are_any_number_of_lines() {
        assert!(is("...", ""));
        assert!(is("a\n...\nb", "a\nb"));
        assert!(is("a\n...\nb", "a\n1\n2\nb"));
        assert!(is("...\nb\n...", "b\nb"));
        assert!(!is("a\n...\nb", "a\n1\n2"));
    }
}
