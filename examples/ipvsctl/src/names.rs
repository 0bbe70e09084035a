//! Names of hosts and services, on the way in and on the way out.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipvs::{Endpoint, Family, Protocol, Snapshot, text::Names};

use crate::host::Host;

/// An address and a port as given, with what is a name in it looked up. What is neither a number
/// nor a name that is known is told.
pub(crate) async fn in_numbers(
    text: &str,
    protocol: Option<Protocol>,
    host: &dyn Host,
) -> Result<String, String> {
    if text.parse::<Endpoint>().is_ok() || text.parse::<IpAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    let (name, port, family) = split(text).ok_or_else(|| {
        format!("`{text}` is not an address and a port, as 10.0.0.1:80, [fd00::1]:80 or www:http")
    })?;
    let port = match port {
        None => None,
        Some(port) => Some(port_of(port, protocol, host)?),
    };
    let address = match name.parse::<IpAddr>() {
        Ok(address) => address,
        // getaddrinfo takes 010.0.0.1 for 8.0.0.1 and 10.1 for 10.0.0.1, and so does ipvsadm.
        Err(_)
            if name
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.') =>
        {
            return Err(format!(
                "`{name}` is not an address: write four numbers without 0 in front"
            ));
        }
        Err(_) => {
            let address = host.address_of(name, family).await;
            address
                .ok_or_else(|| format!("no address of host `{name}` is known: write its address"))?
        }
    };
    Ok(match port {
        Some(port) => Endpoint::new(address, port).to_string(),
        None => address.to_string(),
    })
}

/// Host, port, and the family that brackets ask for.
fn split(text: &str) -> Option<(&str, Option<&str>, Option<Family>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (name, port) = rest.split_once("]:")?;
        let whole = !name.is_empty() && !port.is_empty();
        return whole.then_some((name, Some(port), Some(Family::V6)));
    }
    match text.split_once(':') {
        None => (!text.is_empty()).then_some((text, None, None)),
        Some((name, port)) => {
            let whole = !name.is_empty() && !port.is_empty() && !port.contains(':');
            whole.then_some((name, Some(port), None))
        }
    }
}

fn port_of(text: &str, protocol: Option<Protocol>, host: &dyn Host) -> Result<u16, String> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text
            .parse()
            .map_err(|_| format!("port {text} is out of range: write 0 to 65535"));
    }
    let protocol = protocol.unwrap_or(Protocol::Tcp);
    let port = host.services().port_of(text, protocol);
    port.ok_or_else(|| {
        format!(
            "`{text}` is not a port, and no service of {protocol} is called so in /etc/services"
        )
    })
}

/// What the services and hosts of a table are called.
pub(crate) async fn of_table(snapshot: &Snapshot, host: &dyn Host) -> Names {
    let mut names = Names::default();
    let mut hosts = BTreeSet::new();
    for service in &snapshot.services {
        let protocol = service.key.protocol();
        let destinations = service.destinations.iter().map(|it| it.key);
        let own = match service.key {
            ipvs::ServiceKey::Address { endpoint, .. } => Some(endpoint),
            ipvs::ServiceKey::Fwmark { .. } => None,
        };
        for endpoint in own.into_iter().chain(destinations) {
            hosts.insert(endpoint.address);
            add_service(&mut names, protocol, endpoint.port, host.services());
        }
    }
    names.hosts = host.names_of(hosts).await;
    names
}

/// Adds the name of a port, if it has one.
pub(crate) fn add_service(
    names: &mut Names,
    protocol: Option<Protocol>,
    port: u16,
    services: &Services,
) {
    if let Some(protocol) = protocol
        && let Some(name) = services.name_of(port, protocol)
    {
        names.services.insert((protocol, port), name.to_owned());
    }
}

/// Names of services, as `/etc/services` has them.
#[derive(Debug, Clone, Default)]
pub struct Services {
    ports: BTreeMap<(Protocol, String), u16>,
    names: BTreeMap<(Protocol, u16), String>,
}

impl Services {
    /// Reads the text of `/etc/services`: lines as `http 80/tcp www # comment`. What is not
    /// understood is passed over, as the C library does; of several the first one counts.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut services = Self::default();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let (Some(name), Some(number)) = (words.next(), words.next()) else {
                continue;
            };
            let Some((port, protocol)) = number.split_once('/') else {
                continue;
            };
            let mut all = Protocol::ALL.into_iter();
            let protocol = all.find(|it| it.to_string().eq_ignore_ascii_case(protocol));
            let (Ok(port), Some(protocol)) = (port.parse::<u16>(), protocol) else {
                continue;
            };
            let place = services.names.entry((protocol, port));
            place.or_insert_with(|| name.to_owned());
            for name in [name].into_iter().chain(words) {
                let place = services.ports.entry((protocol, name.to_owned()));
                place.or_insert(port);
            }
        }
        services
    }

    /// The port of a service or of one of its aliases.
    #[must_use]
    pub fn port_of(&self, name: &str, protocol: Protocol) -> Option<u16> {
        self.ports.get(&(protocol, name.to_owned())).copied()
    }

    /// The name of the service at a port.
    #[must_use]
    pub fn name_of(&self, port: u16, protocol: Protocol) -> Option<&str> {
        self.names.get(&(protocol, port)).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_names_aliases_and_a_protocol() {
        let services =
            Services::parse("http 80/tcp www\n# x\nhttp-alt 8080/tcp\ndomain 53/udp #\n");
        assert_eq!(services.port_of("www", Protocol::Tcp), Some(80));
        assert_eq!(services.port_of("domain", Protocol::Tcp), None);
        assert_eq!(services.name_of(80, Protocol::Tcp), Some("http"));
        assert_eq!(services.name_of(80, Protocol::Udp), None);
    }

    #[test]
    fn a_host_and_a_port_are_told_apart() {
        assert_eq!(split("www:http"), Some(("www", Some("http"), None)));
        assert_eq!(split("www"), Some(("www", None, None)));
        assert_eq!(
            split("[www]:80"),
            Some(("www", Some("80"), Some(Family::V6)))
        );
        for text in ["", ":80", "www:", "[]:80", "[www]", "[www]80", "a:b:c"] {
            assert_eq!(split(text), None, "{text}");
        }
    }
}
