//! A connection from its beginning to its end, and where it goes.

use std::net::SocketAddr;

use ipvs::{
    Change, Connection, Counts, Endpoint, Family, IpvsBackend, ServiceKey,
    fake::{Dropped, Flow, Kernel},
};

use crate::{NAT, SECOND, at, client, counts, destination, kernel, states, web, web_address};

#[tokio::test]
async fn a_connection_lives_as_long_as_in_the_kernel() {
    let kernel = kernel(NAT);
    let connection = kernel.connect(client(0)).unwrap();
    assert_eq!(connection.destination, at("10.0.0.1:8080"));
    assert!(connection.is_of(&web()));
    assert_eq!(kernel.connections(), [connection]);
    assert_eq!(counts(&kernel, web(), "10.0.0.1:8080").await, [1, 0, 0]);
    assert_eq!(states(&kernel), [("ESTABLISHED".to_owned(), 900)]);

    kernel.advance(899 * SECOND);
    assert_eq!(states(&kernel), [("ESTABLISHED".to_owned(), 1)]);
    kernel.send(client(0)).unwrap();
    kernel.advance(100 * SECOND);
    assert_eq!(states(&kernel), [("ESTABLISHED".to_owned(), 800)]);

    kernel.close(client(0)).unwrap();
    assert_eq!(states(&kernel), [("TIME_WAIT".to_owned(), 120)]);
    assert_eq!(counts(&kernel, web(), "10.0.0.1:8080").await, [0, 1, 0]);
    kernel.advance(119 * SECOND);
    assert_eq!(states(&kernel).len(), 1);
    kernel.advance(SECOND);
    assert_eq!(kernel.connections(), []);
    assert_eq!(counts(&kernel, web(), "10.0.0.1:8080").await, [0, 0, 0]);
    let (client, to) = (client(0).client, client(0).to);
    assert_eq!(
        kernel.send(self::client(0)),
        Err(Dropped::NoConnection { client, to })
    );
}

#[tokio::test]
async fn the_director_of_direct_routes_sees_but_one_end_close() {
    let kernel =
        kernel("-A -t 10.1.0.100:80 -s rr\n-a -t 10.1.0.100:80 -r 10.0.0.1:80 -g\n--set 0 30 0\n");
    kernel.connect(client(0)).unwrap();
    kernel.close(client(0)).unwrap();
    assert_eq!(states(&kernel), [("FIN_WAIT".to_owned(), 30)]);
    assert_eq!(counts(&kernel, web(), "10.0.0.1:80").await, [0, 1, 0]);
    // It may not have closed: the same port again belongs to the entry, which is not scheduled anew.
    kernel.connect(client(0)).unwrap();
    assert_eq!(states(&kernel), [("ESTABLISHED".to_owned(), 900)]);
    assert_eq!(counts(&kernel, web(), "10.0.0.1:80").await, [1, 0, 0]);
    let seen = destination(&kernel, web(), "10.0.0.1:80").await;
    assert_eq!(seen.statistics.total.connections, 1);
    kernel.reset(client(0)).unwrap();
    assert_eq!(states(&kernel), [("CLOSE".to_owned(), 10)]);
}

#[test]
fn a_port_that_is_used_again_after_its_connection_is_over_is_scheduled_anew() {
    let kernel = kernel(&format!("{NAT}-a -t 10.1.0.100:80 -r 10.0.0.2:8080 -m\n"));
    for end in [Kernel::close, Kernel::reset] {
        let first = kernel.connect(client(0)).unwrap().destination;
        assert_eq!(kernel.connect(client(0)).unwrap().destination, first);
        end(&kernel, client(0)).unwrap();
        assert_ne!(kernel.connect(client(0)).unwrap().destination, first);
        assert_eq!(kernel.connections().len(), 1);
    }
}

#[tokio::test]
async fn datagrams_are_inactive_and_those_scheduled_one_by_one_leave_nothing() {
    let dns = ServiceKey::udp(at("10.1.0.100:53"));
    let text = "-A -u 10.1.0.100:53 -s rr\n-a -u 10.1.0.100:53 -r 10.0.0.1:53 -m\n\
                -a -u 10.1.0.100:53 -r 10.0.0.2:53 -m\n";
    let flow = Flow::udp(at("192.0.2.7:4012"), at("10.1.0.100:53"));
    let kernel = kernel(text);
    let first = kernel.connect(flow).unwrap().destination;
    kernel.advance(299 * SECOND);
    assert_eq!(kernel.connect(flow).unwrap().destination, first);
    kernel.close(flow).unwrap();
    assert_eq!(states(&kernel), [("UDP".to_owned(), 300)]);
    assert_eq!(counts(&kernel, dns, &first.to_string()).await, [0, 1, 0]);
    kernel.advance(300 * SECOND);
    assert_eq!(kernel.connections(), []);

    let mut settings = kernel.snapshot().await.unwrap().services[0].settings;
    settings.flags.one_packet = true;
    let service = dns;
    kernel
        .change(Change::SetService { service, settings })
        .unwrap();
    let second = kernel.connect(flow).unwrap().destination;
    assert_ne!(second, first);
    assert_eq!(kernel.connect(flow).unwrap().destination, first);
    assert_eq!(kernel.connections(), []);
    let seen = destination(&kernel, dns, &first.to_string()).await;
    assert_eq!(seen.statistics.total.connections, 2);
    assert_eq!(seen.counts, Counts::ZERO);
    kernel.change(Change::Zero(Some(dns))).unwrap();
    let seen = destination(&kernel, dns, &first.to_string()).await;
    assert_eq!(seen.statistics.total.connections, 0);
}

#[test]
fn a_packet_that_nobody_takes_is_told_why() {
    let kernel = kernel("-A -t 10.1.0.100:80 -s wlc\n-a -t 10.1.0.100:80 -r 10.0.0.1:80 -g -w 0\n");
    let service = web();
    assert_eq!(
        kernel.connect(client(0)),
        Err(Dropped::NoDestination { service })
    );
    let to = at("10.1.0.100:81");
    let elsewhere = Flow::tcp(at("192.0.2.7:4012"), to);
    assert_eq!(kernel.connect(elsewhere), Err(Dropped::NoService { to }));
    let datagram = Flow::udp(at("192.0.2.7:4012"), at("10.1.0.100:80"));
    let to = datagram.to;
    assert_eq!(kernel.connect(datagram), Err(Dropped::NoService { to }));
    assert_eq!(kernel.connections(), []);
}

#[test]
fn every_scheduler_chooses_what_it_chooses_alone() {
    for kind in sched::Kind::ALL {
        // By chance, of which each has its own.
        if kind == sched::Kind::Twos {
            continue;
        }
        let servers = [
            ("10.0.0.1:8080", 1),
            ("10.0.0.2:8080", 2),
            ("10.0.0.3:8080", 4),
        ];
        let mut text = format!("-A -t 10.1.0.100:80 -s {}\n", kind.name());
        #[expect(clippy::disallowed_methods, reason = "virtual time starts somewhere")]
        let now = std::time::Instant::now();
        let mut alone = sched::Service::new(kind, sched::Rules::default(), now);
        // A plan adds in the order of the table.
        for (server, weight) in servers {
            text += &format!("-a -t 10.1.0.100:80 -r {server} -m -w {weight}\n");
            let settings = sched::ServerSettings::new(weight);
            alone
                .add_server(server.parse().unwrap(), settings, now)
                .unwrap();
        }
        let kernel = kernel(&text);
        for number in 0..300_u16 {
            let [high, low] = number.to_be_bytes();
            let flow = Flow::tcp(
                Endpoint::new([192, 0, 2 + high, low].into(), 4012),
                at("10.1.0.100:80"),
            );
            let socket = |it: Endpoint| SocketAddr::new(it.address, it.port);
            let arrival = sched::Flow::tcp(socket(flow.client), socket(flow.to));
            let arrival = sched::Arrival::new(arrival, now, 0);
            let expected = alone
                .connect(&arrival)
                .map(|pick| Endpoint::from(pick.address));
            let chosen = kernel.connect(flow).ok().map(|it| it.destination);
            assert_eq!(chosen, expected, "{} at client {number}", kind.name());
        }
    }
}

#[test]
fn chance_is_the_same_in_every_kernel() {
    let choices = || {
        let text = NAT.replace("rr", "twos") + "-a -t 10.1.0.100:80 -r 10.0.0.2:8080 -m\n";
        let kernel = kernel(&text);
        let connect = |number| kernel.connect(client(number)).unwrap().destination;
        (0..50).map(connect).collect::<Vec<_>>()
    };
    assert_eq!(choices(), choices());
}

#[tokio::test]
async fn a_full_destination_gets_nothing_until_enough_have_left() {
    let kernel =
        kernel("-A -t 10.1.0.100:80 -s rr\n-a -t 10.1.0.100:80 -r 10.0.0.1:80 -m -x 4 -y 2\n");
    for number in 0..4 {
        kernel.connect(client(number)).unwrap();
    }
    assert!(kernel.connect(client(4)).is_err());
    for number in 0..3 {
        kernel.reset(client(number)).unwrap();
        assert!(kernel.connect(client(4)).is_err(), "closing ones count");
    }
    kernel.advance(10 * SECOND);
    kernel.connect(client(4)).unwrap();
    assert_eq!(counts(&kernel, web(), "10.0.0.1:80").await, [2, 0, 0]);
}

#[tokio::test]
async fn persistence_holds_a_client_even_at_weight_0_until_it_stays_away() {
    let text = "-A -t 10.1.0.100:80 -s rr -p 50\n-a -t 10.1.0.100:80 -r 10.0.0.1:80 -m\n\
                -a -t 10.1.0.100:80 -r 10.0.0.2:80 -m\n";
    let kernel = kernel(text);
    let first = kernel.connect(client(0)).unwrap().destination;
    for number in 1..5 {
        assert_eq!(kernel.connect(client(number)).unwrap().destination, first);
    }
    let name = first.to_string();
    assert_eq!(counts(&kernel, web(), &name).await, [5, 0, 1]);
    let templates = || {
        kernel
            .connections()
            .into_iter()
            .filter(Connection::is_template)
    };
    let template = templates().next().unwrap();
    assert_eq!(template.client, at("192.0.2.7:0"));
    assert_eq!(
        (template.service, template.destination),
        (web_address(), first)
    );
    assert!(template.is_of(&web()));

    let before = destination(&kernel, web(), &name).await.settings;
    let change = Change::SetDestination {
        service: web(),
        destination: first,
        settings: before.with_weight(ipvs::Weight::ZERO),
    };
    kernel.change(change).unwrap();
    assert_eq!(kernel.connect(client(5)).unwrap().destination, first);
    for number in 0..6 {
        kernel.reset(client(number)).unwrap();
    }
    // Not even a port that is used again is scheduled anew.
    let again = kernel.connect(client(0)).unwrap();
    assert_eq!(again.destination, first);
    assert_eq!(counts(&kernel, web(), &name).await, [1, 5, 1]);
    kernel.reset(client(0)).unwrap();
    // The template goes once it is due and has no connection.
    kernel.advance(49 * SECOND);
    assert_eq!(counts(&kernel, web(), &name).await, [0, 0, 1]);
    kernel.advance(SECOND);
    assert_eq!(counts(&kernel, web(), &name).await, [0, 0, 0]);
    assert_eq!(kernel.connections(), []);
    assert_ne!(kernel.connect(client(6)).unwrap().destination, first);
}

#[tokio::test]
async fn a_mark_joins_ports_and_comes_before_the_address() {
    let text = "-A -f 7 -s rr -p 60\n-a -f 7 -r 10.0.0.1:0 -g\n-a -f 7 -r 10.0.0.2:0 -g\n\
                -A -t 10.1.0.100:0 -s rr -p 60\n-a -t 10.1.0.100:0 -r 10.0.0.3:0 -g\n";
    let kernel = kernel(text);
    let mark = 7.try_into().unwrap();
    let to_port = |port| {
        Flow::tcp(
            at("192.0.2.7:4012"),
            Endpoint::new(at("10.1.0.100:0").address, port),
        )
    };
    let plain = kernel
        .connect_marked(mark, to_port(80))
        .unwrap()
        .destination;
    let secure = kernel
        .connect_marked(mark, to_port(443))
        .unwrap()
        .destination;
    assert_eq!((plain.port, secure.port), (80, 443));
    assert_eq!(plain.address, secure.address);
    let unmarked = kernel.connect(to_port(8080)).unwrap().destination;
    assert_eq!(unmarked, at("10.0.0.3:8080"));

    let service = ServiceKey::fwmark(mark, Family::V4);
    let listed = Endpoint::new(plain.address, 0).to_string();
    assert_eq!(counts(&kernel, service, &listed).await, [2, 0, 1]);
    let of_mark = kernel
        .connections()
        .into_iter()
        .filter(|it| it.is_of(&service));
    let of_mark: Vec<_> = of_mark.map(|it| (it.client, it.destination)).collect();
    assert_eq!(
        of_mark,
        [(at("192.0.2.7:0"), Endpoint::new(plain.address, 0))]
    );
}
