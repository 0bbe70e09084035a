//! What is shown: lines as things happen, and below them, on a terminal, how things are.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use super::scenario::{ADVERT_INTERVAL, ALLOWANCE, CLIENT, Node, PROBE_INTERVAL, VIP, millis};
use super::story::Measured;

/// Standard output.
#[derive(Debug)]
pub(super) struct Screen<W> {
    out: W,
    /// Whether the last line is one that changes.
    is_live: bool,
}

impl Screen<io::Stdout> {
    pub(super) fn new() -> Self {
        let out = io::stdout();
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self {
            is_live: out.is_terminal() && !is_dumb,
            out,
        }
    }
}

impl<W: Write> Screen<W> {
    pub(super) fn introduce(&mut self) -> io::Result<()> {
        self.print(
            "Two directors and a client on a switch, in network namespaces of this process\n",
        )?;
        for node in Node::ALL {
            self.print(&format!(
                "  {node:<6}  {:<12}  director run, priority {}",
                node.address(),
                node.priority()
            ))?;
        }
        self.print(&format!(
            "  client  {CLIENT:<12}  probes the virtual address {VIP} every {}",
            millis(PROBE_INTERVAL)
        ))?;
        let interval = millis(ADVERT_INTERVAL);
        self.print(&format!(
            "VRRP version 3, an advertisement every {interval}"
        ))
    }

    pub(super) fn begin(&mut self, number: usize, title: &str) -> io::Result<()> {
        self.print(&format!("\n{number}. {title}"))
    }

    /// Something that happened, at this time after the start.
    pub(super) fn event(&mut self, at: Duration, who: &str, what: &str) -> io::Result<()> {
        self.print(&format!("{:>7.3} s  {who:<6}  {what}", at.as_secs_f64()))
    }

    pub(super) fn done(&mut self, at: Duration, measured: &Measured) -> io::Result<()> {
        let gap = millis(measured.gap);
        let text = match &measured.promise {
            None => format!("{VIP} has answered after {gap}"),
            Some(promise) => format!(
                "{VIP} did not answer for {gap}; VRRP waits {}: {}",
                millis(promise.gap),
                promise.because
            ),
        };
        self.event(at, "client", &text)
    }

    /// How things are, if somebody watches. The next line takes its place.
    pub(super) fn status(&mut self, text: &str) -> io::Result<()> {
        if self.is_live {
            write!(self.out, "\r\x1b[K{text}")?;
            self.out.flush()?;
        }
        Ok(())
    }

    pub(super) fn is_live(&self) -> bool {
        self.is_live
    }

    pub(super) fn summarize(&mut self, measured: &[Measured]) -> io::Result<()> {
        self.print(&format!(
            "\n{:<25} {:<9} {:>11} {:>10} {:>10}",
            "", "address", "no answer", "VRRP waits", "allowed"
        ))?;
        for step in measured {
            let (gap, promised, allowed) = match &step.promise {
                None => (String::from("-"), String::from("-"), String::from("-")),
                Some(promise) => (
                    millis(step.gap),
                    millis(promise.gap),
                    millis(promise.gap + ALLOWANCE),
                ),
            };
            let verdict = if step.kept() { "" } else { "  too long" };
            self.print(&format!(
                "{:<25} at {:<6} {gap:>11} {promised:>10} {allowed:>10}{verdict}",
                step.short, step.holder
            ))?;
        }
        Ok(())
    }

    /// Prints a line in place of the status.
    pub(super) fn print(&mut self, line: &str) -> io::Result<()> {
        let clear = if self.is_live { "\r\x1b[K" } else { "" };
        writeln!(self.out, "{clear}{line}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::story::Promise;

    #[test]
    fn without_a_terminal_there_are_plain_lines_and_no_status() {
        let mut screen = Screen {
            out: Vec::new(),
            is_live: false,
        };
        screen
            .event(
                Duration::from_millis(1234),
                "alpha",
                "Entering MASTER STATE",
            )
            .unwrap();
        screen.status("alpha MASTER").unwrap();
        screen.print("end").unwrap();

        assert_eq!(
            text(screen),
            "  1.234 s  alpha   Entering MASTER STATE\nend\n"
        );
    }

    #[test]
    fn on_a_terminal_a_line_takes_the_place_of_the_status() {
        let mut screen = Screen {
            out: Vec::new(),
            is_live: true,
        };
        screen.status("alpha MASTER").unwrap();
        screen.print("end").unwrap();

        assert_eq!(text(screen), "\r\x1b[Kalpha MASTER\r\x1b[Kend\n");
    }

    #[test]
    fn the_summary_marks_a_gap_that_was_too_long() {
        let mut screen = Screen {
            out: Vec::new(),
            is_live: false,
        };
        let step = |gap| Measured {
            short: "graceful stop",
            holder: Node::Beta,
            gap: Duration::from_millis(gap),
            promise: Some(Promise {
                gap: Duration::from_millis(61),
                because: String::new(),
            }),
        };
        screen.summarize(&[step(62), step(262)]).unwrap();

        let text = text(screen);
        let lines: Vec<_> = text.lines().skip(2).collect();
        let expected = [
            "graceful stop             at beta         62 ms      61 ms     261 ms",
            "graceful stop             at beta        262 ms      61 ms     261 ms  too long",
        ];
        assert_eq!(lines, expected);
    }

    fn text(screen: Screen<Vec<u8>>) -> String {
        String::from_utf8(screen.out).unwrap()
    }
}
