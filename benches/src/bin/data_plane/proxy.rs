//! The proxies that are compared, each with the same servers and the same number of threads.

use std::{
    env, fmt, fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    num::NonZeroUsize,
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use ipvs::{
    ChangeOutcome, DestinationSettings, Forwarding, IpvsBackend as _, SchedulerName, ServiceKey,
    ServiceSettings, Table,
    userspace::{Config, UserspaceBackend},
};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

const START: Duration = Duration::from_secs(5);
const NGINX_STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Software {
    Takeover,
    HaProxy,
    Nginx,
}

impl Software {
    pub(crate) const ALL: [Self; 3] = [Self::Takeover, Self::HaProxy, Self::Nginx];

    pub(crate) const fn carries_datagrams(self) -> bool {
        match self {
            Self::Takeover | Self::Nginx => true,
            Self::HaProxy => false,
        }
    }

    pub(crate) fn is_installed(self) -> bool {
        match self {
            Self::Takeover => true,
            Self::HaProxy => PathBuf::from("/usr/sbin/haproxy").exists(),
            Self::Nginx => {
                PathBuf::from("/usr/sbin/nginx").exists() && PathBuf::from(NGINX_STREAM).exists()
            }
        }
    }
}

impl fmt::Display for Software {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Takeover => "takeover",
            Self::HaProxy => "HAProxy",
            Self::Nginx => "nginx",
        })
    }
}

/// A proxy that runs, in a process group of its own.
pub(crate) struct Proxy {
    software: Software,
    process: Child,
    address: SocketAddr,
    _files: tempfile::TempDir,
}

impl Proxy {
    /// Starts one and waits until it listens.
    pub(crate) fn start(
        software: Software,
        threads: NonZeroUsize,
        servers: &[SocketAddr],
    ) -> anyhow::Result<Self> {
        let address = free_address()?;
        let files = tempfile::tempdir()?;
        let file = files.path().join("configuration");
        let words = files.path().join("stderr");
        let mut command = match software {
            Software::Takeover => {
                let mut command = Command::new(env::current_exe()?);
                command.args(["proxy", &threads.to_string(), &address.to_string()]);
                command.args(servers.iter().map(ToString::to_string));
                command
            }
            Software::HaProxy => {
                fs::write(&file, haproxy(threads, address, servers))?;
                let mut command = Command::new("/usr/sbin/haproxy");
                command.arg("-db").arg("-f").arg(&file);
                command
            }
            Software::Nginx => {
                fs::write(&file, nginx(threads, address, servers))?;
                let mut command = Command::new("/usr/sbin/nginx");
                command.arg("-p").arg(files.path()).arg("-c").arg(&file);
                command
            }
        };
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&words)?)
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {software}"))?;
        let mut proxy = Self {
            software,
            process,
            address,
            _files: files,
        };
        let deadline = now() + START;
        while TcpStream::connect(address).is_err() {
            ensure!(now() < deadline, "{software} does not listen");
            let ended = proxy.process.try_wait()?;
            ensure!(
                ended.is_none(),
                "{software} has ended: {}",
                fs::read_to_string(&words)?
            );
            thread::sleep(Duration::from_millis(20));
        }
        Ok(proxy)
    }

    pub(crate) const fn software(&self) -> Software {
        self.software
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its number, which is its group's.
    pub(crate) fn process(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Ok(group) = i32::try_from(self.process.id()) {
            killpg(Pid::from_raw(group), Signal::SIGKILL).ok();
        }
        self.process.wait().ok();
    }
}

/// An address that is free for TCP and UDP.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    UdpSocket::bind(address)?;
    Ok(address)
}

fn haproxy(threads: NonZeroUsize, address: SocketAddr, servers: &[SocketAddr]) -> String {
    let servers = servers.iter().enumerate();
    let servers: String = servers
        .map(|(number, server)| format!("    server s{number} {server}\n"))
        .collect();
    format!(
        "global\n    nbthread {threads}\n    maxconn 6000\n\
         defaults\n    mode tcp\n    option splice-request\n    option splice-response\n    \
         timeout connect 5s\n    timeout client 60s\n    timeout server 60s\n\
         listen plane\n    bind {address}\n    balance roundrobin\n{servers}"
    )
}

fn nginx(threads: NonZeroUsize, address: SocketAddr, servers: &[SocketAddr]) -> String {
    let servers: String = servers
        .iter()
        .map(|server| format!("        server {server};\n"))
        .collect();
    // One worker needs no master; several share a port as the shards of the data plane do.
    let (master, shared) = match threads.get() {
        1 => ("off", ""),
        _ => ("on", " reuseport"),
    };
    format!(
        "load_module {NGINX_STREAM};\ndaemon off;\nmaster_process {master};\n\
         worker_processes {threads};\npid nginx.pid;\n\
         error_log stderr crit;\nevents {{ worker_connections 16000; }}\n\
         stream {{\n    upstream plane {{\n{servers}    }}\n    \
         server {{ listen {address} backlog=4096{shared}; proxy_pass plane; }}\n    \
         server {{ listen {address} udp{shared}; proxy_pass plane; }}\n}}\n"
    )
}

/// Serves as the proxy until it is killed.
pub(crate) fn serve(
    threads: NonZeroUsize,
    address: SocketAddr,
    servers: &[SocketAddr],
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let _plane = runtime.block_on(data_plane(threads, address, servers))?;
    loop {
        thread::park();
    }
}

/// A data plane of this process that shares connections and datagrams out among servers.
pub(crate) async fn data_plane(
    threads: NonZeroUsize,
    address: SocketAddr,
    servers: &[SocketAddr],
) -> anyhow::Result<UserspaceBackend> {
    let mut config = Config::default();
    config.shards = threads;
    let plane = UserspaceBackend::start(config)?;
    let mut desired = Table::default();
    for service in [
        ServiceKey::tcp(address.into()),
        ServiceKey::udp(address.into()),
    ] {
        desired.add_service(service, ServiceSettings::new(SchedulerName::RR))?;
        for server in servers {
            let settings = DestinationSettings::new(Forwarding::Masquerade);
            desired.add_destination(service, (*server).into(), settings)?;
        }
    }
    let outcomes = plane
        .apply(&ipvs::plan(&Table::default(), &desired))
        .await?;
    ensure!(outcomes.iter().all(ChangeOutcome::is_done), "{outcomes:?}");
    Ok(plane)
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn now() -> Instant {
    Instant::now()
}
