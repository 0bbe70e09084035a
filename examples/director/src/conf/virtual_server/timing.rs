//! The times that a checker has of its own, of its real server or of its virtual server.

use std::time::Duration;

use health::{CheckConfig, KeepalivedTiming};

use crate::conf::{
    context::Context,
    tree::Item,
    values::{decimal_seconds, whole},
};

/// What a block says about times; `None` where it says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::conf) struct Timing {
    delay_loop: Option<Duration>,
    connect_timeout: Option<Duration>,
    retry: Option<u32>,
    delay_before_retry: Option<Duration>,
    warmup: Option<Duration>,
    alpha: Option<bool>,
}

/// What holds where no block says anything; kinds of checkers differ in it.
#[derive(Debug, Clone, Copy)]
pub(in crate::conf) struct TimingDefaults {
    pub(in crate::conf) retry: u32,
    /// `None`: the `delay_loop`.
    pub(in crate::conf) delay_before_retry: Option<Duration>,
}

/// keepalived's `KEEPALIVED_DEFAULT_DELAY` and its connection timeout.
const DELAY_LOOP: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl Timing {
    /// Takes over a line; `false` if the keyword is none of these.
    ///
    /// Virtual servers and real servers retry at least once, checkers need not.
    pub(in crate::conf) fn read(
        &mut self,
        context: &mut Context<'_>,
        keyword: &str,
        item: Item<'_>,
        least_retries: u32,
    ) -> bool {
        match keyword {
            "delay_loop" => {
                let parse = timer("a time between checks", CheckConfig::SHORTEST, LONGEST);
                self.delay_loop = context.one(item, "seconds", parse);
            }
            "connect_timeout" => {
                let parse = timer("a timeout", CheckConfig::SHORTEST, LONGEST_TIMEOUT);
                self.connect_timeout = context.one(item, "seconds", parse);
            }
            "retry" => {
                let parse = whole("a number of retries", least_retries..=u32::MAX);
                self.retry = context.one(item, "a number", parse);
            }
            "delay_before_retry" => {
                let parse = timer("a time between tries", Duration::ZERO, LONGEST);
                self.delay_before_retry = context.one(item, "seconds", parse);
            }
            "warmup" => {
                let parse = timer(
                    "a time to spread first checks over",
                    Duration::ZERO,
                    LONGEST,
                );
                self.warmup = context.one(item, "seconds", parse);
            }
            "alpha" => self.alpha = context.switch(item),
            _ => return false,
        }
        true
    }

    /// The same, with what is not said taken from the block around.
    pub(in crate::conf) fn within(self, outer: Self) -> Self {
        Self {
            delay_loop: self.delay_loop.or(outer.delay_loop),
            connect_timeout: self.connect_timeout.or(outer.connect_timeout),
            retry: self.retry.or(outer.retry),
            delay_before_retry: self.delay_before_retry.or(outer.delay_before_retry),
            warmup: self.warmup.or(outer.warmup),
            alpha: self.alpha.or(outer.alpha),
        }
    }

    pub(in crate::conf) fn delay_loop(&self) -> Duration {
        self.delay_loop.unwrap_or(DELAY_LOOP)
    }

    pub(in crate::conf) fn warm_up(&self) -> Duration {
        self.warmup.unwrap_or_else(|| self.delay_loop())
    }

    pub(in crate::conf) fn alpha(&self) -> bool {
        self.alpha.unwrap_or(false)
    }

    /// keepalived waits no time at all with a `delay_before_retry` of 0; a checker waits a
    /// millisecond.
    pub(in crate::conf) fn resolved(&self, defaults: TimingDefaults) -> KeepalivedTiming {
        let delay_loop = self.delay_loop();
        let delay_before_retry = self.delay_before_retry.or(defaults.delay_before_retry);
        KeepalivedTiming {
            delay_loop,
            delay_before_retry: delay_before_retry
                .unwrap_or(delay_loop)
                .max(CheckConfig::SHORTEST),
            retry: self.retry.unwrap_or(defaults.retry),
            timeout: self.connect_timeout.unwrap_or(CONNECT_TIMEOUT),
            alpha: self.alpha(),
        }
    }
}

/// The longest a checker takes: a year.
const LONGEST: Duration = CheckConfig::LONGEST;
/// keepalived's limit.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(4294);

/// A time in seconds with up to six decimals.
fn timer(what: &str, least: Duration, most: Duration) -> impl Fn(&str) -> Result<Duration, String> {
    move |text| {
        decimal_seconds(text)
            .filter(|time| (least..=most).contains(time))
            .ok_or_else(|| {
                format!(
                    "`{text}` is not {what}: expected seconds from {} to {}, with up to six \
                     decimals",
                    least.as_secs_f64(),
                    most.as_secs_f64()
                )
            })
    }
}
