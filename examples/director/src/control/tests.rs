//! The control socket, with a client at its other end.

use std::os::unix::ffi::OsStrExt as _;

use super::*;

#[test]
fn a_request_is_one_word_and_nothing_else() {
    let ask = |text: &str| {
        let question = serde_json::from_str::<Question>(text).ok();
        question.map(|question| question.request)
    };
    assert_eq!(ask(r#"{"request":"status"}"#), Some(Ask::Status));
    assert_eq!(ask(r#"{"request":"stop"}"#), Some(Ask::Stop));
    assert_eq!(ask(r#"{"request":"dance"}"#), None);
    assert_eq!(ask(r#"{"request":"stop","now":true}"#), None);
}

#[test]
fn what_is_done_with_real_servers_stands_with_them() {
    let ask = |which: &str, action: &str| {
        let line = format!(r#"{{"request":{{"server":{{"which":{which},"action":{action}}}}}}}"#);
        let question = serde_json::from_str::<Question>(&line);
        question
            .map(|question| question.request)
            .map_err(|error| error.to_string())
    };
    let which = Selection {
        real_server: "[2001:db8::1]:80".parse().unwrap(),
        virtual_server: Some(String::from("fwmark 5")),
    };
    let written = r#"{"real_server":"[2001:db8::1]:80","virtual_server":"fwmark 5"}"#;
    for (text, action) in [
        (r#""drain""#, Action::Drain),
        (r#"{"weight":null}"#, Action::Weight(None)),
        (
            r#"{"disable":{"drain":true}}"#,
            Action::Disable { drain: true },
        ),
        (r#"{"disable":{}}"#, Action::Disable { drain: false }),
    ] {
        let which = which.clone();
        assert_eq!(ask(written, text), Ok(Ask::Server { which, action }));
    }
    for (which, action, expected) in [
        (
            written,
            r#"{"weight":65536}"#,
            "65536 is no weight: expected 0 to 65535",
        ),
        (
            written,
            r#"{"disable":{"gently":true}}"#,
            "unknown field `gently`",
        ),
        (
            r#"{"real_server":"rs1"}"#,
            r#""drain""#,
            "`rs1` is no real server",
        ),
        (
            r#"{"real_server":"10.0.0.1","port":80}"#,
            r#""drain""#,
            "unknown field `port`",
        ),
    ] {
        let error = ask(which, action).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_file_that_is_no_socket_stays() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keepalived.conf");
    std::fs::write(&file, "precious").unwrap();
    let refused = Control::listen(&file).expect_err("it is no socket");
    assert!(matches!(refused, ListenError::NotASocket { .. }));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}

#[tokio::test]
async fn a_request_comes_with_who_asks_and_its_answer_goes_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("director.sock");
    let mut control = Control::listen(&path).unwrap();
    let ask = Ask::Server {
        which: Selection {
            real_server: "192.0.2.1".parse().unwrap(),
            virtual_server: None,
        },
        action: Action::Drain,
    };
    let asked = tokio::task::spawn_blocking({
        let (path, ask) = (path.clone(), ask.clone());
        move || client::ask(&path, ask)
    });
    let request = next(Some(&mut control)).await;
    assert_eq!(request.ask, ask);
    assert_eq!(request.client.uid, nix::unistd::getuid().as_raw());
    assert_eq!(request.client.pid, i32::try_from(std::process::id()).ok());
    request.reply.text(Err(String::from("there is none")));
    let refused = asked.await.unwrap().unwrap_err();
    assert_eq!(refused.to_string(), "there is none");
}

#[tokio::test]
async fn a_daemon_that_is_busy_keeps_its_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("director.sock");
    // Nobody takes requests, as in a reload, or while connections are drained at the end.
    let busy = Control::listen(&path).unwrap();
    let second = tokio::task::spawn_blocking({
        let path = path.clone();
        move || client::answers(&path)
    });
    assert!(second.await.unwrap());
    drop(busy);
    assert!(!path.exists());
    Control::listen(&path).expect("the place is free");
}

#[tokio::test]
async fn the_socket_of_another_daemon_in_the_same_place_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("director.sock");
    let before = Control::listen(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let after = Control::listen(&path).unwrap();
    drop(before);
    assert!(path.exists());
    drop(after);
    assert!(!path.exists());
}

#[test]
fn a_file_whose_name_is_not_utf_8_cannot_be_asked_for() {
    let file = PathBuf::from(std::ffi::OsStr::from_bytes(b"/etc/\xff.conf"));
    let refused = client::ask(Path::new("/nonexistent"), Ask::Plan { file }).unwrap_err();
    let error = crate::log::chain(&refused);
    assert!(error.contains("UTF-8"), "{error}");
}
