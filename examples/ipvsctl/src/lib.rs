//! ipvsadm's command line on the crate [`ipvs`], with JSON, dry runs and a restore that rolls back.
//!
//! What works with ipvsadm 1.31 works with `ipvsctl`: commands, options in clusters and in full,
//! names of hosts and services, lists and saved tables byte for byte, messages on standard error,
//! exit status. `ipvsctl -h` is the short manual; this is what it does not say.
//!
//! ```sh
//! ipvsctl -A -t 192.0.2.100:80 -s rr
//! ipvsctl -a -t 192.0.2.100:80 -r 10.0.0.1:8080 -m
//! ipvsctl -Ln
//! ipvsctl -Sn --complete > table
//! ipvsctl -R --replace --dry-run < table
//! ```
//!
//! # Messages and exit status
//!
//! The first line of a complaint is ipvsadm's, since scripts look for it. A line that begins with
//! `ipvsctl:` follows and says what is wrong with what, and what to write instead.
//!
//! | status | when |
//! | --- | --- |
//! | 0 | what was asked for was done |
//! | 1 | what was to be listed could not be |
//! | 2 | the command line or a line to restore is wrong, or there is no IPVS: nothing was done |
//! | 255 | the command line is no command at all, or the kernel refused |
//!
//! # Restoring
//!
//! `-R` reads all lines before it changes anything. If one is wrong all wrong ones are told, with
//! line and column, and nothing is changed (2). Lines say how things shall be:
//!
//! * What is so already is passed over. So a table can be restored twice, and a restore that
//!   changes one weight sends one message to the kernel.
//! * What was there before the first line and differs is edited in place, with its connections.
//!   ipvsadm would refuse the line and go on.
//! * Two lines that say different things of the same are wrong.
//! * What is not there need not be removed; it cannot be edited.
//! * What is not mentioned stays. `--replace`, or `-C` in front, removes services that are not
//!   mentioned, without the gap that `ipvsadm -C` leaves before `ipvsadm -R`. A file without any
//!   line does not replace a table: whoever means that writes `-C`.
//! * Empty lines, and lines that begin with `#`, are passed over; `ipvsadm` in front is too.
//!
//! If the kernel refuses a change, the line is told, and everything that was changed is made as it
//! was, whatever others changed meanwhile excepted (255). With `--no-rollback` the rest stays, as
//! with ipvsadm. Counters cannot be given back: `-Z` comes last.
//!
//! `-S` writes what ipvsadm writes and tells on standard error what that leaves out; with
//! `--complete` it writes thresholds, timeouts and sync daemons too. Both are read by ipvsadm.
//!
//! # JSON
//!
//! `--json` with `-L` writes one document. Names and units stay; names may be added. Numbers are
//! exact, addresses and ports are never names, what is not set is `null`, times are in seconds,
//! rates in a second. What is listed of services does not depend on `--stats` and its neighbours:
//! everything is there.
//!
//! | view | document |
//! | --- | --- |
//! | services | `version`, `connection_table_size`, `services`: of each `protocol` `address` `port`, or `fwmark` `family` (`ipv4`, `ipv6`); `scheduler`; `flags` as `-b` takes them and `ops`; `persistence`: `timeout_seconds`, `clients` (`mask` or `prefix_length`), `engine`; `total` and `rate`: `connections` `packets_in` `packets_out` `bytes_in` `bytes_out`; `destinations` |
//! | destinations | `address` `port`; `forwarding` (`masquerade` `local` `tunnel` `direct_route` `bypass`); `tunnel`: `kind` (`ipip` `gue` `gre`) `port` `checksum` (`nocsum` `csum` `remcsum`); `weight` `upper_threshold` `lower_threshold`; `active` `inactive` `persistent` connections; `total` `rate` |
//! | `--timeout` | `tcp_seconds` `tcp_fin_seconds` `udp_seconds` |
//! | `--daemon` | `daemons`: `role` `interface` `sync_id` `max_length` `group` `port` `ttl` |
//! | `-c` | `connections`: `protocol` `client` `service` `destination` (`address` `port`) `state` `expires_seconds` `engine` (`name` `data`); one a line, written as they are read |
//! | `--dry-run` | `changes`: `command`, `does` |
//!
//! # Where it differs
//!
//! On purpose, and tested command by command (`tests/cli/different.rs`): addresses are written in
//! four numbers (ipvsadm takes `10.1` for 10.0.0.1 and `-M 64` for 0.0.0.64), firewall marks are
//! never negative, flags that are set are listed, names in brackets are IPv6, options without
//! effect are refused or said to have none, and reverse names of a list take 5 seconds together
//! instead of some each. An option that ipvsadm lacks has no letter.
//!
//! # Figures
//!
//! `benches/guest_restore.rs` runs ipvsadm and `ipvsctl` in turns on the same kernel and says how.
//! A table of 1,000 services with 10 destinations each (11,000 lines), Linux 6.1 in the guest of
//! crate lab on two processors that others share, each the best of three; two of such runs:
//!
//! | command | ipvsadm 1.31 | ipvsctl | times as fast |
//! | --- | --- | --- | --- |
//! | `-R` into an empty table | 4.55 and 7.66 s, 3.5 MiB | 0.58 and 0.71 s, 8.5 MiB | 7.9 and 10.7 |
//! | `-R` of what is there already | 3.66 and 4.27 s, 3.5 MiB | 0.23 and 0.27 s, 8.9 MiB | 16.1 and 15.7 |
//! | `-Sn` | 0.39 and 0.42 s, 2.2 MiB | 0.18 and 0.17 s, 6.6 MiB | 2.2 and 2.5 |
//! | `-Ln` | 0.40 and 0.49 s, 2.2 MiB | 0.18 and 0.22 s, 6.1 MiB | 2.3 and 2.2 |
//!
//! ipvsadm opens a socket and looks the family up for each line; `ipvsctl` sends what differs in
//! datagrams of many changes. Most of its time is the kernel's.
//!
//! # As a library
//!
//! [`run()`] is the whole program on a [`Host`], so that it can be tried on a kernel in memory:
//! `tests/cli/rig.rs` has one.

mod change;
mod fault;
mod help;
mod host;
mod json;
mod list;
mod names;
mod options;
mod request;
mod restore;
mod run;
mod scan;
mod sys;

pub use async_trait::async_trait;
pub use fault::Status;
pub use host::{Connections, Host, System};
pub use names::Services;
pub use run::{Streams, run};

use run::End;
