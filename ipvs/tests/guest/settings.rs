//! Every kind of service, destination, flag and daemon, written by one and read by the other.

use std::process::Command;

use ipvs::{
    Change, DestinationSettings, Forwarding, IpvsBackend as _, ServiceKey, SyncDaemon, SyncRole,
    Table,
    text::{Columns, Dialect, ListOptions, Names, Order, list, list_daemons, list_timeouts, save},
};

use super::{
    bring, in_kernel, ipvsadm, ipvsadm_with, make, parsed, table, without_what_ipvsadm_loses,
};

/// All but twos, which the guest's kernel does not have.
const SCHEDULERS: [&str; 13] = [
    "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf",
];

/// Every service and flag that ipvsadm has an option for.
fn services() -> String {
    let mut text = String::new();
    for (port, scheduler) in (1000..).zip(SCHEDULERS) {
        text += &format!("-A -t 10.1.0.1:{port} -s {scheduler}\n");
    }
    text + "\
        -A -u 10.1.0.2:53 -s rr -o\n\
        -A -u 10.1.0.2:5060 -s rr -p 60 --pe sip\n\
        -A --sctp-service 10.1.0.2:80 -s wlc\n\
        -A -t [fd00::1]:80 -s wlc\n\
        -A -u [fd00::1]:53 -s rr -p 300 -M 64\n\
        -A --sctp-service [fd00::1]:80 -s rr\n\
        -A -t 10.1.0.3:0 -s rr -p 1\n\
        -A -t 10.1.0.3:1 -s rr -p 2678400 -M 255.255.255.0\n\
        -A -t 10.1.0.3:2 -s sh -b sh-fallback\n\
        -A -t 10.1.0.3:3 -s sh -b sh-port\n\
        -A -t 10.1.0.3:4 -s mh -b mh-fallback,mh-port\n\
        -A -t 10.1.0.3:5 -s rr -b flag-1,flag-2,flag-3\n\
        -A -t 255.1.0.3:5 -s rr\n\
        -A -f 1 -s rr -o\n\
        -A -f 1 -6 -s rr -p 60 -M 128\n\
        -A -f 2147483647 -s rr -p 60 -M 255.0.0.0\n"
}

/// Every way to a destination that ipvsadm has an option for, with weights and thresholds.
const DESTINATIONS: &str = "\
    -A -t 10.1.0.9:80 -s wrr\n\
    -a -t 10.1.0.9:80 -r 10.0.0.1:8080 -m\n\
    -a -t 10.1.0.9:80 -r 10.0.0.2:80 -g -w 0\n\
    -a -t 10.1.0.9:80 -r 10.0.0.3:80 -i -w 65535\n\
    -a -t 10.1.0.9:80 -r 10.0.0.4:80 -i --tun-type gue --tun-port 6080 --tun-nocsum\n\
    -a -t 10.1.0.9:80 -r 10.0.0.5:80 -i --tun-type gue --tun-port 1 --tun-csum\n\
    -a -t 10.1.0.9:80 -r 10.0.0.6:80 -i --tun-type gue --tun-port 65535 --tun-remcsum\n\
    -a -t 10.1.0.9:80 -r 10.0.0.7:80 -i --tun-type gre --tun-nocsum\n\
    -a -t 10.1.0.9:80 -r 10.0.0.8:80 -i --tun-type gre --tun-csum\n\
    -a -t 10.1.0.9:80 -r [fd00::9]:80 -i\n\
    -a -t 10.1.0.9:80 -r 10.0.0.10:1 -m -x 2147483647 -y 2147483647\n\
    -a -t 10.1.0.9:80 -r 200.0.0.11:65535 -m -x 5\n\
    -A -t [fd00::9]:80 -s wrr\n\
    -a -t [fd00::9]:80 -r [fd00::10]:8080 -m -w 7 -x 9 -y 3\n\
    -a -t [fd00::9]:80 -r 10.0.0.12:80 -i\n\
    -A -f 9 -s rr\n\
    -a -f 9 -r 10.0.0.13:0 -g\n\
    -a -f 9 -r 10.0.0.14:81 -m\n";

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn what_we_write_is_read_by_us_and_by_ipvsadm() {
    in_kernel(async |kernel| {
        let mut desired = parsed(&(services() + DESTINATIONS));
        let web = ServiceKey::tcp("10.1.0.9:80".parse().unwrap());
        let mut add = |destination: &str, forwarding| {
            let settings = DestinationSettings::new(forwarding);
            let added = desired.add_destination(web, destination.parse().unwrap(), settings);
            added.unwrap();
        };
        add("10.0.0.21:80", Forwarding::Local);
        add("10.0.0.22:80", Forwarding::Bypass);
        bring(&kernel, &desired).await;
        assert_eq!(table(&kernel).await.services, desired.services);

        // ipvsadm has no word for it and writes `(null)`.
        let destination = "10.0.0.22:80".parse().unwrap();
        make(
            &kernel,
            &[Change::RemoveDestination {
                service: web,
                destination,
            }],
        )
        .await;
        let read = table(&kernel).await;
        let saved = ipvsadm(&["-Sn"]);
        assert_eq!(saved, save(&read, Dialect::Ipvsadm, &Names::default()));
        assert_eq!(parsed(&saved), without_what_ipvsadm_loses(read));
        for (option, columns) in [
            (None, Columns::Plain),
            (Some("--thresholds"), Columns::Thresholds),
            (Some("--persistent-conn"), Columns::PersistentConn),
            (Some("--tun-info"), Columns::TunInfo),
            (Some("--stats"), Columns::Stats),
            (Some("--rate"), Columns::Rate),
        ] {
            let snapshot = kernel.snapshot().await.unwrap();
            for (nosort, order) in [(None, Order::Ipvsadm), (Some("--nosort"), Order::Kernel)] {
                let arguments: Vec<_> = [Some("-Ln"), option, nosort]
                    .into_iter()
                    .flatten()
                    .collect();
                let options = ListOptions {
                    columns,
                    order,
                    exact: false,
                };
                let ours = list(&snapshot, &options, &Names::default());
                assert_eq!(ipvsadm(&arguments), ours, "{arguments:?}");
            }
        }
    });
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn what_ipvsadm_writes_is_read_by_us() {
    in_kernel(async |kernel| {
        let text = services() + DESTINATIONS;
        ipvsadm_with(&["-R"], &text);
        let read = table(&kernel).await;
        assert_eq!(read.services, parsed(&text).services);
        // What is set up already is not touched.
        let complete = save(&read, Dialect::Complete, &Names::default());
        assert_eq!(ipvs::plan(&read, &parsed(&complete)), []);
    });
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn everything_of_a_service_and_a_destination_can_be_edited() {
    in_kernel(async |kernel| {
        let before = parsed(
            "-A -t 10.1.0.9:80 -s rr -p 60 -M 255.255.255.0 -b flag-3\n\
             -a -t 10.1.0.9:80 -r 10.0.0.1:80 -i --tun-type gue --tun-port 6080 --tun-csum -w 3 -x 9 -y 3\n\
             -A -u 10.1.0.9:53 -s mh -b mh-port -o\n",
        );
        let after = parsed(
            "-A -t 10.1.0.9:80 -s sh -b sh-port\n\
             -a -t 10.1.0.9:80 -r 10.0.0.1:80 -m -w 1\n\
             -A -u 10.1.0.9:53 -s wlc -p 60\n",
        );
        for desired in [&before, &after, &before] {
            bring(&kernel, desired).await;
            assert_eq!(table(&kernel).await.services, desired.services);
        }
    });
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn timeouts_and_daemons_are_what_ipvsadm_says() {
    in_kernel(async |kernel| {
        let ip =
            "link add d0 type dummy; addr add 192.0.2.1/24 dev d0; link set d0 up multicast on";
        for line in ip.split("; ") {
            assert!(
                Command::new("ip")
                    .args(line.split(' '))
                    .status()
                    .unwrap()
                    .success(),
                "{line}"
            );
        }
        let desired = parsed(
            "--set 1 20 2147483\n\
             --start-daemon master --mcast-interface d0 --syncid 255 --sync-maxlen 1000 \
             --mcast-group 224.0.0.99 --mcast-port 1 --mcast-ttl 255\n\
             --start-daemon backup --mcast-interface d0 --syncid 7\n",
        );
        bring(&kernel, &desired).await;
        let snapshot = kernel.snapshot().await.unwrap();
        assert_eq!(ipvs::plan(&snapshot.table(), &desired), []);
        assert_eq!(snapshot.table().timeouts, desired.timeouts);
        assert_eq!(
            ipvsadm(&["-L", "--timeout"]),
            list_timeouts(&snapshot.timeouts)
        );
        assert_eq!(
            ipvsadm(&["-L", "--daemon"]),
            list_daemons(&snapshot.daemons)
        );

        ipvsadm(&["--set", "0", "30", "0"]);
        ipvsadm(&["--stop-daemon", "master"]);
        let read = table(&kernel).await;
        assert_eq!(read.timeouts, parsed("--set 1 30 2147483").timeouts);
        assert_eq!(read.daemons.keys().collect::<Vec<_>>(), [&SyncRole::Backup]);
        bring(&kernel, &Table::default()).await;
        assert_eq!(ipvsadm(&["-L", "--daemon"]), "");
        let daemon = SyncDaemon::new(SyncRole::Master, "d0".parse().unwrap());
        make(&kernel, &[Change::StartDaemon(daemon)]).await;
        let read = table(&kernel).await;
        assert!(
            daemon.is_met_by(&read.daemons[&SyncRole::Master]),
            "{read:?}"
        );
    });
}
