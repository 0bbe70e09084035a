//! The keepalived.conf of a director.

use super::scenario::{
    ADVERT_INTERVAL, CHECK_INTERVAL, CHECK_RETRIES, CHECK_RETRY_INTERVAL, CHECK_TIMEOUT, INTERFACE,
    Node, PREFIX_LEN, SERVICE_PORT, Server, VIP,
};

/// Its instance, and the virtual server with the real servers behind it.
pub(super) fn of(node: Node) -> String {
    let state = match node {
        Node::Alpha => "MASTER",
        Node::Beta => "BACKUP",
    };
    let mut text = format!(
        "vrrp_instance VI_1 {{\n    \
             state {state}\n    \
             interface {INTERFACE}\n    \
             virtual_router_id 51\n    \
             version 3\n    \
             priority {priority}\n    \
             advert_int {interval}\n    \
             virtual_ipaddress {{\n        \
                 {VIP}/{PREFIX_LEN}\n    \
             }}\n\
         }}\n\n\
         virtual_server {VIP} {SERVICE_PORT} {{\n    \
             delay_loop {delay_loop}\n    \
             lb_algo rr\n    \
             lb_kind DR\n    \
             protocol TCP\n",
        priority = node.priority(),
        interval = ADVERT_INTERVAL.as_secs_f64(),
        delay_loop = CHECK_INTERVAL.as_secs_f64(),
    );
    for server in Server::ALL {
        text.push_str(&format!(
            "\n    real_server {address} {SERVICE_PORT} {{\n        \
                 TCP_CHECK {{\n            \
                     connect_timeout {timeout}\n            \
                     retry {CHECK_RETRIES}\n            \
                     delay_before_retry {before_retry}\n        \
                 }}\n    \
             }}\n",
            address = server.address(),
            timeout = CHECK_TIMEOUT.as_secs_f64(),
            before_retry = CHECK_RETRY_INTERVAL.as_secs_f64(),
        ));
    }
    text.push_str("}\n");
    text
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{DOWN_TIMER_ADVERTS, VERSION, priority};
    use super::*;
    use crate::conf::{MemoryEnvironment, Options, load, model::Config};

    #[test]
    fn the_directors_files_are_good_and_say_what_the_demo_counts_on() {
        for node in Node::ALL {
            let machine = MemoryEnvironment::with_file("/demo.conf", of(node));
            let loaded = load("/demo.conf", &machine, &Options::default()).unwrap();

            assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
            let config = loaded.config.unwrap();
            let [instance] = &config.instances[..] else {
                panic!("one instance");
            };
            let router = &instance.router;
            assert_eq!(&*router.interface, INTERFACE);
            assert_eq!(router.version, VERSION);
            assert_eq!(router.priority, priority(node));
            assert_eq!(router.interval.as_duration(), ADVERT_INTERVAL);
            assert_eq!(router.down_timer_adverts, DOWN_TIMER_ADVERTS);
            let [vip] = &router.vips[..] else {
                panic!("one address");
            };
            assert_eq!(vip.address, VIP);
            assert_eq!(vip.prefix_len, PREFIX_LEN);
            assert_balances(&config);
        }
    }

    fn assert_balances(config: &Config) {
        let [service] = &config.virtual_servers[..] else {
            panic!("one virtual server");
        };
        assert_eq!(service.name.to_string(), format!("{VIP} {SERVICE_PORT}"));
        let servers: Vec<_> = service.real_servers.iter().collect();
        assert_eq!(servers.len(), Server::ALL.len());
        for (server, wanted) in servers.into_iter().zip(Server::ALL) {
            assert_eq!(server.destination.address, wanted.address());
            assert_eq!(server.destination.port, Some(SERVICE_PORT));
            let [check] = &server.checks[..] else {
                panic!("one check");
            };
            assert_eq!(check.config.interval, CHECK_INTERVAL);
            assert_eq!(check.config.down_interval, CHECK_INTERVAL);
            assert_eq!(check.config.retry_interval, CHECK_RETRY_INTERVAL);
            assert_eq!(check.config.fall.get(), CHECK_RETRIES + 1);
            assert_eq!(check.config.rise.get(), 1);
            assert!(check.config.jitter.is_zero());
        }
    }
}
