//! The driver: it has the clock and does what the story asks for.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::director::Director;
use super::log_line::LogLine;
use super::network::{self, Machine, Switch};
use super::prober::{Answer, Prober};
use super::scenario::{self, CLIENT, CLIENT_MAC, Node, VIP};
use super::screen::Screen;
use super::story::{Action, Input, Output, Story};
use super::{now, sandbox};

/// How often the status on a terminal is drawn.
const FRAME: Duration = Duration::from_millis(100);

/// What ends the demo before it has ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Nobody can see it.
    #[error("cannot write to the standard output")]
    Output(#[source] io::Error),
    #[error(transparent)]
    Network(#[from] network::Error),
    #[error("cannot probe {VIP}")]
    Probe(#[source] io::Error),
    #[error("cannot {what} the director of {node}")]
    Director {
        what: &'static str,
        node: Node,
        #[source]
        source: io::Error,
    },
}

/// Shows everything. The exit code is 0 if all of it worked.
pub(super) fn play() -> Result<ExitCode, Error> {
    let mut stage = Stage::new()?;
    let ending = stage.play();
    match &ending {
        Ok(ExitCode::SUCCESS) | Err(Error::Output(_)) => {}
        _ => stage.show_logs(),
    }
    ending
}

/// What the threads tell the driver.
enum Event {
    Answered(Answer),
    /// A line of a director's log; `None`: it has closed it.
    Line(Node, Option<LogLine>),
}

struct Stage {
    began_at: Instant,
    screen: Screen<io::Stdout>,
    switch: Switch,
    /// Those that have power.
    machines: BTreeMap<Node, (Machine, Director)>,
    logs: Vec<(Duration, Node, String)>,
    events: Receiver<Event>,
    sender: Sender<Event>,
}

impl Stage {
    fn new() -> Result<Self, Error> {
        let mut screen = Screen::new();
        screen.introduce().map_err(Error::Output)?;
        let switch = Switch::new()?;
        let client = Machine::new("client")?;
        switch.connect(&client, CLIENT_MAC, CLIENT)?;
        let prober = client.enter(|| Prober::open(VIP))?.map_err(Error::Probe)?;
        let (sender, events) = mpsc::channel();
        let answers = sender.clone();
        // The client's namespace lasts for as long as its sockets.
        prober
            .start(move |answer| answers.send(Event::Answered(answer)).is_ok())
            .map_err(Error::Probe)?;
        Ok(Self {
            began_at: now(),
            screen,
            switch,
            machines: BTreeMap::new(),
            logs: Vec::new(),
            events,
            sender,
        })
    }

    fn play(&mut self) -> Result<ExitCode, Error> {
        let mut story = Story::new(scenario::steps());
        story.handle(Input::Start, self.began_at);
        let mut frame_at = self.screen.is_live().then_some(self.began_at);
        loop {
            while let Some(output) = story.poll_output() {
                if self.perform(&output)? {
                    return self.conclude(&story);
                }
            }
            if frame_at.is_some_and(|at| now() >= at) {
                self.screen.status(&status(&story)).map_err(Error::Output)?;
                frame_at = Some(now() + FRAME);
            }
            let deadline = [story.poll_timeout(), frame_at].into_iter().flatten().min();
            let input = self.next_input(deadline)?;
            story.handle(input, now());
        }
    }

    /// Does or shows it; `true` if that was the end.
    fn perform(&mut self, output: &Output) -> Result<bool, Error> {
        let at = now() - self.began_at;
        match output {
            Output::Begin { number, title } => self.screen.begin(*number, title),
            Output::Do(action) => return self.act(*action).map(|()| false),
            Output::Arrived { at: node } => {
                self.screen
                    .event(at, "client", &format!("{VIP} answers, it is {node}"))
            }
            Output::Done(measured) => self.screen.done(at, measured),
            Output::End => return Ok(true),
        }
        .map_err(Error::Output)
        .map(|()| false)
    }

    fn act(&mut self, action: Action) -> Result<(), Error> {
        match action {
            Action::PowerOn(node) => self.power_on(node),
            Action::PowerOff(node) => self.power_off(node),
            Action::Stop(node) => match self.machines.get(&node) {
                Some((_, director)) => director.stop().map_err(failed("stop", node)),
                None => Ok(()),
            },
        }
    }

    fn power_on(&mut self, node: Node) -> Result<(), Error> {
        let machine = Machine::new(node.name())?;
        self.switch.connect(&machine, node.mac(), node.address())?;
        let sender = self.sender.clone();
        let director = machine
            .enter(|| {
                Director::start(node, &sandbox::directory(), move |line| {
                    // Nobody listens any more when the demo ends.
                    sender.send(Event::Line(node, line)).ok();
                })
            })?
            .map_err(failed("start", node))?;
        self.machines.insert(node, (machine, director));
        Ok(())
    }

    fn power_off(&mut self, node: Node) -> Result<(), Error> {
        let Some((machine, mut director)) = self.machines.remove(&node) else {
            return Ok(());
        };
        director.kill().map_err(failed("kill", node))?;
        // A namespace's kernel has no power to lose: it would go on answering for the address.
        self.switch.disconnect(&machine)?;
        director.wait().ok();
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
        match event {
            Event::Answered(Answer { mac, sent_at }) => {
                let by = Node::ALL.into_iter().find(|node| node.mac() == mac);
                Ok(by.map(|by| Input::Answered { by, sent_at }))
            }
            Event::Line(node, Some(line)) => {
                let at = now() - self.began_at;
                if line.role.is_some() {
                    self.screen
                        .event(at, node.name(), &line.text)
                        .map_err(Error::Output)?;
                }
                self.logs.push((at, node, line.text));
                Ok(line.role.map(|role| Input::Role { node, role }))
            }
            Event::Line(node, None) => {
                Ok(self
                    .machines
                    .get_mut(&node)
                    .map(|(_, director)| Input::Exited {
                        node,
                        end: director.wait(),
                    }))
            }
        }
    }

    fn conclude(&mut self, story: &Story) -> Result<ExitCode, Error> {
        let mut show = || {
            self.screen.summarize(story.measured())?;
            match story.failures() {
                [] => self.screen.print("\nEverything shown worked"),
                failures => failures
                    .iter()
                    .try_for_each(|failure| self.screen.print(&format!("\nFAILED {failure}"))),
            }
        };
        show().map_err(Error::Output)?;
        Ok(if story.failures().is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    /// What the directors have said, for whoever has to find out what went wrong.
    fn show_logs(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            if let Event::Line(node, Some(line)) = event {
                self.logs.push((now() - self.began_at, node, line.text));
            }
        }
        // An empty status leaves the line to them.
        self.screen.status("").ok();
        let mut stderr = io::stderr().lock();
        for (at, node, text) in &self.logs {
            // Nothing is left to do if that cannot be said either.
            writeln!(stderr, "{:>7.3} s  {node:<6}  {text}", at.as_secs_f64()).ok();
        }
    }
}

fn status(story: &Story) -> String {
    let mut text = String::new();
    for node in Node::ALL {
        text.push_str(&format!("  {node} {:<8}", story.state(node)));
    }
    let silence = story.last_answered().map(|at| now() - at);
    match (story.holder(), silence) {
        (Some(holder), Some(silence)) if silence < FRAME => {
            text.push_str(&format!("  {VIP} at {}", holder.node));
        }
        (_, Some(silence)) => {
            text.push_str(&format!("  {VIP} silent for {}", scenario::millis(silence)));
        }
        _ => text.push_str(&format!("  {VIP} silent")),
    }
    text
}

fn failed(what: &'static str, node: Node) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Director { what, node, source }
}
