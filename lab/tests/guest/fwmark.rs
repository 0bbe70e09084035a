//! Firewall marks: one service of everything that a rule of the firewall marks.

use ipvs::{Family, Forwarder};

use crate::site::{Site, assert_known, connections, load, prepare_director};

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn ports_with_one_mark_are_one_service() {
    let mut site = Site::two_cards("fwmark");
    prepare_director(&site.director, Forwarder::of([Family::V4]));
    for port in [80, 443] {
        site.serve(
            [21, 22]
                .map(|host| format!("198.51.100.{host}:{port}"))
                .each_ref()
                .map(String::as_str),
        );
    }
    let mark = "-t mangle -A PREROUTING -d 192.0.2.100 -p tcp -m multiport --dports 80,443 \
                -j MARK --set-mark 7";
    let words: Vec<_> = mark.split_whitespace().collect();
    site.director.run("iptables-legacy", &words);
    load(
        &site.director,
        "-A -f 7 -s rr -p 300\n\
         -a -f 7 -r 198.51.100.21:0 -m\n\
         -a -f 7 -r 198.51.100.22:0 -m\n",
    );

    let ports = ["192.0.2.100:80", "192.0.2.100:443", "192.0.2.100:80"];
    let answers = ports.map(|to| site.curl(1, to).remove(0));

    assert!(
        answers
            .iter()
            .all(|answer| answer.server == answers[0].server),
        "{answers:?}"
    );
    let connections = connections(&site.director);
    for answer in &answers {
        assert_known(answer, &connections);
    }
    let template = connections.iter().find(|it| it.client.port == 0).unwrap();
    assert_eq!(template.protocol, None);
    assert_eq!(template.service.to_string(), "0.0.0.7:0");
}
