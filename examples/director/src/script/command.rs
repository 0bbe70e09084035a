//! The words of a script as the configuration gives them.

use std::fmt;

/// A program, its arguments and the user it runs as, exactly as configured.
///
/// How long it may run is not part of it: that belongs to whoever runs it (a check has its
/// `timeout`, a notification its queue's patience).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Command {
    /// An absolute path, or a name to be found in `PATH`.
    pub program: String,
    /// The words after the program, none added and none split.
    pub args: Vec<String>,
    /// The user of this script; `None` is `script_user` of `global_defs`, or its default.
    pub user: Option<ScriptUser>,
}

impl Command {
    /// A command without arguments that runs as the default script user.
    #[must_use]
    pub fn new(program: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            user: None,
        }
    }

    /// The same command with these arguments after the ones it has.
    #[must_use]
    pub fn with_args(mut self, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// The same command, run as `user`.
    #[must_use]
    pub fn with_user(mut self, user: ScriptUser) -> Self {
        self.user = Some(user);
        self
    }
}

/// Writes the words as a shell would need them, so that a line of the log can be tried by hand.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_word(f, &self.program)?;
        for word in &self.args {
            f.write_str(" ")?;
            write_word(f, word)?;
        }
        Ok(())
    }
}

fn write_word(f: &mut fmt::Formatter<'_>, word: &str) -> fmt::Result {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-+=./:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return f.write_str(word);
    }
    write!(f, "'{}'", word.replace('\'', r"'\''"))
}

/// `user NAME [GROUP]` of a script, or `script_user NAME [GROUP]` of `global_defs`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "the two words of the keyword")]
pub struct ScriptUser {
    /// Name of the user; like keepalived, no number is understood.
    pub user: String,
    /// Name of the group; `None` is the user's primary group.
    pub group: Option<String>,
}

impl ScriptUser {
    /// The user with its primary group.
    #[must_use]
    pub fn new(user: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            group: None,
        }
    }
}

impl fmt::Display for ScriptUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.group {
            None => f.write_str(&self.user),
            Some(group) => write!(f, "{} {group}", self.user),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_written_so_that_a_shell_reads_the_same_words() {
        let command = Command::new("/bin/x").with_args(["a", "b c", "", "it's", "$HOME"]);
        assert_eq!(command.to_string(), r"/bin/x a 'b c' '' 'it'\''s' '$HOME'");
    }
}
