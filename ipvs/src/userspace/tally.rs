//! What became of the clients that came.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! tally {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What became of the clients that came, since the data plane was started.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Tally {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// The same, while it is counted.
        #[derive(Debug, Default)]
        pub(super) struct Counting {
            $(pub(super) $name: Count,)*
        }

        impl Counting {
            pub(super) fn tally(&self) -> Tally {
                Tally { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }
    };
}

tally! {
    /// Connections that were accepted, and flows of datagrams that began.
    accepted,
    /// Of them, those that a server was found for.
    served,
    /// Of them, those that were turned away because there were too many of all, or of their service.
    /// A connection is reset, a datagram is dropped, here and below.
    over_limit,
    /// Of them, those that were turned away because no destination takes new connections.
    no_destination,
    /// Of them, those that were turned away because no server answered.
    unreachable,
    /// Servers that did not answer, after which another was tried.
    retried,
    /// Connections that were reset because nothing had passed for the time-out of their state.
    expired,
    /// Datagrams that no socket had room for.
    lost,
    /// Times when nothing could be accepted for a while, because this process or the machine has
    /// too many descriptors open or no memory.
    short_of_descriptors,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn up(&self) {
        self.add(1);
    }

    pub(super) fn add(&self, more: usize) {
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        self.0.fetch_add(more, Ordering::Relaxed);
    }
}
