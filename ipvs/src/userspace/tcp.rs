//! TCP: accepting, finding a server, carrying.

mod connect;
mod proxy_protocol;
mod relay;
mod way;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    time,
};

use super::{
    carried::Carried,
    is_short_of_descriptors, now,
    shared::{ShardId, Shared, Target, Turned},
};
use crate::{Endpoint, plane::Flow};

/// How long nothing is accepted when descriptors or memory are short.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts the connections of a service on one shard, for ever.
pub(super) async fn accept(
    shared: Arc<Shared>,
    shard: ShardId,
    listener: TcpListener,
    service: Endpoint,
) {
    loop {
        match listener.accept().await {
            Ok((client, address)) => admit(&shared, shard, client, address, service),
            Err(error) if is_short_of_descriptors(&error) => {
                shared.counting.short_of_descriptors.up();
                time::sleep(PAUSE).await;
            }
            // It went away before it was accepted.
            Err(_) => {}
        }
    }
}

/// Schedules a connection and has it carried, or resets it.
fn admit(
    shared: &Arc<Shared>,
    shard: ShardId,
    client: TcpStream,
    address: SocketAddr,
    service: Endpoint,
) {
    shared.counting.accepted.up();
    let flow = Flow::tcp(address.into(), service);
    let mut client = Some(client);
    let mut core = shared.core();
    let admitted = core.admit(flow, shared.limits, now(), |id, target| {
        let carried = Carried {
            shared: Arc::clone(shared),
            shard,
            id,
        };
        tokio::spawn(carry(carried, client.take(), flow, target)).abort_handle()
    });
    // Another connection of this flow, if its end was not noticed yet.
    let displaced = core.take_forgotten();
    drop(core);
    for task in displaced {
        task.abort();
    }
    match admitted {
        Ok(()) => {}
        Err(Turned::OverLimit) => shared.counting.over_limit.up(),
        Err(Turned::NoDestination) => shared.counting.no_destination.up(),
    }
    if let Some(client) = client {
        reset(&client);
    }
}

/// A connection from its beginning to its end.
async fn carry(carried: Carried, client: Option<TcpStream>, flow: Flow, target: Target) {
    let Some(client) = client else {
        return;
    };
    // On the heap, so that it takes no room in the task while the connection lives.
    let server = Box::pin(connect::connect(&carried, flow, target)).await;
    match server {
        Some(server) => {
            carried.shared.counting.served.up();
            relay::relay(&carried, client, server).await;
        }
        None => {
            carried.shared.counting.unreachable.up();
            reset(&client);
        }
    }
}

/// Has a connection broken off when it is closed.
fn reset(stream: &TcpStream) {
    // It fails on one that is closed already.
    drop(SockRef::from(stream).set_linger(Some(Duration::ZERO)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::userspace::shared::tests::with_a_service;

    #[test]
    fn the_task_of_a_connection_is_small() {
        let flow = Flow::tcp(
            "192.0.2.7:4012".parse().unwrap(),
            "10.1.0.100:80".parse().unwrap(),
        );
        let shared = Arc::new(with_a_service(flow.to));
        let mut core = shared.core();
        let route = core.plane.begin(flow, None, now()).unwrap();
        drop(core);
        let carried = Carried {
            shared: Arc::clone(&shared),
            shard: ShardId(0),
            id: route.id.unwrap(),
        };
        let proxy = None;
        let task = carry(carried, None, flow, Target { route, proxy });
        let bytes = size_of_val(&task);
        assert!(bytes <= 768, "{bytes}");
        drop(task);
        assert_eq!(
            shared.core().plane.connections(now()),
            [],
            "it is forgotten with its task"
        );
    }
}
