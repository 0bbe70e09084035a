//! Persistence: a client comes back to the server it had.

use ipvs::{Family, Forwarder};
use lab::curl;

use crate::site::{Site, connections, load, prepare_director, socket};

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn a_client_stays_with_its_server_and_another_gets_the_next() {
    let mut site = Site::two_cards("persistence");
    prepare_director(&site.director, Forwarder::of([Family::V4]));
    site.serve(["198.51.100.21:80", "198.51.100.22:80"]);
    load(
        &site.director,
        "-A -t 192.0.2.100:80 -s rr -p 300\n\
         -a -t 192.0.2.100:80 -r 198.51.100.21:80 -m\n\
         -a -t 192.0.2.100:80 -r 198.51.100.22:80 -m\n",
    );

    let first = site.curl(4, "192.0.2.100:80");
    let from_another = ["--interface", "192.0.2.11"];
    let other = curl(&site.client, socket("192.0.2.100:80"), 1, &from_another).remove(0);

    let server = first[0].server.clone();
    assert!(
        first.iter().all(|answer| answer.server == server),
        "{first:?}"
    );
    assert_eq!(other.client.ip().to_string(), "192.0.2.11");
    assert_ne!(other.server, server);
    let mut templates = connections(&site.director);
    templates.retain(|it| it.client.port == 0);
    templates.sort_by_key(|it| it.client);
    let clients: Vec<_> = templates.iter().map(|it| it.client.to_string()).collect();
    assert_eq!(clients, ["192.0.2.10:0", "192.0.2.11:0"]);
    assert_ne!(templates[0].destination, templates[1].destination);
}
