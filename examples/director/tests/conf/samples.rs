//! Files that people use.

use std::process::Command;

use director::{
    conf::{Code, Loaded, Options, load, render},
    host::Host,
};

fn read(path: &str, lenient: bool) -> Loaded {
    let mut options = Options::default();
    options.lenient = lenient;
    options.config_id = Some("main".to_owned());
    load(path, &Host, &options).expect("the sample is there")
}

fn sample(name: &str) -> String {
    format!("{}/tests/conf/samples/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_failover_tutorial_is_good_as_it_is() {
    let loaded = read(&sample("tutorial-failover.conf"), false);
    assert!(loaded.diagnostics.is_empty());
    let config = loaded.config.unwrap();
    let [instance] = config.instances.as_slice() else {
        panic!("one instance");
    };
    assert_eq!(&*instance.router.interface, "ens33");
    assert_eq!(instance.router.vips[0].to_string(), "192.168.199.10/24");
    assert_eq!(instance.router.trackers[0].weight.as_i16(), 2);
    let master = instance.notify.master.as_ref().unwrap();
    assert_eq!(master.argv, ["/etc/keepalived/start_haproxy.sh", "master"]);
    let script = &config.scripts[0];
    assert_eq!((script.rise.get(), script.fall.get()), (2, 3));
    assert!(config.global.enable_script_security);
}

#[test]
fn the_director_tutorial_is_good_with_old_names() {
    let loaded = read(&sample("tutorial-director.conf"), false);
    let codes: Vec<_> = loaded.diagnostics.iter().map(|d| d.code).collect();
    assert_eq!(codes, [Code::DeprecatedKeyword; 2]);
    let config = loaded.config.unwrap();
    let [server] = config.virtual_servers.as_slice() else {
        panic!("one virtual server");
    };
    assert_eq!(server.services[0].to_string(), "TCP 192.168.199.10:80");
    assert_eq!(server.persistence.unwrap().timeout.get(), 50);
    assert_eq!(server.real_servers.len(), 2);
    let check = &server.real_servers[0].checks[0].config;
    assert_eq!((check.interval.as_secs(), check.timeout.as_secs()), (6, 8));
    assert_eq!((check.fall.get(), check.retry_interval.as_secs()), (4, 3));
}

/// What is said of each sample of Debian's keepalived with `--lenient`, besides `not-yet`.
///
/// Where keepalived 2.2.7 judges otherwise (with interfaces that exist):
/// * SSL_GET: it clears `state MASTER` with AH and says so; AH is not done here.
////// * vrrp.rules: it says that an address of a rule is wrong; rules are skipped here.
/// * vrrp.lvs_syncd: it names the same two keywords, and goes on without the group.
/// * conditional_conf: it says the same of the script, and of the interfaces.
/// * vrrp: it advertises the address twice without a word.
const DEBIAN: &[(&str, &[Code])] = &[
    ("HTTP_GET.port", &[]),
    ("IPv6", &[Code::Unused]),
    ("PING_CHECK", &[Code::UdpPersistence]),
    ("SMTP_CHECK", &[]),
    ("SSL_GET", &[Code::NotYetVital]),
    ("UDP_CHECK", &[Code::UdpPersistence]),
    ("conditional_conf", &[Code::MissingKeyword]),
    ("fwmark", &[Code::Ignored]),
    ("inhibit", &[]),
    ("misc_check", &[]),
    ("misc_check_arg", &[]),
    ("quorum", &[]),
    ("sample", &[]),
    ("status_code", &[]),
    ("track_interface", &[]),
    ("virtual_server_group", &[]),
    ("virtualhost", &[]),
    ("vrrp", &[Code::DuplicateAddress]),
    ("vrrp.localcheck", &[]),
    (
        "vrrp.lvs_syncd",
        &[
            Code::MissingKeyword,
            Code::UnknownKeyword,
            Code::UnknownKeyword,
        ],
    ),
    ("vrrp.routes", &[]),
    ("vrrp.rules", &[]),
    ("vrrp.scripts", &[]),
    ("vrrp.static_ipaddress", &[]),
    ("vrrp.sync", &[]),
];

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs the samples of Debian's keepalived"
)]
fn debians_samples_are_understood() {
    let mut wrong = String::new();
    for (name, expected) in DEBIAN {
        let path = format!("/usr/share/doc/keepalived/samples/keepalived.conf.{name}");
        let loaded = read(&path, true);
        let codes: Vec<Code> = loaded
            .diagnostics
            .iter()
            .map(|diagnostic| diagnostic.code)
            .filter(|code| *code != Code::NotYet)
            .collect();
        if codes != *expected {
            let text = render::text(&loaded.diagnostics, &loaded.sources, false);
            wrong += &format!("{name}: {codes:?}\n{text}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The words that keepalived itself calls unknown.
fn unknown_to_keepalived(path: &str) -> Vec<String> {
    let output = Command::new("keepalived")
        .args(["--config-test", "--config-id", "main", "--use-file", path])
        .output()
        .expect("keepalived is installed");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    said.lines()
        .filter_map(|line| line.split_once("Unknown keyword '"))
        .filter_map(|(_, rest)| rest.split('\'').next().map(str::to_owned))
        .collect()
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "lab: needs keepalived")]
fn the_unknown_keywords_are_those_of_keepalived() {
    let debian = DEBIAN
        .iter()
        .map(|(name, _)| format!("/usr/share/doc/keepalived/samples/keepalived.conf.{name}"));
    for path in debian.chain([sample("tutorial-failover.conf")]) {
        let loaded = read(&path, true);
        let unknown: Vec<String> = loaded
            .diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.code == Code::UnknownKeyword)
            .map(|diagnostic| {
                let text = loaded.sources.text(diagnostic.span.file);
                text.get(diagnostic.span.range()).unwrap_or("").to_owned()
            })
            .collect();
        assert_eq!(unknown, unknown_to_keepalived(&path), "{path}");
    }
}
