//! Checks that take the way of the clients' packets.

use director::{balance::Paths, conf::model::Config};
use health::Health;

use crate::rig::{Rig, config};

fn by_path() -> Config {
    config(
        "virtual_server 10.1.0.100 80 {\n lvs_sched rr\n lvs_method DR\n protocol TCP\n \
         forwarding_path\n real_server 10.0.0.1 80 {\n TCP_CHECK {\n }\n }\n}\n",
    )
}

#[test]
fn marked_packets_get_to_a_server_whether_it_is_used_or_not() {
    let config = by_path();
    let path = config.virtual_servers[0].real_servers[0].checks[0]
        .kind
        .path();
    let mark = Paths::of(&config).mark(&path.unwrap()).unwrap();
    let marked = format!("-A -f {mark} -s wlc\n-a -f {mark} -r 10.0.0.1:0 -g -w 1\n");
    let service = "-A -t 10.1.0.100:80 -s rr\n";
    let used = "-a -t 10.1.0.100:80 -r 10.0.0.1:80 -g -w 1\n";
    let mut rig = Rig::new(&config);
    assert_eq!(rig.table(), format!("{service}{used}{marked}"));
    rig.check(0, Health::Down);
    assert_eq!(rig.table(), format!("{service}{marked}"));
}

#[test]
fn a_mark_of_the_files_own_is_left_to_it() {
    let mut both = by_path();
    let path = both.virtual_servers[0].real_servers[0].checks[0]
        .kind
        .path();
    let path = path.unwrap();
    let mark = Paths::of(&both).mark(&path).unwrap();
    let text = format!(
        "virtual_server fwmark {mark} {{\n lvs_sched rr\n lvs_method DR\n real_server 10.0.0.3 \
         {{\n }}\n}}\n"
    );
    both.virtual_servers.extend(config(&text).virtual_servers);
    assert_ne!(Paths::of(&both).mark(&path).unwrap(), mark);
}
