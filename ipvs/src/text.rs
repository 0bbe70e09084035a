//! ipvsadm's texts: what it lists, what it saves and what it restores.
//!
//! What is read has addresses and ports in numbers, as with `-n`; what is written too, unless
//! [`Names`] are given.

mod command;
mod connections;
mod list;
mod names;
mod options;
mod order;
mod problem;
mod restore;
mod save;

pub use connections::{connection_line, connections_title};
pub use list::{Columns, ListOptions, list, list_daemons, list_service, list_timeouts};
pub use names::Names;
pub use options::{Word, words};
pub use order::Order;
pub use problem::Problem;
pub use restore::{Line, ParseError, parse, parse_table, parse_words};
pub use save::{Dialect, command_line, save};
