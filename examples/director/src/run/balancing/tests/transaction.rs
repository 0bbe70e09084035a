//! Reloads: what they would change, what they change, and what they do not.

use ipvs::{SchedulerName, fake::Fault};

use super::*;

/// Two virtual servers, the first with two real servers of which one is checked by a program.
fn two(scheduler: &str, weight: u32) -> Config {
    config(&format!(
        "virtual_server 10.1.0.100 80 {{\nprotocol TCP\nlb_algo rr\nlb_kind NAT\n\
         real_server 10.0.0.1 80 {{\nMISC_CHECK {{\nmisc_path /bin/true\n}}\n}}\n\
         real_server 10.0.0.2 80 {{\nweight {weight}\n}}\n}}\n\
         virtual_server 10.1.0.101 80 {{\nprotocol TCP\nlb_algo {scheduler}\nlb_kind NAT\n\
         real_server 10.0.0.3 80 {{\n}}\n}}\n"
    ))
}

/// Balances [`two`]; the program says whether the first real server is up.
async fn running(kernel: &Kernel, up: bool) -> Balancing {
    let outcome = match up {
        true => Outcome::Success,
        false => Outcome::Failure { code: 1 },
    };
    let runner = FakeRunner::new(move |_| (Duration::ZERO, outcome.clone()));
    let balancing = with_runner(kernel, false, runner).await;
    balancing.configure(&two("rr", 1)).await.unwrap();
    // Between two looks of those who keep the table.
    tokio::time::sleep(Duration::from_secs(310)).await;
    balancing
}

async fn table(kernel: &Kernel) -> Table {
    kernel.snapshot().await.unwrap().table()
}

fn commands(kernel: &crate::plan::Kernel) -> Vec<&str> {
    let changes = kernel.changes.iter();
    changes.map(|change| change.command.as_str()).collect()
}

const HEAVIER: &str = "-e -t 10.1.0.100:80 -r 10.0.0.2:80 -m -w 7";

#[tokio::test(start_paused = true)]
async fn a_plan_knows_the_health_of_servers_and_changes_nothing() {
    let kernel = kernel();
    let balancing = running(&kernel, false).await;
    let before = table(&kernel).await;
    kernel.take_journal();
    let same = balancing.plan(&two("rr", 1)).await.unwrap();
    assert_eq!(commands(&same), <[&str; 0]>::default());
    // The first server of the first is down, and of no account.
    assert_eq!((same.services_kept, same.destinations_kept), (2, 2));
    let other = balancing.plan(&two("wrr", 7)).await.unwrap();
    assert_eq!(commands(&other), [HEAVIER, "-E -t 10.1.0.101:80 -s wrr"]);
    assert_eq!(kernel.take_journal(), []);
    assert_eq!(table(&kernel).await, before);

    // What was planned is what is done.
    let (begins, begun) = oneshot::channel();
    let begin = Box::new(|| begins.send(()).unwrap());
    let done = balancing.reload(&two("wrr", 7), begin).await.unwrap();
    assert_eq!((done, begun.await), (other.clone(), Ok(())));
    let journal = kernel.take_journal().into_iter();
    let made: Vec<_> = journal
        .map(|record| ipvs::text::command_line(&record.change))
        .collect();
    assert_eq!(made, commands(&other));
    cleared(balancing).await;
}

#[tokio::test(start_paused = true)]
async fn a_reload_that_the_kernel_refuses_is_taken_back_and_says_what_was_refused() {
    let kernel = kernel();
    let balancing = running(&kernel, false).await;
    let before = table(&kernel).await;
    kernel.unload(SchedulerName::MH);
    let begin = Box::new(|| panic!("no check of the new file begins"));
    let refused = balancing.reload(&two("mh", 7), begin).await.unwrap_err();
    let error = refused.to_string();
    assert!(
        error.contains("these changes are refused") && error.contains("10.1.0.101:80 (mh)"),
        "{error}"
    );
    settle().await;
    assert_eq!(table(&kernel).await, before);
    // Checks and their results have lived through it: the first server is still out.
    let plan = balancing.plan(&two("rr", 7)).await.unwrap();
    assert_eq!(commands(&plan), [HEAVIER]);
    cleared(balancing).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_before_is_no_reason_to_refuse_a_reload() {
    let kernel = kernel();
    kernel.unload(SchedulerName::MH);
    let balancing = balancing(&kernel, false).await;
    balancing.configure(&two("mh", 1)).await.unwrap();
    settle().await;
    let done = balancing
        .reload(&two("mh", 7), Box::new(|| {}))
        .await
        .unwrap();
    assert!(commands(&done).contains(&HEAVIER), "{done:?}");
    cleared(balancing).await;
}

#[tokio::test(start_paused = true)]
async fn a_reload_while_the_kernel_cannot_be_asked_changes_nothing() {
    let kernel = kernel();
    let balancing = running(&kernel, true).await;
    let before = table(&kernel).await;
    kernel.inject(Fault::HalfDump { rows: 0 });
    let refused = balancing.reload(&two("rr", 7), Box::new(|| {})).await;
    assert!(
        matches!(refused, Err(BalanceError::Kernel(_))),
        "{refused:?}"
    );
    assert_eq!(table(&kernel).await, before);
    cleared(balancing).await;
}
