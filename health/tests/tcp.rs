//! TCP connections to servers that misbehave.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    env, fs::File, future::ready, iter, net::SocketAddr, num::NonZeroU32, pin::pin,
    process::Command, time::Duration,
};

use health::{Connect, HealthProbe, ProbeError, Success, Target, TcpProbe};
use lab::Swallower;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;

async fn listener() -> (TcpListener, Target) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::new(listener.local_addr().unwrap());
    (listener, target)
}

async fn probe(target: Target, change: impl FnOnce(&mut Connect)) -> Result<Success, ProbeError> {
    let mut connect = Connect::default();
    change(&mut connect);
    TcpProbe::new(connect).probe(&target).await
}

/// A port that is taken and on which nobody listens.
fn deaf() -> (Socket, Target) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into())
        .unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, Target::new(address))
}

#[tokio::test]
async fn a_server_that_takes_connections_passes() {
    let (_listener, target) = listener().await;
    assert_eq!(probe(target, |_| {}).await.unwrap(), Success::default());
}

#[tokio::test]
async fn a_server_that_resets_or_closes_at_once_passes_even_before_the_probe_has_looked() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Target::new(listener.local_addr().unwrap());
    for (closes_first, resets) in [(false, true), (true, false), (true, true)] {
        let mut probing = pin!(probe(target, |_| {}));
        tokio::select! {
            biased;
            ended = &mut probing => assert!(false, "it has not waited: {ended:?}"),
            () = ready(()) => {}
        }
        let (accepted, _) = listener.accept().unwrap();
        let accepted = Socket::from(accepted);
        if closes_first {
            accepted.shutdown(std::net::Shutdown::Write).unwrap();
        }
        if resets {
            accepted.set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop(accepted);
        assert_eq!(probing.await.unwrap(), Success::default());
    }
}

/// Set in the process that has few descriptors.
const FEW_DESCRIPTORS: &str = "TAKEOVER_TEST_FEW_DESCRIPTORS";

#[tokio::test]
async fn a_process_without_descriptors_says_so_and_goes_on_when_it_has_some() {
    if env::var_os(FEW_DESCRIPTORS).is_none() {
        let name = "a_process_without_descriptors_says_so_and_goes_on_when_it_has_some";
        let output = Command::new("sh")
            .args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""])
            .arg(env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(FEW_DESCRIPTORS, "")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        assert!(said.contains("1 passed"), "{said}");
        return;
    }
    let (_listener, target) = listener().await;
    let all: Vec<_> = iter::from_fn(|| File::open("/dev/null").ok()).collect();
    let error = probe(target, |_| {}).await.unwrap_err();
    assert!(matches!(error, ProbeError::Local { .. }), "{error}");
    assert!(error.to_string().contains("LimitNOFILE"), "{error}");
    drop(all);
    probe(target, |_| {}).await.unwrap();
}

#[tokio::test]
async fn a_refused_connection_says_where() {
    let (_socket, target) = deaf();
    let error = probe(target, |_| {}).await.unwrap_err();
    assert!(matches!(error, ProbeError::Refused { address } if address == target.address));
    assert!(error.to_string().contains(&target.to_string()), "{error}");
}

#[tokio::test]
async fn a_server_that_swallows_packets_outlasts_the_probes_own_time() {
    let hanging = Swallower::listen("127.0.0.1:0".parse().unwrap());
    let target = Target::new(hanging.address());
    let timeout = Duration::from_millis(50);
    let error = probe(target, |connect| connect.timeout = Some(timeout)).await;
    assert!(
        matches!(error, Err(ProbeError::TimedOut { after, .. }) if after == timeout),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_target_is_not_asked_from_its_own_address_where_another_servers_is_wanted() {
    // The loopback interface talks to all of 127.0.0.0/8 from 127.0.0.1.
    let (_listener, target) = listener().await;
    let towards = "127.0.0.3".parse().ok();
    let asked = probe(target, |connect| connect.bind_towards = towards).await;
    let error = asked.unwrap_err().to_string();
    assert!(error.contains("bindto"), "{error}");

    let elsewhere = TcpListener::bind("127.0.0.9:0").await.unwrap();
    let target = Target::new(elsewhere.local_addr().unwrap());
    let asked = probe(target, |connect| connect.bind_towards = towards);
    asked.await.unwrap();
    let (_, from) = elsewhere.accept().await.unwrap();
    assert_eq!(from.ip().to_string(), "127.0.0.1");
}

#[tokio::test]
async fn it_comes_from_where_it_is_told_and_goes_where_it_is_told() {
    let (listener, _) = listener().await;
    let elsewhere = listener.local_addr().unwrap();
    let (_socket, nobody) = deaf();
    let passed = probe(nobody, |connect| {
        connect.address = Some(elsewhere.ip());
        connect.port = elsewhere.port().try_into().ok();
        connect.bind_address = "127.0.0.7".parse().ok();
    });
    passed.await.unwrap();
    let (_, from) = listener.accept().await.unwrap();
    assert_eq!(from.ip().to_string(), "127.0.0.7");
}

#[tokio::test]
async fn an_address_that_is_nobodys_here_cannot_be_bound() {
    let (_listener, target) = listener().await;
    let error = probe(target, |connect| {
        connect.bind_address = "192.0.2.1".parse().ok();
    })
    .await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("192.0.2.1") && error.contains("no interface"),
        "{error}"
    );
    let error = probe(target, |connect| connect.bind_address = "::1".parse().ok()).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("one family"), "{error}");
}

#[tokio::test]
async fn what_root_alone_may_is_told_with_its_capability_or_done() {
    let (_listener, target) = listener().await;
    let result = probe(target, |connect| connect.fwmark = NonZeroU32::new(7)).await;
    if let Err(error) = result {
        assert!(error.to_string().contains("CAP_NET_ADMIN"), "{error}");
    }
}
