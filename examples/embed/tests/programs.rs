//! The programs that need nothing but this machine's loopback, run as a user runs them.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use lab::{Swallower, wait_until};

const SOON: Duration = Duration::from_secs(20);

/// A program that runs until it is dropped, and what it says.
struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Running {
    fn start(program: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(
            self.output.read_line(&mut line).expect("text"),
            0,
            "it has ended"
        );
        line.trim_end().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn the_one_of_higher_priority_leads_and_the_other_when_it_is_gone() {
    let leader = env!("CARGO_BIN_EXE_leader");
    let mut second = Running::start(leader, &["127.0.0.12", "100", "127.0.0.11"]);
    assert_eq!(second.line(), "Backup");
    assert_eq!(second.line(), "Master", "nobody else is there");

    let mut first = Running::start(leader, &["127.0.0.11", "150", "127.0.0.12"]);
    assert_eq!(first.line(), "Backup");
    assert_eq!(first.line(), "Master");
    assert_eq!(second.line(), "Backup");

    drop(first);
    assert_eq!(second.line(), "Master");
}

#[test]
fn clients_get_the_server_that_is_near_and_another_when_it_is_full() {
    let arguments = "10.1.0.1:80 10.2.0.1:80 -- 10.2.0.7 10.1.0.9 10.2.0.8 10.2.0.9";
    let output = Command::new(env!("CARGO_BIN_EXE_near_first"))
        .args(arguments.split(' '))
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "10.2.0.7 -> 10.2.0.1:80\n\
         10.1.0.9 -> 10.1.0.1:80\n\
         10.2.0.8 -> 10.2.0.1:80\n\
         10.2.0.9 -> 10.1.0.1:80\n"
    );
}

#[test]
fn a_replica_that_is_too_far_behind_is_down_until_it_has_caught_up() {
    let lag = Arc::new(AtomicU32::new(2));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let told = Arc::clone(&lag);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let lag = told.load(Ordering::Relaxed);
            // Who asks may be gone again.
            writeln!(stream.unwrap(), "{lag}").ok();
        }
    });

    let mut program = Running::start(env!("CARGO_BIN_EXE_replica_lag"), &["5", &address]);
    assert_eq!(program.line(), format!("{address} Up"));
    lag.store(60, Ordering::Relaxed);
    assert_eq!(program.line(), format!("{address} Down: it is 60 s behind"));
    lag.store(0, Ordering::Relaxed);
    assert_eq!(program.line(), format!("{address} Up"));
}

#[test]
fn the_file_for_the_proxy_names_the_servers_that_answer() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name| directory.path().join(name).to_string_lossy().into_owned();
    let (rules, file) = (path("pool.rules"), path("upstreams.conf"));
    let listen = |address: SocketAddr| TcpListener::bind(address).unwrap();
    let (one, two) = (
        listen("127.0.0.1:0".parse().unwrap()),
        listen("127.0.0.1:0".parse().unwrap()),
    );
    let (at_one, at_two) = (one.local_addr().unwrap(), two.local_addr().unwrap());
    let service = "-A -t 192.0.2.100:80 -s wlc\n-a -t 192.0.2.100:80 -m -r";
    fs::write(
        &rules,
        format!("{service} {at_one} -w 2\n-a -t 192.0.2.100:80 -m -r {at_two}\n"),
    )
    .unwrap();

    let _program = Running::start(env!("CARGO_BIN_EXE_proxy_pool"), &[&rules, &file]);
    let holds = |expected: &str| fs::read_to_string(&file).is_ok_and(|text| text == expected);
    let (head, first, second, tail) = (
        "upstream TCP_192.0.2.100:80 {\n",
        format!("    server {at_one} weight=2;\n"),
        format!("    server {at_two} weight=1;\n"),
        "    server 127.0.0.1:1 backup;\n}\n",
    );
    // The table has the newest first.
    let (either, or) = (
        format!("{head}{first}{second}{tail}"),
        format!("{head}{second}{first}{tail}"),
    );
    wait_until("both servers", SOON, || holds(&either) || holds(&or));
    drop(two);
    wait_until("the first alone", SOON, || {
        holds(&format!("{head}{first}{tail}"))
    });
    drop(one);
    wait_until("nobody", SOON, || holds(&format!("{head}{tail}")));
    let _two = listen(at_two);
    wait_until("the second", SOON, || {
        holds(&format!("{head}{second}{tail}"))
    });
}

#[test]
fn connections_go_to_the_servers_that_answer() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = unused.local_addr().unwrap();
    drop(unused);
    let serve = |address: &str, name: u8| {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicU32::new(0));
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if told.load(Ordering::Relaxed) > 0 {
                    return;
                }
                // Who only looks whether somebody answers may be gone again.
                stream.unwrap().write_all(&[name]).ok();
            }
        });
        let end = move || {
            stop.store(1, Ordering::Relaxed);
            TcpStream::connect(address).unwrap();
            thread.join().unwrap();
        };
        (address, end)
    };
    let (one, end_one) = serve("127.0.0.1:0", b'1');
    let (two, _) = serve("127.0.0.1:0", b'2');
    let addresses = [listen, one, two].map(|address| address.to_string());
    let arguments = addresses.each_ref().map(String::as_str);
    let _program = Running::start(env!("CARGO_BIN_EXE_tcp_pool"), &arguments);

    let ask = || {
        let mut answer = [0];
        let mut stream = TcpStream::connect(listen).ok()?;
        stream.read_exact(&mut answer).ok()?;
        Some(answer[0])
    };
    let four = || [(); 4].map(|()| ask().unwrap_or(b'-'));
    wait_until("both servers in turn", SOON, || {
        [*b"1212", *b"2121"].contains(&four())
    });
    end_one();
    wait_until("the second alone", SOON, || four() == *b"2222");
    let (_, _end) = serve(&one.to_string(), b'1');
    wait_until("both again", SOON, || {
        [*b"1212", *b"2121"].contains(&four())
    });
}

#[test]
fn clients_do_not_wait_for_a_server_that_hangs() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = unused.local_addr().unwrap();
    drop(unused);
    let hanging = Swallower::listen("127.0.0.1:0".parse().unwrap());
    let good = TcpListener::bind("127.0.0.1:0").unwrap();
    let addresses = [listen, hanging.address(), good.local_addr().unwrap()];
    let addresses = addresses.map(|address| address.to_string());
    thread::spawn(move || {
        for stream in good.incoming() {
            stream.unwrap().write_all(b"2").ok();
        }
    });
    let arguments = addresses.each_ref().map(String::as_str);
    let _program = Running::start(env!("CARGO_BIN_EXE_tcp_pool"), &arguments);

    // Less than the two seconds after which the data plane itself tries another server.
    let patience = Duration::from_millis(1500);
    let ask = || {
        let mut answer = [0];
        let mut stream = TcpStream::connect(listen).ok()?;
        stream.set_read_timeout(Some(patience)).ok()?;
        stream.read_exact(&mut answer).ok()?;
        Some(answer[0])
    };
    wait_until("an answer", SOON, || ask() == Some(b'2'));
    for _ in 0..8 {
        assert_eq!(ask(), Some(b'2'));
    }
}
