//! Command lines that do something else than with ipvsadm 1.31, and why.

/// On purpose.
pub(crate) const OURS: &[(&str, &str)] = &[
    (
        "-A -t 10.1.0.101:80 -p -M 64",
        "a mask of IPv4 has four numbers: ipvsadm takes 64 for 0.0.0.64",
    ),
    (
        "-E -t 10.1.0.101:80 -s rr -M 64 -p",
        "a mask of IPv4 has four numbers: ipvsadm takes 64 for 0.0.0.64",
    ),
    (
        "-A -t 10.1.0.101:80 --pe sip",
        "an engine has no effect without persistence: it is left out, and said so",
    ),
    (
        "-A -f 4294967295",
        "great marks are not negative: ipvsadm would not restore what it saves",
    ),
    (
        "-A -t 10.1.0.101:80 -s mh -b mh-port,flag-3",
        "a flag that is set is listed",
    ),
    (
        "--set 2147484 0 0",
        "kernels whose tick is a millisecond refuse it, so all do",
    ),
    (
        "--set -1 0 0",
        "a negative timeout is not an unknown option",
    ),
    (
        "--start-daemon master --start-daemon backup",
        "the second command is what is invalid, not its argument",
    ),
    ("-L --syncid 3", "an option without effect is refused"),
    (
        "-A -t 10.1.0.101:80 -s sh -b sh-port,,flag-1",
        "a flag has a name",
    ),
    (
        "-A -t 010.1.0.101:80",
        "four numbers without 0 in front: ipvsadm takes 010 for 8",
    ),
    (
        "-A -t 10.1:80",
        "four numbers: ipvsadm takes 10.1 for 10.0.0.1",
    ),
    (
        "-A -t 167837797:80",
        "four numbers: ipvsadm takes 167837797 for 10.1.0.101",
    ),
    (
        "-A -t [localhost]:81",
        "brackets ask for the IPv6 address of a name",
    ),
    (
        "-A -t [vip6.example.org]:81",
        "brackets ask for the IPv6 address of a name",
    ),
    (
        "-A -t vip6.example.org:81",
        "a name that has only an IPv6 address means that",
    ),
];

/// Because the kernel in memory does not know what the real one does.
pub(crate) const IN_MEMORY: &[(&str, &str)] = &[
    ("-A -u 10.1.0.101:5060 -p --pe nope", "persistence engines"),
    ("--start-daemon master", "interfaces"),
    ("--start-daemon master --mcast-interface nope", "interfaces"),
    (
        "--start-daemon backup --mcast-interface lo --syncid 5",
        "lengths of datagrams of interfaces",
    ),
    (
        "--start-daemon=backup --mcast-interface=lo",
        "lengths of datagrams of interfaces",
    ),
    (
        "--start-daemon master --mcast-interface lo --mcast-group ff02::81",
        "addresses of interfaces",
    ),
    (
        "-a -t 10.1.0.100:80 -r fe80::1 -i",
        "link-local addresses of others",
    ),
];
