//! The directory that runner and guest share: what to run, and what came of it.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, Write},
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::symlink,
    },
    path::{Path, PathBuf},
};

use tempfile::TempDir;

/// The scratch directory of one guest, as the runner sees it.
#[derive(Debug)]
pub(super) struct Scratch {
    directory: TempDir,
}

impl Scratch {
    /// Writes down what init shall run, and where and with which environment: here, with this one.
    pub(super) fn new(program: &OsStr, arguments: &[OsString]) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("in-guest-").tempdir()?;
        let path = directory.path();
        symlink(env::current_exe()?, path.join(INIT))?;
        symlink(env::current_dir()?, path.join(WORKING_DIRECTORY))?;
        let command = std::iter::once(program.as_bytes());
        let arguments = arguments.iter().map(|argument| argument.as_bytes());
        write_list(&path.join(COMMAND), command.chain(arguments))?;
        let variables = env::vars_os()
            .map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat())
            .collect::<Vec<_>>();
        write_list(&path.join(ENVIRONMENT), variables.iter().map(Vec::as_slice))?;
        Ok(Self { directory })
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn stdout(&self) -> PathBuf {
        self.path().join(STDOUT)
    }

    pub(super) fn stderr(&self) -> PathBuf {
        self.path().join(STDERR)
    }

    /// The program's exit status, as soon as it has ended.
    pub(super) fn status(&self) -> io::Result<Option<u8>> {
        match fs::read_to_string(self.path().join(STATUS)) {
            Ok(text) => text.parse().map(Some).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What the guest's kernel has written to its console.
    pub(super) fn console(&self) -> String {
        let bytes = fs::read(self.path().join(CONSOLE)).unwrap_or_default();
        String::from_utf8_lossy(&bytes)
            .replace('\r', "")
            .trim_end()
            .to_owned()
    }
}

/// The program that is process 1 in the guest; it finds the directory by its own name.
pub(super) const INIT: &str = "init";
pub(super) const CONSOLE: &str = "console";
const WORKING_DIRECTORY: &str = "directory";
const COMMAND: &str = "command";
const ENVIRONMENT: &str = "environment";
const STDOUT: &str = "stdout";
const STDERR: &str = "stderr";
const STATUS: &str = "status";

/// What init does, as the runner wrote it down.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) program: OsString,
    pub(super) arguments: Vec<OsString>,
    pub(super) variables: Vec<(OsString, OsString)>,
    pub(super) directory: PathBuf,
    pub(super) stdout: File,
    pub(super) stderr: File,
}

impl Job {
    pub(super) fn read(scratch: &Path) -> io::Result<Self> {
        let mut command = read_list(&scratch.join(COMMAND))?.into_iter();
        let variables = read_list(&scratch.join(ENVIRONMENT))?;
        let open = |name| {
            File::options()
                .append(true)
                .create(true)
                .open(scratch.join(name))
        };
        Ok(Self {
            program: command.next().unwrap_or_default(),
            arguments: command.collect(),
            variables: variables.iter().filter_map(|entry| split(entry)).collect(),
            directory: fs::read_link(scratch.join(WORKING_DIRECTORY))?,
            stdout: open(STDOUT)?,
            stderr: open(STDERR)?,
        })
    }
}

/// Writes the program's status down, whole or not at all.
pub(super) fn write_status(scratch: &Path, status: u8) -> io::Result<()> {
    let unfinished = scratch.join("status.unfinished");
    fs::write(&unfinished, status.to_string())?;
    fs::rename(unfinished, scratch.join(STATUS))
}

/// Each string is followed by a zero byte, which none can contain.
fn write_list<'a>(path: &Path, strings: impl Iterator<Item = &'a [u8]>) -> io::Result<()> {
    let mut bytes = Vec::new();
    for string in strings {
        bytes.extend_from_slice(string);
        bytes.push(0);
    }
    fs::write(path, bytes)
}

fn read_list(path: &Path) -> io::Result<Vec<OsString>> {
    let bytes = fs::read(path)?;
    let strings = bytes.split_inclusive(|byte| *byte == 0);
    Ok(strings
        .map(|string| OsString::from_vec(string.strip_suffix(b"\0").unwrap_or(string).to_vec()))
        .collect())
}

/// A variable's name and its value; a name may begin with `=`.
fn split(entry: &OsStr) -> Option<(OsString, OsString)> {
    let bytes = entry.as_bytes();
    let equals = 1 + bytes.get(1..)?.iter().position(|byte| *byte == b'=')?;
    let (name, value) = bytes.split_at_checked(equals)?;
    let owned = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
    Some((owned(name), owned(value.strip_prefix(b"=")?)))
}

/// Copies a file that grows.
#[derive(Debug)]
pub(super) struct Tail<W> {
    path: PathBuf,
    file: Option<File>,
    to: W,
}

impl<W: Write> Tail<W> {
    pub(super) const fn new(path: PathBuf, to: W) -> Self {
        Self {
            path,
            file: None,
            to,
        }
    }

    /// Copies what has come since the last time.
    pub(super) fn copy(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            // Init creates it.
            self.file = match File::open(&self.path) {
                Ok(file) => Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
        }
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        if io::copy(file, &mut self.to)? > 0 {
            self.to.flush()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_read_as_it_was_written() {
        let arguments = ["a b", "", "line\nline", "ä"].map(OsString::from);
        let scratch = Scratch::new(OsStr::new("/bin/program"), &arguments).unwrap();
        let job = Job::read(scratch.path()).unwrap();
        assert_eq!(job.program, "/bin/program");
        assert_eq!(job.arguments, arguments);
        assert_eq!(job.directory, env::current_dir().unwrap());
        assert_eq!(job.variables, env::vars_os().collect::<Vec<_>>());
    }

    #[test]
    fn a_status_is_there_once_it_was_written() {
        let scratch = Scratch::new(OsStr::new("true"), &[]).unwrap();
        assert_eq!(scratch.status().unwrap(), None);
        write_status(scratch.path(), 101).unwrap();
        assert_eq!(scratch.status().unwrap(), Some(101));
    }

    #[test]
    fn a_tail_copies_what_is_new_and_each_byte_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("growing");
        let mut copied = Vec::new();
        let mut tail = Tail::new(path.clone(), &mut copied);
        tail.copy().unwrap();
        let mut file = File::create(path).unwrap();
        for part in ["one\n", "", "two"] {
            file.write_all(part.as_bytes()).unwrap();
            tail.copy().unwrap();
        }
        assert_eq!(copied, b"one\ntwo");
    }

    #[test]
    fn a_variable_s_value_may_hold_equals_signs() {
        let pair = |name: &str, value: &str| Some((name.into(), value.into()));
        assert_eq!(split(OsStr::new("A=b=c")), pair("A", "b=c"));
        assert_eq!(split(OsStr::new("A=")), pair("A", ""));
        assert_eq!(split(OsStr::new("=A=b")), pair("=A", "b"));
        assert_eq!(split(OsStr::new("A")), None);
        assert_eq!(split(OsStr::new("")), None);
    }
}
