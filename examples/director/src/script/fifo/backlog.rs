//! Lines that wait until a FIFO takes them.

use std::collections::VecDeque;

/// The most lines that wait.
pub(super) const MOST_WAITING: usize = 1024;

/// Lines, in order. When there are too many the oldest whole one is lost.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    lines: VecDeque<String>,
    /// How much of the first line is written.
    written: usize,
    lost: u64,
}

impl Backlog {
    /// Adds a line; whether it is the first for which another one is lost.
    pub(super) fn push(&mut self, line: String) -> bool {
        self.lines.push_back(line);
        if self.lines.len() <= MOST_WAITING {
            return false;
        }
        // Half of a line would spoil the one after it.
        let oldest = usize::from(self.written > 0);
        self.lines.remove(oldest);
        self.lost += 1;
        self.lost == 1
    }

    /// What is to be written next; `None` if nothing waits.
    pub(super) fn next(&self) -> Option<&[u8]> {
        self.lines.front()?.as_bytes().get(self.written..)
    }

    /// So many bytes of it are written.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
        if self
            .lines
            .front()
            .is_some_and(|line| self.written >= line.len())
        {
            self.lines.pop_front();
            self.written = 0;
        }
    }

    /// How many were lost since it was asked last, once nothing waits any more.
    pub(super) fn lost(&mut self) -> Option<u64> {
        let all_written = self.lines.is_empty() && self.lost > 0;
        all_written.then(|| std::mem::take(&mut self.lost))
    }

    /// How many can no longer be written.
    pub(super) fn given_up(self) -> u64 {
        self.lost
            .saturating_add(u64::try_from(self.lines.len()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Backlog {
        let mut backlog = Backlog::default();
        for number in 0..MOST_WAITING {
            assert!(!backlog.push(format!("{number}\n")));
        }
        backlog
    }

    fn rest(mut backlog: Backlog) -> String {
        let mut all = Vec::new();
        while let Some(next) = backlog.next() {
            let length = next.len();
            all.extend_from_slice(next);
            backlog.wrote(length);
        }
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn of_too_many_the_oldest_are_lost_and_counted() {
        let mut backlog = full();
        assert!(backlog.push("a\n".to_owned()));
        assert!(!backlog.push("b\n".to_owned()));
        assert_eq!(backlog.lost(), None, "others wait still");
        assert!(rest(backlog).starts_with("2\n3\n"));
        assert_eq!(full().given_up(), 1024);
    }

    #[test]
    fn a_line_that_is_written_in_part_is_written_to_its_end() {
        let mut backlog = full();
        backlog.wrote(1);
        backlog.push("a\n".to_owned());
        assert!(rest(backlog).starts_with("\n2\n"));
    }

    #[test]
    fn what_was_lost_is_told_once_all_is_written() {
        let mut backlog = full();
        backlog.push("a\n".to_owned());
        while let Some(next) = backlog.next() {
            let length = next.len();
            backlog.wrote(length);
        }
        assert_eq!((backlog.lost(), backlog.lost()), (Some(1), None));
    }
}
