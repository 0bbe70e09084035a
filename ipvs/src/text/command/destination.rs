//! Commands about a destination.

use super::{At, Line, address_and_port, parsed, wrong};
use crate::text::{Problem, options::Given};
use crate::{
    DestinationSettings, Endpoint, Forwarding, GreChecksum, GueChecksum, ServiceKey, Thresholds,
    Tunnel, Weight,
};

const METHODS: [&str; 3] = ["gatewaying", "ipip", "masquerading"];
const CHECKSUMS: [&str; 3] = ["tun-nocsum", "tun-csum", "tun-remcsum"];

impl Line<'_> {
    /// The destination. Its port is the service's if none is given, and also if it is forwarded by
    /// direct route or tunnel, whatever is given: so does ipvsadm.
    pub(super) fn server(&self, service: &ServiceKey) -> At<Endpoint> {
        let missing = || self.missing("a destination: -r");
        let word = self.word("real-server").ok_or_else(missing)?;
        let (address, port) = address_and_port(word)?;
        Ok(Endpoint::new(
            address,
            port.or_else(|| service.port()).unwrap_or(0),
        ))
    }

    pub(super) fn destination(&self) -> At<(ServiceKey, Endpoint, DestinationSettings)> {
        let service = self.service()?;
        let mut destination = self.server(&service)?;
        let forwarding = self.forwarding()?;
        destination.port = forwarding.fixed_port(&service).unwrap_or(destination.port);
        let weight = match self.word("weight") {
            None => Weight::DEFAULT,
            Some(word) => {
                let expected = "a weight of 0 to 2147483647";
                Weight::new(parsed(word, expected)?).map_err(|_| wrong(word, expected))?
            }
        };
        let expected = "a number of connections, 0 to 2147483647";
        let upper = self.value("u-threshold", expected)?.unwrap_or(0);
        let lower = self.value("l-threshold", expected)?.unwrap_or(0);
        let thresholds = Thresholds::new(upper, lower).map_err(|error| {
            let option = self
                .find("l-threshold")
                .or_else(|| self.find("u-threshold"));
            let column = option.map_or(self.command.column, |option| option.column);
            (column, Problem::Thresholds(error))
        })?;
        Ok((
            service,
            destination,
            DestinationSettings {
                forwarding,
                weight,
                thresholds,
            },
        ))
    }

    fn forwarding(&self) -> At<Forwarding> {
        let method = self.one_of(&METHODS)?;
        let tunnel = self.tunnel()?;
        match (method.map(|option| option.name), tunnel) {
            (Some("ipip"), tunnel) => Ok(Forwarding::Tunnel(tunnel.unwrap_or_default())),
            (_, Some(_)) => Err(self.missing("-i where --tun-type is given")),
            (Some("masquerading"), None) => Ok(Forwarding::Masquerade),
            (_, None) => Ok(Forwarding::DirectRoute),
        }
    }

    fn tunnel(&self) -> At<Option<Tunnel>> {
        let checksum = self.one_of(&CHECKSUMS)?;
        let port = self.find("tun-port");
        let Some(kind) = self.word("tun-type") else {
            return match checksum.or(port) {
                Some(option) => Err((option.column, self.missing("--tun-type for that").1)),
                None => Ok(None),
            };
        };
        let refuse = |option: &Given<'_>| {
            let (column, option) = (option.column, option.name);
            Err((
                column,
                Problem::NotHere {
                    option,
                    command: "tun-type",
                },
            ))
        };
        let of_checksum = checksum.map(|option| option.name);
        Ok(Some(match kind.text {
            "ipip" => match checksum.or(port) {
                Some(option) => return refuse(option),
                None => Tunnel::Ipip,
            },
            "gue" => Tunnel::Gue {
                port: self
                    .value("tun-port", "a port of 1 to 65535")?
                    .ok_or_else(|| self.missing("--tun-port for --tun-type gue"))?,
                checksum: match of_checksum {
                    Some("tun-csum") => GueChecksum::Csum,
                    Some("tun-remcsum") => GueChecksum::Remcsum,
                    _ => GueChecksum::None,
                },
            },
            "gre" => match (port, checksum) {
                (Some(option), _) => return refuse(option),
                (None, Some(option)) if option.name == "tun-remcsum" => return refuse(option),
                (None, Some(option)) if option.name == "tun-csum" => Tunnel::Gre {
                    checksum: GreChecksum::Csum,
                },
                (None, _) => Tunnel::Gre {
                    checksum: GreChecksum::None,
                },
            },
            _ => return Err(wrong(kind, "a kind of tunnel: ipip, gue or gre")),
        }))
    }
}
