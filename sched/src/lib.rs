//! The schedulers of the Linux kernel load balancer in user space, decision for decision.
