//! What a seed makes of the world.

use std::time::{Duration, Instant};

use vrrp::{
    AdvertInterval, Input, NodeInput, OnHigherPriority, OnLowerPriority, Preempt, Priority,
    RouterConfig, StartAs, Tracked, Tracker, TrackerState, Version, Vip, Vrid, Weight, election,
    fake::{Conditions, Probability},
};

use crate::{
    random::Random,
    watch::{Bounds, Watch, best, settled_holders},
    world::{INTERFACES, World},
};

pub(crate) struct Scenario {
    random: Random,
    world: World,
    watch: Watch,
    bounds: Bounds,
    /// The unit of all times: the longest interval of a node.
    interval: Duration,
    disasters: u64,
    /// How often something may happen still: nodes that answer each other for ever never end.
    steps_left: u32,
}

impl Scenario {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let segments = match random.one_in(2) {
            true => 2,
            false => 1,
        };
        let mut world = World::new(segments, seed);
        let version = random.pick(&[Version::V2, Version::V3, Version::V3]);
        let line = line(&mut random);
        for segment in &mut world.segments {
            segment.set_conditions(line);
        }
        let nodes = random.within(2..=5);
        let same_interval = interval(&mut random, version);
        let same_priority = random.byte(1..=254);
        let owner = random.one_in(8);
        let kernel_takes = random.pick(&[0, 1, 20]);
        for machine in 0..nodes {
            let mut config = RouterConfig::new("", "", Vrid::new(51).unwrap(), vec![]);
            config.version = version;
            config.interval = match version {
                Version::V2 => same_interval,
                Version::V3 if random.one_in(2) => same_interval,
                Version::V3 => interval(&mut random, version),
            };
            config.priority = match random.one_in(3) {
                true => Priority::new(same_priority).unwrap(),
                false => Priority::new(random.byte(1..=254)).unwrap(),
            };
            manners(&mut random, &mut config);
            if owner && machine == 0 {
                config.priority = Priority::OWNER;
            }
            let takes = random.span(Duration::from_millis(kernel_takes));
            world.add(on_each_segment(&config, segments), takes);
        }
        let longest = |of: &dyn Fn(&RouterConfig) -> Duration| {
            let configs = world.machines.iter().flat_map(|machine| &machine.configs);
            configs.map(of).max().unwrap()
        };
        let interval = longest(&|config| config.interval.as_duration());
        let preempt_delay = longest(&|config| match config.preempt {
            Preempt::Never => Duration::ZERO,
            Preempt::After(delay) => delay,
        });
        let kernel = Duration::from_millis(2 * kernel_takes);
        Self {
            bounds: bounds(version, interval, &line, kernel, preempt_delay),
            random,
            world,
            watch: Watch::default(),
            interval,
            disasters: 10,
            steps_left: 200_000,
        }
    }

    /// Keeps the story.
    pub(crate) fn telling(mut self) -> Self {
        self.world.story = Some(Vec::new());
        self
    }

    /// Runs to the end, or to the first moment at which something is not as it must be.
    pub(crate) fn run(mut self) -> (Vec<String>, Result<(), String>) {
        let bounds = self.bounds;
        self.world.tell(|| format!("{bounds:?}"));
        let outcome = self.live();
        (self.world.story.take().unwrap_or_default(), outcome)
    }

    fn live(&mut self) -> Result<(), String> {
        for machine in 0..self.world.machines.len() {
            let wait = self.random.span(self.interval);
            self.pass(wait)?;
            self.disturb(|world, _| world.boot(machine));
        }
        for _ in 0..self.disasters {
            // Short enough that troubles meet, long enough that some are got over alone.
            let wait = match self.random.one_in(3) {
                true => self.bounds.nobody + self.random.span(self.interval),
                false => self.random.span(3 * self.interval),
            };
            self.pass(wait)?;
            self.disturb(disaster);
        }
        let wait = self.random.span(8 * self.interval);
        self.pass(wait)?;
        self.disturb(|world, _| repair(world));
        self.settle()
    }

    /// All is well: everybody agrees in time, and then nothing changes any more.
    fn settle(&mut self) -> Result<(), String> {
        self.pass(self.bounds.settled)?;
        let changes = self.world.role_changes;
        let segments = 0..self.world.segments.len();
        let mut masters = Vec::new();
        for segment in segments.clone() {
            let holders = settled_holders(&self.world, segment)?;
            let best = best(&self.world, segment);
            let master = holders.iter().find(|holder| best.contains(holder));
            let master = master.ok_or_else(|| {
                format!("{holders:?} and none of {best:?} hold the addresses in the end")
            })?;
            masters.push(*master);
        }
        for _ in 0..10 {
            self.pass(self.interval)?;
            for segment in segments.clone() {
                let master = masters[segment];
                let is_best = best(&self.world, segment) == [master];
                let holders = settled_holders(&self.world, segment)?;
                if (self.bounds.lossless || is_best) && !holders.contains(&master) {
                    return Err(format!("{master} has lost the addresses to {holders:?}"));
                }
            }
        }
        if self.bounds.lossless && self.world.role_changes != changes {
            return Err("roles change although all is well".to_owned());
        }
        Ok(())
    }

    fn disturb(&mut self, disturbance: impl FnOnce(&mut World, &mut Random)) {
        disturbance(&mut self.world, &mut self.random);
        self.watch.disturb();
    }

    /// Lets time pass.
    fn pass(&mut self, span: Duration) -> Result<(), String> {
        let until = self.world.now + span;
        while let Some(next) = self.world.next_at().filter(|at| *at <= until) {
            self.steps_left = self
                .steps_left
                .checked_sub(1)
                .ok_or("they answer each other for ever")?;
            if next > self.world.now {
                self.look(next)?;
            }
            self.world.step();
        }
        self.look(until)
    }

    fn look(&mut self, at: Instant) -> Result<(), String> {
        // How things stand after the last step, and that it was so until now.
        self.watch.look(&self.world, &self.bounds)?;
        self.world.now = self.world.now.max(at);
        self.watch.look(&self.world, &self.bounds)
    }
}

fn line(random: &mut Random) -> Conditions {
    let millis = Duration::from_millis;
    let loss = random.pick(&[0, 0, 1, 5, 10, 20]);
    Conditions::default()
        .latency(random.span(millis(20)))
        .jitter(random.span(millis(30)))
        .reordering(Probability::percent(random.pick(&[0, 5])), millis(40))
        .duplication(Probability::percent(random.pick(&[0, 5])))
        .loss(Probability::percent(loss))
}

fn interval(random: &mut Random, version: Version) -> AdvertInterval {
    match version {
        Version::V2 => AdvertInterval::from_secs(random.byte(1..=2)).unwrap(),
        Version::V3 => {
            let centis = random.pick(&[20, 50, 100, 200]);
            AdvertInterval::from_centis(centis).unwrap()
        }
    }
}

fn manners(random: &mut Random, config: &mut RouterConfig) {
    let interval = config.interval.as_duration();
    config.preempt = match random.within(0..=5) {
        0 => Preempt::Never,
        1 => Preempt::After(random.span(5 * interval)),
        _ => Preempt::default(),
    };
    if random.one_in(4) {
        config.start_as = StartAs::Master;
    }
    if random.one_in(4) {
        config.lower_priority = OnLowerPriority::StaySilent;
    }
    if random.one_in(4) {
        config.higher_priority = OnHigherPriority::AdvertiseAndYield;
    }
    let web = || Tracked::Condition("web".into());
    config.trackers = match random.within(0..=3) {
        0 => vec![Tracker::required(web())],
        1 => vec![Tracker::weighted(web(), Weight::new(-50).unwrap())],
        2 => vec![Tracker::weighted(web(), Weight::new(30).unwrap())],
        _ => vec![],
    };
}

fn on_each_segment(config: &RouterConfig, segments: usize) -> Vec<RouterConfig> {
    let place = |(name, number): (&&str, u8)| {
        let mut config = config.clone();
        (config.name, config.interface) = ((*name).into(), (*name).into());
        config.vips = vec![Vip::new([192, 0, number, 100].into(), 24).unwrap()];
        config.sync_group = (segments > 1).then(|| "G".into());
        config
    };
    INTERFACES
        .iter()
        .take(segments)
        .zip(1..)
        .map(place)
        .collect()
}

fn bounds(
    version: Version,
    interval: Duration,
    line: &Conditions,
    kernel: Duration,
    preempt_delay: Duration,
) -> Bounds {
    let lowest = Priority::new(1).unwrap();
    let three = 3.try_into().unwrap();
    let down = election::master_down(version, lowest, interval, three);
    let frame = line.latency + line.jitter + line.hold_back;
    let lossless = line.loss == Probability::NEVER;
    let lost_in_a_row = losses(line.loss);
    let nobody = down + frame + kernel;
    let two = interval * (lost_in_a_row + 1) + 2 * frame + kernel;
    Bounds {
        nobody,
        two,
        settled: nobody + two + preempt_delay + interval + down + two,
        lossless,
    }
}

/// How many losses in a row are as good as impossible.
fn losses(loss: Probability) -> u32 {
    let rate = (1..=20)
        .find(|percent| Probability::percent(*percent) == loss)
        .map_or(0.0, |percent| f64::from(percent) / 100.0);
    match rate > 0.0 {
        true => (1..)
            .find(|count| rate.powi(*count) < 1e-12)
            .unwrap()
            .unsigned_abs(),
        false => 0,
    }
}

/// One thing goes wrong, or right again.
fn disaster(world: &mut World, random: &mut Random) {
    let machine = random.index(world.machines.len());
    let segment = random.index(world.segments.len());
    match random.within(0..=11) {
        0 | 1 => {
            for machine in &mut world.machines {
                machine.side = random.index(2);
            }
            let sides: Vec<_> = world.machines.iter().map(|machine| machine.side).collect();
            world.tell(|| format!("the segment falls apart: {sides:?}"));
            world.cut();
        }
        2 => mend(world),
        3 if !world.machines[machine].is_down() => match world.machines[machine].frozen {
            true => thaw(world, machine),
            false => {
                world.tell(|| format!("{machine} freezes"));
                world.freeze(machine);
            }
        },
        4 if !world.machines[machine].is_down() => {
            world.tell(|| format!("{machine} crashes"));
            world.crash(machine);
        }
        5 if !world.machines[machine].is_down() => {
            world.tell(|| format!("{machine} is killed"));
            world.kill(machine);
        }
        6 if is_well(world, machine) => {
            world.tell(|| format!("{machine} stops"));
            world.give(machine, NodeInput::Stop);
            world.machines[machine].stopping = true;
        }
        7 if is_well(world, machine) => {
            let up = !world.machines[machine].link_up[segment];
            world.tell(|| format!("{machine} {} up: {up}", INTERFACES[segment]));
            world.set_link(machine, segment, up);
        }
        8 if is_well(world, machine) => {
            let state = random.pick(&[TrackerState::Up, TrackerState::Down]);
            set_condition(world, machine, state);
        }
        9 if is_well(world, machine) && !is_owner(world, machine) => {
            let priority = Priority::new(random.byte(1..=254)).unwrap();
            world.tell(|| format!("{machine} gets priority {priority}"));
            let node = world.machines[machine].node.as_ref().unwrap();
            let ids: Vec<_> = node.routers().map(|(id, _)| id).collect();
            for id in ids {
                let input = Input::Priority(priority);
                world.give(machine, NodeInput::Router { id, input });
            }
        }
        10 if is_well(world, machine) => {
            let refresh = random.span(Duration::from_secs(5));
            world.tell(|| format!("{machine} is reconfigured"));
            for config in &mut world.machines[machine].configs {
                config.announce.refresh = refresh;
            }
            world.configure(machine);
        }
        _ if world.machines[machine].is_down() => boot(world, machine),
        _ => {}
    }
}

/// Everything works again.
fn repair(world: &mut World) {
    world.tell(|| "all is repaired".to_owned());
    mend(world);
    for machine in 0..world.machines.len() {
        if world.machines[machine].frozen {
            thaw(world, machine);
        }
        if world.machines[machine].stopping {
            world.crash(machine);
        }
        if world.machines[machine].is_down() {
            boot(world, machine);
        }
        for segment in 0..world.segments.len() {
            if !world.machines[machine].link_up[segment] {
                world.set_link(machine, segment, true);
            }
        }
        set_condition(world, machine, TrackerState::Up);
    }
}

fn mend(world: &mut World) {
    world.tell(|| "the segment is whole".to_owned());
    for machine in &mut world.machines {
        machine.side = 0;
    }
    world.cut();
}

fn thaw(world: &mut World, machine: usize) {
    world.tell(|| format!("{machine} thaws"));
    world.thaw(machine);
}

fn boot(world: &mut World, machine: usize) {
    world.tell(|| format!("{machine} starts"));
    for segment in 0..world.segments.len() {
        world.machines[machine].link_up[segment] = true;
    }
    world.boot(machine);
}

fn set_condition(world: &mut World, machine: usize, state: TrackerState) {
    world.tell(|| format!("{machine} condition: {state:?}"));
    world.machines[machine].condition = state;
    let tracked = Tracked::Condition("web".into());
    world.give(machine, NodeInput::Tracker { tracked, state });
}

fn is_well(world: &World, machine: usize) -> bool {
    let machine = &world.machines[machine];
    !machine.is_down() && !machine.frozen && !machine.stopping
}

fn is_owner(world: &World, machine: usize) -> bool {
    world.machines[machine].configs[0].priority.is_owner()
}
