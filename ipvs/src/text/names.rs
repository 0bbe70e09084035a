//! Names of hosts and services in place of their numbers.

use std::{collections::BTreeMap, net::IpAddr};

use crate::{Endpoint, Family, Protocol};

/// What hosts and services are called in lists and saved tables. Who has no name is written as a
/// number, so that by default everything is, as with `-n`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Names {
    /// Names of hosts.
    pub hosts: BTreeMap<IpAddr, String>,
    /// Names of services, which mean ports of their protocol.
    pub services: BTreeMap<(Protocol, u16), String>,
}

impl Names {
    /// `www.example.org:http` or `[www.example.org]:http`; ports of no protocol are numbers.
    pub(super) fn endpoint(&self, protocol: Option<Protocol>, endpoint: &Endpoint) -> String {
        let host = self.hosts.get(&endpoint.address);
        let host = host.map_or_else(|| endpoint.address.to_string(), String::clone);
        let port = endpoint.port;
        let service = protocol.and_then(|protocol| self.services.get(&(protocol, port)));
        let service = service.map_or_else(|| port.to_string(), String::clone);
        match endpoint.family() {
            Family::V4 => format!("{host}:{service}"),
            Family::V6 => format!("[{host}]:{service}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_name_is_a_number() {
        let mut names = Names::default();
        let web: Endpoint = "[fd00::100]:80".parse().unwrap();
        assert_eq!(names.endpoint(Some(Protocol::Tcp), &web), web.to_string());
        names.hosts.insert(web.address, "www".to_owned());
        names
            .services
            .insert((Protocol::Tcp, 80), "http".to_owned());
        assert_eq!(names.endpoint(Some(Protocol::Tcp), &web), "[www]:http");
        assert_eq!(names.endpoint(Some(Protocol::Udp), &web), "[www]:80");
        assert_eq!(names.endpoint(None, &web), "[www]:80");
    }
}
