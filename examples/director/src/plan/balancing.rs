//! Virtual servers with their real servers and checks: what of them comes, goes and changes.

use std::sync::Arc;

use crate::{
    balance::RealServerName,
    conf::model::{Check, RealServer, VirtualServer},
};

use super::{Plan, difference::pairs, settings};

impl Plan {
    pub(super) fn compare_virtual_servers(
        &mut self,
        before: &[Arc<VirtualServer>],
        after: &[Arc<VirtualServer>],
    ) {
        for (name, before, after) in pairs(before, after, |server| &server.name) {
            if before == after {
                continue;
            }
            let (before, after) = (before.map(|it| &**it), after.map(|it| &**it));
            self.virtual_servers
                .compare(name, before, after, settings::virtual_server);
            let sorry = |server: Option<&VirtualServer>| server?.sorry_server.clone();
            self.real_servers.compare(
                format_args!("the sorry server of VS {name}"),
                sorry(before).as_ref(),
                sorry(after).as_ref(),
                settings::sorry_server,
            );
            let of = |server: Option<&VirtualServer>| {
                server.map_or_else(Vec::new, |server| server.real_servers.clone())
            };
            for (real_server, before, after) in pairs(&of(before), &of(after), RealServerName::of) {
                let name = format!("{real_server} of VS {name}");
                self.real_servers
                    .compare(&name, before, after, settings::real_server);
                self.compare_checks(&name, before, after);
            }
        }
    }

    /// Checks are known by their kind and which of it they are: a server that gets another check
    /// in front of its first one keeps that.
    fn compare_checks(
        &mut self,
        server: &str,
        before: Option<&RealServer>,
        after: Option<&RealServer>,
    ) {
        let (before, after) = (numbered(before), numbered(after));
        for ((keyword, number), before, after) in pairs(&before, &after, |(key, _)| *key) {
            let name = match number {
                0 => format!("{keyword} of {server}"),
                _ => format!("{keyword} {} of {server}", number + 1),
            };
            let settings = |(_, check): &(Key, &Check)| settings::check(check);
            self.checks.compare(name, before, after, settings);
        }
    }
}

/// The keyword of a check, and which of that keyword it is, from 0.
type Key = (&'static str, usize);

fn numbered(server: Option<&RealServer>) -> Vec<(Key, &Check)> {
    let mut numbered: Vec<(Key, &Check)> = Vec::new();
    for check in server.into_iter().flat_map(|server| &server.checks) {
        let keyword = check.kind.keyword();
        let same = numbered.iter().filter(|((other, _), _)| *other == keyword);
        numbered.push(((keyword, same.count()), check));
    }
    numbered
}
