//! What a real server is told of its client.

use ipvs::{
    SchedulerName,
    userspace::{ProxyProtocol, Source},
};
use tokio::{io::AsyncWriteExt as _, net::TcpSocket};

use crate::rig::{Rig, Server, expect};

#[tokio::test]
async fn servers_are_told_of_their_clients_on_request() {
    let rig = Rig::start(SchedulerName::RR).await;
    let mut server = Server::start(1).await;
    rig.add(server.endpoint).await;

    let mut client = rig.connect().await;
    client.write_all(b"plain").await.unwrap();
    expect(&mut server.accept().await, b"plain").await;

    rig.plane
        .set_proxy_protocol(rig.service, None, Some(ProxyProtocol::V1));
    let mut client = rig.connect().await;
    client.write_all(b"text").await.unwrap();
    let from = client.local_addr().unwrap();
    let (ip, port) = (rig.at.ip(), rig.at.port());
    let header = format!(
        "PROXY TCP4 {} {ip} {} {port}\r\ntext",
        from.ip(),
        from.port()
    );
    expect(&mut server.accept().await, header.as_bytes()).await;

    let own = Some(server.endpoint);
    rig.plane
        .set_proxy_protocol(rig.service, own, Some(ProxyProtocol::V2));
    let mut client = rig.connect().await;
    client.write_all(b"binary").await.unwrap();
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\x01\x01".to_vec();
    header.extend(client.local_addr().unwrap().port().to_be_bytes());
    header.extend(port.to_be_bytes());
    header.extend(b"binary");
    expect(&mut server.accept().await, &header).await;

    rig.plane.set_proxy_protocol(rig.service, None, None);
    rig.plane.set_proxy_protocol(rig.service, own, None);
    let mut client = rig.connect().await;
    client.write_all(b"plain").await.unwrap();
    expect(&mut server.accept().await, b"plain").await;
}

/// All are on one machine here, so that the answers find their way back without rules.
#[tokio::test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
async fn servers_see_the_address_of_the_client_itself() {
    let rig = Rig::with(SchedulerName::RR, |config| config.source = Source::Client).await;
    let mut server = Server::start(1).await;
    rig.add(server.endpoint).await;
    let socket = TcpSocket::new_v4().unwrap();
    // The port is then used twice: by the client, and in its name.
    socket.set_reuseaddr(true).unwrap();
    socket.bind("127.0.3.3:0".parse().unwrap()).unwrap();
    let mut client = socket.connect(rig.at).await.unwrap();
    client.write_all(b"it is me").await.unwrap();
    let mut at_server = server.accept().await;
    assert_eq!(at_server.peer_addr().unwrap(), client.local_addr().unwrap());
    expect(&mut at_server, b"it is me").await;
    at_server.write_all(b"so I see").await.unwrap();
    expect(&mut client, b"so I see").await;
}
