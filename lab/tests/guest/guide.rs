//! The guide: a reader who types what its chapters say sees what they say.

use std::{collections::BTreeSet, fs};

use lab::guide;

macro_rules! chapters {
    ($($test:ident: $file:literal,)*) => {
        const CHAPTERS: &[&str] = &[$($file),*];

        $(
            #[test]
            #[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
            fn $test() {
                guide::follow($file);
            }
        )*
    };
}

chapters! {
    direct_routing: "direct-routing.md",
    failover: "failover.md",
    nat: "nat.md",
    persistence: "persistence.md",
    save_and_restore: "save-and-restore.md",
    schedulers: "schedulers.md",
    tunnel: "tunnel.md",
    two_directors: "two-directors.md",
}

/// A page of its own, in the form of the guide.
const MIGRATION: &str = "../migrating-from-keepalived.md";

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn migrating_from_keepalived() {
    guide::follow(MIGRATION);
}

#[test]
fn every_chapter_is_followed_and_listed() {
    let found: BTreeSet<_> = fs::read_dir(guide::directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let followed = CHAPTERS.iter().chain([&"README.md"]);
    assert_eq!(found, followed.map(ToString::to_string).collect());

    let index = fs::read_to_string(guide::directory().join("README.md")).unwrap();
    for chapter in CHAPTERS.iter().chain([&MIGRATION]) {
        assert!(index.contains(&format!("]({chapter})")), "{chapter}");
    }
}

#[test]
fn every_chapter_can_be_followed() {
    for chapter in CHAPTERS {
        assert!(!guide::read(chapter).scenes().is_empty(), "{chapter}");
    }
    assert!(guide::read("README.md").scenes().is_empty());
}
