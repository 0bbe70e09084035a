//! VRRP v2 and v3: an address that moves to the next node when its holder dies.
