//! Connections of a real service.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::Command,
};

use ipvs::{
    Connection, IpvsBackend as _, Protocol, ServiceKey,
    netlink::Kernel,
    text::{Names, connection_line, connections_title},
};

use super::{bring, in_kernel, ipvsadm, parsed};

async fn connections(kernel: &Kernel) -> Vec<Connection> {
    let mut all = kernel.connections().await.expect("a list");
    let mut read = Vec::new();
    while let Some(connection) = all.next().await {
        read.push(connection.expect("a line as the kernel writes it"));
    }
    read
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn connections_and_templates_are_told_and_counted_and_each_namespace_has_its_own() {
    in_kernel(async |kernel| {
        for vip in ["10.1.0.1/32", "fd00::1/128"] {
            let status = Command::new("ip")
                .args(["addr", "add", vip, "dev", "lo"])
                .status();
            assert!(status.unwrap().success());
        }
        bring(
            &kernel,
            &parsed(
                "-A -t 10.1.0.1:80 -s rr -p 60\n\
                 -a -t 10.1.0.1:80 -r 127.0.0.1:8080 -m\n\
                 -A -t [fd00::1]:80 -s rr\n\
                 -a -t [fd00::1]:80 -r [::1]:8080 -m\n",
            ),
        )
        .await;
        let mut open = Vec::new();
        for (listen, vip) in [
            ("127.0.0.1:8080", "10.1.0.1:80"),
            ("[::1]:8080", "[fd00::1]:80"),
        ] {
            let server = TcpListener::bind(listen).unwrap();
            let mut client = TcpStream::connect(vip).unwrap();
            let (mut served, _) = server.accept().unwrap();
            client.write_all(b"hello").unwrap();
            served.read_exact(&mut [0; 5]).unwrap();
            open.push((client, served));
        }
        let read = connections(&kernel).await;
        let lines = |text: &str| {
            let mut lines: Vec<_> = text.lines().map(without_time).collect();
            lines.sort();
            lines
        };
        let mut ours = connections_title(false);
        for connection in &read {
            ours += &connection_line(connection, false, &Names::default());
        }
        assert_eq!(lines(&ours), lines(&ipvsadm(&["-Lnc"])));

        let (web, web6) = (
            "10.1.0.1:80".parse().unwrap(),
            "[fd00::1]:80".parse().unwrap(),
        );
        let of = |service| {
            read.iter()
                .filter(move |it| it.is_of(&ServiceKey::tcp(service)))
        };
        assert_eq!(of(web).filter(|it| it.is_template()).count(), 1, "{read:?}");
        for (service, (client, _)) in [web, web6].into_iter().zip(&open) {
            let [connection] = of(service)
                .filter(|it| !it.is_template())
                .collect::<Vec<_>>()[..]
            else {
                panic!("one connection each: {read:?}");
            };
            assert_eq!(connection.protocol, Some(Protocol::Tcp));
            assert_eq!(connection.state, "ESTABLISHED");
            assert_eq!(connection.client, client.local_addr().unwrap().into());
        }
        let snapshot = kernel.snapshot().await.unwrap();
        let counts = snapshot
            .service(&ServiceKey::tcp(web))
            .unwrap()
            .destinations[0]
            .counts;
        assert_eq!(
            (counts.active, counts.inactive, counts.persistent),
            (1, 0, 1)
        );

        let elsewhere = std::thread::scope(|scope| {
            let look = || {
                in_kernel(async |kernel| {
                    assert_eq!(kernel.snapshot().await.unwrap().services, []);
                    assert_eq!(connections(&kernel).await, []);
                });
            };
            scope.spawn(look).join()
        });
        assert!(elsewhere.is_ok());
        assert_eq!(
            connections(&kernel).await.len(),
            3,
            "still in its own namespace"
        );
    });
}

/// A line without the time that is left, which goes on.
fn without_time(line: &str) -> String {
    let columns = line.split_whitespace().enumerate();
    let kept = columns.filter(|(place, _)| *place != 1);
    kept.map(|(_, column)| column).collect::<Vec<_>>().join(" ")
}
