//! ipvsadm's command line, see the library.

use std::{
    env,
    io::{self, BufWriter},
    process::ExitCode,
};

use ipvsctl::{Streams, System, run};

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "there is nothing else to do")]
            {
                eprintln!("ipvsctl: cannot start: {error}");
            }
            return ExitCode::from(1);
        }
    };
    // What is not text cannot be the name of anything here, and is refused as such.
    let arguments: Vec<_> = env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let streams = Streams {
        input: &mut io::stdin(),
        output: &mut BufWriter::new(io::stdout().lock()),
        errors: &mut io::stderr(),
    };
    let status = runtime.block_on(run(&arguments, streams, &System::default()));
    // A name that is still looked up shall not keep the program.
    runtime.shutdown_background();
    ExitCode::from(status.code())
}
