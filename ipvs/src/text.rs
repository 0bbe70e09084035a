//! ipvsadm's texts: what it lists, what it saves and what it restores.
//!
//! Addresses and ports are numbers, as with `-n`.

mod command;
mod list;
mod options;
mod order;
mod restore;
mod save;

pub use command::Problem;
pub use list::{
    Columns, ListOptions, list, list_connections, list_daemons, list_service, list_timeouts,
};
pub use order::Order;
pub use restore::{Line, ParseError, parse, parse_table};
pub use save::{Dialect, save};
