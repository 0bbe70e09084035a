//! The reference daemon: keepalived.conf in, failover and load balancing out.
