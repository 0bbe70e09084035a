//! What is shown: lines as things happen, and below them, on a terminal, how things are.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use super::plane::Plane;
use super::scenario::{
    ADVERT_INTERVAL, CHECK_INTERVAL, CLIENT, Node, PROBE_INTERVAL, REQUEST_INTERVAL, Server, VIP,
    millis,
};
use super::service::Counts;
use super::step::{Measured, Promise};

mod status;

pub(super) use status::Status;

/// Standard output.
#[derive(Debug)]
pub(super) struct Screen<W> {
    out: W,
    /// Whether the last line is one that changes.
    is_live: bool,
    drawn_at: Option<Instant>,
}

impl Screen<io::Stdout> {
    pub(super) fn new() -> Self {
        let out = io::stdout();
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self {
            is_live: out.is_terminal() && !is_dumb,
            out,
            drawn_at: None,
        }
    }
}

impl<W: Write> Screen<W> {
    pub(super) fn introduce(&mut self, plane: &Plane) -> io::Result<()> {
        self.print(
            "Two directors, two real servers and a client on a switch, in network namespaces of \
             this process\n",
        )?;
        for node in Node::ALL {
            self.print(&format!(
                "  {node:<6}  {:<12}  director run, priority {}",
                node.address(),
                node.priority()
            ))?;
        }
        for server in Server::ALL {
            self.print(&format!(
                "  {server:<6}  {:<12}  real server, checked every {}",
                server.address(),
                millis(CHECK_INTERVAL)
            ))?;
        }
        self.print(&format!(
            "  client  {CLIENT:<12}  asks the virtual address {VIP}: a probe every {}, a request \
             every {}",
            millis(PROBE_INTERVAL),
            millis(REQUEST_INTERVAL)
        ))?;
        let interval = millis(ADVERT_INTERVAL);
        self.print(&format!(
            "VRRP version 3, an advertisement every {interval}"
        ))?;
        self.print(&match plane {
            Plane::Kernel => String::from("Requests go through the kernel's IPVS"),
            Plane::Userspace { because } => {
                format!("Requests go through the director's own data plane: {because}")
            }
        })
    }

    pub(super) fn begin(&mut self, number: usize, title: &str) -> io::Result<()> {
        self.print(&format!("\n{number}. {title}"))
    }

    /// Something that happened, at this time after the start.
    pub(super) fn event(&mut self, at: Duration, who: &str, what: &str) -> io::Result<()> {
        self.print(&format!("{:>7.3} s  {who:<6}  {what}", at.as_secs_f64()))
    }

    pub(super) fn done(&mut self, at: Duration, measured: &Measured) -> io::Result<()> {
        let Measured {
            address_gap,
            service_gap,
            changed_after,
            counts,
            ..
        } = measured;
        let because = |promise: &Promise| {
            let limit = millis(promise.limit);
            format!("the protocol takes {limit}: {}", promise.because)
        };
        let (address, service) = (millis(*address_gap), millis(*service_gap));
        self.event(
            at,
            "client",
            &match &measured.silence {
                None => format!("{VIP} has answered after {address}"),
                Some(promise) => format!(
                    "no probe was answered for {address}, no request for {service}; {}",
                    because(promise)
                ),
            },
        )?;
        if let Some(promise) = &measured.change {
            let text = format!(
                "both directors know of it after {}; {}",
                millis(*changed_after),
                because(promise)
            );
            self.event(at, "pool", &text)?;
        }
        let shares: Vec<_> = measured
            .shares
            .iter()
            .map(|(server, share)| format!("{server} {share}"))
            .collect();
        let shares = shares.join(", ");
        let text = format!("requests: {counts}; in the end answered by {shares}");
        self.event(at, "client", &text)?;
        match &measured.failing {
            Some(promise) if counts.failed() > 0 => {
                let failed_for = millis(measured.failed_for);
                let text = format!("requests failed for {failed_for}; {}", because(promise));
                self.event(at, "client", &text)
            }
            _ => Ok(()),
        }
    }

    /// Whether somebody watches, and has seen nothing new for so long.
    pub(super) fn is_frame_due(&mut self, now: Instant, after: Duration) -> bool {
        let is_due = self.is_live && self.drawn_at.is_none_or(|at| now >= at + after);
        if is_due {
            self.drawn_at = Some(now);
        }
        is_due
    }

    /// How things are, if somebody watches. The next line takes its place.
    pub(super) fn status(&mut self, status: &Status) -> io::Result<()> {
        if self.is_live {
            write!(self.out, "\r\x1b[K{status}")?;
            self.out.flush()?;
        }
        Ok(())
    }

    /// Leaves the line of the status to others.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        if self.is_live {
            write!(self.out, "\r\x1b[K")?;
            self.out.flush()?;
        }
        Ok(())
    }

    pub(super) fn is_live(&self) -> bool {
        self.is_live
    }

    pub(super) fn summarize(&mut self, measured: &[Measured], all: &Counts) -> io::Result<()> {
        let row = |cells: [&str; 7]| {
            let [step, address, probes, requests, pool, limit, failed] = cells;
            format!(
                "{step:<25} {address:<9} {probes:>8} {requests:>8} {pool:>8} {limit:>9} {failed:>7}"
            )
        };
        self.print(
            "\nLongest time without an answer to probes and to requests, and to change the pool\n",
        )?;
        self.print(&row([
            "", "address", "probes", "requests", "pool", "protocol", "failed",
        ]))?;
        for step in measured {
            let shown = |promise: &Option<Promise>, took| match promise {
                Some(_) => millis(took),
                None => String::from("-"),
            };
            let limit = step.change.as_ref().or(step.silence.as_ref());
            let is_broken = !step.broken_promises().is_empty();
            self.print(&format!(
                "{}{}",
                row([
                    step.short,
                    &format!("at {}", step.holder),
                    &shown(&step.silence, step.address_gap),
                    &shown(&step.silence, step.service_gap),
                    &shown(&step.change, step.changed_after),
                    &limit.map_or_else(|| String::from("-"), |promise| millis(promise.limit)),
                    &step.counts.failed().to_string(),
                ]),
                if is_broken { "  too long" } else { "" }
            ))?;
        }
        self.print(&format!("\n{} requests: {all}", all.all()))
    }

    /// What to do in another shell while this goes on.
    pub(super) fn invite(&mut self, commands: &[String]) -> io::Result<()> {
        self.print("\nAll goes on until Ctrl-C. In another shell of the same user:\n")?;
        for command in commands {
            self.print(&format!("  {command}"))?;
        }
        self.print("")
    }

    /// Prints a line in place of the status.
    pub(super) fn print(&mut self, line: &str) -> io::Result<()> {
        let clear = if self.is_live { "\r\x1b[K" } else { "" };
        writeln!(self.out, "{clear}{line}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn without_a_terminal_there_are_plain_lines_and_no_status() {
        let mut screen = screen(false);
        let millis = Duration::from_millis(1234);
        screen
            .event(millis, "alpha", "Entering MASTER STATE")
            .unwrap();
        screen.status(&Status::default()).unwrap();
        screen.clear().unwrap();
        screen.print("end").unwrap();

        assert_eq!(
            text(screen),
            "  1.234 s  alpha   Entering MASTER STATE\nend\n"
        );
    }

    #[test]
    fn on_a_terminal_a_line_takes_the_place_of_the_status() {
        let mut screen = screen(true);
        let status = Status::default();
        screen.status(&status).unwrap();
        screen.print("end").unwrap();

        assert_eq!(text(screen), format!("\r\x1b[K{status}\r\x1b[Kend\n"));
    }

    #[test]
    fn the_summary_marks_what_was_too_long_and_counts_what_failed() {
        let mut screen = screen(false);
        let counts = Counts {
            answered: 100,
            refused: 1,
            reset: 2,
            timed_out: 3,
        };
        let step = |gap| Measured {
            short: "graceful stop",
            holder: Node::Beta,
            address_gap: Duration::from_millis(gap),
            service_gap: Duration::from_millis(70),
            changed_after: Duration::ZERO,
            failed_for: Duration::ZERO,
            counts,
            shares: BTreeMap::new(),
            silence: Some(Promise {
                limit: Duration::from_millis(61),
                allowance: Duration::from_millis(200),
                because: String::new(),
            }),
            change: None,
            failing: None,
        };
        screen.summarize(&[step(62), step(262)], &counts).unwrap();

        let text = text(screen);
        let lines: Vec<_> = text.lines().skip(4).collect();
        let expected = [
            "graceful stop             at beta      62 ms    70 ms        -     61 ms       6",
            "graceful stop             at beta     262 ms    70 ms        -     61 ms       6  too long",
            "",
            "106 requests: 100 answered, 1 refused, 2 reset, 3 timed out",
        ];
        assert_eq!(lines, expected);
    }

    fn screen(is_live: bool) -> Screen<Vec<u8>> {
        Screen {
            out: Vec::new(),
            is_live,
            drawn_at: None,
        }
    }

    fn text(screen: Screen<Vec<u8>>) -> String {
        String::from_utf8(screen.out).unwrap()
    }
}
