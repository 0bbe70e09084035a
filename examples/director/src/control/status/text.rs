//! The state of virtual servers for people.

use std::fmt::{self, Write as _};

use super::{RealServer, SorryServer, VirtualServer};

/// Each virtual server and each real server on a line of its own.
impl fmt::Display for VirtualServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quorum = if self.has_quorum { "up" } else { "down" };
        let up = self
            .real_servers
            .iter()
            .filter(|server| server.health == "up");
        writeln!(
            f,
            "{:<20} {quorum:<7} {}, {} of {} real servers up, weight {} of {} for a quorum{}",
            self.name,
            self.scheduler,
            up.count(),
            self.real_servers.len(),
            self.alive,
            self.quorum,
            if self.is_suspended {
                ", checks rest"
            } else {
                ""
            },
        )?;
        for service in &self.services {
            if service.in_kernel == Some(false) {
                writeln!(f, "    {} is not in the table", service.name)?;
            }
            for refusal in &service.refused {
                writeln!(f, "    refused: {refusal}")?;
            }
        }
        for server in &self.real_servers {
            server.write(f, self)?;
        }
        match &self.sorry_server {
            Some(sorry) => sorry.write(f),
            None => Ok(()),
        }
    }
}

impl RealServer {
    fn write(&self, f: &mut fmt::Formatter<'_>, of: &VirtualServer) -> fmt::Result {
        write!(f, "    {:<22} {:<7} ", self.name, self.health)?;
        match self.is_plain(of) {
            true => write!(f, "weight {}", self.weight)?,
            false => f.write_str(&self.because)?,
        }
        let (active, inactive) = self.connections();
        if !self.kernel.is_empty() {
            write!(f, ", {active} active, {inactive} inactive")?;
        }
        f.write_char('\n')
    }

    /// Whether it is used as the file says, and nothing has to be explained.
    fn is_plain(&self, of: &VirtualServer) -> bool {
        self.health == "up"
            && self.order.is_none()
            && self.weight_wanted == Some(self.weight_configured)
            && self.refused.is_empty()
            && self.kernel.len() == of.services.len()
            && self
                .kernel
                .iter()
                .all(|it| it.weight == self.weight_configured)
    }
}

impl SorryServer {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_use = if self.in_use { "serves" } else { "waits" };
        writeln!(f, "    {:<22} {in_use:<7} sorry server", self.name)?;
        for refusal in &self.refused {
            writeln!(f, "    refused: {refusal}")?;
        }
        Ok(())
    }
}
