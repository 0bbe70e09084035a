//! The reference daemon: keepalived.conf in, failover and load balancing out.

pub mod balance;
pub mod conf;
pub mod control;
pub mod demo;
pub mod host;
pub mod log;
pub mod plan;
pub mod real_server;
pub mod run;
pub mod script;
pub mod state;
mod sys;
