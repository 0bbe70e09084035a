//! Replies of three digits: SMTP (RFC 5321 §4.2) and FTP (RFC 959 §4.2).

/// What the beginning of a stream says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    /// Its last line has not come yet.
    Unfinished,
    /// No reply can begin so.
    Malformed,
    /// A whole reply.
    Whole {
        /// The three digits.
        code: u16,
        /// The bytes it takes, with the end of its last line.
        length: usize,
    },
}

/// Reads the reply at the beginning of `bytes`: one line, or several of which all but the last
/// have `-` behind the code.
///
/// FTP lets the lines between say anything but a code, SMTP repeats the code in each: both are
/// read. A line may end in a bare line feed.
pub(super) fn read_reply(bytes: &[u8]) -> Reply {
    let mut first = None;
    let mut length = 0;
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let Some(text) = line.strip_suffix(b"\n") else {
            break;
        };
        length += line.len();
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        match (code_of(text), first) {
            (Some((code, last)), begun) if begun.is_none_or(|begun| begun == code) => {
                if last {
                    return Reply::Whole { code, length };
                }
                first = Some(code);
            }
            (None, Some(_)) => {}
            (Some(_) | None, _) => return Reply::Malformed,
        }
    }
    Reply::Unfinished
}

/// The code at the beginning of a line, and whether the reply ends with this line.
fn code_of(line: &[u8]) -> Option<(u16, bool)> {
    let (digits, rest) = line.split_at_checked(3)?;
    let last = match rest.first() {
        None | Some(b' ') => true,
        Some(b'-') => false,
        Some(_) => return None,
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = digits
        .iter()
        .fold(0, |code, digit| 10 * code + u16::from(digit - b'0'));
    (100..600).contains(&code).then_some((code, last))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(bytes: &[u8]) -> Option<(u16, usize)> {
        match read_reply(bytes) {
            Reply::Whole { code, length } => Some((code, length)),
            Reply::Unfinished | Reply::Malformed => None,
        }
    }

    #[test]
    fn a_reply_is_one_line_or_several() {
        assert_eq!(whole(b"220 mail ready\r\n"), Some((220, 16)));
        assert_eq!(whole(b"220\n"), Some((220, 4)));
        assert_eq!(whole(b"220-a\r\n220-b\r\n220 c\r\n250 x"), Some((220, 21)));
        assert_eq!(
            whole(b"230-Hi\r\n  230 no end\r\n230 in\r\n"),
            Some((230, 30))
        );
    }

    #[test]
    fn a_reply_that_goes_on_is_unfinished_and_one_that_cannot_be_is_malformed() {
        for unfinished in ["", "2", "220 mail", "220-a\r\n", "220-a\r\nany", "220 a\r"] {
            assert_eq!(read_reply(unfinished.as_bytes()), Reply::Unfinished);
        }
        for malformed in [
            "\r\n",
            "22\r\n",
            "220x\n",
            "099 x\n",
            "600 x\n",
            "220-a\n250 b\n",
        ] {
            assert_eq!(read_reply(malformed.as_bytes()), Reply::Malformed);
        }
    }

    proptest! {
        #[test]
        fn a_reply_is_found_whatever_follows_it(
            code in 100u16..600,
            lines in proptest::collection::vec("[ a-z]{0,10}", 1..5),
            rest in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            let last = lines.len() - 1;
            let mut text = String::new();
            for (number, line) in lines.iter().enumerate() {
                text += &format!("{code}{}{line}\r\n", if number == last { ' ' } else { '-' });
            }
            let length = text.len();
            for end in 0..length {
                prop_assert_eq!(read_reply(&text.as_bytes()[..end]), Reply::Unfinished);
            }
            let mut bytes = text.into_bytes();
            bytes.extend(rest);
            prop_assert_eq!(read_reply(&bytes), Reply::Whole { code, length });
        }

        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Reply::Whole { length, .. } = read_reply(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }
    }
}
