//! What whoever asks is told while the daemon stops, which may take as long as connections are
//! drained.

use std::convert::Infallible;

use tokio::sync::Notify;
use tracing::info;

use crate::control::{self, Ask, Control, Request};

/// Answers every request; another `stop` is passed on to `again`, as a second signal is.
pub(super) async fn answer(mut control: Option<&mut Control>, again: &Notify) -> Infallible {
    loop {
        let Request { ask, client, reply } = control::next(control.as_deref_mut()).await;
        reply.text(match ask {
            Ask::Stop => {
                info!(
                    uid = client.uid,
                    pid = client.pid,
                    "{client} ordered stop again"
                );
                again.notify_one();
                Ok(String::from("stopping, and no connection is waited for"))
            }
            Ask::StopWith { .. } => Err(String::from(
                "the daemon is stopping already: `director stop` without --policy ends its wait \
                 for connections",
            )),
            Ask::Status | Ask::Reload | Ask::Plan { .. } | Ask::Why { .. } | Ask::Server { .. } => {
                Err(String::from("the daemon is stopping"))
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{control::client, run::OnStop};

    #[tokio::test]
    async fn who_asks_is_told_and_a_second_stop_is_passed_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("director.sock");
        let mut control = Control::listen(&path).unwrap();
        let again = Notify::new();
        let asked = tokio::task::spawn_blocking(move || {
            let on_stop = OnStop::Leave;
            [Ask::Status, Ask::StopWith { on_stop }, Ask::Stop]
                .map(|ask| client::ask(&path, ask).map_err(|error| error.to_string()))
        });
        tokio::select! {
            never = answer(Some(&mut control), &again) => match never {},
            () = again.notified() => {}
        }
        let answers = tokio::select! {
            never = answer(Some(&mut control), &again) => match never {},
            answers = asked => answers.unwrap(),
        };
        let [status, with, stopped] = answers;
        assert_eq!(status.unwrap_err(), "the daemon is stopping");
        assert!(with.unwrap_err().contains("without --policy"));
        let told = "stopping, and no connection is waited for";
        assert_eq!(stopped.unwrap().as_str(), Some(told));
    }
}
