use std::time::Instant;

use super::*;
use crate::text::parse_table;

/// What makes a table of nothing, in the words of `nft`.
fn rules(saved: &str) -> String {
    let at = now();
    let snapshot = snapshot_of(saved, at);
    commands(
        "takeover",
        &Found::default(),
        &Ruleset::default(),
        &Ruleset::of(&snapshot, at),
    )
}

fn snapshot_of(saved: &str, at: Instant) -> Snapshot {
    let mut plane = Plane::new();
    for change in crate::plan(&crate::Table::default(), &parse_table(saved).unwrap()) {
        plane.apply(&change, at).unwrap();
    }
    plane.running
}

#[test]
fn a_service_is_a_chain_that_leads_to_those_of_its_destinations() {
    let text = rules(
        "-A -t 10.1.0.100:80 -s wrr\n\
         -a -t 10.1.0.100:80 -r 10.0.0.1:8080 -m -w 20\n\
         -a -t 10.1.0.100:80 -r 10.0.0.2:8080 -m -w 10\n",
    );
    let (_, services) = text.split_once("icmp").unwrap_or(("", &text));
    for line in [
        "add chain inet takeover tcp-10.1.0.100-80-to-10.0.0.1-8080 ",
        "add rule inet takeover tcp-10.1.0.100-80-to-10.0.0.1-8080 meta l4proto tcp counter packets \
         0 bytes 0 dnat ip to 10.0.0.1:8080 comment \"-a -t 10.1.0.100:80 -r 10.0.0.1:8080 -m -w 20\"",
        "add rule inet takeover tcp-10.1.0.100-80 counter packets 0 bytes 0 comment \"-A -t \
         10.1.0.100:80 -s wrr\"",
        "add element inet takeover services4 { 10.1.0.100 . tcp . 80 : goto tcp-10.1.0.100-80 }",
        "add element inet takeover services4_known { 10.1.0.100 . tcp . 80 }",
    ] {
        assert!(services.lines().any(|it| it == line), "{line}\n{services}");
    }
    let chosen = services.lines().find(|it| it.contains("numgen")).unwrap();
    assert!(chosen.contains("numgen inc mod 3 vmap"), "{chosen}");
    assert_eq!(chosen.matches("to-10.0.0.1-8080").count(), 2);
}

#[test]
fn persistent_clients_are_looked_for_before_anything_is_chosen() {
    let text = rules(
        "-A -t [fd00::100]:80 -s rr -p 300 -M 64\n\
         -a -t [fd00::100]:80 -r [fd00::1]:80 -m\n",
    );
    let service: Vec<_> = text
        .lines()
        .filter_map(|it| it.strip_prefix("add rule inet takeover tcp-fd00__100-80 "))
        .collect();
    let chain = "tcp-fd00__100-80-to-fd00__1-80";
    assert_eq!(
        service[1..],
        [
            format!("ip6 saddr & ffff:ffff:ffff:ffff:: @of-{chain} goto {chain}"),
            format!("goto {chain}"),
        ]
    );
    assert!(text.contains(&format!(
        "add rule inet takeover {chain} update @of-{chain} {{ ip6 saddr & ffff:ffff:ffff:ffff:: \
         timeout 300s }}"
    )));
}

#[test]
fn nobody_answers_in_the_place_of_a_drained_server_that_hashes_keep() {
    let saved = |flags| {
        format!(
            "-A -t 10.1.0.100:80 -s sh{flags}\n\
             -a -t 10.1.0.100:80 -r 10.0.0.1:80 -m -w 0\n\
             -a -t 10.1.0.100:80 -r 10.0.0.2:80 -m\n\
             -a -t 10.1.0.100:80 -r 10.0.0.3:80 -m\n"
        )
    };
    let text = rules(&saved(""));
    assert!(text.contains("jhash ip saddr mod 3 "), "{text}");
    assert!(
        !text.contains("goto tcp-10.1.0.100-80-to-10.0.0.1-80"),
        "{text}"
    );
    let text = rules(&saved(" -b sh-fallback,sh-port"));
    assert!(text.contains("jhash ip saddr . th sport mod 2 "), "{text}");
}

#[test]
fn a_maglev_place_changes_for_its_own_server_alone() {
    let at = now();
    let slots = |weight: u32| {
        let saved = format!(
            "-A -t 10.1.0.100:80 -s mh\n\
             -a -t 10.1.0.100:80 -r 10.0.0.1:80 -m -w {weight}\n\
             -a -t 10.1.0.100:80 -r 10.0.0.2:80 -m\n\
             -a -t 10.1.0.100:80 -r 10.0.0.3:80 -m\n"
        );
        let snapshot = snapshot_of(&saved, at);
        slots::Slots::of(&snapshot.services[0], at).unwrap().slots
    };
    let (all, drained) = (slots(1), slots(0));
    let leaving = "10.0.0.1:80".parse().unwrap();
    assert_eq!(all.len(), 251);
    assert!(!drained.contains(&Some(leaving)));
    for (before, after) in all.iter().zip(&drained) {
        assert!(before == after || *before == Some(leaving));
    }
    let share = all.iter().filter(|it| **it == Some(leaving)).count();
    assert!((55..115).contains(&share), "about a third: {share}");
}

#[test]
fn what_cannot_be_done_is_refused_with_what_to_do() {
    let at = now();
    let mut plane = Plane::new();
    let mut refused = |words: &str| {
        let words: Vec<_> = words.split(' ').collect();
        let change = crate::text::parse_words(&words).unwrap();
        make(&mut plane, &change, at).map_err(|reason| reason.to_string())
    };
    refused("-A -t 10.1.0.100:80 -s rr").unwrap();
    for (change, told) in [
        ("-E -t 10.1.0.100:80 -s wlc", "does not count connections"),
        ("-A -u 10.1.0.100:80 -s rr -o", "leave -o out"),
        ("-A -u 10.1.0.100:80 -s rr -p 9 --pe sip", "leave --pe out"),
        ("-a -t 10.1.0.100:80 -r 10.0.0.1:80 -g", "by NAT (-m)"),
        (
            "-a -t 10.1.0.100:80 -r 10.0.0.1:80 -m -x 9",
            "leave the thresholds out",
        ),
        ("--set 1 2 3", "nf_conntrack"),
        // What the kernel refuses anyhow has its reason.
        ("-E -t 10.1.0.101:80 -s wlc", "there is no such service"),
        ("-A -t 10.1.0.100:80 -s wlc", "is there already"),
        ("-E -t 10.1.0.100:80 -s nope", "no scheduler `nope`"),
    ] {
        let error = refused(change).unwrap_err();
        assert!(error.contains(told), "{change}: {error}");
    }
}

#[test]
fn a_table_of_others_is_known_by_what_is_not_in_it() {
    let read = |objects: &str| Found::read(&format!("{{\"nftables\": [{objects}]}}")).unwrap();
    assert!(!read("").is_foreign());
    assert!(!read(r#"{"table": {"family": "inet", "name": "takeover"}}"#).is_foreign());
    assert!(read(r#"{"chain": {"name": "input"}}"#).is_foreign());
    assert!(!read(r#"{"chain": {"name": "dispatch"}}"#).is_foreign());
    assert_eq!(Found::read("nothing"), None);
    assert_eq!(Found::read(r#"{"nftables": [{"chain": {}}]}"#), None);
}

#[test]
fn a_table_is_named_as_nft_takes_it() {
    assert!(NftablesBackend::in_table("blue-green_2").is_some());
    for name in ["", "2nd", "a b", "a;flush ruleset", "a\n", &"a".repeat(129)] {
        assert!(NftablesBackend::in_table(name).is_none(), "{name}");
    }
}
