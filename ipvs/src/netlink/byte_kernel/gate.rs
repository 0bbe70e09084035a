//! What lets nothing pass while it is closed.

use std::sync::{Condvar, Mutex};

/// Keeps who sends something waiting, as a kernel that is busy.
#[derive(Default)]
pub(crate) struct Gate {
    /// Whether it is closed, and how many wait before it.
    state: Mutex<(bool, usize)>,
    changed: Condvar,
}

impl Gate {
    pub(crate) fn close(&self) {
        self.state.lock().unwrap().0 = true;
    }

    pub(crate) fn open(&self) {
        self.state.lock().unwrap().0 = false;
        self.changed.notify_all();
    }

    /// Waits until somebody waits.
    pub(crate) fn await_visitor(&self) {
        let state = self.state.lock().unwrap();
        drop(self.changed.wait_while(state, |(_, waiting)| *waiting == 0));
    }

    pub(super) fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.1 += 1;
        self.changed.notify_all();
        let mut state = self
            .changed
            .wait_while(state, |(closed, _)| *closed)
            .unwrap();
        state.1 -= 1;
    }
}
