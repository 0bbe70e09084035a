//! A reconciler, a kernel in memory, and a clock.

use std::time::{Duration, Instant};

use ipvs::{
    Change, Endpoint, IpvsBackend, Ownership, ReconcileEvent, ReconcileInput, ReconcileOutput,
    ReconcilePolicy, Reconciler, Removal, ServiceKey, Table, fake::Kernel, text::parse_table,
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A reconciler on a kernel.
pub(crate) struct Rig {
    pub(crate) kernel: Kernel,
    pub(crate) reconciler: Reconciler,
    pub(crate) now: Instant,
    pub(crate) events: Vec<ReconcileEvent>,
    pub(crate) reads: usize,
}

impl Rig {
    pub(crate) fn new(kernel: Kernel, owned: Ownership) -> Self {
        Self::with(kernel, owned, ReconcilePolicy::default())
    }

    pub(crate) fn with(kernel: Kernel, owned: Ownership, policy: ReconcilePolicy) -> Self {
        let now = Instant::now();
        Self {
            kernel,
            reconciler: Reconciler::new(policy, owned, now),
            now,
            events: Vec::new(),
            reads: 0,
        }
    }

    pub(crate) fn handle(&mut self, input: ReconcileInput) {
        self.reconciler.handle(input, self.now);
        self.drain();
    }

    pub(crate) fn desire(&mut self, table: &Table, removal: Removal) {
        let table = table.clone();
        self.handle(ReconcileInput::Desired { table, removal });
    }

    pub(crate) fn drain(&mut self) {
        for _ in 0..1000 {
            let Some(output) = self.reconciler.poll_output() else {
                return;
            };
            let input = match output {
                ReconcileOutput::Event(event) => {
                    self.events.push(event);
                    continue;
                }
                ReconcileOutput::Read => {
                    self.reads += 1;
                    match block_on(self.kernel.snapshot()) {
                        Ok(snapshot) => ReconcileInput::Read(snapshot),
                        Err(error) => ReconcileInput::NotRead {
                            because: error.to_string(),
                        },
                    }
                }
                ReconcileOutput::Apply(changes) => {
                    assert!(!changes.is_empty());
                    match block_on(self.kernel.apply(&changes)) {
                        Ok(outcomes) => ReconcileInput::Applied(outcomes),
                        Err(error) => ReconcileInput::NotApplied {
                            because: error.to_string(),
                        },
                    }
                }
            };
            self.reconciler.handle(input, self.now);
        }
        panic!("it never comes to rest: {:?}", self.reconciler);
    }

    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        self.drain();
        let mut wakes = 0;
        while let Some(at) = self.reconciler.poll_timeout()
            && at <= end
        {
            wakes += 1;
            assert!(wakes < 100_000, "it does not rest: {:?}", self.reconciler);
            self.kernel.advance(at.saturating_duration_since(self.now));
            self.now = at.max(self.now);
            self.handle(ReconcileInput::Timeout);
        }
        self.kernel.advance(end - self.now);
        self.now = end;
    }

    /// What the kernel has; dumps that are to fail do so here too.
    pub(crate) fn table(&self) -> Table {
        loop {
            if let Ok(snapshot) = block_on(self.kernel.snapshot()) {
                return snapshot.table();
            }
        }
    }

    pub(crate) fn take_changes(&self) -> Vec<Change> {
        let records = self.kernel.take_journal().into_iter();
        records.map(|record| record.change).collect()
    }

    pub(crate) fn take_events(&mut self) -> Vec<ReconcileEvent> {
        std::mem::take(&mut self.events)
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread();
    { runtime }.build().unwrap().block_on(future)
}

pub(crate) fn table(text: &str) -> Table {
    parse_table(text).unwrap()
}

pub(crate) const WEB: &str = "-A -t 10.1.0.100:80 -s rr\n\
                   -a -t 10.1.0.100:80 -r 10.0.0.1:80 -g -w 1\n\
                   -a -t 10.1.0.100:80 -r 10.0.0.2:80 -g -w 1\n";

pub(crate) fn web() -> (ServiceKey, Endpoint) {
    let service = ServiceKey::tcp("10.1.0.100:80".parse().unwrap());
    (service, "10.0.0.2:80".parse().unwrap())
}
