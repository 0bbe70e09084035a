//! Changes that the kernel refuses, and a kernel that cannot be asked.

use ipvs::{
    Change, Ownership, ReconcileEvent, Removal, ServiceKey, Table,
    fake::{Fault, Kernel},
};

use super::rig::{Rig, SECOND, WEB, table, web};

#[test]
fn a_refusal_is_told_once_tried_later_and_later_and_the_rest_is_done() {
    let kernel = Kernel::new();
    kernel.unload("sed".parse().unwrap());
    let mut rig = Rig::new(kernel, Ownership::default());
    let text =
        format!("{WEB}-A -t 10.1.0.101:80 -s sed\n-a -t 10.1.0.101:80 -r 10.0.0.1:80 -g -w 1\n");
    rig.desire(&table(&text), Removal::AtOnce);
    rig.run(300 * SECOND);
    assert_eq!(rig.table().services, table(WEB).services);
    let refused = rig.take_events().into_iter();
    let refused = refused.filter(|event| matches!(event, ReconcileEvent::Refused(_)));
    assert_eq!(refused.count(), 1);
    let tried = rig.take_changes().into_iter();
    let tried = tried.filter(|change| matches!(change, Change::AddService { settings, .. } if settings.scheduler.as_str() == "sed"));
    // After 1, 3, 7, 15, 31, 63, 123, 183, 243 seconds.
    assert_eq!(tried.count(), 10);
    // The weight of the others does not wait for it.
    let lighter = text.replace("10.0.0.2:80 -g -w 1", "10.0.0.2:80 -g -w 9");
    rig.desire(&table(&lighter), Removal::AtOnce);
    assert_eq!(
        rig.table().services[&web().0].destinations[&web().1]
            .weight
            .get(),
        9
    );
}

#[test]
fn a_kernel_that_cannot_be_asked_is_told_once_and_asked_later() {
    let kernel = Kernel::new();
    for change in ipvs::plan(&Table::default(), &table(WEB)) {
        kernel.change(change).unwrap();
    }
    let mut rig = Rig::new(kernel, Ownership::default());
    rig.kernel.inject(Fault::HalfDump { rows: 0 });
    rig.desire(&table(WEB), Removal::AtOnce);
    rig.kernel.inject(Fault::HalfDump { rows: 2 });
    rig.run(60 * SECOND);
    assert_eq!(rig.table().services, table(WEB).services);
    let events = rig.take_events();
    assert!(
        matches!(
            events[..],
            [
                ReconcileEvent::Unreachable { .. },
                ReconcileEvent::Reachable,
                ReconcileEvent::Converged
            ]
        ),
        "{events:?}"
    );
}

#[test]
fn what_is_refused_no_longer_is_not_listed_any_more() {
    let kernel = Kernel::new();
    kernel.unload("sed".parse().unwrap());
    let mut rig = Rig::new(kernel, Ownership::default());
    let text = format!("{WEB}-A -t 10.1.0.101:80 -s sed\n");
    rig.desire(&table(&text), Removal::AtOnce);
    rig.run(10 * SECOND);
    assert_eq!(rig.reconciler.refused().count(), 1);
    assert_eq!(rig.take_events().len(), 2);
    // Another weight is no reason to tell it again.
    let lighter = text.replace("10.0.0.2:80 -g -w 1", "10.0.0.2:80 -g -w 9");
    rig.desire(&table(&lighter), Removal::AtOnce);
    assert_eq!(rig.take_events(), [ReconcileEvent::Converged]);
    assert_eq!(rig.reconciler.refused().count(), 1);
    // Somebody else sets up what it could not.
    let service = ServiceKey::tcp("10.1.0.101:80".parse().unwrap());
    let mut settings = table(&text).services[&service].settings;
    settings.scheduler = "rr".parse().unwrap();
    rig.kernel
        .change(Change::AddService { service, settings })
        .unwrap();
    let there = text.replace("sed", "rr");
    rig.desire(&table(&there), Removal::AtOnce);
    assert_eq!(rig.reconciler.refused().count(), 0);
}

#[test]
fn a_change_that_comes_too_late_is_no_refusal() {
    let mut rig = Rig::new(Kernel::new(), Ownership::default());
    rig.desire(&table(WEB), Removal::AtOnce);
    rig.take_events();
    rig.kernel.change(Change::Flush).unwrap();
    let heavier = table(&WEB.replace("-w 1", "-w 2"));
    rig.desire(&heavier, Removal::AtOnce);
    assert_eq!(rig.table().services, heavier.services);
    assert_eq!(rig.take_events(), [ReconcileEvent::Converged]);

    rig.desire(&table(WEB), Removal::AtOnce);
    rig.take_events();
    let more = format!("{WEB}-A -t 10.1.0.101:80 -s rr\n");
    for change in ipvs::plan(&table(WEB), &table(&more)) {
        rig.kernel.change(change).unwrap();
    }
    rig.take_changes();
    rig.desire(&table(&more), Removal::AtOnce);
    assert_eq!(rig.take_changes().len(), 1);
    assert_eq!(rig.take_events(), [ReconcileEvent::Converged]);
    assert_eq!(rig.reconciler.refused().count(), 0);
}
