//! Connections told from one director to another.

use std::net::IpAddr;

use ipvs::{Change, InterfaceName, RealServer, SyncDaemon, SyncRole, Via};
use lab::{Session, wait_until};

use crate::site::{SOON, Site, VIP, apply, connections, endpoint, load, snapshot, socket};

const TABLE: &str = "-A -t 192.0.2.100:80 -s rr\n\
    -a -t 192.0.2.100:80 -r 192.0.2.21:80 -g\n\
    -a -t 192.0.2.100:80 -r 192.0.2.22:80 -g\n";

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn a_connection_outlives_the_director_it_went_through() {
    let mut site = Site::one_card("sync");
    let vip: IpAddr = VIP.parse().unwrap();
    site.prepare_servers(&RealServer::new([(vip, Via::DirectRoute)]));
    site.serve(["192.0.2.100:80"; 2]);
    let standby = site.lab.node("standby");
    let _cable = site.front.connect(&standby, "eth0", &["192.0.2.2/24"]);
    for (director, role) in [
        (&site.director, SyncRole::Master),
        (&standby, SyncRole::Backup),
    ] {
        load(director, TABLE);
        let mut daemon = SyncDaemon::new(role, InterfaceName::new("eth0").unwrap());
        daemon.sync_id = 51;
        apply(director, Change::StartDaemon(daemon));
        let running = snapshot(director).daemons;
        assert!(daemon.is_met_by(&running[0]), "{running:?}");
    }

    let mut session = Session::connect(&site.client, socket("192.0.2.100:80")).unwrap();
    let answer = session.ask().unwrap();
    let client = endpoint(answer.client);
    wait_until("the standby knows the connection", SOON, || {
        let told = connections(&standby);
        told.iter()
            .any(|it| it.client == client && it.state == "ESTABLISHED")
    });

    site.director
        .namespace()
        .ip("address del 192.0.2.100/32 dev eth0");
    standby
        .namespace()
        .ip("address add 192.0.2.100/32 dev eth0");
    site.client.namespace().ip("neigh flush dev eth0");
    assert_eq!(session.ask().unwrap(), answer);

    apply(&site.director, Change::StopDaemon(SyncRole::Master));
    assert_eq!(snapshot(&site.director).daemons, []);
}
