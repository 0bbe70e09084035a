//! `director plan`: what a reload would change, told by the daemon that would do it, and what a
//! start would do where none runs.

use std::{fs, path::Path, process::Command, time::Duration};

use lab::{Lab, Node, Process, director, wait_until};

/// Whatever has no bound in the protocol.
const SOON: Duration = Duration::from_secs(10);

const INSTANCE: &str = "vrrp_instance VI_1 {\ninterface eth0\nvirtual_router_id 51\npriority 100\n\
                        advert_int 1\nvirtual_ipaddress {\n192.0.2.100/24\n}\n}\n";

fn pool(weight: u32) -> String {
    format!(
        "virtual_server 192.0.2.100 80 {{\nprotocol TCP\nlb_algo mh\nlb_kind NAT\n\
         real_server 10.0.0.1 80 {{\n}}\nreal_server 10.0.0.2 80 {{\nweight {weight}\n}}\n}}\n"
    )
}

/// A daemon with its table in memory.
fn start(node: &Node, file: &Path, socket: &Path) -> Process {
    let mut command = Command::new(director());
    command
        .args(["run", "--backend", "memory", "-f"])
        .arg(file)
        .arg("--control")
        .arg(socket);
    let daemon = node.spawn("director", command);
    wait_until("the socket", SOON, || socket.exists());
    daemon
}

/// Asks for a plan: its exit code and all it has said.
fn plan(node: &Node, name: &str, file: &Path, socket: &Path, words: &[&str]) -> (i32, String) {
    let mut command = Command::new(director());
    command.args(["plan", "-f"]).arg(file);
    command.arg("--control").arg(socket).args(words);
    let mut process = node.spawn(name, command);
    let code = process.wait(SOON).code();
    (code.expect("it exits by itself"), process.log())
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_daemon_tells_what_a_reload_would_change_and_then_changes_that() {
    let lab = Lab::new("plan");
    let (lan, node) = (lab.lan("lan"), lab.node("a"));
    drop(lan.connect(&node, "eth0", &["192.0.2.1/24"]));
    let file = node.write("director.conf", &format!("{INSTANCE}{}", pool(1)));
    let socket = node.path("director.sock");
    let mut daemon = start(&node, &file, &socket);
    let ask = |name: &str, words: &[&str]| plan(&node, name, &file, &socket, words);
    assert_eq!(ask("same", &[]), (0, String::from("nothing changes\n")));

    let after = INSTANCE.replace("priority 100", "priority 150");
    fs::write(&file, format!("{after}{}", pool(3))).expect("the file can be written");
    let (code, text) = ask("other", &[]);
    assert_eq!(code, 0, "{text}");
    for line in [
        "      priority: 100 -> 150\n",
        "  ~ 10.0.0.2:80 of VS 192.0.2.100 80\n      weight: 1 -> 3\n",
        "  -e -t 192.0.2.100:80 -r 10.0.0.2:80 -m -w 3\n      weight: 1 -> 3\n",
        "      ! mh sends some clients to other destinations\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
    assert!(!text.contains("warning"), "{text}");
    // Nothing has changed by that, and what a reload tells is the same.
    assert_eq!(ask("again", &[]), (0, text.clone()));
    let (code, json) = ask("json", &["--format", "json"]);
    assert!(code == 0 && json.starts_with(r#"{"plan":{"#), "{json}");
    let socket_text = socket.display().to_string();
    let program = director().display().to_string();
    let reloaded = node.run(&program, &["reload", "--control", &socket_text]);
    assert_eq!(reloaded, format!("reloaded\n{text}"));
    assert_eq!(ask("done", &[]), (0, String::from("nothing changes\n")));

    let elsewhere = after.replace("eth0", "eth7");
    fs::write(&file, format!("{elsewhere}{}", pool(3))).expect("the file can be written");
    let (code, text) = ask("elsewhere", &[]);
    let told = "warning: interface eth7 does not exist: VI_1 waits for it in FAULT STATE\n";
    assert!(code == 0 && text.contains(told), "{text}");

    fs::write(&file, "vrrp_instance VI_1 {\n priority 300\n}\n").expect("the file can be written");
    let (code, text) = ask("wrong", &[]);
    assert!(code == 1 && text.contains("director.conf:2:"), "{text}");
    fs::write(&file, pool(3)).expect("the file can be written");
    let (code, text) = ask("empty", &[]);
    assert!(code == 3 && text.contains("no vrrp_instance"), "{text}");
    node.remove("director.conf");
    assert_eq!(ask("missing", &[]).0, 2);

    node.run(&program, &["stop", "--control", &socket_text]);
    assert!(daemon.wait(SOON).success());
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn balancing_that_a_reload_begins_knows_the_roles_that_instances_have() {
    let lab = Lab::new("late");
    let (lan, node) = (lab.lan("lan"), lab.node("a"));
    drop(lan.connect(&node, "eth0", &["192.0.2.1/24"]));
    let file = node.write("director.conf", INSTANCE);
    let socket = node.path("director.sock");
    let mut daemon = start(&node, &file, &socket);
    let program = director().display().to_string();
    let socket_text = socket.display().to_string();
    let ask = |word: &str| node.run(&program, &[word, "--control", &socket_text]);
    wait_until("the master", SOON, || ask("status").contains("MASTER"));
    let sync = "global_defs {\nlvs_sync_daemon eth0 VI_1\n}\n";
    fs::write(&file, format!("{sync}{INSTANCE}{}", pool(1))).expect("the file can be written");
    let reloaded = ask("reload");
    assert!(
        reloaded.contains("--start-daemon master"),
        "with the table, not after it: {reloaded}"
    );
    ask("stop");
    assert!(daemon.wait(SOON).success());
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn without_a_daemon_it_is_told_what_a_start_would_do() {
    let lab = Lab::new("planless");
    let node = lab.node("a");
    let file = node.write("director.conf", &format!("{INSTANCE}{}", pool(1)));
    let socket = node.path("director.sock");
    let (code, text) = plan(&node, "start", &file, &socket, &["--backend", "memory"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("no daemon answers"), "{text}");
    assert!(text.contains("This is what a start would do."), "{text}");
    assert!(text.contains("  + VI_1\n"), "{text}");
    assert!(text.contains("  -A -t 192.0.2.100:80 -s mh\n"), "{text}");
    let missing = "warning: interface eth0 does not exist: VI_1 waits for it in FAULT STATE\n";
    assert!(text.contains(missing), "{text}");

    // A start would go on without what it does not understand, and says so.
    let state = node.write("state", "{}");
    let state = [
        "--backend",
        "memory",
        "--state",
        &state.display().to_string(),
    ];
    let (code, text) = plan(&node, "state", &file, &socket, &state);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("is not gone on with: it is broken"), "{text}");
}
