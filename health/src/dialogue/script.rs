//! A dialogue as a value: what to say next, and what the answers mean.

use std::{fmt, sync::Arc};

use super::{DialogueError, Expect, expect::Verdict};

/// One step of a dialogue.
#[derive(Clone)]
pub(super) enum Step {
    Send(Vec<u8>),
    Expect(Expect),
}

/// Leaves out what is sent: it may be a password.
impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(bytes) => write!(f, "Send({} bytes)", bytes.len()),
            Self::Expect(expect) => write!(f, "Expect({expect})"),
        }
    }
}

/// What a server did.
#[derive(Debug, Clone, Copy)]
pub(super) enum Heard<'a> {
    /// It sent bytes.
    Bytes(&'a [u8]),
    /// It will send no more.
    End,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Send bytes, then ask again.
    Send(Vec<u8>),
    /// The dialogue is over.
    Finish(Result<(), DialogueError>),
}

/// A dialogue on its way. [`Self::poll_action`] is asked until it has nothing to say; then more
/// has to be heard.
#[derive(Debug)]
pub(super) struct Dialogue {
    steps: Arc<[Step]>,
    next: usize,
    received: Vec<u8>,
    ended: bool,
    finished: bool,
}

impl Dialogue {
    pub(super) const fn new(steps: Arc<[Step]>) -> Self {
        Self {
            steps,
            next: 0,
            received: Vec::new(),
            ended: false,
            finished: false,
        }
    }

    pub(super) fn handle(&mut self, heard: Heard<'_>) {
        match heard {
            Heard::Bytes(bytes) => self.received.extend_from_slice(bytes),
            Heard::End => self.ended = true,
        }
    }

    /// What is to be done; `None` when more has to be heard, or when it is over.
    pub(super) fn poll_action(&mut self) -> Option<Action> {
        while !self.finished {
            match self.steps.get(self.next) {
                None => return Some(self.finish(Ok(()))),
                Some(Step::Send(bytes)) => {
                    self.next += 1;
                    return Some(Action::Send(bytes.clone()));
                }
                Some(Step::Expect(expect)) => match expect.judge(&self.received) {
                    Verdict::Met { used } => {
                        self.received.drain(..used);
                        self.next += 1;
                    }
                    Verdict::Wrong { length } => {
                        let awaited = expect.to_string();
                        self.received.truncate(length);
                        let heard = std::mem::take(&mut self.received);
                        let error = DialogueError::Unexpected { awaited, heard };
                        return Some(self.finish(Err(error)));
                    }
                    Verdict::Open => {
                        let error = self.give_up(expect)?;
                        return Some(self.finish(Err(error)));
                    }
                },
            }
        }
        None
    }

    fn give_up(&self, expect: &Expect) -> Option<DialogueError> {
        let awaited = expect.to_string();
        if self.received.len() >= expect.limit() {
            let limit = expect.limit();
            Some(DialogueError::Endless { awaited, limit })
        } else if self.ended {
            let heard = self.received.clone();
            Some(DialogueError::Ended { awaited, heard })
        } else {
            None
        }
    }

    fn finish(&mut self, result: Result<(), DialogueError>) -> Action {
        self.finished = true;
        Action::Finish(result)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn dialogue() -> Dialogue {
        Dialogue::new(Arc::new([
            Step::Expect(Expect::reply(&[220])),
            Step::Send(b"HELO me\r\n".to_vec()),
            Step::Expect(Expect::reply(&[250]).with_limit(100)),
        ]))
    }

    fn hear(dialogue: &mut Dialogue, bytes: &[u8]) -> Option<Action> {
        dialogue.handle(Heard::Bytes(bytes));
        dialogue.poll_action()
    }

    #[test]
    fn each_step_follows_when_the_one_before_is_met() {
        let mut dialogue = dialogue();
        assert_eq!(dialogue.poll_action(), None);
        assert_eq!(hear(&mut dialogue, b"220 hi"), None);
        let helo = Some(Action::Send(b"HELO me\r\n".to_vec()));
        assert_eq!(hear(&mut dialogue, b"\r\n"), helo);
        assert_eq!(dialogue.poll_action(), None);
        let done = Some(Action::Finish(Ok(())));
        assert_eq!(hear(&mut dialogue, b"250 me\r\n"), done);
        assert_eq!(dialogue.poll_action(), None);
    }

    #[test]
    fn a_wrong_answer_a_missing_one_and_an_endless_one_are_told_apart() {
        let mut wrong = dialogue();
        let expected = DialogueError::Unexpected {
            awaited: "a reply 220".to_owned(),
            heard: b"554 no\r\n".to_vec(),
        };
        let action = hear(&mut wrong, b"554 no\r\nmore");
        assert_eq!(action, Some(Action::Finish(Err(expected))));
        assert_eq!(wrong.poll_action(), None);

        let mut missing = dialogue();
        missing.handle(Heard::Bytes(b"220-a\r\n"));
        missing.handle(Heard::End);
        let expected = DialogueError::Ended {
            awaited: "a reply 220".to_owned(),
            heard: b"220-a\r\n".to_vec(),
        };
        let action = missing.poll_action();
        assert_eq!(action, Some(Action::Finish(Err(expected))));

        let mut endless = dialogue();
        assert!(hear(&mut endless, b"220 hi\r\n").is_some());
        let expected = DialogueError::Endless {
            awaited: "a reply 250".to_owned(),
            limit: 100,
        };
        let action = hear(&mut endless, &[b'x'; 100]);
        assert_eq!(action, Some(Action::Finish(Err(expected))));
    }

    #[test]
    fn what_is_sent_is_not_written_to_a_log() {
        assert!(!format!("{:?}", Step::Send(b"secret".to_vec())).contains("secret"));
    }

    proptest! {
        #[test]
        fn how_the_stream_is_cut_changes_nothing(
            bytes in prop_oneof![
                Just(b"220-a\r\n220 b\r\n250 c\r\n".to_vec()),
                Just(b"220 b\r\n500 c\r\n".to_vec()),
                proptest::collection::vec(any::<u8>(), 0..50),
            ],
            cuts in proptest::collection::vec(1usize..5, 50),
        ) {
            let run = |pieces: Vec<&[u8]>| {
                let mut dialogue = dialogue();
                let mut actions = Vec::new();
                for piece in pieces {
                    dialogue.handle(Heard::Bytes(piece));
                    actions.extend(std::iter::from_fn(|| dialogue.poll_action()));
                }
                dialogue.handle(Heard::End);
                actions.extend(std::iter::from_fn(|| dialogue.poll_action()));
                actions
            };
            let mut rest = &bytes[..];
            let mut pieces = Vec::new();
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            let finishes = |actions: &[Action]| {
                actions.iter().map(|action| match action {
                    Action::Send(bytes) => Some(bytes.clone()),
                    Action::Finish(Ok(())) => None,
                    Action::Finish(Err(_)) => Some(b"failed".to_vec()),
                }).collect::<Vec<_>>()
            };
            prop_assert_eq!(finishes(&run(vec![&bytes])), finishes(&run(pieces)));
        }
    }
}
