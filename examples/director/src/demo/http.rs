//! The client's question and a real server's answer, as bytes: a little of HTTP/1.0 (RFC 1945), so
//! that other programs can ask too.

use super::scenario::Server;

/// What the client asks.
pub(super) const REQUEST: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

/// The longest request that is read.
pub(super) const MAX_REQUEST_LEN: usize = 8 * 1024;

/// Whether a request has come to its end.
pub(super) fn is_whole(request: &[u8]) -> bool {
    request.windows(4).any(|window| window == b"\r\n\r\n")
}

/// A real server's answer: its name.
pub(super) fn answer(server: Server) -> String {
    let body = format!("{server}\n");
    format!(
        "HTTP/1.0 200 OK\r\n\
         Content-Type: text/plain\r\n\
         Content-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Who has answered; `None` if the answer is not whole.
pub(super) fn read_answer(bytes: &[u8]) -> Option<Server> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let name = body.strip_suffix('\n')?;
    head.starts_with("HTTP/1.0 200 ")
        .then(|| Server::named(name))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_names_its_server_when_it_is_whole() {
        for server in Server::ALL {
            let answer = answer(server);
            assert_eq!(read_answer(answer.as_bytes()), Some(server));
            for length in 0..answer.len() {
                assert_eq!(read_answer(&answer.as_bytes()[..length]), None);
            }
        }
    }

    #[test]
    fn an_answer_of_somebody_else_is_none() {
        assert_eq!(read_answer(b"HTTP/1.0 200 OK\r\n\r\nthree\n"), None);
        assert_eq!(read_answer(b"HTTP/1.0 503 Later\r\n\r\none\n"), None);
        assert_eq!(read_answer(b"\xff\xfe\r\n\r\none\n"), None);
    }

    #[test]
    fn a_request_ends_with_an_empty_line() {
        assert!(is_whole(REQUEST));
        assert!(!is_whole(&REQUEST[..REQUEST.len() - 1]));
    }
}
