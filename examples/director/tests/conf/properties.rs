//! Any text can be read.

use proptest::prelude::*;

#[path = "../../../../fuzz/src/conf.rs"]
#[expect(unreachable_pub, reason = "public in the crate of the fuzz targets")]
mod fuzz;

/// Pieces that the language is made of, so that random texts get somewhere.
const PIECES: &[&str] = &[
    "{",
    "}",
    "{",
    "}",
    "\n",
    "\n",
    "\n",
    " ",
    " ",
    "\"",
    "'",
    "\\",
    "#",
    "!",
    "$A",
    "${A}",
    "$B",
    "$A=",
    "$B=",
    "@here ",
    "@^here ",
    "@",
    "~SEQ(A,1,3) ",
    "~SEQx(B,9,12) ",
    "~LST({A,B},{1,2}) ",
    "~SEQ(A,1,2000000000)",
    "${_PWD}",
    "${_RANDOM 1 6}",
    "${_HASH}",
    "include b.conf\n",
    "include *.conf\n",
    "includea {a,b}.conf\n",
    " \\\n",
    "global_defs",
    "vrrp_instance",
    "vrrp_script",
    "vrrp_sync_group",
    "virtual_ipaddress",
    "virtual_ipaddress_excluded",
    "group",
    "interface",
    "eth0",
    "virtual_router_id",
    "priority",
    "state",
    "MASTER",
    "track_script",
    "track_interface",
    "weight",
    "authentication",
    "auth_type PASS",
    "auth_pass",
    "unicast_peer",
    "nopreempt",
    "preempt_delay",
    "advert_int",
    "version",
    "script",
    "notify",
    "192.0.2.1/24",
    "fe80::1",
    "1",
    "51",
    "300",
    "0.5",
    "V",
    "W",
    "virtual_server",
    "virtual_server_group",
    "real_server",
    "group",
    "fwmark",
    "protocol TCP",
    "lb_algo sh",
    "lb_kind",
    "DR",
    "TUN type gue port",
    "FULLNAT",
    "persistence_timeout",
    "persistence_granularity",
    "quorum",
    "sorry_server",
    "10.0.0.1-300",
    "10.0.0.0/8",
    "fd00::/120",
    "80",
    "TCP_CHECK",
    "HTTP_GET",
    "url",
    "path /",
    "status_code 200-",
    "regex",
    "UDP_CHECK",
    "payload 0X",
    "require_reply",
    "lvs_sync_daemon",
    "lvs_timeouts tcp",
    "é",
    "\u{fffd}",
];

fn soup() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(PIECES), 0..120).prop_map(|pieces| {
        // Words need blanks between them most of the time.
        pieces
            .iter()
            .flat_map(|piece| [*piece, " "])
            .collect::<String>()
            .into_bytes()
    })
}

fn glued_soup() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(PIECES), 0..60)
        .prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz::read_any(&bytes);
    }

    #[test]
    fn any_sequence_of_the_languages_pieces_is_read(bytes in soup()) {
        fuzz::read_any(&bytes);
    }

    #[test]
    fn pieces_without_blanks_are_read(bytes in glued_soup()) {
        fuzz::read_any(&bytes);
    }

    #[test]
    fn a_good_file_with_a_byte_changed_is_read(
        at in 0usize..2048,
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = include_bytes!("samples/tutorial-failover.conf").to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        if cut {
            bytes.truncate(at + 1);
        }
        fuzz::read_any(&bytes);
    }
}

#[test]
fn every_beginning_of_a_good_file_is_read() {
    let bytes = include_bytes!("samples/tutorial-director.conf");
    for end in 0..bytes.len() {
        fuzz::read_any(&bytes[..end]);
    }
}
