//! What `ipvsadm -Lc` writes.
//!
//! A director can have millions of connections, so they are written one by one.

use super::Names;
use crate::{Connection, Protocol};

/// What is above the connections (`ipvsadm -Lnc`), with `engines` also above what persistence
/// engines know them by (`-Lnc --persistent-conn`).
#[must_use]
pub fn connections_title(engines: bool) -> String {
    let names = ["pro", "expire", "state", "source", "virtual", "destination"];
    let row = row(names, engines.then_some(("pe name", "pe_data")));
    format!("IPVS connection entries\n{row}")
}

/// A connection as a line.
#[must_use]
pub fn connection_line(connection: &Connection, engines: bool, names: &Names) -> String {
    let protocol = connection
        .protocol
        .map_or_else(|| "IP".to_owned(), |it: Protocol| it.to_string());
    let seconds = connection.expires.get();
    let expire = format!("{:02}:{:02}", seconds / 60, seconds % 60);
    let ends = [
        connection.client,
        connection.service,
        connection.destination,
    ];
    let [client, service, destination] = ends.map(|end| names.endpoint(connection.protocol, &end));
    let engine = connection
        .engine
        .as_ref()
        .map_or(("", ""), |(name, data)| (name, data));
    let columns = [
        &*protocol,
        &expire,
        &connection.state,
        &client,
        &service,
        &destination,
    ];
    row(columns, engines.then_some(engine))
}

fn row(columns: [&str; 6], engine: Option<(&str, &str)>) -> String {
    let [protocol, expire, state, client, service, destination] = columns;
    let head = format!("{protocol:<3} {expire:<6} {state:<11} {client:<18} {service:<18}");
    match engine {
        None => format!("{head} {destination}\n"),
        Some((name, data)) => format!("{head} {destination:<18} {name:<16} {data}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seconds;

    #[test]
    fn a_connection_is_a_row() {
        let ends = ["192.0.2.7:40123", "10.1.0.100:80", "10.0.0.1:8080"];
        let ends = ends.map(|text| text.parse().unwrap());
        let protocol = Some(Protocol::Tcp);
        let connection = Connection::new(protocol, ends, "ESTABLISHED", Seconds::new(899));
        let line = connection_line(&connection, false, &Names::default());
        assert_eq!(
            connections_title(false) + &line,
            "IPVS connection entries\n\
             pro expire state       source             virtual            destination\n\
             TCP 14:59  ESTABLISHED 192.0.2.7:40123    10.1.0.100:80      10.0.0.1:8080\n"
        );
    }
}
