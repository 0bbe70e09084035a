//! A load balancer's table that is not the kernel's: a file which nginx includes.

use std::{fs, path::PathBuf};

use ipvs::{Change, ChangeOutcome, IpvsBackend, IpvsError, Snapshot, async_trait, fake::Kernel};

pub(crate) struct Upstreams {
    pub(crate) file: PathBuf,
    /// Knows the rules of a table: what a change makes of it, and which are refused.
    pub(crate) table: Kernel,
}

impl Upstreams {
    /// Nobody ever reads half of it.
    async fn write(&self) -> Result<(), IpvsError> {
        let mut text = String::new();
        for service in self.table.snapshot().await?.services {
            let name = service.key.to_string().replace(' ', "_");
            text += &format!("upstream {name} {{\n");
            for server in &service.destinations {
                let settings = server.settings;
                text += &match settings.weight.get() {
                    0 => format!("    server {} down;\n", server.key),
                    weight => format!("    server {} weight={weight};\n", server.key),
                };
            }
            text += "    server 127.0.0.1:1 backup;\n}\n"; // nginx refuses an empty one.
        }
        let new = self.file.with_extension("new");
        let written = fs::write(&new, text).and_then(|()| fs::rename(&new, &self.file));
        written.map_err(|source| IpvsError::Unanswered {
            operation: "write the file",
            source,
        })
    }
}

#[async_trait]
impl IpvsBackend for Upstreams {
    async fn snapshot(&self) -> Result<Snapshot, IpvsError> {
        self.write().await?; // Again, should it have failed before or somebody have edited it.
        self.table.snapshot().await
    }

    async fn apply(&self, changes: &[Change]) -> Result<Vec<ChangeOutcome>, IpvsError> {
        let outcomes = self.table.apply(changes).await?;
        self.write().await?;
        Ok(outcomes)
    }
}
