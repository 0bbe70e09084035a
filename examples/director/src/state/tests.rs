use std::{num::NonZeroU32, os::unix::fs::PermissionsExt};

use health::{AskedWeight, Health};
use ipvs::{Family, Protocol, ServiceKey, SyncRole};
use proptest::{collection, option, prelude::*, sample};

use super::{file::ReadError, *};
use crate::{
    balance::OrderedWeight,
    conf::model::{Apart, VirtualServerName, VirtualServerSubject},
};

const NOW: Duration = Duration::from_secs(1_800_000_000);

fn member() -> impl Strategy<Value = MemberName> {
    let address = any::<(std::net::IpAddr, u16)>();
    let subject = prop_oneof![
        address.prop_map(|(address, port)| {
            VirtualServerSubject::Address(ipvs::Endpoint { address, port })
        }),
        any::<NonZeroU32>().prop_map(VirtualServerSubject::Fwmark),
        "\\PC{1,20}".prop_map(|name| VirtualServerSubject::Group(name.into())),
    ];
    let of = option::of(prop_oneof![
        sample::select(&[Protocol::Tcp, Protocol::Udp, Protocol::Sctp][..])
            .prop_map(Apart::Protocol),
        sample::select(&[Family::V4, Family::V6][..]).prop_map(Apart::Family),
    ]);
    let virtual_server = (subject, of).prop_map(|(subject, of)| VirtualServerName { subject, of });
    let server = any::<(std::net::IpAddr, Option<u16>)>();
    (virtual_server, server).prop_map(|(virtual_server, (address, port))| MemberName {
        virtual_server,
        real_server: crate::balance::RealServerName { address, port },
    })
}

fn known() -> impl Strategy<Value = KnownCheck> {
    let weight = prop_oneof![
        any::<u32>().prop_map(AskedWeight::Exactly),
        any::<i32>().prop_map(AskedWeight::Change),
    ];
    (any::<u64>(), any::<bool>(), option::of(weight)).prop_map(|(number, up, weight)| {
        let fingerprint = serde_json::from_value(number.into()).unwrap();
        let mut standing = Standing::new(if up { Health::Up } else { Health::Down });
        standing.weight = weight;
        KnownCheck::new(fingerprint, standing)
    })
}

fn order() -> impl Strategy<Value = Order> {
    (option::of(0..=65_535_u32), any::<bool>()).prop_map(|(weight, disabled)| Order {
        weight: weight.map(|weight| OrderedWeight::new(weight).unwrap()),
        disabled,
    })
}

prop_compose! {
    fn state()(
        checks in collection::vec((member(), 0..5_usize, known()), 0..9),
        orders in collection::btree_map(member(), order(), 0..9),
        services in collection::btree_set(any::<(std::net::Ipv4Addr, u16)>(), 0..9),
        marks in collection::btree_set(any::<(NonZeroU32, bool)>(), 0..9),
        master in any::<bool>(),
    ) -> State {
        let checks = checks
            .into_iter()
            .map(|(name, number, known)| {
                let MemberName { virtual_server, real_server } = name;
                (CheckName { virtual_server, real_server, number }, known)
            })
            .collect();
        let services = services.into_iter().map(|(address, port)| {
            ServiceKey::tcp(ipvs::Endpoint { address: address.into(), port })
        });
        let marks = marks.into_iter().map(|(mark, v6)| ServiceKey::Fwmark {
            mark,
            family: if v6 { Family::V6 } else { Family::V4 },
        });
        let mut owned = Ownership::default();
        owned.services = services.chain(marks).collect();
        owned.daemons = master.then_some(SyncRole::Master).into_iter().collect();
        State { checks, orders, owned }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(state in state(), age in 0..=60_u64) {
        let text = state.to_bytes(NOW).unwrap();
        let age = Duration::from_secs(age);
        prop_assert_eq!(State::from_bytes(&text, NOW + age).unwrap(), (state, Ok(age)));
    }

    #[test]
    fn garbage_is_refused(text in collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(State::from_bytes(&text, NOW).is_err());
    }

    #[test]
    fn a_damaged_text_hurts_nobody(
        state in state(),
        at in any::<sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let mut text = state.to_bytes(NOW).unwrap();
        let at = at.index(text.len());
        text[at] = byte;
        if cut {
            text.truncate(at);
        }
        // It may mean something still, such as another weight; what is cut off never does.
        let read = State::from_bytes(&text, NOW);
        prop_assert!(!cut || read.is_err());
    }
}

fn refusal(text: &str) -> String {
    crate::log::chain(&State::from_bytes(text.as_bytes(), NOW).unwrap_err())
}

#[test]
fn of_an_old_one_what_checks_knew_is_not_believed_and_the_rest_is() {
    let known = r#"{"version":1,"written_at":100,"checks":[{"virtual_server":"10.1.0.100 80",
        "real_server":"10.0.0.1:80","number":0,"fingerprint":1,"up":false}],
        "orders":[{"virtual_server":"10.1.0.100 80","real_server":"10.0.0.1:80","disabled":true}],
        "owned":["-D -t 10.1.0.100:80"]}"#;
    let at = |now: u64| {
        let read = State::from_bytes(known.as_bytes(), Duration::from_secs(now));
        let (state, age) = read.unwrap();
        assert_eq!((state.orders.len(), state.owned.services.len()), (1, 1));
        (state.checks.len(), age.map_err(|it| it.to_string()))
    };
    assert_eq!(at(160), (1, Ok(Duration::from_secs(60))));
    let old = String::from("it is 61 s old, more than 60 s");
    assert_eq!(at(161), (0, Err(old)));
    let future = String::from("it is from the future: the clock was set back");
    assert_eq!(at(99), (0, Err(future)));
}

#[test]
fn one_of_another_version_or_without_a_meaning_is_refused_with_its_reason() {
    assert_eq!(
        refusal(r#"{"version":2,"anything":"else"}"#),
        "it has version 2, and this daemon reads version 1"
    );
    let owned = |owned: &str| {
        format!(
            r#"{{"version":1,"written_at":1800000000,"checks":[],"orders":[],"owned":["{owned}"]}}"#
        )
    };
    assert_eq!(refusal(&owned("-C")), "it is broken: `-C` means nothing");
    assert!(State::from_bytes(owned("-D -t 10.1.0.100:80").as_bytes(), NOW).is_ok());
    assert!(refusal("{}").starts_with("it is broken: missing field `version`"));
}

#[test]
fn a_file_is_private_replaced_whole_and_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    assert!(file::read(&path).unwrap().is_none());
    // Left behind by one that was killed; whoever put a link there gets nothing through it.
    let elsewhere = directory.path().join("elsewhere");
    std::os::unix::fs::symlink(&elsewhere, file::beside(&path, ".new")).unwrap();
    for text in ["first", "second"] {
        file::write(&path, text.as_bytes()).unwrap();
        assert_eq!(file::read(&path).unwrap().as_deref(), Some(text.as_bytes()));
    }
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    file::remove(&path).unwrap();
    file::remove(&path).unwrap();
    assert!(file::read(&path).unwrap().is_none());
}

#[test]
fn a_file_that_somebody_else_may_have_written_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    std::fs::write(&path, "text").unwrap();
    let mode = |mode| std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    mode(0o620);
    let refused = file::read(&path).unwrap_err();
    assert!(matches!(
        refused,
        ReadError::WritableByOthers { mode: 0o620 }
    ));
    mode(0o600);
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(matches!(file::read(&link), Err(ReadError::Io(_))));
    assert!(matches!(
        file::read(directory.path()),
        Err(ReadError::NotAFile)
    ));
    let huge = std::fs::File::options().write(true).open(&path).unwrap();
    huge.set_len((64 << 20) + 1).unwrap();
    assert!(matches!(file::read(&path), Err(ReadError::TooLong)));
}
