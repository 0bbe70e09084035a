//! Dialogues with servers that behave and servers that do not, on loopback.

use tokio::{net::TcpListener, task::JoinHandle};

use super::*;

/// Longer than any dialogue of these tests takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a server of a test does.
#[derive(Debug, Clone, Copy)]
enum Turn {
    Say(&'static [u8]),
    Hear(&'static [u8]),
    /// Says a byte over and over, until the client is gone.
    Repeat(u8),
    /// Waits until the client is gone.
    Wait,
    /// Breaks off, with a reset if something is left to read.
    Close,
}

/// A server for one connection. It ends with what it heard from then on, once it has closed.
async fn server(turns: &'static [Turn]) -> (Target, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::new(listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut rest = Vec::new();
        for turn in turns {
            match *turn {
                Turn::Say(bytes) => stream.write_all(bytes).await.unwrap(),
                Turn::Hear(expected) => {
                    let mut heard = vec![0; expected.len()];
                    stream.read_exact(&mut heard).await.unwrap();
                    assert_eq!(
                        heard.escape_ascii().to_string(),
                        expected.escape_ascii().to_string()
                    );
                }
                Turn::Repeat(byte) => while stream.write_all(&[byte; 1000]).await.is_ok() {},
                Turn::Wait => {
                    drop(stream.read_to_end(&mut rest).await);
                }
                Turn::Close => return rest,
            }
        }
        rest
    });
    (target, serving)
}

async fn probe(probe: &DialogueProbe, target: &Target) -> Result<Success, ProbeError> {
    timeout(PATIENCE, probe.probe(target))
        .await
        .expect("in time")
}

fn smtp() -> DialogueProbe {
    DialogueProbe::new(Connect::default())
        .expect(Expect::reply(&[220]))
        .send("HELO me\r\n")
        .expect(Expect::reply(&[250]))
        .farewell("QUIT\r\n")
}

/// The error of [`smtp`] against a server.
async fn failure(turns: &'static [Turn]) -> String {
    let (target, _serving) = server(turns).await;
    let error = probe(&smtp(), &target).await.unwrap_err();
    error.to_string().replace(&target.to_string(), "SERVER")
}

#[tokio::test]
async fn a_dialogue_is_held_to_its_end_and_the_farewell_is_said() {
    let (target, serving) = server(&[
        Turn::Say(b"220-mail.example.net\r\n220-welcomes\r\n220 you\r\n"),
        Turn::Hear(b"HELO me\r\n"),
        Turn::Say(b"250-me\r\n250 SIZE\r\n"),
        Turn::Hear(b"QUIT\r\n"),
        Turn::Say(b"221 bye\r\n"),
        Turn::Wait,
    ])
    .await;
    probe(&smtp(), &target).await.unwrap();
    assert_eq!(serving.await.unwrap(), b"");
}

#[tokio::test]
async fn a_server_that_breaks_off_at_the_farewell_has_passed() {
    for turns in [
        &[
            Turn::Say(b"220 a\r\n250 b\r\n"),
            Turn::Hear(b"HELO me\r\n"),
            Turn::Close,
        ][..],
        &[
            Turn::Say(b"220 a\r\n250 b\r\n"),
            Turn::Hear(b"HELO me\r\n"),
            Turn::Repeat(b'x'),
        ],
    ] {
        let (target, _serving) = server(turns).await;
        probe(&smtp(), &target).await.unwrap();
    }
}

#[tokio::test]
async fn each_way_to_fail_is_told_apart() {
    for (turns, expected) in [
        (
            &[Turn::Say(b"554 no mail today\r\n"), Turn::Wait][..],
            r#"expected a reply 220, but the server said "554 no mail today\r\n""#,
        ),
        (
            &[Turn::Say(b"\xff\xfe\x00\r\n"), Turn::Wait],
            r#"expected a reply 220, but the server said "\xff\xfe\x00\r\n""#,
        ),
        (
            &[Turn::Say(b"220-half"), Turn::Close],
            r#"expected a reply 220, but the server said "220-half" and closed the connection"#,
        ),
        (
            &[Turn::Close],
            "expected a reply 220, but the server said nothing and closed the connection",
        ),
        (
            &[Turn::Repeat(b'2')],
            "expected a reply 220, but the server said more than 16384 bytes without it",
        ),
        (
            &[Turn::Say(b"220 a\r\n"), Turn::Hear(b"H"), Turn::Close],
            "SERVER broke the connection off while talking to it",
        ),
    ] {
        assert_eq!(failure(turns).await, expected);
    }
}

#[tokio::test]
async fn a_refused_connection_is_told() {
    let target = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Target::new(listener.local_addr().unwrap())
    };
    let error = probe(&smtp(), &target).await.unwrap_err();
    assert!(matches!(error, ProbeError::Refused { .. }), "{error}");
}

#[tokio::test]
async fn a_slow_drip_and_silence_do_not_outlive_the_probes_own_time() {
    let connect = Connect {
        timeout: Some(Duration::from_millis(100)),
        ..Connect::default()
    };
    let patient = DialogueProbe::new(connect).expect(Expect::known_line("x"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::new(listener.local_addr().unwrap());
    let dripping = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        // Each byte comes within the probe's time, all of them never do.
        while stream.write_all(b".").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let (silent, _serving) = server(&[Turn::Wait]).await;
    for target in [target, silent] {
        let error = probe(&patient, &target).await.unwrap_err();
        assert!(matches!(error, ProbeError::TimedOut { .. }), "{error}");
    }
    dripping.await.unwrap();
}

#[tokio::test]
async fn known_protocols_say_what_they_should() {
    let connect = Connect::default;
    for (known, turns) in [
        (
            DialogueProbe::redis(connect()),
            &[
                Turn::Hear(b"PING\r\n"),
                Turn::Say(b"+PONG\r\n"),
                Turn::Hear(b"QUIT\r\n"),
            ][..],
        ),
        (
            DialogueProbe::redis_with_password(connect(), Some("me"), "a\r\nb"),
            &[
                Turn::Hear(b"*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$4\r\na\r\nb\r\n"),
                Turn::Say(b"+OK\r\n"),
                Turn::Hear(b"PING\r\n"),
                Turn::Say(b"+PONG\r\n"),
            ],
        ),
        (
            DialogueProbe::imap(connect()),
            &[
                Turn::Say(b"* OK [CAPABILITY IMAP4rev1] ready\r\n"),
                Turn::Hear(b"a LOGOUT\r\n"),
            ],
        ),
        (
            DialogueProbe::pop3(connect()),
            &[Turn::Say(b"+OK ready <1@a>\r\n"), Turn::Wait],
        ),
        (
            DialogueProbe::ftp(connect()),
            &[Turn::Say(b"220-Hi\r\n all\r\n220 go\r\n"), Turn::Wait],
        ),
        (
            DialogueProbe::mysql(connect()),
            &[
                Turn::Say(b"\x4a\x00\x00\x00\x0a8.0.36\x00\x08\x00\x00\x00"),
                Turn::Wait,
            ],
        ),
    ] {
        let (target, serving) = server(turns).await;
        probe(&known, &target).await.unwrap();
        serving.await.unwrap();
    }
    assert!(
        !format!(
            "{:?}",
            DialogueProbe::redis_with_password(connect(), None, "secret")
        )
        .contains("secret")
    );
}

#[tokio::test]
async fn known_protocols_tell_a_server_that_is_not_ready() {
    let connect = Connect::default;
    for (known, turns) in [
        (
            DialogueProbe::redis(connect()),
            &[
                Turn::Hear(b"PING\r\n"),
                Turn::Say(b"-LOADING Redis is loading\r\n"),
                Turn::Wait,
            ][..],
        ),
        (
            DialogueProbe::imap(connect()),
            &[Turn::Say(b"* BYE too many\r\n"), Turn::Wait],
        ),
        (
            DialogueProbe::pop3(connect()),
            &[Turn::Say(b"-ERR busy\r\n"), Turn::Wait],
        ),
        (
            DialogueProbe::ftp(connect()),
            &[Turn::Say(b"421 too many\r\n"), Turn::Wait],
        ),
        (
            DialogueProbe::mysql(connect()),
            &[
                Turn::Say(b"\x17\x00\x00\x00\xff\x10\x04Too many connections"),
                Turn::Close,
            ],
        ),
    ] {
        let (target, _serving) = server(turns).await;
        let error = probe(&known, &target).await.unwrap_err();
        assert!(matches!(error, ProbeError::Dialogue(_)), "{error}");
    }
}
