//! A line of a director's log (`--log-format json`).

use serde::Deserialize;
use vrrp::Role;

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LogLine {
    /// Its level and its text.
    pub(super) text: String,
    /// The role that the virtual router has from here on.
    pub(super) role: Option<Role>,
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
}

impl LogLine {
    /// Reads a line. One that is not of the log (a panic's, say) is text as it stands.
    pub(super) fn read(line: &str) -> Self {
        let Ok(Record { level, fields }) = serde_json::from_str(line) else {
            return Self {
                text: line.to_owned(),
                role: None,
            };
        };
        Self {
            text: format!("{level} {}", fields.message),
            role: fields.role.and_then(|name| role(&name)),
        }
    }
}

fn role(name: &str) -> Option<Role> {
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
            role: Some(Role::Master),
        };
        assert_eq!(LogLine::read(line), expected);
    }

    #[test]
    fn what_is_not_of_the_log_is_kept_as_it_is() {
        let line = LogLine::read("thread 'main' panicked at src/x.rs:1:1:");

        assert_eq!(line.text, "thread 'main' panicked at src/x.rs:1:1:");
        assert_eq!(line.role, None);
    }
}
