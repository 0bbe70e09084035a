//! The clients: a process that does what it is told on its standard input, line by line.

use std::{
    env, fmt,
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr},
    ops::AddAssign,
    process::{Child, ChildStdout, Command, Stdio},
    str::FromStr,
};

use anyhow::{Context as _, bail};
use tokio::{
    net::{TcpSocket, TcpStream},
    task::JoinSet,
};

use crate::load::request;

/// How many short connections there are at a time.
pub(crate) const CONCURRENCY: usize = 64;

/// How what clients did has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) answered: u64,
    /// Not connected.
    refused: u64,
    /// Connected, and not answered.
    broken: u64,
}

impl Ends {
    pub(crate) fn answered(count: u32) -> Self {
        Self {
            answered: count.into(),
            ..Self::default()
        }
    }

    pub(crate) const fn failed(self) -> u64 {
        self.refused + self.broken
    }
}

impl AddAssign for Ends {
    fn add_assign(&mut self, more: Self) {
        self.answered += more.answered;
        self.refused += more.refused;
        self.broken += more.broken;
    }
}

impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            answered,
            refused,
            broken,
        } = self;
        write!(f, "{answered} answered {refused} refused {broken} broken")
    }
}

impl FromStr for Ends {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let words: Vec<_> = text.split_whitespace().collect();
        let [answered, "answered", refused, "refused", broken, "broken"] = words.as_slice() else {
            bail!("{text:?} is no answer of the clients");
        };
        Ok(Self {
            answered: answered.parse()?,
            refused: refused.parse()?,
            broken: broken.parse()?,
        })
    }
}

/// The process. It ends with its standard input.
pub(crate) struct Clients {
    process: Child,
    answers: BufReader<ChildStdout>,
}

impl Clients {
    pub(crate) fn start(to: SocketAddr) -> anyhow::Result<Self> {
        let mut process = Command::new(env::current_exe()?)
            .args(["clients", &to.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let answers = BufReader::new(process.stdout.take().context("the child's output")?);
        Ok(Self { process, answers })
    }

    /// Has something done: `short N`, `idle N`, `ask` the idle ones or `close` them.
    pub(crate) fn command(&mut self, command: &str) -> anyhow::Result<Ends> {
        let mut stdin = self.process.stdin.as_ref().context("the child's input")?;
        writeln!(stdin, "{command}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        answer.parse()
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().ok();
    }
}

/// Does what the standard input says until it ends.
pub(crate) fn obey(to: SocketAddr) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut idle = Vec::new();
    for line in io::stdin().lines() {
        let line = line?;
        let words: Vec<_> = line.split_whitespace().collect();
        let ends = match words.as_slice() {
            ["short", count] => runtime.block_on(short(to, count.parse()?)),
            ["idle", count] => {
                let (opened, ends) = runtime.block_on(open_idle(to, count.parse()?));
                idle = opened;
                ends
            }
            ["ask"] => runtime.block_on(ask(&mut idle)),
            ["close"] => {
                idle.clear();
                Ends::default()
            }
            _ => bail!("{line:?} is no command"),
        };
        println!("{ends}");
        io::stdout().flush()?;
    }
    Ok(())
}

/// Connections that ask once, so many at a time.
async fn short(to: SocketAddr, count: u64) -> Ends {
    let concurrency = CONCURRENCY as u64;
    let mut clients: JoinSet<Ends> = JoinSet::new();
    for number in 0..concurrency {
        let own = count / concurrency + u64::from(number < count % concurrency);
        clients.spawn(async move {
            let mut ends = Ends::default();
            for _ in 0..own {
                ends += connect(to, None).await.1;
            }
            ends
        });
    }
    let mut all = Ends::default();
    for ends in clients.join_all().await {
        all += ends;
    }
    all
}

/// From another address, so that the short ones have all ports of theirs.
async fn open_idle(to: SocketAddr, count: u64) -> (Vec<TcpStream>, Ends) {
    let mut opened = Vec::new();
    let mut all = Ends::default();
    for _ in 0..count {
        let (client, ends) = connect(to, Some(Ipv4Addr::new(127, 0, 3, 1))).await;
        opened.extend(client);
        all += ends;
    }
    (opened, all)
}

async fn ask(clients: &mut [TcpStream]) -> Ends {
    let mut ends = Ends::default();
    for client in clients {
        match request(client).await {
            Ok(()) => ends.answered += 1,
            Err(_) => ends.broken += 1,
        }
    }
    ends
}

/// Connects and asks once.
async fn connect(to: SocketAddr, from: Option<Ipv4Addr>) -> (Option<TcpStream>, Ends) {
    let mut ends = Ends::default();
    let Ok(mut client) = open(to, from).await else {
        ends.refused += 1;
        return (None, ends);
    };
    match request(&mut client).await {
        Ok(()) => ends.answered += 1,
        Err(_) => ends.broken += 1,
    }
    (Some(client), ends)
}

async fn open(to: SocketAddr, from: Option<Ipv4Addr>) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(from) = from {
        socket.bind((from, 0).into())?;
    }
    socket.connect(to).await
}
