//! `lb_algo` with its flags, and persistence.

use std::net::Ipv4Addr;

use ipvs::{ClientMask, EngineName, Family, Flags, Persistence, PrefixLen, SchedulerName, Seconds};

use crate::conf::{
    context::Context,
    diagnostic::{Code, Diagnostic},
    model::Places,
    source::Span,
    suggest::did_you_mean,
    tree::Item,
    values::whole,
};

/// What a `virtual_server` says about how connections are spread.
#[derive(Debug, Default)]
pub(super) struct Scheduling {
    scheduler: Option<SchedulerName>,
    flags: Flags,
    /// The keywords of flags and where they stand.
    flag_words: Vec<(&'static str, Span)>,
    timeout: Option<Seconds>,
    mask: Option<ClientMask>,
    engine: Option<EngineName>,
    /// Whether something of it was wrong.
    pub(super) broken: bool,
}

impl Scheduling {
    /// Takes over a line; `false` if the keyword is none of these.
    pub(super) fn read(
        &mut self,
        context: &mut Context<'_>,
        keyword: &'static str,
        item: Item<'_>,
    ) -> bool {
        let flag = match keyword {
            "lb_algo" => {
                self.scheduler = scheduler(context, item);
                self.broken |= self.scheduler.is_none();
                return true;
            }
            "persistence_timeout" | "persistence_granularity" | "persistence_engine" => {
                self.broken |= self.persistence(context, keyword, item).is_none();
                return true;
            }
            "sh-fallback" | "mh-fallback" | "flag-1" => &mut self.flags.fallback,
            "sh-port" | "mh-port" | "flag-2" => &mut self.flags.port,
            "flag-3" => &mut self.flags.third,
            "ops" => &mut self.flags.one_packet,
            _ => return false,
        };
        *flag = context.flag(item);
        self.flag_words.push((keyword, item.span()));
        true
    }

    fn persistence(
        &mut self,
        context: &mut Context<'_>,
        keyword: &str,
        item: Item<'_>,
    ) -> Option<()> {
        match keyword {
            "persistence_timeout" if item.args().len() == 0 => {
                self.timeout = Some(Persistence::DEFAULT_TIMEOUT);
            }
            "persistence_timeout" => {
                let seconds = whole("a persistence timeout in seconds", 1..=2_678_400);
                self.timeout = Some(Seconds::new(context.one(item, "seconds", seconds)?));
            }
            "persistence_granularity" => self.mask = Some(context.one(item, "a mask", mask)?),
            _ => {
                let engine = |text: &str| EngineName::new(text).map_err(|error| error.to_string());
                self.engine = Some(context.one(item, "an engine", engine)?);
            }
        }
        Some(())
    }

    /// The scheduler: `wlc` if none is named, which is said, as keepalived does.
    pub(super) fn scheduler(&self, context: &mut Context<'_>, places: &Places) -> SchedulerName {
        if self.scheduler.is_none() && places.of("lb_algo") == places.block() {
            context.report(
                Diagnostic::new(
                    Code::AssumedDefault,
                    places.block(),
                    "no `lb_algo`: the scheduler is wlc",
                )
                .help("write `lb_algo wlc`, or the scheduler that is meant"),
            );
        }
        self.scheduler.unwrap_or(SchedulerName::WLC)
    }

    /// The flags, as far as they are of that scheduler.
    pub(super) fn flags(
        &self,
        context: &mut Context<'_>,
        scheduler: SchedulerName,
        places: &Places,
    ) -> Flags {
        for (keyword, span) in &self.flag_words {
            let owner = keyword.split_once('-').map(|(owner, _)| owner);
            if let Some(owner @ ("sh" | "mh")) = owner
                && owner != scheduler.as_str()
            {
                context.report(
                    Diagnostic::new(
                        Code::Conflict,
                        *span,
                        format!("`{keyword}` is a flag of {owner}, the scheduler is {scheduler}"),
                    )
                    .help(format!("remove it, or write `lb_algo {owner}`")),
                );
            }
        }
        let hashes = [SchedulerName::SH, SchedulerName::MH].contains(&scheduler);
        if hashes && !self.flags.fallback {
            context.report(
                Diagnostic::new(
                    Code::HashWithoutFallback,
                    places.of("lb_algo"),
                    format!(
                        "{scheduler} without `{scheduler}-fallback` drops the clients of a server \
                         that has weight 0 or is full"
                    ),
                )
                .help(format!("add `{scheduler}-fallback`")),
            );
        }
        self.flags
    }

    /// The persistence for services of that family.
    pub(super) fn persistence_of(
        &self,
        context: &mut Context<'_>,
        family: Family,
        places: &Places,
    ) -> Option<Persistence> {
        let Some(timeout) = self.timeout else {
            let parts = [
                ("persistence_granularity", self.mask.is_some()),
                ("persistence_engine", self.engine.is_some()),
            ];
            for (keyword, _) in parts.into_iter().filter(|(_, is_set)| *is_set) {
                if places.of("persistence_timeout") != places.block() {
                    continue;
                }
                context.report(
                    Diagnostic::new(
                        Code::MissingKeyword,
                        places.of(keyword),
                        format!("`{keyword}` without `persistence_timeout`"),
                    )
                    .help("add `persistence_timeout 360`, or remove it"),
                );
            }
            return None;
        };
        let mut persistence = Persistence::new(family, timeout);
        persistence.engine = self.engine;
        let Some(mask) = self.mask else {
            return Some(persistence);
        };
        if mask.family() != family {
            let expected = match family {
                Family::V4 => "a netmask, as 255.255.255.0",
                Family::V6 => "a prefix length, as 64",
            };
            context.report(
                Diagnostic::new(
                    Code::WrongFamily,
                    places.of("persistence_granularity"),
                    format!("`{mask}` is not a mask of {family} clients"),
                )
                .help(format!("write {expected}")),
            );
            return Some(persistence);
        }
        Some(persistence.with_clients(mask))
    }
}

fn scheduler(context: &mut Context<'_>, item: Item<'_>) -> Option<SchedulerName> {
    context.one(item, "a scheduler", |text| {
        if let Some(known) = SchedulerName::KNOWN.iter().find(|known| **known == text) {
            return SchedulerName::new(known).map_err(|error| error.to_string());
        }
        let near = did_you_mean(text, SchedulerName::KNOWN)
            .map(|near| format!("; did you mean {near}?"))
            .unwrap_or_default();
        Err(format!(
            "`{text}` is not a scheduler: expected one of {}{near}",
            SchedulerName::KNOWN.join(", ")
        ))
    })
}

/// A netmask for IPv4, the length of a prefix for IPv6.
fn mask(text: &str) -> Result<ClientMask, String> {
    if let Ok(mask) = text.parse::<Ipv4Addr>() {
        return Ok(ClientMask::V4(mask));
    }
    let prefix = text.parse().ok().and_then(|bits| PrefixLen::new(bits).ok());
    prefix.map(ClientMask::V6).ok_or_else(|| {
        format!(
            "`{text}` is not a mask of clients: expected a netmask as 255.255.255.0 for IPv4, the \
             length of a prefix from 1 to 128 for IPv6"
        )
    })
}
