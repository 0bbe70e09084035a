//! Broken files: what is said about each, where, and that nothing else is said.

use director::conf::{
    Code::{self, *},
    MemoryEnvironment, Severity, load,
};

use crate::support::{PATH, instance, loaded, options, said, unmarked};

/// Each text has a mark in front of every place that a diagnostic is expected at, in the order
/// of the codes.
#[track_caller]
pub(crate) fn expect(codes: &[Code], marked: &str) {
    let (text, expected) = unmarked(marked, codes);
    let loaded = loaded(&text);
    assert_eq!(
        said(&loaded.diagnostics, &loaded.sources),
        expected,
        "in\n{marked}"
    );
    let errors = loaded
        .diagnostics
        .iter()
        .any(|d| d.severity == Severity::Error);
    assert_eq!(loaded.config.is_none(), errors);
}

fn each(cases: &[(&[Code], &str)]) {
    for (codes, marked) in cases {
        expect(codes, marked);
    }
}

/// The lines are put into an instance that is good without them.
fn each_in_instance(cases: &[(&[Code], &str)]) {
    for (codes, marked) in cases {
        expect(codes, &instance(marked));
    }
}

#[test]
fn of_words() {
    each(&[
        (&[UnterminatedQuote], "global_defs {\nrouter_id «\"abc\n}"),
        (
            &[UnterminatedQuote],
            "global_defs {\nrouter_id «'it # is'\n}",
        ),
        (&[UnterminatedQuote], "global_defs {\nrouter_id «abc'\n}"),
        (&[BadEscape], "global_defs {\nrouter_id «a\\\n}"),
        (&[BadEscape], "global_defs {\nrouter_id «\\xff\n}"),
        (&[BadCondition], "«@ global_defs { }\n"),
        (&[BadCondition], "«@^ global_defs { }\n"),
    ]);
}

#[test]
fn of_bytes_that_are_not_utf8() {
    let bytes = b"global_defs {\n# \xc5\nrouter_id \xc5\xe4 # \xd6\n}\n".to_vec();
    let machine = MemoryEnvironment::with_file(PATH, bytes);
    let loaded = load(PATH, &machine, &options()).unwrap();
    assert_eq!(
        said(&loaded.diagnostics, &loaded.sources),
        [(NotUtf8, 3, 11)]
    );
}

#[test]
fn each_kind_of_diagnostic_is_among_these() {
    let tests = concat!(
        include_str!("broken.rs"),
        include_str!("broken_balancing.rs"),
        include_str!("language.rs")
    );
    for code in Code::ALL {
        assert!(
            tests.contains(&format!("{code:?}")),
            "no broken file for {code}"
        );
    }
}

#[test]
fn of_definitions() {
    each(&[
        (&[BadDefinition], "«$A = 5\n"),
        (&[BadDefinition], "  «$1A=5\n"),
        (&[BadDefinition], "«$A-B=5\n"),
        (&[ReservedName], "«$_A=5\n"),
        (
            &[BadBuiltIn],
            "global_defs {\nrouter_id a«${_ENV NOPE}\n}\n",
        ),
        (
            &[BadBuiltIn],
            "global_defs {\nrouter_id a«${_RANDOM 6 1}\n}\n",
        ),
        (&[BadBuiltIn], "global_defs {\nrouter_id a«${_FOO 1}\n}\n"),
        (
            &[DefinitionLoop],
            "$A=«$A\nglobal_defs {\nrouter_id $A\n}\n",
        ),
        (
            &[DefinitionLoop],
            "$A=${B}\n$B=«${A}\nglobal_defs {\nrouter_id ${A}x\n}\n",
        ),
        (&[UndefinedName], "global_defs {\nrouter_id «${A}\n}\n"),
        (
            &[UndefinedName],
            "$ID=1\nglobal_defs {\nrouter_id «a$IDS\n}\n",
        ),
        (
            &[WrongValue],
            "$P=«300\nvrrp_instance V {\ninterface e\nvirtual_router_id 1\nvirtual_ipaddress { 1.2.3.4 }\npriority $P\n}\n",
        ),
        (
            &[WrongValue],
            "$P=30\nvrrp_instance V {\ninterface e\nvirtual_router_id 1\nvirtual_ipaddress { 1.2.3.4 }\npriority «${P}0\n}\n",
        ),
        (
            &[WrongValue],
            "$V= \\\nvrrp_instance V { \\\n interface e \\\n virtual_router_id «0${N} \\\n virtual_ipaddress { 1.2.3.4 } \\\n}\n$N=a\n$V\n",
        ),
        (
            &[WrongAddress],
            "vrrp_instance V {\ninterface e\nvirtual_router_id 1\nvirtual_ipaddress {\n1.2.3.3\n~SEQ(I,4,6,255) 1.2.3.$I\n~SEQ(I,256,256) «1.2.3.$I\n}\n}\n",
        ),
    ]);
}

#[test]
fn of_loops() {
    each(&[
        (&[BadLoop], "«~SEQ(I,1,2 a\n"),
        (&[BadLoop], "«~SEQ(I,2,1,0) a\n"),
        (&[BadLoop], "«~SEQ(I,1,0,9) a\n"),
        (&[BadLoop], "«~SEQ(1I,9) a\n"),
        (&[BadLoop], "«~SEQ(I,x) a\n"),
        (&[BadLoop], "«~LST(I) a\n"),
        (&[BadLoop], "«~LST({I,J},{1,2},{3}) a\n"),
        (&[ExpansionTooLarge], "«~SEQ(I,1,2000000000)\n"),
    ]);
}

#[test]
fn of_includes() {
    each(&[
        (&[MissingValue], "«include\n"),
        (&[IncludeMissing], "include «nope.conf\n"),
        (&[IncludeNoMatch], "includea «nope.conf\n"),
        (&[IncludeCycle], "include «keepalived.conf\n"),
        (&[IncludeCycle], "include «*.conf\n"),
        (
            &[IncludeCycle],
            "include «../keepalived/./keepalived.conf\n",
        ),
    ]);
}

#[test]
fn of_braces() {
    each(&[
        (&[UnexpectedBrace], "«{\n}\n"),
        (&[UnexpectedBrace], "global_defs { }\n«}\n"),
        (&[MissingBrace], "«global_defs {\nrouter_id a\n"),
        (
            &[MissingBrace, MissingKeyword],
            "«global_defs {\n«vrrp_script s {\n}\n",
        ),
        // users-ask #2198: routes are not addresses.
        (
            &[MissingBrace, NotYet],
            "vrrp_instance V {\ninterface e\nvirtual_router_id 1\n«virtual_ipaddress {\n1.2.3.4\n\
             «virtual_routes {\n10.0.0.0/8 via 1.2.3.1\n}\n}\n",
        ),
        (
            &[MissingBrace],
            "vrrp_instance V {\ninterface e\nvirtual_router_id 1\n«virtual_ipaddress {\n1.2.3.4\n\
             priority 7\n}\n",
        ),
        // By indentation: the outer `}` is there, the inner one is not.
        (
            &[MissingBrace, Unused],
            "vrrp_instance V {\n  interface e\n  virtual_router_id 1\n  «virtual_ipaddress {\n    \
             1.2.3.4\n}\n«vrrp_script s {\n  script /x\n}\n",
        ),
        (
            &[MissingBrace],
            "«vrrp_instance V {\ninterface e\nvirtual_router_id 1\nvirtual_ipaddress {\n1.2.3.4\n}\n\
             vrrp_instance W {\ninterface e\nvirtual_router_id 2\nvirtual_ipaddress {\n1.2.3.5\n}\n}\n",
        ),
        (
            &[UnexpectedBrace],
            "vrrp_instance V {\ninterface e\nvirtual_router_id 1\n«}\nvirtual_ipaddress {\n1.2.3.4\n\
             }\npriority 5\n}\n",
        ),
    ]);
    expect(&[UnknownKeyword, NestedTooDeep], &deep());
}

/// One block more than may be nested; its words are unknown, which is said of the first.
fn deep() -> String {
    let mut text = String::from("«");
    for _ in 0..32 {
        text.push_str("a { ");
    }
    text.push_str("a «{ ");
    text.push_str(&"} ".repeat(33));
    text
}

#[test]
fn of_keywords() {
    each(&[
        (&[UnknownKeyword], "«vrrp_instances V { }\n"),
        (&[UnknownKeyword], "«foo bar\n"),
        (&[WrongBlock], "«virtual_router_id 5\n"),
        (&[WrongBlock], "global_defs {\n«misc_path /x\n}\n"),
        (&[NotYet], "«bfd_instance b {\nnonsense\n}\n"),
        (&[NotYet], "global_defs {\n«smtp_server 1.2.3.4\n}\n"),
        (&[MissingValue], "«vrrp_instance {\n}\n"),
        (&[MissingValue], "global_defs {\n«router_id\n}\n"),
        (
            &[UnexpectedWord],
            "global_defs {\nenable_script_security «off\n}\n",
        ),
        (&[UnexpectedWord], "global_defs {\nrouter_id a «b c\n}\n"),
        (&[UnexpectedBlock], "global_defs {\nrouter_id a «{\n}\n}\n"),
        (&[MissingBlock], "«global_defs\n"),
        (&[WrongValue], "global_defs {\ninclude_check «foo\n}\n"),
        (&[WrongValue], "global_defs {\nvrrp_version «4\n}\n"),
        (
            &[WrongValue],
            "global_defs {\nvrrp_mcast_group4 «1.2.3.4\n}\n",
        ),
        (
            &[WrongFamily],
            "global_defs {\nvrrp_mcast_group6 «224.0.0.18\n}\n",
        ),
        (&[WrongValue], "global_defs {\nvrrp_min_garp «maybe\n}\n"),
        (
            &[WrongValue],
            "global_defs {\nvrrp_garp_interval «4295\n}\n",
        ),
    ]);
    each_in_instance(&[
        (&[UnknownKeyword], "«virtual_ipadress { 1.2.3.4 }"),
        (&[UnknownKeyword], "«State BACKUP"),
        (&[WrongBlock], "«auth_pass 1111"),
        (&[WrongBlock], "«fall 3"),
        (&[RepeatedKeyword], "priority 1\n«priority 2"),
        (&[Ignored], "«debug 3"),
        (&[NotYet], "«use_vmac"),
        (&[NotYetVital], "«auth_hmac {\nkey 1 a\n}"),
        (&[NotYet], "«track_process {\na\n}"),
        (&[UnknownFile], "track_file {\n«a\n}"),
        (&[EmptyBlock], "«track_script {\n}"),
    ]);
}

#[test]
fn of_values() {
    each_in_instance(&[
        (&[WrongValue], "priority «0"),
        (&[WrongValue], "priority «256"),
        (&[WrongValue], "priority «abc"),
        (&[WrongValue], "state «Master"),
        (&[WrongValue], "state «FAULT"),
        (&[WrongValue], "version «1"),
        (&[WrongValue], "advert_int «0"),
        (&[WrongValue], "advert_int «-1"),
        (&[WrongValue], "«advert_int 0.5"),
        (&[WrongValue], "«advert_int 256"),
        (&[WrongValue], "version 3\n«advert_int 0.005"),
        (&[WrongValue], "version 3\n«advert_int 41"),
        (&[WrongValue], "version 3\n«advert_int 1.234"),
        (&[WrongValue], "preempt_delay «1001"),
        (&[WrongValue], "down_timer_adverts «0"),
        (&[WrongValue], "garp_master_delay «4.5"),
        (&[WrongValue], "garp_master_repeat «0"),
        (&[WrongValue], "lower_prio_no_advert «maybe"),
        (&[WrongValue], "mcast_src_ip «localhost"),
        (&[WrongValue], "mcast_dst_ip «1.2.3.4"),
        (&[WrongValue], "track_interface { «sixteen-bytes-ab }"),
        (&[WrongValue], "track_interface { eth1 weight «254 }"),
        (&[WrongValue], "track_interface { eth1 «eth2 }"),
        (&[MissingValue], "track_interface { eth1 «weight }"),
        (&[UnexpectedBlock], "track_interface { eth1 «{ } }"),
        (
            &[PasswordTooLong],
            "authentication {\nauth_type PASS\nauth_pass «123456789\n}",
        ),
        (
            &[WrongValue],
            "authentication {\nauth_type PASS\nauth_pass «\"\"\n}",
        ),
        (
            &[WrongValue],
            "authentication {\nauth_type «foo\nauth_pass a\n}",
        ),
        (
            &[NotYetVital],
            "authentication {\nauth_type «AH\nauth_pass a\n}",
        ),
        (&[MissingKeyword], "«authentication {\nauth_pass a\n}"),
        (&[MissingKeyword], "«authentication {\nauth_type PASS\n}"),
        (&[WrongScript], "notify_master «\"\""),
        (&[UnterminatedQuote], "notify_master «\"/x 'a\""),
        (&[UnexpectedWord], "notify_master /x a b «c"),
    ]);
}

#[test]
fn of_addresses() {
    each_in_instance(&[
        (&[WrongAddress], "virtual_ipaddress { «192.0.2.256 }"),
        (&[WrongAddress], "virtual_ipaddress { «192.0.2.2/33 }"),
        (&[WrongAddress], "virtual_ipaddress { «192.0.2.2-9 }"),
        (&[WrongAddress], "virtual_ipaddress {\n«priority 5\n}"),
        (&[WrongFamily], "virtual_ipaddress { «fe80::1 }"),
        (&[DuplicateAddress], "virtual_ipaddress { «192.0.2.1 }"),
        (
            &[DuplicateAddress],
            "virtual_ipaddress_excluded { «192.0.2.1 }",
        ),
        (&[WrongValue], "virtual_ipaddress { 192.0.2.2 «192.0.2.3 }"),
        (&[WrongValue], "virtual_ipaddress { 192.0.2.2 scope «foo }"),
        (&[WrongValue], "virtual_ipaddress { 192.0.2.2 brd «foo }"),
        (&[MissingValue], "virtual_ipaddress { 192.0.2.2 «dev }"),
        (&[NotYet], "virtual_ipaddress { 192.0.2.2 «no_track }"),
        (
            &[WrongFamily],
            "virtual_ipaddress_excluded { fe80::1 «brd + }",
        ),
        (&[WrongFamily], "unicast_peer { «fe80::1 }"),
        (&[WrongValue], "unicast_peer { «host }"),
        (&[WrongValue], "unicast_peer { 192.0.2.3 «192.0.2.4 }"),
        (&[WrongValue], "unicast_peer { 192.0.2.3 min_ttl «256 }"),
        (
            &[Conflict],
            "unicast_peer { «192.0.2.3 min_ttl 5 max_ttl 4 }",
        ),
        (&[EmptyBlock, MissingValue], "««unicast_peer { }"),
        (&[WrongFamily], "«mcast_src_ip fe80::1"),
    ]);
}

#[test]
fn of_things_that_contradict_one_another() {
    each_in_instance(&[
        (&[Conflict], "nopreempt\n«preempt_delay 5"),
        (&[MasterState], "state MASTER\npriority 100\n«nopreempt"),
        (
            &[MasterState],
            "state MASTER\npriority 100\n«preempt_delay 5",
        ),
        (&[MasterState], "state MASTER\n«nopreempt"),
        (
            &[NopreemptWeight],
            "«nopreempt\ntrack_interface { eth1 weight 5 }",
        ),
        (
            &[DroppedWeight],
            "priority 255\ntrack_interface { «eth1 weight 5 }",
        ),
        // The priority is not that of an owner, which state MASTER without one means.
        (
            &[UnknownKeyword],
            "state MASTER\n«priorty 100\ntrack_interface { eth1 weight 5 }",
        ),
        (
            &[WrongValue],
            "state MASTER\npriority «1oo\ntrack_interface { eth1 weight 5 }",
        ),
        (&[Unused], "track_interface { «eth0 }"),
        (&[DuplicateEntry], "track_interface {\neth1\n«eth1\n}"),
        (
            &[IgnoredAuthentication],
            "version 3\n«authentication {\nauth_type PASS\nauth_pass a\n}",
        ),
        (&[Conflict], "«native_ipv6"),
        (&[MissingKeyword], "«unicast_src_ip 192.0.2.7"),
        (&[MissingKeyword], "«unicast_ttl 7"),
        (
            &[Conflict],
            "unicast_peer { 192.0.2.7 }\n«mcast_dst_ip 224.0.0.19",
        ),
        (&[UnknownScript], "track_script { «nope }"),
    ]);
    each(&[
        (
            &[MissingKeyword, MissingKeyword, MissingKeyword],
            "«««vrrp_instance V {\n}\n",
        ),
        (
            &[EmptyBlock, MissingKeyword],
            "vrrp_instance V {\ninterface e\nvirtual_router_id 1\n««virtual_ipaddress {\n}\n}\n",
        ),
        (
            &[Conflict],
            "vrrp_instance V {\ninterface e\n«version 2\nvirtual_router_id 1\n\
             virtual_ipaddress { fe80::1 }\n}\n",
        ),
        (&[MissingKeyword], "«vrrp_script s {\ninterval 1\n}\n"),
        (&[Unused], "«vrrp_script s {\nscript /x\n}\n"),
        (&[MissingKeyword], "«vrrp_sync_group G {\n}\n"),
        (
            &[Unused, UnknownInstance],
            "«vrrp_sync_group G {\ngroup { «V }\n}\n",
        ),
    ]);
}

#[test]
fn of_scripts() {
    let tracked = |lines: &str| {
        format!(
            "vrrp_script s {{\n{lines}\n}}\n{}",
            instance("track_script { s }")
        )
    };
    for (codes, lines) in [
        (UnexpectedWord, "script /x «-0 haproxy"),
        (WrongValue, "script /x\ninterval «0"),
        (WrongValue, "script /x\ninterval «1s"),
        (WrongValue, "script /x\nweight «254"),
        (WrongValue, "script /x\nweight 5 «back"),
        (WrongValue, "script /x\nrise «0"),
        (WrongValue, "script /x\nfall «-1"),
        (ScriptTiming, "script /x\ninterval 1\n«timeout 5"),
        (UnexpectedWord, "script /x\nuser a b «c"),
        (MissingValue, "script /x\n«user"),
        (UnexpectedWord, "script /x\ninit_fail «yes"),
        (UnknownKeyword, "script /x\n«intervall 5"),
    ] {
        expect(&[codes], &tracked(lines));
    }
}

#[test]
fn of_several_instances() {
    let other = |vrid: &str, address: &str| {
        format!(
            "vrrp_instance VI_2 {{\ninterface eth0\n{vrid}\nvirtual_ipaddress {{ {address} }}\n}}\n"
        )
    };
    let first = instance("");
    expect(
        &[DuplicateVrid],
        &format!("{first}{}", other("«virtual_router_id 51", "192.0.2.2")),
    );
    expect(
        &[],
        &format!("{first}{}", other("virtual_router_id 51", "fe80::1")),
    );
    expect(
        &[SharedAddress],
        &format!("{first}{}", other("virtual_router_id 5", "«192.0.2.1")),
    );
    expect(
        &[DuplicateName],
        &format!("{first}{}", other("virtual_router_id 5", "192.0.2.2"))
            .replace("vrrp_instance VI_2", "«vrrp_instance VI_1"),
    );
    let second = other("virtual_router_id 5", "192.0.2.2");
    let groups = "vrrp_sync_group G {\ngroup { VI_1 VI_2 }\n}\n\
                  vrrp_sync_group H {\ngroup { «VI_1 «VI_2 }\n}\n";
    expect(&[Conflict, Conflict], &format!("{first}{second}{groups}"));
    let groups = "vrrp_sync_group G {\ngroup { VI_1 VI_2 «VI_1 }\n«global_tracking\n}\n";
    expect(
        &[DuplicateEntry, DeprecatedKeyword],
        &format!("{first}{second}{groups}"),
    );
}

#[test]
fn what_is_tolerated_leniently_is_a_warning() {
    let text = instance("use_vmac\npriority 5 6\nnotify_master /x a b c");
    let machine = MemoryEnvironment::with_file(PATH, text);
    let mut lenient = options();
    lenient.lenient = true;
    let loaded = load(PATH, &machine, &lenient).unwrap();
    let codes: Vec<_> = loaded.diagnostics.iter().map(|d| d.code).collect();
    assert_eq!(codes, [NotYet, UnexpectedWord, UnexpectedWord]);
    let router = &loaded.config.expect("only warnings").instances[0].router;
    assert_eq!(router.priority.as_u8(), 5);
}
