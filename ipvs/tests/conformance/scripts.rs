//! What has to come of what, told step by step.

/// What a backend has to do beside what all of them do, to follow a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Nothing,
    /// It schedules by numbers of connections.
    Connections,
    /// Its hashes are those of the kernel's IPVS.
    Hashes,
}

/// Each begins with an empty table.
pub(crate) const SCRIPTS: [(&str, Needs); 12] = [
    (REFUSALS, Needs::Nothing),
    (ROUND_ROBIN, Needs::Nothing),
    (WEIGHTED_ROUND_ROBIN, Needs::Nothing),
    (LEAST_CONNECTIONS, Needs::Connections),
    (WEIGHTED_LEAST_CONNECTIONS, Needs::Connections),
    (SOURCE_HASHING, Needs::Hashes),
    (OVERFLOW, Needs::Connections),
    (DRAINED, Needs::Nothing),
    (REMOVED, Needs::Nothing),
    (THRESHOLDS, Needs::Connections),
    (PERSISTENCE, Needs::Nothing),
    (DATAGRAMS, Needs::Nothing),
];

const REFUSALS: &str = "
    -a -t VIP -r RS1 -m ! NoSuchService
    -E -t VIP -s wrr ! NoSuchService
    -D -t VIP ! NoSuchService
    -Z -t VIP ! NoSuchService
    -A -t VIP -s nope ! NoScheduler
    -A -t VIP -s rr
    -A -t VIP -s rr ! ServiceExists
    -E -t VIP -s nope ! NoScheduler
    -e -t VIP -r RS1 -m ! NoSuchDestination
    -d -t VIP -r RS1 ! NoSuchDestination
    -a -t VIP -r RS1 -m
    -a -t VIP -r RS1 -m -w 3 ! DestinationExists
    list -> 1:w1:0/0
    -D -t VIP
    list -> absent
    -C
";

const ROUND_ROBIN: &str = "
    -A -t VIP -s rr
    tcp 1 -> -
    -a -t VIP -r RS1 -m
    -a -t VIP -r RS2 -m
    -a -t VIP -r RS3 -m
    list -> 3:w1:0/0 2:w1:0/0 1:w1:0/0
    tcp 1 2 3 4 -> 3 2 1 3
    list -> 3:w1:2/0 2:w1:1/0 1:w1:1/0
    again tcp 4 3 2 1 -> 3 1 2 3
";

const WEIGHTED_ROUND_ROBIN: &str = "
    -A -t VIP -s wrr
    -a -t VIP -r RS1 -m -w 3
    -a -t VIP -r RS2 -m -w 1
    tcp 1 2 3 4 5 6 7 8 -> 2 1 1 1 2 1 1 1
    -e -t VIP -r RS1 -m -w 1
    tcp 1 2 3 4 -> 2 1 2 1
    -E -t VIP -s rr
    tcp 1 2 3 4 -> 2 1 2 1
";

const LEAST_CONNECTIONS: &str = "
    -A -t VIP -s lc
    -a -t VIP -r RS1 -m
    -a -t VIP -r RS2 -m -w 9
    tcp 1 2 3 -> 2 1 2
    -a -t VIP -r RS3 -m
    tcp 4 5 6 -> 3 3 1
";

const WEIGHTED_LEAST_CONNECTIONS: &str = "
    -A -t VIP -s wlc
    -a -t VIP -r RS1 -m -w 1
    -a -t VIP -r RS2 -m -w 3
    tcp 1 2 3 4 5 6 7 8 -> 2 1 2 2 2 1 2 2
    list -> 2:w3:6/0 1:w1:2/0
    -E -t VIP -s sed
    tcp 1 2 3 -> 2 2 2
    -E -t VIP -s nq
    tcp 1 2 3 -> 1 2 2
";

const SOURCE_HASHING: &str = "
    -A -t VIP -s sh
    -a -t VIP -r RS1 -m
    -a -t VIP -r RS2 -m
    -a -t VIP -r RS3 -m
    tcp 1 2 3 4 5 1 2 3 4 5 -> 2 3 1 3 2 2 3 1 3 2
    -e -t VIP -r RS2 -m -w 0
    tcp 1 2 3 4 5 -> - 3 1 3 -
    -E -t VIP -s sh -b sh-fallback
    tcp 1 2 3 4 5 -> 1 3 1 3 1
    -e -t VIP -r RS2 -m -w 1
    -E -t VIP -s mh
    tcp 1 2 3 4 5 1 2 3 4 5 -> 2 3 1 1 2 2 3 1 1 2
    -E -t VIP -s dh
    tcp 1 2 3 4 5 -> 1 1 1 1 1
";

const OVERFLOW: &str = "
    -A -t VIP -s fo
    -a -t VIP -r RS1 -m -w 1
    -a -t VIP -r RS2 -m -w 2
    tcp 1 2 3 -> 2 2 2
    -E -t VIP -s ovf
    tcp 4 5 6 -> 1 1 -
    -e -t VIP -r RS2 -m -w 5
    tcp 5 -> 2
";

const DRAINED: &str = "
    -A -t VIP -s rr
    -a -t VIP -r RS1 -m
    -a -t VIP -r RS2 -m
    tcp 1 2 -> 2 1
    -e -t VIP -r RS2 -m -w 0
    tcp 3 4 -> 1 1
    again tcp 1 -> 2
    -e -t VIP -r RS1 -m -w 0
    tcp 5 -> -
    again tcp 1 2 3 4 -> 2 1 1 1
    list -> 2:w0:1/0 1:w0:3/0
";

const REMOVED: &str = "
    -A -t VIP -s rr
    -a -t VIP -r RS1 -m
    -a -t VIP -r RS2 -m
    tcp 1 2 -> 2 1
    -d -t VIP -r RS2
    list -> 1:w1:1/0
    tcp 3 -> 1
    -a -t VIP -r RS2 -m -w 2
    again tcp 1 2 3 -> 2 1 1
    list -> 2:w2:1/0 1:w1:2/0
    -D -t VIP
    -A -t VIP -s rr
    -a -t VIP -r RS2 -m
    again tcp 1 -> 2
    tcp 4 -> 2
";

const THRESHOLDS: &str = "
    -A -t VIP -s rr
    -a -t VIP -r RS1 -m -x 2 -y 1
    -a -t VIP -r RS2 -m -x 1
    tcp 1 2 3 4 -> 2 1 1 -
    again tcp 1 2 3 -> 2 1 1
    -e -t VIP -r RS2 -m -x 3
    tcp 4 5 6 -> 2 2 -
";

const PERSISTENCE: &str = "
    -A -t VIP -s rr -p 300
    -a -t VIP -r RS1 -m
    -a -t VIP -r RS2 -m
    tcp 1 1 2 1 2 -> 2 2 1 2 1
    -e -t VIP -r RS2 -m -w 0
    tcp 1 3 -> 2 1
    -E -t VIP -s rr -p 300 -M 255.255.255.0
    tcp 4 5 6 -> 1 1 1
";

const DATAGRAMS: &str = "
    -A -u VIP -s rr
    -a -u VIP -r RS1 -m
    -a -u VIP -r RS2 -m
    udp 1 2 3 -> 2 1 2
    again udp 1 2 3 1 -> 2 1 2 2
    list udp -> 2:w1:0/2 1:w1:0/1
    -A -t VIP -s rr
    -a -t VIP -r RS3 -m
    tcp 1 -> 3
    again udp 1 -> 2
";
