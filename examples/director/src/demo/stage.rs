//! The driver: it has the clock and does what the story asks for.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::log_line::{LogLine, News};
use super::machines::{self, Machines};
use super::network;
use super::plane::Plane;
use super::prober::{Answer, Prober};
use super::real_server;
use super::requester::{Report, Requester};
use super::sandbox::Users;
use super::scenario::{self, Node, Server, VIP};
use super::screen::{Screen, Status};
use super::step::Action;
use super::story::{Input, Output, Story};
use super::{keep, now};

/// How often the status on a terminal is drawn.
const FRAME: Duration = Duration::from_millis(100);

/// What ends the demo before it has ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Nobody can see it.
    #[error("cannot write to the standard output")]
    Output(#[source] io::Error),
    #[error(transparent)]
    Machines(#[from] machines::Error),
    #[error("cannot probe {VIP}")]
    Probe(#[source] io::Error),
    #[error("cannot send requests to {VIP}")]
    Request(#[source] io::Error),
    #[error("cannot find out how to get into the sandbox")]
    Keep(#[source] io::Error),
}

impl From<network::Error> for Error {
    fn from(error: network::Error) -> Self {
        Self::Machines(error.into())
    }
}

/// Shows everything, and goes on in `keep` if all of it worked. The exit code is 0 if it did.
pub(super) fn play(keep: Option<Users>) -> Result<ExitCode, Error> {
    let mut stage = Stage::new()?;
    let mut story = Story::new(scenario::steps());
    let ending = stage.play(&mut story).and_then(|()| stage.conclude(&story));
    match &ending {
        Ok(ExitCode::SUCCESS) => {
            if let Some(users) = keep {
                stage.keep(&mut story, users)?;
            }
        }
        Err(Error::Output(_)) => {}
        _ => stage.show_logs(),
    }
    ending
}

/// What the threads tell the driver.
enum Event {
    Answered(Answer),
    Request(Report),
    /// A line of a director's log; `None`: it has closed it.
    Line(Node, Option<LogLine>),
    /// A line of a real server; `None`: it has closed it.
    ServerLine(Server, Option<String>),
}

struct Stage {
    began_at: Instant,
    screen: Screen<io::Stdout>,
    machines: Machines,
    /// Dropped, it closes.
    requester: Option<Requester>,
    logs: Vec<(Duration, &'static str, String)>,
    events: Receiver<Event>,
    sender: Sender<Event>,
}

impl Stage {
    fn new() -> Result<Self, Error> {
        let mut screen = Screen::new();
        let machines = Machines::new(Plane::find())?;
        screen.introduce(machines.plane()).map_err(Error::Output)?;
        let prober = machines.client.enter(|| Prober::open(VIP))?;
        let (sender, events) = mpsc::channel();
        let answers = sender.clone();
        prober
            .and_then(|prober| {
                prober.start(move |answer| answers.send(Event::Answered(answer)).is_ok())
            })
            .map_err(Error::Probe)?;
        Ok(Self {
            began_at: now(),
            screen,
            machines,
            requester: None,
            logs: Vec::new(),
            events,
            sender,
        })
    }

    fn play(&mut self, story: &mut Story) -> Result<(), Error> {
        story.handle(Input::Start, self.began_at);
        while !self.perform(story)? {
            self.go_on(story)?;
        }
        Ok(())
    }

    /// Lets the user look around for as long as there is somebody to look.
    fn keep(&mut self, story: &mut Story, users: Users) -> Result<(), Error> {
        // It was stopped in the last step.
        self.machines.power_off(Node::Alpha)?;
        story.restart(Node::Alpha);
        self.act(Action::PowerOn(Node::Alpha))?;
        self.open_client()?;
        let commands = keep::commands(&self.machines, users).map_err(Error::Keep)?;
        self.screen.invite(&commands).map_err(Error::Output)?;
        loop {
            self.go_on(story)?;
        }
    }

    /// Waits for what is seen next, tells the story and draws the status.
    fn go_on(&mut self, story: &mut Story) -> Result<(), Error> {
        if self.screen.is_frame_due(now(), FRAME) {
            let status = Status::of(story, now());
            self.screen.status(&status).map_err(Error::Output)?;
        }
        let frame = self.screen.is_live().then(|| now() + FRAME);
        let deadline = [story.poll_timeout(), frame].into_iter().flatten().min();
        let input = self.next_input(deadline)?;
        story.handle(input, now());
        Ok(())
    }

    /// Does and shows what the story asks for; `true` if that was its end.
    fn perform(&mut self, story: &mut Story) -> Result<bool, Error> {
        while let Some(output) = story.poll_output() {
            let at = now() - self.began_at;
            match output {
                Output::Begin { number, title } => self.screen.begin(number, title),
                Output::Do(action) => {
                    self.act(action)?;
                    Ok(())
                }
                Output::OpenClient => {
                    self.open_client()?;
                    Ok(())
                }
                Output::CloseClient => {
                    self.requester = None;
                    Ok(())
                }
                Output::Arrived { at: node } => {
                    let what = format!("{VIP} answers, it is {node}");
                    self.screen.event(at, "client", &what)
                }
                Output::Done(measured) => self.screen.done(at, &measured),
                Output::End => return Ok(true),
            }
            .map_err(Error::Output)?;
        }
        Ok(false)
    }

    fn act(&mut self, action: Action) -> Result<(), Error> {
        // Nobody listens any more when the demo ends.
        let sender = self.sender.clone();
        match action {
            Action::PowerOn(node) => self.machines.power_on(node, move |line| {
                sender.send(Event::Line(node, line)).ok();
            }),
            Action::PowerOff(node) => self.machines.power_off(node),
            Action::Stop(node) => self.machines.stop(node),
            Action::StartServer(server) => self.machines.start_server(server, move |line| {
                sender.send(Event::ServerLine(server, line)).ok();
            }),
            Action::KillServer(server) => self.machines.kill_server(server),
        }
        .map_err(Error::Machines)
    }

    fn open_client(&mut self) -> Result<(), Error> {
        let sender = self.sender.clone();
        let requester = self.machines.client.enter(|| {
            Requester::start(VIP, move |report| {
                sender.send(Event::Request(report)).ok();
            })
        })?;
        self.requester = Some(requester.map_err(Error::Request)?);
        Ok(())
    }

    /// What is seen next, or the deadline.
    fn next_input(&mut self, deadline: Option<Instant>) -> Result<Input, Error> {
        loop {
            let left = deadline.map_or(FRAME, |at| at.saturating_duration_since(now()));
            // First, as answers may come faster than they are heard.
            if left.is_zero() {
                return Ok(Input::Timeout);
            }
            let event = match self.events.recv_timeout(left) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Ok(Input::Timeout);
                }
            };
            if let Some(input) = self.read(event)? {
                return Ok(input);
            }
        }
    }

    fn read(&mut self, event: Event) -> Result<Option<Input>, Error> {
        Ok(match event {
            Event::Answered(Answer { mac, sent_at }) => {
                let by = Node::ALL.into_iter().find(|node| node.mac() == mac);
                by.map(|by| Input::Answered { by, sent_at })
            }
            Event::Request(Report::Finished(finished)) => Some(Input::Request(finished)),
            Event::Request(Report::Closed { started }) => Some(Input::ClientClosed { started }),
            Event::Line(node, Some(LogLine { text, news })) => {
                self.hear(node.name(), text, news.is_some())?;
                news.map(|news| match news {
                    News::Role(role) => Input::Role { node, role },
                    News::Check { server, is_up } => Input::Check {
                        node,
                        server,
                        is_up,
                    },
                })
            }
            Event::Line(node, None) => {
                let end = self.machines.director_end(node);
                end.map(|end| Input::Exited { node, end })
            }
            Event::ServerLine(server, Some(text)) => {
                let serves = text == real_server::SERVES;
                self.hear(server.name(), text, serves)?;
                serves.then_some(Input::ServerServes(server))
            }
            Event::ServerLine(server, None) => self.machines.server_end(server).map(|end| {
                let how = end.err().unwrap_or_else(|| String::from("has ended"));
                Input::ServerExited { server, how }
            }),
        })
    }

    /// Keeps a line for those who have to find out what went wrong, and shows it if it is news.
    fn hear(&mut self, who: &'static str, text: String, is_news: bool) -> Result<(), Error> {
        let at = now() - self.began_at;
        if is_news {
            self.screen.event(at, who, &text).map_err(Error::Output)?;
        }
        self.logs.push((at, who, text));
        Ok(())
    }

    fn conclude(&mut self, story: &Story) -> Result<ExitCode, Error> {
        let mut show = || {
            self.screen.summarize(story.measured(), &story.requests())?;
            match story.failures() {
                [] => self.screen.print("\nEverything shown worked"),
                failures => failures
                    .iter()
                    .try_for_each(|failure| self.screen.print(&format!("\nFAILED {failure}"))),
            }
        };
        show().map_err(Error::Output)?;
        Ok(match story.failures() {
            [] => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        })
    }

    /// What directors and real servers have said, for whoever has to find out what went wrong.
    fn show_logs(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            let (who, text) = match event {
                Event::Line(node, Some(line)) => (node.name(), line.text),
                Event::ServerLine(server, Some(line)) => (server.name(), line),
                Event::Line(_, None)
                | Event::ServerLine(_, None)
                | Event::Answered(_)
                | Event::Request(_) => continue,
            };
            self.logs.push((now() - self.began_at, who, text));
        }
        self.screen.clear().ok();
        let mut stderr = io::stderr().lock();
        for (at, who, text) in &self.logs {
            // Nothing is left to do if that cannot be said either.
            writeln!(stderr, "{:>7.3} s  {who:<6}  {text}", at.as_secs_f64()).ok();
        }
    }
}
