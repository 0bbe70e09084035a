//! `vrrp_instance`, `vrrp_sync_group`, `vrrp_script` and `track_file`.

use vrrp::{
    Broadcast, Checksum, OnHigherPriority, OnLowerPriority, Preempt, RouterConfig, StartAs,
    Transport, Vip,
};

use super::{Setting, Settings, Words, command};
use crate::conf::model::{Notify, SyncGroup, TrackFile, VrrpInstance, VrrpScript};

/// What is set otherwise in an instance. Passwords are not shown.
pub(in crate::plan) fn instance(
    before: Option<&VrrpInstance>,
    after: Option<&VrrpInstance>,
) -> Vec<Setting> {
    let (Some(before), Some(after)) = (before, after) else {
        return Vec::new();
    };
    let mut differing = Setting::between(words(before), words(after));
    if before.router.authentication != after.router.authentication {
        differing.push(Setting::hidden("authentication"));
    }
    differing
}

fn words(instance: &VrrpInstance) -> Settings {
    let VrrpInstance {
        router,
        notify,
        places: _,
    } = instance;
    let mut words = Words::default();
    words.set("interface", &router.interface);
    words.set("virtual_router_id", router.vrid);
    words.set("version", router.version);
    words.set(
        "state",
        match router.start_as {
            StartAs::Backup => "BACKUP",
            StartAs::Master => "MASTER",
        },
    );
    words.set("priority", router.priority);
    words.set("advert_int", router.interval);
    words.list("virtual_ipaddress", router.vips.iter().map(address));
    words.list(
        "virtual_ipaddress_excluded",
        router.excluded.iter().map(address),
    );
    match router.preempt {
        Preempt::Never => words.set("nopreempt", "on"),
        Preempt::After(delay) if delay.is_zero() => {}
        Preempt::After(delay) => words.seconds("preempt_delay", delay),
    }
    transport(&mut words, router);
    announcements(&mut words, router);
    words.seconds("startup_delay", router.startup_delay);
    words.set("down_timer_adverts", router.down_timer_adverts);
    let silent = router.lower_priority == OnLowerPriority::StaySilent;
    words.flag("lower_prio_no_advert", silent);
    let advertises = router.higher_priority == OnHigherPriority::AdvertiseAndYield;
    words.flag("higher_prio_send_advert", advertises);
    words.flag("v3_checksum_as_v2", router.checksum == Checksum::Message);
    words.flag("dont_track_primary", !router.track_interface);
    let trackers = router.trackers.iter().map(|tracker| {
        let reverse = if tracker.reverse { " reverse" } else { "" };
        let weight = tracker.weight.as_i16();
        format!("{} weight {weight}{reverse}", tracker.tracked)
    });
    words.list("track", trackers);
    words.maybe("sync_group", router.sync_group.as_ref());
    scripts(&mut words, notify);
    words.0
}

fn address(vip: &Vip) -> String {
    let mut text = vip.to_string();
    if let Some(scope) = vip.scope {
        text = format!("{text} scope {}", scope.as_u8());
    }
    if let Some(label) = &vip.label {
        text = format!("{text} label {label}");
    }
    if vip.broadcast != Broadcast::None {
        text = format!("{text} brd {:?}", vip.broadcast);
    }
    text
}

fn transport(words: &mut Words, router: &RouterConfig) {
    words.maybe("source", router.source);
    match &router.transport {
        Transport::Multicast { group } => words.maybe("multicast_group", *group),
        Transport::Unicast(unicast) => {
            let peers = unicast
                .peers
                .iter()
                .map(|peer| format!("{} ttl {}-{}", peer.address, peer.min_ttl, peer.max_ttl));
            words.list("unicast_peer", peers);
            words.set("unicast_ttl", unicast.ttl);
            words.flag("check_unicast_src", unicast.check_source);
        }
    }
}

fn announcements(words: &mut Words, router: &RouterConfig) {
    let schedule = &router.announce;
    words.set("garp_master_repeat", schedule.repeat);
    words.seconds("garp_master_delay", schedule.delay);
    words.seconds("garp_master_refresh", schedule.refresh);
    words.set("garp_master_refresh_repeat", schedule.refresh_repeat);
    words.set("garp_lower_prio_repeat", schedule.lower_priority_repeat);
    words.seconds("garp_lower_prio_delay", schedule.lower_priority_delay);
    words.seconds("garp_interval", schedule.gap);
}

fn scripts(words: &mut Words, notify: &Notify) {
    let Notify {
        master,
        backup,
        fault,
        stop,
        deleted,
        report_deleted,
        master_rx_lower_pri,
        any,
        priority_changes,
    } = notify;
    words.script("notify_master", master.as_ref());
    words.script("notify_backup", backup.as_ref());
    words.script("notify_fault", fault.as_ref());
    words.script("notify_stop", stop.as_ref());
    match deleted {
        Some(script) => words.script("notify_deleted", Some(script)),
        None => words.flag("notify_deleted", *report_deleted),
    }
    words.script("notify_master_rx_lower_pri", master_rx_lower_pri.as_ref());
    words.script("notify", any.as_ref());
    words.maybe("notify_priority_changes", *priority_changes);
}

pub(in crate::plan) fn sync_group(group: &SyncGroup) -> Settings {
    let SyncGroup {
        name: _,
        members,
        notify,
        places: _,
    } = group;
    let mut words = Words::default();
    words.list("group", members);
    scripts(&mut words, notify);
    words.0
}

pub(in crate::plan) fn script(script: &VrrpScript) -> Settings {
    let VrrpScript {
        name: _,
        script,
        interval,
        timeout,
        weight,
        reverse,
        rise,
        fall,
        init_fail,
        places: _,
    } = script;
    let mut words = Words::default();
    words.set("script", command(script));
    words.seconds("interval", *interval);
    words.seconds("timeout", *timeout);
    words.set("weight", weight.as_i16());
    words.flag("reverse", *reverse);
    words.set("rise", rise);
    words.set("fall", fall);
    words.flag("init_fail", *init_fail);
    words.0
}

pub(in crate::plan) fn track_file(file: &TrackFile) -> Settings {
    let TrackFile {
        name: _,
        path,
        weight,
        reverse,
        init,
        places: _,
    } = file;
    let mut words = Words::default();
    words.set("file", path);
    words.set("weight", weight);
    words.flag("reverse", *reverse);
    let init = init.map(|init| match init.overwrite {
        true => format!("{} overwrite", init.value),
        false => init.value.to_string(),
    });
    words.maybe("init_file", init);
    words.0
}
