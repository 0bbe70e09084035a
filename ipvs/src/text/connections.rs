//! What `ipvsadm -Lc` writes.
//!
//! A director can have millions of connections, so they are written one by one.

use super::Names;
use crate::{Connection, Protocol};

/// What is above the connections (`ipvsadm -Lnc`), with `engines` also above what persistence
/// engines know them by (`-Lnc --persistent-conn`).
#[must_use]
pub fn connections_title(engines: bool) -> String {
    let names = ["pro", "expire", "state", "source", "virtual"];
    let destination = match engines {
        true => format!("{:<18} {:<16} pe_data", "destination", "pe name"),
        false => "destination".to_owned(),
    };
    format!("IPVS connection entries\n{}", row(names, &destination))
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
    // ipvsadm's columns are not those of its title.
    let destination = match &connection.engine {
        Some((name, data)) if engines => format!("{destination:<16} {name:<18} {data}"),
        _ => destination,
    };
    let columns = [&*protocol, &expire, &connection.state, &client, &service];
    row(columns, &destination)
}

fn row([protocol, expire, state, client, service]: [&str; 5], destination: &str) -> String {
    format!("{protocol:<3} {expire:<6} {state:<11} {client:<18} {service:<18} {destination}\n")
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
