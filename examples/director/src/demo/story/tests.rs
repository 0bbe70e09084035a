use super::super::{now, scenario};
use super::*;
use Node::{Alpha, Beta};
use Role::{Backup, Master};

#[test]
fn the_steps_follow_one_another_while_everything_works() {
    let mut scene = Scene::new(scenario::steps());

    scene.expect_begin(1, &[Action::PowerOn(Alpha), Action::PowerOn(Beta)]);
    scene.role(Alpha, Backup);
    scene.role(Beta, Backup);
    scene.role(Alpha, Master);
    scene.answers(Alpha, 300);
    assert_eq!(
        scene.expect_done(Alpha).gap,
        ms(300),
        "time until the first answer"
    );

    scene.expect_begin(2, &[Action::PowerOff(Alpha)]);
    scene.role(Beta, Master);
    scene.answers(Beta, 355);
    assert_eq!(scene.expect_done(Beta).gap, ms(355));

    scene.expect_begin(3, &[Action::PowerOn(Alpha)]);
    scene.role(Alpha, Master);
    scene.role(Beta, Backup);
    scene.answers(Alpha, 4);
    assert_eq!(scene.expect_done(Alpha).gap, ms(4));

    scene.expect_begin(4, &[Action::Stop(Alpha)]);
    scene.exit(Alpha, Ok(()));
    scene.role(Beta, Master);
    scene.answers(Beta, 62);
    assert_eq!(scene.expect_done(Beta).gap, ms(62));

    scene.expect_end(&[]);
    assert_eq!(scene.story.measured().len(), 4);
    assert_eq!(scene.story.poll_timeout(), None);
}

#[test]
fn a_gap_beyond_the_promise_fails_but_the_story_goes_on() {
    let mut scene = Scene::in_step_2();

    scene.role(Beta, Master);
    scene.answers(Beta, 562);

    assert!(!scene.expect_done(Beta).kept());
    scene.expect_begin(3, &[Action::PowerOn(Alpha)]);
    let [failure] = scene.story.failures() else {
        panic!("{:?}", scene.story.failures());
    };
    assert!(
        failure.starts_with("power loss of the master: nobody answered for 562 ms"),
        "{failure}"
    );
}

#[test]
fn a_gap_as_long_as_is_allowed_is_kept() {
    let mut scene = Scene::in_step_2();

    scene.role(Beta, Master);
    scene.answers(Beta, 560);

    assert!(scene.expect_done(Beta).kept());
}

#[test]
fn a_step_that_comes_to_nothing_ends_the_story_at_its_deadline_and_says_what_is_missing() {
    let mut scene = Scene::in_step_2();

    let deadline = scene.story.poll_timeout().unwrap();
    scene.story.handle(Input::Timeout, deadline - ms(1));
    assert_eq!(
        scene.story.poll_output(),
        None,
        "a timeout before the deadline does nothing"
    );
    scene.story.handle(Input::Timeout, deadline);

    scene.expect_end(&["power loss of the master: after 6000 ms nobody answers"]);
}

#[test]
fn the_address_alone_is_not_enough_the_roles_must_fit_too() {
    let mut scene = Scene::in_step_2();

    scene.answers(Beta, 355);
    let deadline = scene.story.poll_timeout().unwrap();
    assert_eq!(
        scene.story.poll_output(),
        Some(Output::Arrived { at: Beta })
    );
    scene.story.handle(Input::Timeout, deadline);

    scene.expect_end(&[
        "power loss of the master: after 6000 ms beta is BACKUP and should be MASTER",
    ]);
}

#[test]
fn the_wrong_holder_is_named() {
    let mut scene = Scene::in_step_2();

    scene.answers(Alpha, 2);
    let deadline = scene.story.poll_timeout().unwrap();
    scene.story.handle(Input::Timeout, deadline);

    scene.expect_end(&["power loss of the master: after 6000 ms alpha answers and beta should"]);
}

#[test]
fn answers_from_before_a_step_do_not_end_it() {
    let steps = vec![step(&[Action::PowerOn(Alpha)]), step(&[])];
    let mut scene = Scene::new(steps);
    scene.expect_begin(1, &[Action::PowerOn(Alpha)]);
    scene.role(Alpha, Master);
    scene.answers(Alpha, 10);
    scene.expect_done(Alpha);
    scene.expect_begin(2, &[]);

    scene.answer(Alpha, scene.at);
    assert_eq!(scene.story.poll_output(), None);
    scene.answers(Alpha, 2);
    assert_eq!(scene.story.measured().len(), 2);
}

#[test]
fn a_director_that_ends_unasked_ends_the_story() {
    let mut scene = Scene::in_step_2();

    scene.exit(Beta, Err(String::from("exited with status 101")));

    scene.expect_end(&["beta's director exited with status 101"]);
}

#[test]
fn a_director_that_cannot_stop_with_success_ends_the_story() {
    let mut scene = Scene::new(vec![step(&[Action::PowerOn(Alpha), Action::Stop(Alpha)])]);
    scene.expect_begin(1, &[Action::PowerOn(Alpha), Action::Stop(Alpha)]);

    scene.exit(Alpha, Err(String::from("was killed by SIGSEGV")));

    scene.expect_end(&[
        "alpha's director should have stopped with success but was killed by SIGSEGV",
    ]);
}

#[test]
fn what_a_machine_without_power_last_said_is_not_heard() {
    let mut scene = Scene::in_step_2();

    scene.role(Alpha, Master);
    scene.exit(Alpha, Err(String::from("was killed by SIGKILL")));

    assert_eq!(scene.story.poll_output(), None);
    assert_eq!(scene.story.state(Alpha), "off");
}

/// A story and the time in it.
struct Scene {
    story: Story,
    /// When the last probe was answered, or the story began.
    at: Instant,
}

impl Scene {
    fn new(steps: Vec<Step>) -> Self {
        let at = now();
        let mut story = Story::new(steps);
        story.handle(Input::Start, at);
        Self { story, at }
    }

    /// Alpha, the master, has just lost its power.
    fn in_step_2() -> Self {
        let mut scene = Self::new(scenario::steps());
        scene.role(Alpha, Master);
        scene.role(Beta, Backup);
        scene.answers(Alpha, 300);
        while scene.story.poll_output().is_some() {}
        scene
    }

    fn role(&mut self, node: Node, role: Role) {
        self.story.handle(Input::Role { node, role }, self.at);
    }

    fn exit(&mut self, node: Node, end: Result<(), String>) {
        self.story.handle(Input::Exited { node, end }, self.at);
    }

    /// After `gap_millis` without an answer, this node answers for as long as it takes.
    fn answers(&mut self, by: Node, gap_millis: u64) {
        self.at += ms(gap_millis);
        let until = self.at + CALM;
        let steps = self.story.measured().len();
        self.answer(by, self.at);
        while self.at < until && self.story.measured().len() == steps {
            self.at += ms(2);
            self.answer(by, self.at);
        }
    }

    fn answer(&mut self, by: Node, sent_at: Instant) {
        self.story.handle(Input::Answered { by, sent_at }, sent_at);
    }

    #[track_caller]
    fn expect_begin(&mut self, number: usize, actions: &[Action]) {
        let begin = self.story.poll_output();
        assert!(
            matches!(begin, Some(Output::Begin { number: found, .. }) if found == number),
            "{begin:?}"
        );
        for &action in actions {
            assert_eq!(self.story.poll_output(), Some(Output::Do(action)));
        }
        assert_eq!(self.story.poll_output(), None);
    }

    #[track_caller]
    fn expect_done(&mut self, holder: Node) -> Measured {
        assert_eq!(
            self.story.poll_output(),
            Some(Output::Arrived { at: holder })
        );
        match self.story.poll_output() {
            Some(Output::Done(measured)) => {
                assert_eq!(measured.holder, holder);
                measured
            }
            other => panic!("{other:?} instead of the end of a step"),
        }
    }

    #[track_caller]
    fn expect_end(&mut self, failures: &[&str]) {
        assert_eq!(self.story.poll_output(), Some(Output::End));
        assert_eq!(self.story.poll_output(), None);
        assert_eq!(self.story.failures(), failures);
    }
}

fn step(actions: &[Action]) -> Step {
    Step {
        title: "a step",
        short: "a step",
        actions: actions.to_vec(),
        holder: Alpha,
        promise: None,
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
