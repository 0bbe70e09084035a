//! Settings that stand in `global_defs` (with `vrrp_` before them) and in `vrrp_instance`.

use std::{num::NonZeroU8, time::Duration};

use vrrp::{AnnounceSchedule, OnHigherPriority, OnLowerPriority};

use super::{
    context::Context,
    tree::Item,
    values::{whole, whole_seconds},
};

/// The settings of one block; `None` where it says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tunables {
    garp_master_delay: Option<Duration>,
    garp_master_repeat: Option<u8>,
    garp_master_refresh: Option<Duration>,
    garp_master_refresh_repeat: Option<u8>,
    garp_lower_prio_delay: Option<Duration>,
    garp_lower_prio_repeat: Option<u8>,
    down_timer_adverts: Option<NonZeroU8>,
    lower_prio_no_advert: Option<bool>,
    higher_prio_send_advert: Option<bool>,
    check_unicast_src: Option<bool>,
}

/// keepalived counts these delays in microseconds in 32 bits.
const MAX_GARP_SECONDS: u32 = 4294;

impl Tunables {
    /// Takes over a line; `false` if its keyword, without `vrrp_`, is none of these.
    pub(super) fn read(
        &mut self,
        context: &mut Context<'_>,
        keyword: &str,
        item: Item<'_>,
    ) -> bool {
        let mut delay = |item| {
            let parse = whole_seconds("a delay", 0..=MAX_GARP_SECONDS);
            context.one(item, "whole seconds", parse)
        };
        match keyword {
            "garp_master_delay" => self.garp_master_delay = delay(item),
            "garp_master_refresh" => self.garp_master_refresh = delay(item),
            "garp_lower_prio_delay" => self.garp_lower_prio_delay = delay(item),
            "garp_master_repeat" => self.garp_master_repeat = repeat(context, item, 1),
            "garp_master_refresh_repeat" => {
                self.garp_master_refresh_repeat = repeat(context, item, 1);
            }
            "garp_lower_prio_repeat" => self.garp_lower_prio_repeat = repeat(context, item, 0),
            "down_timer_adverts" => {
                let parse = whole("a number of advertisements", 1..=100);
                let number = context.one(item, "a number of advertisements", parse);
                self.down_timer_adverts = number.and_then(NonZeroU8::new);
            }
            "lower_prio_no_advert" => self.lower_prio_no_advert = context.switch(item),
            "higher_prio_send_advert" => self.higher_prio_send_advert = context.switch(item),
            "check_unicast_src" => self.check_unicast_src = Some(context.flag(item)),
            _ => return false,
        }
        true
    }

    /// These settings, and where they say nothing those of `global`.
    pub(super) fn or(self, global: Self) -> Self {
        Self {
            garp_master_delay: self.garp_master_delay.or(global.garp_master_delay),
            garp_master_repeat: self.garp_master_repeat.or(global.garp_master_repeat),
            garp_master_refresh: self.garp_master_refresh.or(global.garp_master_refresh),
            garp_master_refresh_repeat: self
                .garp_master_refresh_repeat
                .or(global.garp_master_refresh_repeat),
            garp_lower_prio_delay: self.garp_lower_prio_delay.or(global.garp_lower_prio_delay),
            garp_lower_prio_repeat: self
                .garp_lower_prio_repeat
                .or(global.garp_lower_prio_repeat),
            down_timer_adverts: self.down_timer_adverts.or(global.down_timer_adverts),
            lower_prio_no_advert: self.lower_prio_no_advert.or(global.lower_prio_no_advert),
            higher_prio_send_advert: self
                .higher_prio_send_advert
                .or(global.higher_prio_send_advert),
            check_unicast_src: self.check_unicast_src.or(global.check_unicast_src),
        }
    }

    /// `vrrp_min_garp`: one announcement and no second burst, unless something else is said.
    pub(super) fn or_min_garp(self) -> Self {
        self.or(Self {
            garp_master_repeat: Some(1),
            garp_master_delay: Some(Duration::ZERO),
            ..Self::default()
        })
    }

    /// When addresses are announced; the answer to a lower priority follows the first burst
    /// unless something else is said. `gap` is the time between two announcements.
    pub(super) fn announce(&self, gap: Duration) -> AnnounceSchedule {
        let mut schedule = AnnounceSchedule::default();
        schedule.repeat = self.garp_master_repeat.unwrap_or(schedule.repeat);
        schedule.delay = self.garp_master_delay.unwrap_or(schedule.delay);
        schedule.refresh = self.garp_master_refresh.unwrap_or(schedule.refresh);
        schedule.refresh_repeat = self
            .garp_master_refresh_repeat
            .unwrap_or(schedule.refresh_repeat);
        schedule.lower_priority_repeat = self.garp_lower_prio_repeat.unwrap_or(schedule.repeat);
        schedule.lower_priority_delay = self.garp_lower_prio_delay.unwrap_or(schedule.delay);
        schedule.gap = gap;
        schedule
    }

    pub(super) fn down_timer_adverts(&self) -> Option<NonZeroU8> {
        self.down_timer_adverts
    }

    pub(super) fn lower_priority(&self) -> OnLowerPriority {
        match self.lower_prio_no_advert {
            Some(true) => OnLowerPriority::StaySilent,
            Some(false) | None => OnLowerPriority::Advertise,
        }
    }

    pub(super) fn higher_priority(&self) -> OnHigherPriority {
        match self.higher_prio_send_advert {
            Some(true) => OnHigherPriority::AdvertiseAndYield,
            Some(false) | None => OnHigherPriority::Yield,
        }
    }

    pub(super) fn check_unicast_src(&self) -> bool {
        self.check_unicast_src == Some(true)
    }
}

fn repeat(context: &mut Context<'_>, item: Item<'_>, least: u8) -> Option<u8> {
    context.one(
        item,
        "a number of announcements",
        whole("a number of announcements", least..=u8::MAX),
    )
}
