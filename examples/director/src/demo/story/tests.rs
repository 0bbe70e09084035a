use super::super::requests::Outcome;
use super::super::scenario;
use super::super::scenario::{ALLOWANCE, REQUEST_INTERVAL};
use super::super::step::Promise;
use super::*;
use Node::{Alpha, Beta};
use Role::{Backup, Master};
use Server::{One, Two};
use scene::{Scene, idle_step, ms, quiet_step};

mod scene;

#[test]
fn the_steps_follow_one_another_while_everything_works() {
    let mut scene = Scene::new(scenario::steps());

    let starts = [Action::StartServer(One), Action::StartServer(Two)];
    scene.expect_begin(
        1,
        &[
            &starts[..],
            &[Action::PowerOn(Alpha), Action::PowerOn(Beta)],
        ]
        .concat(),
    );
    scene.role(Alpha, Backup);
    scene.role(Beta, Backup);
    scene.role(Alpha, Master);
    scene.answers(Alpha, 300);
    scene.expect_output(&Output::Arrived { at: Alpha });
    scene.expect_output(&Output::OpenClient);
    let start = scene.expect_done();
    assert_eq!(start.address_gap, ms(300), "time until the first answer");
    assert!(start.shares[&One].abs_diff(start.shares[&Two]) <= 1);

    scene.expect_begin(2, &[Action::KillServer(Two)]);
    scene.pool = vec![One];
    scene.check(Alpha, Two, false);
    scene.pass(50);
    scene.check(Beta, Two, false);
    scene.answers(Alpha, 2);
    let death = scene.expect_done();
    assert_eq!(death.changed_after, ms(50), "the later of the two");
    assert_eq!(death.shares.keys().collect::<Vec<_>>(), [&One]);

    scene.expect_begin(3, &[Action::PowerOff(Alpha)]);
    scene.role(Beta, Master);
    scene.fail(Outcome::TimedOut);
    scene.answers(Beta, 355);
    scene.expect_output(&Output::Arrived { at: Beta });
    let loss = scene.expect_done();
    assert_eq!((loss.address_gap, loss.service_gap), (ms(355), ms(355)));
    assert_eq!(loss.counts.timed_out, 1);

    scene.expect_begin(4, &[Action::StartServer(Two)]);
    scene.pass(200);
    scene.pool = vec![One, Two];
    scene.check(Beta, Two, true);
    scene.answers(Beta, 2);
    assert_eq!(scene.expect_done().changed_after, ms(200));

    scene.expect_begin(5, &[Action::PowerOn(Alpha)]);
    scene.role(Alpha, Master);
    scene.role(Beta, Backup);
    scene.answers(Alpha, 4);
    scene.expect_output(&Output::Arrived { at: Alpha });
    assert_eq!(scene.expect_done().address_gap, ms(4));

    scene.expect_begin(6, &[Action::Stop(Alpha)]);
    scene.exit(Alpha, Ok(()));
    scene.role(Beta, Master);
    scene.answers(Beta, 62);
    scene.expect_output(&Output::Arrived { at: Beta });
    assert_eq!(scene.expect_done().address_gap, ms(62));

    scene.expect_output(&Output::CloseClient);
    let started = scene.story.requests().all();
    scene.see(Input::ClientClosed { started });
    scene.expect_end(&[]);
    assert_eq!(scene.story.measured().len(), 6);
    assert_eq!(scene.story.poll_timeout(), None);
}

#[test]
fn a_gap_beyond_the_promise_fails_but_the_story_goes_on() {
    let mut scene = Scene::with_dead_master();

    scene.role(Beta, Master);
    scene.answers(Beta, 580);

    scene.expect_output(&Output::Arrived { at: Beta });
    assert_eq!(scene.expect_done().broken_promises().len(), 2);
    let [address, service] = scene.story.failures() else {
        panic!("{:?}", scene.story.failures());
    };
    assert!(
        address.starts_with("power loss of the master: nobody answered for 580 ms"),
        "{address}"
    );
    assert!(
        service.starts_with("power loss of the master: no request was answered for 580 ms"),
        "{service}"
    );
}

#[test]
fn a_gap_as_long_as_is_allowed_is_kept() {
    let mut scene = Scene::with_dead_master();

    scene.role(Beta, Master);
    scene.answers(Beta, 560);

    scene.expect_output(&Output::Arrived { at: Beta });
    assert_eq!(scene.expect_done().broken_promises(), [""; 0]);
}

#[test]
fn a_service_that_is_silent_longer_than_its_address_fails() {
    let mut scene = Scene::new(vec![quiet_step(), idle_step()]);
    scene.begin_calm();

    scene.service_is_silent_for(ALLOWANCE + REQUEST_INTERVAL + ms(10));
    scene.answers(Alpha, 2);

    let [failure] = scene.story.failures() else {
        panic!("{:?}", scene.story.failures());
    };
    assert!(
        failure.starts_with("a step: no request was answered for 2"),
        "{failure}"
    );
}

#[test]
fn a_pool_that_is_changed_too_late_fails() {
    let mut scene = Scene::with_dead_server();

    scene.pass(1101);
    scene.check(Alpha, Two, false);
    scene.check(Beta, Two, false);
    scene.pool = vec![One];
    scene.answers(Alpha, 2);

    let broken = scene.expect_done().broken_promises();
    let [broken] = &broken[..] else {
        panic!("{broken:?}");
    };
    assert!(
        broken.starts_with("death of a real server: the pool was changed after 1101 ms"),
        "{broken}"
    );
}

#[test]
fn a_pool_can_change_only_once_the_real_server_serves() {
    let starts = Step {
        actions: vec![Action::StartServer(Two)],
        change: Some(Promise {
            limit: ms(300),
            allowance: ms(0),
            because: String::new(),
        }),
        ..quiet_step()
    };
    let without = Step {
        pool: &[One],
        ..quiet_step()
    };
    let mut scene = Scene::new(vec![without, starts]);
    scene.pool = vec![One];
    scene.check(Alpha, Two, false);
    scene.check(Beta, Two, false);
    scene.begin_calm();

    scene.pass(800);
    scene.see(Input::ServerServes(Two));
    scene.pass(250);
    scene.check(Alpha, Two, true);
    scene.check(Beta, Two, true);
    scene.pool = vec![One, Two];
    scene.answers(Alpha, 2);

    let done = scene.expect_done();
    assert_eq!(done.changed_after, ms(250));
    assert_eq!(done.broken_promises(), [""; 0]);
}

#[test]
fn requests_that_fail_for_too_long_fail_the_step_though_others_are_answered() {
    let no_failure = Step {
        failing: quiet_step().silence,
        ..idle_step()
    };
    let mut scene = Scene::new(vec![quiet_step(), no_failure]);
    scene.begin_calm();

    scene.fail(Outcome::TimedOut);
    scene.pass(230);
    scene.fail(Outcome::TimedOut);
    scene.answers(Alpha, 2);

    let [failure] = scene.story.failures() else {
        panic!("{:?}", scene.story.failures());
    };
    assert!(
        failure.starts_with("a step: requests failed for 230 ms, the protocol takes 0 ms"),
        "{failure}"
    );
}

#[test]
fn a_step_that_comes_to_nothing_ends_the_story_at_its_deadline_and_says_what_is_missing() {
    let mut scene = Scene::with_dead_master();

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
    let mut scene = Scene::with_dead_master();

    scene.answers(Beta, 355);
    scene.expect_output(&Output::Arrived { at: Beta });
    scene.time_out();

    scene.expect_end(&[
        "power loss of the master: after 6000 ms beta is BACKUP and should be MASTER",
    ]);
}

#[test]
fn both_directors_have_to_know_of_a_dead_server() {
    let mut scene = Scene::with_dead_server();

    scene.check(Alpha, Two, false);
    scene.pool = vec![One];
    scene.answers(Alpha, 2);
    scene.time_out();

    let missing = "beta still sends requests to two";
    scene.expect_end(&[&format!("death of a real server: after 6000 ms {missing}")]);
}

#[test]
fn a_server_that_gets_less_than_its_turn_is_named() {
    let mut scene = Scene::new(vec![quiet_step()]);
    scene.pool = vec![One, One, One, Two];
    scene.begin_calm();

    scene.time_out();

    let [failure] = scene.story.failures() else {
        panic!("{:?}", scene.story.failures());
    };
    assert!(
        failure.starts_with("a step: after 6000 ms two has answered "),
        "{failure}"
    );
}

#[test]
fn a_failed_request_makes_the_calm_begin_anew() {
    let mut scene = Scene::new(vec![quiet_step(), idle_step()]);
    scene.begin_calm();
    let steps = scene.story.measured().len();

    scene.answer_until(Alpha, scene.at + CALM - ms(100));
    scene.fail(Outcome::Reset);
    scene.answer_until(Alpha, scene.at + CALM - ms(100));
    assert_eq!(scene.story.measured().len(), steps);

    scene.answer_until(Alpha, scene.at + ms(150));
    assert_eq!(scene.story.measured().len(), steps + 1);
}

#[test]
fn a_request_that_is_not_accounted_for_fails() {
    let mut scene = Scene::new(vec![quiet_step()]);
    scene.begin_calm();
    scene.expect_output(&Output::CloseClient);

    let ended = scene.story.requests().all();
    scene.see(Input::ClientClosed { started: ended + 1 });

    scene.expect_end(&[&format!(
        "{} requests were started, and {ended} are known to have ended",
        ended + 1
    )]);
}

#[test]
fn requests_that_never_end_end_the_story() {
    let mut scene = Scene::new(vec![quiet_step()]);
    scene.begin_calm();
    scene.expect_output(&Output::CloseClient);

    scene.time_out();

    scene.expect_end(&["requests have not ended after 6000 ms"]);
}

#[test]
fn the_wrong_holder_is_named() {
    let mut scene = Scene::with_dead_master();

    scene.answers(Alpha, 2);
    scene.time_out();

    scene.expect_end(&["power loss of the master: after 6000 ms alpha answers and beta should"]);
}

#[test]
fn answers_from_before_a_step_do_not_end_it() {
    let mut scene = Scene::new(vec![quiet_step(), idle_step()]);
    scene.begin_calm();

    scene.probe(Alpha, scene.at);
    assert_eq!(scene.story.poll_output(), None);
    scene.answers(Alpha, 2);
    assert_eq!(scene.story.measured().len(), 2);
}

#[test]
fn the_first_answer_may_be_to_a_probe_from_before_the_story() {
    let mut scene = Scene::new(vec![quiet_step()]);
    scene.expect_begin(1, &quiet_step().actions);

    let before = scene.at - ms(5);
    scene.see(Input::Answered {
        by: Alpha,
        sent_at: before,
    });

    scene.expect_output(&Output::Arrived { at: Alpha });
    scene.expect_output(&Output::OpenClient);
}

#[test]
fn a_director_that_ends_unasked_ends_the_story() {
    let mut scene = Scene::with_dead_master();

    scene.exit(Beta, Err(String::from("exited with status 101")));

    scene.expect_end(&["beta's director exited with status 101"]);
}

#[test]
fn a_director_that_cannot_stop_with_success_ends_the_story() {
    let actions = vec![Action::PowerOn(Alpha), Action::Stop(Alpha)];
    let step = Step {
        actions: actions.clone(),
        ..quiet_step()
    };
    let mut scene = Scene::new(vec![step]);
    scene.expect_begin(1, &actions);

    scene.exit(Alpha, Err(String::from("was killed by SIGSEGV")));

    scene.expect_end(&[
        "alpha's director should have stopped with success but was killed by SIGSEGV",
    ]);
}

#[test]
fn a_real_server_that_dies_unasked_ends_the_story_and_one_that_was_killed_does_not() {
    let mut scene = Scene::with_dead_server();
    let how = || String::from("was killed by signal 9");

    scene.see(Input::ServerExited {
        server: Two,
        how: how(),
    });
    assert_eq!(scene.story.poll_output(), None);
    scene.see(Input::ServerExited {
        server: One,
        how: how(),
    });

    scene.expect_end(&["the real server one was killed by signal 9"]);
}

#[test]
fn what_a_machine_without_power_last_said_is_not_heard() {
    let mut scene = Scene::with_dead_master();

    scene.role(Alpha, Master);
    scene.check(Alpha, One, false);
    scene.exit(Alpha, Err(String::from("was killed by SIGKILL")));

    assert_eq!(scene.story.poll_output(), None);
    assert_eq!(scene.story.state(Alpha), "off");
}

#[test]
fn after_the_end_nothing_fails_any_more() {
    let mut scene = Scene::with_dead_master();
    scene.time_out();
    while scene.story.poll_output().is_some() {}
    let failures = scene.story.failures().len();

    scene.exit(Beta, Err(String::from("was killed by signal 9")));

    assert_eq!(scene.story.failures().len(), failures);
    assert_eq!(scene.story.poll_output(), None);
    assert_eq!(scene.story.state(Beta), "stopped");
}
