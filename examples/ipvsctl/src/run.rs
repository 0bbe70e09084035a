//! From the command line to the exit status.

use std::io::{self, Read, Write};

use ipvs::text::Word;

use crate::{
    change,
    fault::{Fault, Status},
    help,
    host::Host,
    list,
    request::Request,
    restore,
    scan::scan,
};

/// Where the program reads and writes.
#[expect(missing_debug_implementations, reason = "streams have no text")]
#[expect(clippy::exhaustive_structs, reason = "the three streams of a program")]
pub struct Streams<'a> {
    /// What a table is restored from.
    pub input: &'a mut dyn Read,
    /// What was asked for.
    pub output: &'a mut dyn Write,
    /// What went wrong.
    pub errors: &'a mut dyn Write,
}

/// Why the program ends early.
#[derive(Debug)]
pub(crate) enum End {
    /// Something went wrong.
    Fault(Box<Fault>),
    /// It went wrong, and all was said about it.
    Told(Status),
    /// Nobody reads what is written, or nothing can be read.
    Io(io::Error),
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        Self::Fault(Box::new(fault))
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Does what a command line asks for; `arguments` are without the name of the program.
///
/// Not cancel safe: a dropped call may have made some changes.
pub async fn run(arguments: &[String], streams: Streams<'_>, host: &dyn Host) -> Status {
    let Streams {
        input,
        output,
        errors,
    } = streams;
    let ended = obey(arguments, input, output, errors, host).await;
    let ended = ended.and_then(|()| output.flush().map_err(End::from));
    match ended {
        Ok(()) => Status::Done,
        Err(End::Told(status)) => status,
        Err(End::Fault(fault)) => {
            // There is nowhere else to complain.
            write!(errors, "{fault}").ok();
            fault.status
        }
        // Who reads on a pipe may have seen enough.
        Err(End::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => Status::NotListed,
        Err(End::Io(error)) => {
            writeln!(errors, "ipvsctl: cannot read or write: {error}").ok();
            Status::NotListed
        }
    }
}

async fn obey(
    arguments: &[String],
    input: &mut dyn Read,
    output: &mut dyn Write,
    errors: &mut dyn Write,
    host: &dyn Host,
) -> Result<(), End> {
    let words = arguments.iter().zip(1..);
    let words: Vec<_> = words.map(|(text, column)| Word { text, column }).collect();
    let command = scan(&words)?;
    match Request::read(&command, host).await? {
        Request::Help => output.write_all(help::HELP.as_bytes())?,
        Request::Version => output.write_all(help::VERSION.as_bytes())?,
        Request::List {
            view,
            options,
            numeric,
            json,
        } => list::list(view, &options, numeric, json, host, output, errors).await?,
        Request::Save { dialect, numeric } => {
            list::save(dialect, numeric, host, output, errors).await?;
        }
        Request::Change {
            change,
            idle,
            dry_run,
        } => {
            for name in idle {
                writeln!(errors, "ipvsctl: --{name} has no effect without -p")?;
            }
            change::make(change, dry_run, host, output).await?;
        }
        Request::Restore(how) => restore::restore(how, host, input, output, errors).await?,
    }
    Ok(())
}
