//! The backend on a kernel that speaks bytes.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::Poll,
};

use proptest::prelude::*;
use tokio::time;

use super::{
    BATCH,
    byte_kernel::{ByteKernel, Trouble},
};
use crate::{
    Change, ChangeOutcome, DestinationSettings, Endpoint, Forwarding, IpvsBackend as _, IpvsError,
    RefusalReason, ServiceKey, ServiceSettings, Table, plan, strategy, wire::WireError,
};

fn service(number: usize) -> ServiceKey {
    let [.., a, b, c] = number.to_be_bytes();
    ServiceKey::tcp(format!("10.{a}.{b}.{c}:80").parse().unwrap())
}

fn add(number: usize) -> Change {
    let (service, settings) = (service(number), ServiceSettings::default());
    Change::AddService { service, settings }
}

fn destination(of: usize, number: usize) -> Change {
    let [.., a, b] = number.to_be_bytes();
    Change::AddDestination {
        service: service(of),
        destination: Endpoint::new([192, 168, a, b].into(), 80),
        settings: DestinationSettings::new(Forwarding::Masquerade),
    }
}

fn add_all(kernel: &ByteKernel, changes: impl IntoIterator<Item = Change>) {
    for change in changes {
        kernel.table.change(change).unwrap();
    }
}

fn reason(outcome: &ChangeOutcome) -> Option<&RefusalReason> {
    match outcome {
        ChangeOutcome::Refused(refusal) => Some(&refusal.reason),
        ChangeOutcome::Done | ChangeOutcome::Unanswered => None,
    }
}

#[tokio::test]
async fn lists_of_thousands_are_read_whole() {
    let kernel = ByteKernel::new();
    add_all(&kernel, (0..1_500).map(add));
    add_all(&kernel, (0..3_000).map(|it| destination(7, it)));
    let backend = kernel.connect().await.unwrap();
    assert_eq!(backend.snapshot().await.unwrap(), kernel.table.running());
    let asked = kernel.lock();
    assert_eq!((asked.opened, asked.lookups), (1, 1));
}

#[tokio::test]
async fn of_some_services_alone_the_destinations_are_asked_for() {
    let kernel = ByteKernel::new();
    add_all(&kernel, (0..100).map(add));
    add_all(&kernel, (0..100).map(|it| destination(it, it)));
    let backend = kernel.connect().await.unwrap();
    let mut expected = kernel.table.running();
    expected.services.retain(|it| it.key == service(7));
    kernel.lock().datagrams.clear();
    let asked = [service(7), service(100)].into();
    assert_eq!(backend.snapshot_of(&asked).await.unwrap(), expected);
    let overview = 3;
    assert_eq!(kernel.lock().datagrams.len(), overview + 1);
}

#[tokio::test]
async fn the_socket_is_closed_when_the_last_handle_is_gone() {
    let kernel = ByteKernel::new();
    let backend = kernel.connect().await.unwrap();
    let other = backend.clone();
    drop(backend);
    assert!(other.snapshot().await.is_ok() && !kernel.is_alone());
    drop(other);
    while !kernel.is_alone() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn many_changes_are_asked_for_at_once_and_each_is_told_of() {
    let kernel = ByteKernel::new();
    add_all(&kernel, [add(70)]);
    let backend = kernel.connect().await.unwrap();
    kernel.lock().datagrams.clear();
    let outcomes = backend
        .apply(&(0..300).map(add).collect::<Vec<_>>())
        .await
        .unwrap();
    for (number, outcome) in outcomes.iter().enumerate() {
        let expected = (number == 70).then_some(&RefusalReason::ServiceExists);
        assert_eq!(reason(outcome), expected);
    }
    assert_eq!(kernel.lock().datagrams, [BATCH, BATCH, 300 - 2 * BATCH]);
    assert_eq!(
        kernel.table.journal().len(),
        300,
        "those after it too, and none twice"
    );
    assert_eq!(backend.apply(&[]).await.unwrap(), []);
}

proptest! {
    #[test]
    fn any_table_becomes_any_other(before in strategy::table(), after in strategy::table()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let kernel = ByteKernel::new();
            let backend = kernel.connect().await.unwrap();
            for desired in [&before, &after, &Table::default()] {
                let current = backend.snapshot().await.unwrap().table();
                let outcomes = backend.apply(&plan(&current, desired)).await.unwrap();
                assert!(outcomes.iter().all(ChangeOutcome::is_done), "{outcomes:?}");
                let current = backend.snapshot().await.unwrap();
                assert_eq!(current, kernel.table.running());
                assert_eq!(current.table().services, desired.services);
                assert_eq!(plan(&current.table(), desired), []);
            }
        });
    }
}

#[tokio::test]
async fn a_question_is_asked_again_when_its_answer_does_not_come_whole() {
    for trouble in [
        Trouble::CannotSend,
        Trouble::Overrun(1),
        Trouble::Silence,
        Trouble::Interrupted,
        Trouble::Cut,
        Trouble::Reload,
    ] {
        let kernel = ByteKernel::new();
        add_all(&kernel, (0..200).map(add));
        let backend = kernel.connect().await.unwrap();
        let expected = kernel.table.running();
        // Two facts, the daemons, the services: the third datagram.
        kernel.troubles(&[None, None, Some(trouble)]);
        assert_eq!(backend.snapshot().await.unwrap(), expected, "{trouble:?}");
        assert_eq!(kernel.lock().opened, 2, "{trouble:?}");
    }
}

#[tokio::test]
async fn what_never_comes_whole_is_not_told_in_part() {
    let kernel = ByteKernel::new();
    add_all(&kernel, (0..200).map(add));
    let backend = kernel.connect().await.unwrap();
    for trouble in [Trouble::Overrun(1), Trouble::Interrupted, Trouble::Silence] {
        kernel.troubles(&[Some(trouble); 9]);
        let error = backend.snapshot().await.unwrap_err();
        assert!(matches!(error, IpvsError::Unanswered { .. }), "{error:?}");
    }
    kernel.troubles(&[]);
    assert_eq!(
        backend.snapshot().await.unwrap(),
        kernel.table.running(),
        "no harm is left"
    );
}

#[tokio::test]
async fn a_change_without_an_answer_is_told_to_be_one_and_not_asked_again() {
    let kernel = ByteKernel::new();
    let backend = kernel.connect().await.unwrap();
    add_all(&kernel, [add(3)]);
    let changes: Vec<_> = (0..100).map(add).collect();
    // The refusal is heard, the end is not.
    kernel.troubles(&[Some(Trouble::Overrun(1))]);
    let outcomes = backend.apply(&changes).await.unwrap();
    for (number, outcome) in outcomes.iter().enumerate() {
        match number {
            3 => assert_eq!(reason(outcome), Some(&RefusalReason::ServiceExists)),
            4.. if number >= BATCH => assert!(outcome.is_done(), "over a new socket"),
            _ => assert_eq!(*outcome, ChangeOutcome::Unanswered),
        }
    }
    assert_eq!(kernel.table.take_journal().len(), 100);

    kernel.troubles(&[Some(Trouble::Silence)]);
    let outcomes = backend.apply(&[Change::Flush]).await.unwrap();
    assert_eq!(outcomes, [ChangeOutcome::Unanswered]);
    assert_eq!(kernel.table.journal().len(), 1);
    assert_eq!(backend.snapshot().await.unwrap().services, []);
}

#[tokio::test]
async fn a_change_that_could_not_be_sent_is_sent_again() {
    let kernel = ByteKernel::new();
    let backend = kernel.connect().await.unwrap();
    kernel.troubles(&[Some(Trouble::CannotSend); 2]);
    assert!(backend.apply(&[add(1)]).await.unwrap()[0].is_done());
    kernel.troubles(&[Some(Trouble::CannotSend); 3]);
    let error = backend.apply(&[add(2)]).await.unwrap_err();
    assert!(matches!(error, IpvsError::Unanswered { .. }), "{error:?}");
    assert_eq!(kernel.table.journal().len(), 1, "nothing was asked for");

    let many: Vec<_> = (100..300).map(add).collect();
    kernel.troubles(&[
        None,
        Some(Trouble::CannotSend),
        Some(Trouble::CannotSend),
        Some(Trouble::CannotSend),
    ]);
    let outcomes = backend.apply(&many).await.unwrap();
    assert!(outcomes[..BATCH].iter().all(ChangeOutcome::is_done));
    assert!(
        outcomes[BATCH..]
            .iter()
            .all(|it| *it == ChangeOutcome::Unanswered)
    );
}

#[tokio::test]
async fn answers_find_their_requests_among_strangers() {
    let kernel = ByteKernel::new();
    add_all(&kernel, [add(1)]);
    let backend = kernel.connect().await.unwrap();
    kernel.troubles(&[Some(Trouble::Stale)]);
    let outcomes = backend.apply(&[add(0), add(1), add(2)]).await.unwrap();
    let refused: Vec<_> = outcomes.iter().map(|it| reason(it).is_some()).collect();
    assert_eq!(refused, [false, true, false]);
    assert_eq!(kernel.lock().opened, 1);
}

#[tokio::test]
async fn a_module_that_was_loaded_anew_is_found_again() {
    let kernel = ByteKernel::new();
    let backend = kernel.connect().await.unwrap();
    kernel.troubles(&[Some(Trouble::Reload)]);
    let outcomes = backend.apply(&[add(0), add(1)]).await.unwrap();
    assert!(outcomes.iter().all(ChangeOutcome::is_done), "{outcomes:?}");
    assert_eq!(kernel.table.journal().len(), 2);

    // The scheduler that is missing is not mistaken for a module that is.
    let mut settings = ServiceSettings::new("nope".parse().unwrap());
    settings.flags.one_packet = false;
    let unknown = Change::AddService {
        service: service(2),
        settings,
    };
    let outcomes = backend.apply(&[unknown]).await.unwrap();
    assert!(matches!(
        reason(&outcomes[0]),
        Some(RefusalReason::NoScheduler(_))
    ));
    assert_eq!(kernel.table.journal().len(), 3, "and it is asked for once");
}

#[tokio::test]
async fn a_kernel_without_ipvs_is_told_apart_from_one_that_forbids_it() {
    let kernel = ByteKernel::new();
    kernel.lock().family = None;
    assert_eq!(
        kernel.connect().await.unwrap_err().to_string(),
        "cannot connect to IPVS: the kernel has no IPVS, load it (modprobe ip_vs)"
    );
    kernel.lock().family = Some(0x30);
    kernel.lock().refusing = Some(libc::EPERM);
    let error = kernel.connect().await.unwrap_err();
    assert!(matches!(error, IpvsError::Forbidden { .. }), "{error:?}");
    assert!(
        error
            .to_string()
            .contains("CAP_NET_ADMIN in the first user namespace")
    );

    kernel.lock().refusing = None;
    let backend = kernel.connect().await.unwrap();
    kernel.lock().refusing = Some(libc::EPERM);
    let error = backend.snapshot().await.unwrap_err();
    assert!(matches!(error, IpvsError::Forbidden { .. }), "{error:?}");
    let outcomes = backend.apply(&[add(1)]).await.unwrap();
    assert_eq!(reason(&outcomes[0]), Some(&RefusalReason::Forbidden));
    kernel.lock().refusing = Some(libc::EBUSY);
    let error = backend.snapshot().await.unwrap_err();
    assert!(matches!(error, IpvsError::Refused { .. }), "{error:?}");
    kernel.lock().refusing = None;
    kernel.lock().family = None;
    for error in [
        backend.snapshot().await.err(),
        backend.apply(&[add(1)]).await.err(),
    ] {
        assert!(
            matches!(error, Some(IpvsError::Unavailable { .. })),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn the_kernel_is_quoted_where_it_says_something() {
    for caps in [true, false] {
        let kernel = ByteKernel::new();
        kernel.lock().text = Some("Attribute failed policy validation");
        kernel.lock().caps = caps;
        let backend = kernel.connect().await.unwrap();
        let outcomes = backend
            .apply(&[Change::RemoveService {
                service: service(1),
            }])
            .await;
        let [ChangeOutcome::Refused(refusal)] = &outcomes.unwrap()[..] else {
            panic!("it is not there");
        };
        assert_eq!(
            refusal.to_string(),
            "cannot remove service TCP 10.0.0.1:80: there is no such service, add it before \
             (the kernel says: Attribute failed policy validation)"
        );
    }
}

#[tokio::test]
async fn rows_that_nobody_understands_are_left_out_and_told_of() {
    let kernel = ByteKernel::new();
    add_all(&kernel, [add(1), destination(1, 1)]);
    let backend = kernel.connect().await.unwrap();
    kernel.troubles(&[
        None,
        None,
        Some(Trouble::Strange(2)),
        Some(Trouble::Strange(1)),
    ]);
    let snapshot = backend.snapshot().await.unwrap();
    assert_eq!(snapshot.services, kernel.table.running().services);
    let told: Vec<_> = snapshot
        .unreadable
        .iter()
        .map(|row| (row.service, &row.cause))
        .collect();
    let missing = WireError::Missing {
        attribute: "IPVS_CMD_ATTR_SERVICE",
    };
    assert_eq!(
        told,
        [
            (None, &missing),
            (None, &missing),
            (Some(service(1)), &missing)
        ]
    );
    assert_eq!(plan(&snapshot.table(), &kernel.table.running().table()), []);
}

/// Waits until a call has come to a kernel that lets nothing pass.
async fn begin(kernel: &ByteKernel, call: &mut Pin<&mut impl Future>) {
    kernel.gate.close();
    let polled = poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_pending()));
    assert!(polled.await);
    kernel.gate.await_visitor();
}

#[tokio::test]
async fn a_kernel_that_does_not_come_back_is_not_waited_for_for_ever() {
    let kernel = ByteKernel::new();
    let backend = kernel.connect().await.unwrap();
    let changes = [add(1), add(2)];
    let mut apply = pin!(backend.apply(&changes));
    begin(&kernel, &mut apply).await;
    time::pause();
    let outcomes = apply.await.unwrap();
    assert_eq!(
        outcomes,
        [ChangeOutcome::Unanswered, ChangeOutcome::Unanswered]
    );
    // What waits behind it is not begun once nobody waits for it any more.
    let outcomes = backend.apply(&[add(3)]).await.unwrap();
    assert_eq!(outcomes, [ChangeOutcome::Unanswered]);
    let error = backend.snapshot().await.unwrap_err();
    assert!(matches!(error, IpvsError::Unanswered { .. }), "{error:?}");
    kernel.gate.open();
    time::resume();
    let snapshot = backend.snapshot().await.unwrap();
    let services: Vec<_> = snapshot.services.iter().map(|it| it.key).collect();
    assert_eq!(services, [service(1), service(2)]);
}

#[tokio::test]
async fn an_apply_that_is_dropped_ends_at_a_datagram_and_leaves_no_answer_behind() {
    let kernel = ByteKernel::new();
    let backend = kernel.connect().await.unwrap();
    let changes: Vec<_> = (0..150).map(add).collect();
    {
        let mut apply = pin!(backend.apply(&changes));
        begin(&kernel, &mut apply).await;
    }
    kernel.gate.open();
    let outcomes = backend.apply(&[add(0), add(BATCH)]).await.unwrap();
    assert_eq!(reason(&outcomes[0]), Some(&RefusalReason::ServiceExists));
    assert!(outcomes[1].is_done());
    assert_eq!(kernel.table.journal().len(), BATCH + 2);
    assert_eq!(kernel.lock().opened, 1);
}

#[tokio::test]
async fn calls_at_the_same_time_do_not_disturb_one_another() {
    let kernel = ByteKernel::new();
    let backend = kernel.connect().await.unwrap();
    let (even, odd): (Vec<_>, Vec<_>) = (0..300).partition(|it| it % 2 == 0);
    let (even, odd): (Vec<_>, Vec<_>) = (
        even.into_iter().map(add).collect(),
        odd.into_iter().map(add).collect(),
    );
    let other = backend.clone();
    let (first, second, snapshot) =
        tokio::join!(backend.apply(&even), other.apply(&odd), backend.snapshot());
    for outcome in first.unwrap().into_iter().chain(second.unwrap()) {
        assert!(outcome.is_done(), "{outcome:?}");
    }
    assert!(snapshot.is_ok());
    assert_eq!(backend.snapshot().await.unwrap().services.len(), 300);
}
