//! What a director needs before it forwards packets between networks.

use crate::{
    Family,
    machine::{Edit, Machine, MachineError},
    real_server::{loose_reverse_path, sysctl},
};

/// A director whose real servers answer through it: masquerading, and what is built on it.
///
/// Direct routing and tunnels need nothing of the kind, unless the director is a client itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Forwarder {
    /// Forwards IPv4.
    pub ipv4: bool,
    /// Forwards IPv6. A machine that does takes no routes from router advertisements, unless the
    /// sysctl `accept_ra` of the interface is 2.
    pub ipv6: bool,
    /// Lets connection tracking see what is load balanced (`net.ipv4.vs.conntrack`), as
    /// [`FullNat`](crate::FullNat) needs.
    pub tracked: bool,
    /// Takes packets that come from one of its own IPv4 addresses
    /// (`net.ipv4.conf.all.accept_local`, and no strict `rp_filter`), as a director does that has
    /// the virtual address and asks it of real servers by direct routing or through tunnels. With it
    /// anybody on its networks can pretend to be the director. IPv6 needs nothing of the kind.
    pub is_own_client: bool,
}

impl Forwarder {
    /// Forwards packets of these families.
    #[must_use]
    pub fn of(families: impl IntoIterator<Item = Family>) -> Self {
        families
            .into_iter()
            .fold(Self::default(), |it, family| match family {
                Family::V4 => Self { ipv4: true, ..it },
                Family::V6 => Self { ipv6: true, ..it },
            })
    }

    /// What has to be changed on a machine; nothing if it forwards already. Cancel safe.
    ///
    /// # Errors
    /// The machine cannot be looked at. A sysctl that is not there is no error: without `ip_vs`
    /// there is no `net.ipv4.vs`, which the first read of the table loads.
    pub async fn edits(&self, machine: &dyn Machine) -> Result<Vec<Edit>, MachineError> {
        let mut edits = Vec::new();
        if self.is_own_client {
            let interfaces = machine.interfaces().await?;
            edits.extend(loose_reverse_path(machine, &interfaces, |_| true).await?);
        }
        for (wanted, name) in [
            (self.ipv4, "net.ipv4.ip_forward"),
            (self.ipv6, "net.ipv6.conf.all.forwarding"),
            (self.tracked, "net.ipv4.vs.conntrack"),
            (self.is_own_client, "net.ipv4.conf.all.accept_local"),
        ] {
            if wanted {
                edits.extend(sysctl(machine, name, "1", |value| value != "0").await?);
            }
        }
        Ok(edits)
    }
}
