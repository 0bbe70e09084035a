//! What FIFOs are told.

use super::*;
use crate::script::fifo::{About, FifoConfig};
use tokio::io::AsyncReadExt as _;

#[tokio::test]
async fn a_fifo_is_told_of_virtual_and_real_servers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let pipe = tokio::net::unix::pipe::OpenOptions::new().open_receiver(&path);
    let runner = FakeRunner::new(|_| (Duration::ZERO, Outcome::Success));
    let notifier = Notifier::start(Arc::clone(&runner) as _, Limits::default());
    notifier.open_fifos(vec![FifoConfig {
        about: Some(About::Services),
        path: path.to_str().unwrap().to_owned(),
        owner: None,
        script: None,
    }]);
    let balancing = Balancing::start(means(&Kernel::new()), runner, notifier.clone(), false, None);
    let balancing = balancing.await.unwrap();
    let text = "global_defs {\nrs_init_notifies\n}\n\
                virtual_server 10.1.0.100 80 {\nprotocol TCP\nlb_algo rr\nlb_kind NAT\nomega\n\
                real_server 10.0.0.1 8080 {\n}\nreal_server 10.0.0.2 {\n}\n}\n\
                virtual_server fwmark 7 {\nlb_algo rr\nlb_kind DR\n\
                real_server fd00::1 {\n}\n}\n\
                virtual_server_group web {\n10.1.0.100 90\n}\n\
                virtual_server group web {\nprotocol UDP\nlb_algo rr\nlb_kind NAT\n\
                real_server 10.0.0.1 8080 {\n}\n}\n";
    balancing.configure(&config(text)).await.unwrap();
    cleared(balancing).await;
    notifier.shutdown(Duration::from_secs(30)).await;
    let mut lines = String::new();
    pipe.unwrap().read_to_string(&mut lines).await.unwrap();
    // As keepalived 2.2.7 was seen to write them.
    let expected = [
        "RS [10.0.0.1]:tcp:8080 [10.1.0.100]:tcp:80 UP",
        "RS [10.0.0.2]:tcp:80 [10.1.0.100]:tcp:80 UP",
        "VS [10.1.0.100]:tcp:80 UP",
        "RS [fd00::1]:none:0 FWM 7 UP",
        "VS FWM 7 UP",
        "RS [10.0.0.1]:udp:8080 [web]:0 UP",
        "VS [web]:0 UP",
        "RS [10.0.0.1]:tcp:8080 [10.1.0.100]:tcp:80 DOWN",
        "RS [10.0.0.2]:tcp:80 [10.1.0.100]:tcp:80 DOWN",
        "VS [10.1.0.100]:tcp:80 DOWN",
    ];
    assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
}
