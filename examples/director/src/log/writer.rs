//! A writer that nobody waits for.
//!
//! Lines are queued and a thread writes them. When their reader is slower than what is logged, the
//! queue fills and lines are lost and counted: a terminal that was paused or a log collector that
//! hangs must not keep the daemon from its addresses.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// How many lines may wait.
const QUEUE: usize = 8192;

/// How long [`Pending`] waits for the reader: this many times [`PAUSE`].
const PATIENCE: u32 = 100;

const PAUSE: Duration = Duration::from_millis(10);

enum Entry {
    Line(Vec<u8>),
    /// Everything before this is written once the sender is dropped.
    Mark {
        _written: SyncSender<()>,
    },
}

/// Takes lines for a writer. Each [`Write::write`] is one line, which is taken or lost as a whole.
#[derive(Clone)]
pub(super) struct Lines {
    queue: SyncSender<Entry>,
    lost: Arc<AtomicU64>,
}

/// The lines that are not written yet; dropping it waits for them, at most a second.
#[must_use = "dropping it at once waits for nothing"]
#[derive(Debug)]
pub struct Pending {
    queue: SyncSender<Entry>,
}

impl Lines {
    /// Starts the thread that writes.
    pub(super) fn start(to: impl Write + Send + 'static) -> io::Result<(Self, Pending)> {
        Self::with_room(QUEUE, to)
    }

    fn with_room(room: usize, to: impl Write + Send + 'static) -> io::Result<(Self, Pending)> {
        let (queue, entries) = mpsc::sync_channel(room);
        let lost = Arc::new(AtomicU64::new(0));
        let pending = Pending {
            queue: queue.clone(),
        };
        let lines = Self {
            queue,
            lost: Arc::clone(&lost),
        };
        thread::Builder::new()
            .name("log".into())
            .spawn(move || write_all(&entries, &lost, to))?;
        Ok((lines, pending))
    }
}

fn write_all(entries: &Receiver<Entry>, lost: &AtomicU64, mut to: impl Write) {
    for entry in entries {
        // There is no other place to complain about a log that cannot be written.
        if let Entry::Line(line) = entry {
            to.write_all(&line).ok();
            match lost.swap(0, Ordering::Relaxed) {
                0 => {}
                count => writeln!(
                    to,
                    "{count} lines of the log are lost: it is read too slowly"
                )
                .unwrap_or(()),
            }
        }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.queue.try_send(Entry::Line(line.to_vec())) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let (written, mark) = mpsc::sync_channel(0);
        let mut entry = Entry::Mark { _written: written };
        for _ in 0..PATIENCE {
            entry = match self.queue.try_send(entry) {
                Ok(()) => {
                    // Nothing is ever sent: it ends with the mark or with the patience.
                    mark.recv_timeout(PATIENCE * PAUSE).ok();
                    return;
                }
                Err(TrySendError::Disconnected(_)) => return,
                Err(TrySendError::Full(entry)) => entry,
            };
            thread::sleep(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn what_was_logged_is_written_before_it_ends() {
        let written = Written::default();
        let (mut lines, pending) = Lines::start(written.clone()).unwrap();
        for number in 0..100 {
            writeln!(lines, "{number}").unwrap();
        }
        drop(pending);
        assert!(written.text().ends_with("98\n99\n"), "{}", written.text());
    }

    #[test]
    fn a_reader_that_hangs_holds_nobody_up_and_hears_how_much_it_missed() {
        let written = Written::default();
        let hang = written.0.lock().unwrap();
        let (mut lines, pending) = Lines::with_room(4, written.clone()).unwrap();
        for _ in 0..1000 {
            lines.write_all(b"line\n").unwrap();
        }
        drop(hang);
        drop(pending);
        let text = written.text();
        let kept = text.matches("line\n").count();
        assert!((4..=5).contains(&kept), "{text}");
        assert!(
            text.contains(&format!("{} lines of the log are lost", 1000 - kept)),
            "{text}"
        );
    }

    #[test]
    fn a_writer_that_fails_is_no_error_of_who_logs() {
        let (mut lines, pending) = Lines::start(Broken).unwrap();
        lines.write_all(b"line\n").unwrap();
        drop(pending);
        lines.write_all(b"line\n").unwrap();
    }

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Written {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
