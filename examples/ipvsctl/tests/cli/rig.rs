//! The program on a kernel in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use ipvs::{Family, IpvsBackend, IpvsError, Table, fake::Kernel, text::parse};
use ipvsctl::{Connections, Host, Services, Status, Streams, async_trait, run};

/// The services that every recorded command found.
pub(crate) const FIXTURE: &str = include_str!("../golden/fixture.txt");
/// What hosts were called then.
const HOSTS: &str = include_str!("../golden/hosts");
/// What services were called then, as far as it mattered.
const SERVICES: &str = "\
domain 53/tcp
domain 53/udp
http 80/tcp www
https 443/tcp
https 443/udp
http-alt 8080/tcp webcache
";

/// A machine in memory.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) kernel: Kernel,
    pub(crate) connections: &'static str,
    services: Services,
    /// Address, name, and other names.
    hosts: Vec<(IpAddr, Vec<&'static str>)>,
    /// Whether the kernel has IPVS.
    pub(crate) has_ipvs: bool,
}

/// What the program did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) status: Status,
    pub(crate) output: String,
    pub(crate) errors: String,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let hosts = HOSTS.lines().map(|line| {
            let (address, names) = line.split_once(' ').unwrap();
            (address.parse().unwrap(), names.split(' ').collect())
        });
        Self {
            kernel: Kernel::new(),
            connections: "",
            services: Services::parse(SERVICES),
            hosts: hosts.collect(),
            has_ipvs: true,
        }
    }

    /// With the services that every recorded command found.
    pub(crate) fn with_fixture() -> Self {
        let rig = Self::new();
        rig.set_up(FIXTURE);
        rig
    }

    pub(crate) fn set_up(&self, text: &str) {
        for line in parse(text).unwrap() {
            self.kernel.change(line.change).unwrap();
        }
    }

    pub(crate) fn run(&self, line: &str) -> Done {
        self.run_with(line, "")
    }

    pub(crate) fn run_with(&self, line: &str, input: &str) -> Done {
        let arguments: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        self.run_words(&arguments, input)
    }

    pub(crate) fn run_words(&self, arguments: &[String], input: &str) -> Done {
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let streams = Streams {
            input: &mut input.as_bytes(),
            output: &mut output,
            errors: &mut errors,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let status = runtime.block_on(run(arguments, streams, self));
        Done {
            status,
            output: String::from_utf8(output).unwrap(),
            errors: String::from_utf8(errors).unwrap(),
        }
    }

    pub(crate) fn table(&self) -> Table {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(self.kernel.snapshot()).unwrap().table()
    }
}

#[async_trait]
impl Host for Rig {
    async fn backend(&self) -> Result<Arc<dyn IpvsBackend>, IpvsError> {
        match self.has_ipvs {
            true => Ok(Arc::new(self.kernel.clone())),
            false => Err(IpvsError::Unavailable {
                operation: "connect to IPVS",
            }),
        }
    }

    async fn connections(&self) -> Result<Box<dyn Connections>, IpvsError> {
        Ok(Box::new(ipvs::Connections::new(
            self.connections.as_bytes(),
        )))
    }

    async fn address_of(&self, name: &str, family: Option<Family>) -> Option<IpAddr> {
        let is_asked = |address: IpAddr| family.is_none_or(|it| it == Family::of(address));
        let mut hosts = self.hosts.iter();
        let found = hosts.find(|(address, names)| names.contains(&name) && is_asked(*address));
        found.map(|(address, _)| *address)
    }

    async fn names_of(&self, addresses: BTreeSet<IpAddr>) -> BTreeMap<IpAddr, String> {
        let named = self.hosts.iter();
        let named = named.filter(|(address, _)| addresses.contains(address));
        named
            .map(|(address, names)| (*address, names[0].to_owned()))
            .collect()
    }

    fn services(&self) -> &Services {
        &self.services
    }
}
