//! How blocks of the configuration are set, in the words of keepalived.conf.

mod balancing;
mod check;
mod vrrp;

use std::time::Duration;

pub(super) use balancing::{
    destination, global, real_server, service, sorry_server, tls, virtual_server,
};
pub(super) use check::check;
pub(super) use vrrp::{instance, script, sync_group, track_file};

use super::{Setting, difference::Settings};
use crate::conf::model;

/// A list of settings, those that are not set left out.
#[derive(Debug, Default)]
struct Words(Settings);

impl Words {
    fn set(&mut self, keyword: &'static str, value: impl ToString) {
        self.0.push((keyword, value.to_string()));
    }

    fn maybe(&mut self, keyword: &'static str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.set(keyword, value);
        }
    }

    fn flag(&mut self, keyword: &'static str, is_set: bool) {
        if is_set {
            self.set(keyword, "on");
        }
    }

    fn seconds(&mut self, keyword: &'static str, span: Duration) {
        self.set(keyword, format!("{} s", span.as_secs_f64()));
    }

    fn list<T: ToString>(&mut self, keyword: &'static str, values: impl IntoIterator<Item = T>) {
        let values: Vec<_> = values.into_iter().map(|value| value.to_string()).collect();
        if !values.is_empty() {
            self.set(keyword, values.join(", "));
        }
    }

    fn script(&mut self, keyword: &'static str, script: Option<&model::Script>) {
        self.maybe(keyword, script.map(command));
    }
}

/// A command line, and who runs it.
fn command(script: &model::Script) -> String {
    let line = script.argv.join(" ");
    match &script.user {
        None => line,
        Some(user) => format!("{line} as {}", account(user)),
    }
}

fn account(user: &model::ScriptUser) -> String {
    match &user.group {
        None => user.user.clone(),
        Some(group) => format!("{} {group}", user.user),
    }
}
