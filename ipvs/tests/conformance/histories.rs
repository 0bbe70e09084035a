//! Histories that nobody thought of: the kernel in memory says what has to come of each step.

use ipvs::{
    Change, DestinationSettings, Forwarding, Protocol, SchedulerName, ServiceSettings, Table,
    Weight,
};
use proptest::{collection, prelude::*, sample};

use super::{
    Memory, Site, Subject,
    script::{Step, service, uncounted},
};

/// Those whose choice depends on nothing but the history, the ones that count connections last.
const SCHEDULERS: [&str; 12] = [
    "rr", "wrr", "dh", "sh", "fo", "lc", "wlc", "lblc", "lblcr", "sed", "nq", "ovf",
];
/// How many of them count none.
const COUNT_NOTHING: usize = 5;

/// Steps against one site, whether with schedulers that count connections or without.
pub(crate) fn history(
    site: Site,
    protocols: &'static [Protocol],
    counting: bool,
) -> impl Strategy<Value = Vec<Step>> {
    let protocol = sample::select(protocols);
    let many = if counting {
        SCHEDULERS.len()
    } else {
        COUNT_NOTHING
    };
    let schedulers: Vec<_> = SCHEDULERS.into_iter().take(many).collect();
    let scheduler = sample::select(schedulers);
    let number = 1..=Site::SERVERS;
    let step = (protocol, 0..20_u8, scheduler, number, 0..4_u32, 1..6_u8).prop_map(
        move |(protocol, which, scheduler, number, weight, client)| {
            let service = service(protocol, site);
            let destination = site.server(number);
            let scheduler = scheduler.parse().expect("a name");
            let settings = ServiceSettings::new(scheduler);
            let mut of_destination = DestinationSettings::new(Forwarding::Masquerade);
            of_destination.weight = Weight::new(weight).expect("small");
            match which {
                0 => Step::Change(Change::AddService { service, settings }),
                1 => Step::Change(Change::SetService { service, settings }),
                2 => Step::Change(Change::RemoveDestination {
                    service,
                    destination,
                }),
                3..=6 => Step::Change(Change::AddDestination {
                    service,
                    destination,
                    settings: of_destination,
                }),
                7 | 8 => Step::Change(Change::SetDestination {
                    service,
                    destination,
                    settings: of_destination,
                }),
                9 | 10 => Step::List(protocol),
                11 | 12 => Step::Again(protocol, vec![client]),
                _ => Step::Connect(protocol, vec![client]),
            }
        },
    );
    let first = protocols.iter().map(move |protocol| {
        Step::Change(Change::AddService {
            service: service(*protocol, site),
            settings: ServiceSettings::new(SchedulerName::RR),
        })
    });
    let first: Vec<_> = first.collect();
    collection::vec(step, 1..60).prop_map(move |rest| first.iter().cloned().chain(rest).collect())
}

/// Takes every step, also on a kernel in memory, and compares what comes of it, and at last what the
/// tables are.
///
/// # Errors
/// The first difference.
pub(crate) async fn agrees_with_memory(
    history: &[Step],
    subject: &mut impl Subject,
) -> Result<(), TestCaseError> {
    let mut memory = Memory::new(subject.site());
    for step in history {
        let is_client = matches!(step, Step::Connect(..) | Step::Again(..));
        if is_client && !subject.counts() {
            continue;
        }
        let mut expected = step.take(&mut memory).await;
        // Packets of a connection whose destination was removed are lost in the kernel and go on in
        // user space: both say so.
        if matches!(step, Step::Again(..)) && expected == "-" {
            continue;
        }
        let mut came = step.take(subject).await;
        if !subject.counts() {
            (came, expected) = (uncounted(&came), uncounted(&expected));
        }
        prop_assert_eq!(came, expected, "{:?} of {:#?}", step, history);
    }
    prop_assert_eq!(
        services(subject).await,
        services(&memory).await,
        "{:#?}",
        history
    );
    Ok(())
}

async fn services(subject: &impl Subject) -> Table {
    let snapshot = subject.backend().snapshot().await;
    let mut table = snapshot.expect("the table can be read").table();
    table.timeouts = None;
    table
}
