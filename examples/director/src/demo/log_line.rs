//! A line of a director's log (`--log-format json`).

use std::net::SocketAddr;

use serde::Deserialize;
use vrrp::Role;

use super::scenario::Server;

/// A line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LogLine {
    /// Its level and its text.
    pub(super) text: String,
    /// What it says that the demo counts on.
    pub(super) news: Option<News>,
}

/// What is another way from here on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// The virtual router has this role.
    Role(Role),
    /// A real server is up, and gets requests, or down.
    Check { server: Server, is_up: bool },
}

#[derive(Deserialize)]
struct Record {
    level: String,
    fields: Fields,
}

#[derive(Deserialize)]
struct Fields {
    message: String,
    role: Option<String>,
    real_server: Option<String>,
    up: Option<bool>,
}

impl LogLine {
    /// Reads a line. One that is not of the log (a panic's, say) is text as it stands.
    pub(super) fn read(line: &str) -> Self {
        let Ok(Record { level, fields }) = serde_json::from_str(line) else {
            return Self {
                text: line.to_owned(),
                news: None,
            };
        };
        Self {
            text: format!("{level} {}", fields.message),
            news: fields.news(),
        }
    }
}

impl Fields {
    fn news(&self) -> Option<News> {
        if let Some(role) = &self.role {
            return role_named(role).map(News::Role);
        }
        let address: SocketAddr = self.real_server.as_ref()?.parse().ok()?;
        let server = Server::ALL
            .into_iter()
            .find(|server| server.address() == address.ip())?;
        let is_up = self.up?;
        Some(News::Check { server, is_up })
    }
}

fn role_named(name: &str) -> Option<Role> {
    use Role::{Backup, Fault, Init, Master, Stopped};
    [Init, Backup, Master, Fault, Stopped]
        .into_iter()
        .find(|role| role.to_string() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_role_is_text_and_role() {
        let line = r#"{"timestamp":"2026-01-01T00:00:00Z","level":"INFO","fields":{
            "message":"(VI_1) Entering MASTER STATE","instance":"VI_1","role":"MASTER"},
            "target":"director"}"#;

        let expected = LogLine {
            text: String::from("INFO (VI_1) Entering MASTER STATE"),
            news: Some(News::Role(Role::Master)),
        };
        assert_eq!(LogLine::read(line), expected);
    }

    #[test]
    fn a_real_server_that_is_down_is_text_and_which() {
        let line = r#"{"timestamp":"2026-01-01T00:00:00Z","level":"INFO","fields":{
            "message":"Real server 192.0.2.12:80 of VS 192.0.2.100 80 is down",
            "virtual_server":"192.0.2.100 80","real_server":"192.0.2.12:80","up":false},
            "target":"director"}"#;

        let news = News::Check {
            server: Server::Two,
            is_up: false,
        };
        assert_eq!(LogLine::read(line).news, Some(news));
    }

    #[test]
    fn a_real_server_that_is_not_of_the_demo_is_text() {
        let line = r#"{"level":"INFO","fields":{
            "message":"x","real_server":"198.51.100.1:80","up":false}}"#;

        assert_eq!(LogLine::read(line).news, None);
    }

    #[test]
    fn what_is_not_of_the_log_is_kept_as_it_is() {
        let line = LogLine::read("thread 'main' panicked at src/x.rs:1:1:");

        assert_eq!(line.text, "thread 'main' panicked at src/x.rs:1:1:");
        assert_eq!(line.news, None);
    }
}
