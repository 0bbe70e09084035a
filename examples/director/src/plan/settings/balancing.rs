//! `virtual_server`, `real_server`, and what `global_defs` says of them.

use ipvs::{DestinationSettings, Forwarding, ServiceSettings, Tunnel};

use super::{Setting, Settings, Words, account, command};
use crate::conf::model::{
    Destination, FifoAbout, FlushOnStop, Global, Lvs, NotifyFifo, RealServer, SorryServer,
    TlsClient, VirtualServer,
};

pub(in crate::plan) fn global(global: &Global, lvs: &Lvs) -> Settings {
    let Global {
        router_id,
        default_interface,
        script_user,
        enable_script_security,
        log_unknown_vrids,
        notify_priority_changes,
        fifos,
    } = global;
    let Lvs {
        sync_daemon,
        timeouts,
        flush,
        flush_on_stop,
        rs_init_notifies,
    } = lvs;
    let mut words = Words::default();
    words.maybe("router_id", router_id.as_ref());
    words.maybe("default_interface", default_interface.as_ref());
    words.maybe("script_user", script_user.as_ref().map(account));
    words.flag("enable_script_security", *enable_script_security);
    words.flag("log_unknown_vrids", *log_unknown_vrids);
    words.flag("vrrp_notify_priority_changes", *notify_priority_changes);
    for fifo in fifos {
        let NotifyFifo {
            about,
            path,
            owner,
            script,
            span: _,
        } = fifo;
        let (keyword, of_script) = match about {
            FifoAbout::Everything => ("notify_fifo", "notify_fifo_script"),
            FifoAbout::Roles => ("vrrp_notify_fifo", "vrrp_notify_fifo_script"),
            FifoAbout::Services => ("lvs_notify_fifo", "lvs_notify_fifo_script"),
        };
        let owner = owner.as_ref().map(|owner| format!(" {}", account(owner)));
        words.set(keyword, format!("{path}{}", owner.unwrap_or_default()));
        words.maybe(of_script, script.as_ref().map(command));
    }
    if let Some(daemon) = sync_daemon {
        let mut parts = vec![daemon.interface.to_string()];
        parts.extend(daemon.instance.as_ref().map(ToString::to_string));
        parts.push(format!("id {}", daemon.sync_id));
        parts.extend(daemon.max_length.map(|it| format!("maxlen {}", it.bytes())));
        parts.extend(daemon.port.map(|it| format!("port {it}")));
        parts.extend(daemon.ttl.map(|it| format!("ttl {it}")));
        parts.extend(daemon.group.map(|it| format!("group {it}")));
        words.set("lvs_sync_daemon", parts.join(" "));
    }
    let set = timeouts.named();
    words.list(
        "lvs_timeouts",
        set.map(|(name, timeout)| format!("{name} {timeout} s")),
    );
    words.flag("lvs_flush", *flush);
    words.maybe(
        "lvs_flush_on_stop",
        flush_on_stop.map(|what| match what {
            FlushOnStop::Table => "all",
            FlushOnStop::VirtualServers => "VS",
        }),
    );
    words.flag("rs_init_notifies", *rs_init_notifies);
    words.0
}

/// What is set otherwise in `SSL`. Passwords are not shown.
pub(in crate::plan) fn tls(before: Option<&TlsClient>, after: Option<&TlsClient>) -> Vec<Setting> {
    let (Some(before), Some(after)) = (before, after) else {
        return Vec::new();
    };
    let words = |tls: &TlsClient| {
        let TlsClient {
            password: _,
            ca,
            certificate,
            key,
        } = tls;
        let mut words = Words::default();
        words.maybe("ca", ca.as_ref());
        words.maybe("certificate", certificate.as_ref());
        words.maybe("key", key.as_ref());
        words.0
    };
    let mut differing = Setting::between(words(before), words(after));
    if before.password != after.password {
        differing.push(Setting::hidden("password"));
    }
    differing
}

pub(in crate::plan) fn virtual_server(server: &VirtualServer) -> Settings {
    let VirtualServer {
        name: _,
        services,
        scheduler,
        flags,
        persistence,
        real_servers: _,
        sorry_server: _,
        full_nat_source,
        alpha,
        omega,
        ha_suspend,
        quorum,
        quorum_up,
        quorum_down,
        places: _,
    } = server;
    let mut settings = ServiceSettings::new(*scheduler);
    settings.flags = *flags;
    settings.persistence = *persistence;
    let mut words = Words::default();
    words.list("services", services);
    words.0.extend(service(&settings));
    words.maybe("full_nat_source", *full_nat_source);
    words.flag("alpha", *alpha);
    words.flag("omega", *omega);
    words.flag("ha_suspend", *ha_suspend);
    words.set("quorum", quorum.quorum());
    words.set("hysteresis", quorum.hysteresis());
    words.script("quorum_up", quorum_up.as_ref());
    words.script("quorum_down", quorum_down.as_ref());
    words.0
}

/// How a service is set up, as a configuration or a kernel has it.
pub(in crate::plan) fn service(settings: &ServiceSettings) -> Settings {
    let mut words = Words::default();
    words.set("lvs_sched", settings.scheduler);
    words.flag("ops", settings.flags.one_packet);
    words.list("flags", settings.flags.scheduler_flags(settings.scheduler));
    if let Some(persistence) = settings.persistence {
        words.set("persistence_timeout", format!("{} s", persistence.timeout));
        words.set("persistence_granularity", persistence.clients);
        words.maybe("persistence_engine", persistence.engine);
    }
    words.0
}

pub(in crate::plan) fn real_server(server: &RealServer) -> Settings {
    let RealServer {
        destination,
        checks: _,
        inhibit_on_failure,
        slow_start,
        notify_up,
        notify_down,
    } = server;
    let mut words = Words(placed(destination));
    words.flag("inhibit_on_failure", *inhibit_on_failure);
    words.maybe(
        "slow_start",
        slow_start.map(|span| format!("{} s", span.as_secs_f64())),
    );
    words.script("notify_up", notify_up.as_ref());
    words.script("notify_down", notify_down.as_ref());
    words.0
}

pub(in crate::plan) fn sorry_server(server: &SorryServer) -> Settings {
    let SorryServer {
        destination,
        inhibit,
    } = server;
    let mut words = Words::default();
    words.set("address", destination.address);
    words.maybe("port", destination.port);
    words.0.extend(placed(destination));
    words.flag("sorry_server_inhibit", *inhibit);
    words.0
}

fn placed(place: &Destination) -> Settings {
    let mut words = Words(destination(&place.settings));
    words.flag("FULLNAT", place.full_nat);
    words.0
}

/// How a destination is set up, as a configuration or a kernel has it.
pub(in crate::plan) fn destination(settings: &DestinationSettings) -> Settings {
    let mut words = Words::default();
    words.set(
        "lvs_method",
        match settings.forwarding {
            Forwarding::Masquerade => String::from("NAT"),
            Forwarding::DirectRoute => String::from("DR"),
            Forwarding::Local => String::from("local"),
            Forwarding::Bypass => String::from("bypass"),
            Forwarding::Tunnel(Tunnel::Ipip) => String::from("TUN"),
            Forwarding::Tunnel(tunnel) => format!("TUN {tunnel:?}"),
        },
    );
    words.set("weight", settings.weight);
    let threshold = |connections: u32| (connections > 0).then_some(connections);
    words.maybe("uthreshold", threshold(settings.thresholds.upper()));
    words.maybe("lthreshold", threshold(settings.thresholds.lower()));
    words.0
}
