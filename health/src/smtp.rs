//! Mail servers.

use async_trait::async_trait;

use crate::{Connect, DialogueProbe, Expect, HealthProbe, ProbeError, Success, Target};

/// Greets a mail server (RFC 5321), as keepalived's `SMTP_CHECK`: banner 220, `HELO` or `EHLO` 250,
/// `QUIT`. Banner and answers may have several lines, which keepalived does not understand.
///
/// Without TLS and `STARTTLS`.
#[derive(Debug, Clone)]
pub struct SmtpProbe {
    dialogue: DialogueProbe,
}

/// How a client greets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the two commands of RFC 5321 §4.1.1.1"
)]
pub enum Hello {
    /// `EHLO`: by a client that knows extensions.
    Ehlo,
    /// `HELO`: understood by every server, and what keepalived says.
    #[default]
    Helo,
}

/// A name that cannot be sent to a mail server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" is no host name to greet a mail server with: letters, digits, '-', '.', or an address in brackets", .0.escape_debug())]
pub struct HelloError(String);

impl SmtpProbe {
    /// A probe that greets as the host `name`: a domain name, or an address literal such as
    /// `[192.0.2.1]` or `[IPv6:2001:db8::1]`.
    ///
    /// # Errors
    /// The name has other characters than those of either.
    pub fn new(connect: Connect, hello: Hello, name: &str) -> Result<Self, HelloError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
        if name.is_empty() || name.len() > 255 || !name.chars().all(fits) {
            return Err(HelloError(name.to_owned()));
        }
        let command = match hello {
            Hello::Ehlo => "EHLO",
            Hello::Helo => "HELO",
        };
        let dialogue = DialogueProbe::new(connect)
            .expect(Expect::reply(&[220]))
            .send(format!("{command} {name}\r\n"))
            .expect(Expect::reply(&[250]))
            .farewell("QUIT\r\n");
        Ok(Self { dialogue })
    }
}

#[async_trait]
impl HealthProbe for SmtpProbe {
    async fn probe(&self, target: &Target) -> Result<Success, ProbeError> {
        self.dialogue.probe(target).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_would_be_another_command_is_refused() {
        for good in [
            "lb1.example.net",
            "[192.0.2.1]",
            "[IPv6:2001:db8::1]",
            "localhost",
        ] {
            SmtpProbe::new(Connect::default(), Hello::Ehlo, good).unwrap();
        }
        for bad in ["", "a\r\nMAIL FROM:<x>", "a b", "ä", "<a>"] {
            let error = SmtpProbe::new(Connect::default(), Hello::Helo, bad).unwrap_err();
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}
