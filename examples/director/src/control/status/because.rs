//! Why connections go to a real server, or do not.

use super::{
    balancing::{Check, RealServer, VirtualServer},
    why::Span,
};
use crate::balance::{Order, OrderedWeight};

/// In one sentence. `asked` says whether the kernel could be asked.
pub(super) fn of_real_server(
    of: &VirtualServer,
    server: &RealServer,
    order: Order,
    asked: bool,
) -> String {
    let mut sentence = wanted(of, server, order);
    let left = left(server);
    match server.weight_wanted {
        None if !left.is_empty() => sentence += &left,
        Some(0) => sentence += &goes_on(server),
        _ => {}
    }
    if !server.refused.is_empty() {
        sentence += &format!("; refused: {}", server.refused.join("; "));
    } else if asked && let Some(weight) = server.weight_wanted {
        sentence += &differs(of, server, weight);
    }
    sentence
}

fn wanted(of: &VirtualServer, server: &RealServer, order: Order) -> String {
    let place = |why: &str| match server.weight_wanted {
        None => format!("out of the table: {why}"),
        Some(0) => format!("no new connections: {why}"),
        Some(weight) => format!("new connections with weight {weight}: {why}"),
    };
    if order.disabled {
        return place("disabled by order");
    }
    match server.health.as_str() {
        "down" => return place(&failing(server)),
        "unknown" => return place("its checks have not told yet"),
        _ => {}
    }
    if server.weight_wanted.is_none() {
        return place(&no_quorum(of));
    }
    if let Some(left) = server.slow_start_ms {
        let whole = order.weight.map_or(server.weight, OrderedWeight::get);
        let left = Span(left);
        return place(&format!(
            "it has come back, and weight {whole} is due in {left} (slow_start)"
        ));
    }
    match order.weight {
        Some(OrderedWeight::ZERO) => place("drained by order"),
        Some(_) => place(&format!("by order, not {}", server.weight)),
        None if server.weight_wanted != Some(server.weight) => place(&no_quorum(of)),
        None if server.weight == server.weight_configured => place("as in the file"),
        None => place(&format!(
            "its checks ask for that, the file for {}",
            server.weight_configured
        )),
    }
}

fn no_quorum(of: &VirtualServer) -> String {
    let (alive, needed) = (of.alive, of.quorum + of.hysteresis);
    format!("the sorry server serves, since weight {alive} is up and a quorum takes {needed}")
}

/// The checks that keep it down, with their causes.
fn failing(server: &RealServer) -> String {
    let down = server.checks.iter().filter(|check| check.health == "down");
    let causes: Vec<_> = down
        .map(
            |Check {
                 what, last_failure, ..
             }| match last_failure {
                None => format!("{what} has not passed yet"),
                Some(failure) => format!("{what}: {failure}"),
            },
        )
        .collect();
    causes.join("; ")
}

fn left(server: &RealServer) -> String {
    let leaving = server.kernel.iter().any(|it| it.leaving);
    let (active, inactive) = server.connections();
    match (leaving, server.kernel.is_empty()) {
        (true, _) if active + inactive == 1 => {
            String::from("; it leaves once 1 connection is gone")
        }
        (true, _) => format!(
            "; it leaves once {} connections are gone",
            active + inactive
        ),
        (false, false) => String::from("; the table has it still"),
        (false, true) => String::new(),
    }
}

fn goes_on(server: &RealServer) -> String {
    let (active, inactive) = server.connections();
    match active + inactive {
        0 => String::new(),
        1 => String::from("; 1 connection goes on"),
        count => format!("; {count} connections go on"),
    }
}

/// What the kernel has otherwise than it shall be.
fn differs(of: &VirtualServer, server: &RealServer, wanted: u32) -> String {
    if server.kernel.len() < of.services.len() {
        let has = |service: &str| server.kernel.iter().any(|it| it.service == service);
        let services = of.services.iter().map(|service| service.name.as_str());
        let missing: Vec<_> = services.filter(|service| !has(service)).collect();
        return format!("; the table has it not yet in {}", missing.join(", "));
    }
    let mut others = server.kernel.iter().filter(|it| it.weight != wanted);
    match others.next() {
        None => String::new(),
        Some(it) => format!("; the table has weight {} still", it.weight),
    }
}
