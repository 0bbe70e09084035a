//! What `-h` and `-v` write.

/// What `-v` writes.
pub(crate) const VERSION: &str = concat!(
    "ipvsctl v",
    env!("CARGO_PKG_VERSION"),
    " (ipvsadm 1.31's command line)\n"
);

/// What `-h` writes.
pub(crate) const HELP: &str = "\
Sets up, lists, saves and restores the services of IPVS, the kernel's load balancer.
Command line, output and exit status are ipvsadm's; what is marked + is new.

Usage:
  ipvsctl -A|-E SERVICE [-s SCHEDULER] [-p [SECONDS]] [-M NETMASK] [--pe ENGINE] [-b FLAGS] [-o]
  ipvsctl -D SERVICE
  ipvsctl -a|-e SERVICE -r SERVER [-g|-i|-m] [-w WEIGHT] [-x UPPER] [-y LOWER] [TUNNEL]
  ipvsctl -d SERVICE -r SERVER
  ipvsctl [-L [SERVICE] [-n] [VIEW] [--exact] [--nosort] [--json] [--order ORDER]]
  ipvsctl -S [-n] [--complete]              ipvsctl -R [--replace] [--no-rollback] < FILE
  ipvsctl -Z [SERVICE]                      ipvsctl -C
  ipvsctl --set TCP TCPFIN UDP
  ipvsctl --start-daemon master|backup [DAEMON]
  ipvsctl --stop-daemon master|backup
  ipvsctl -h | -v

Commands:
  -A, --add-service       adds a service
  -E, --edit-service      sets a service up anew; what is not given becomes the default
  -D, --delete-service    removes a service with its servers
  -C, --clear             removes all services
  -a, --add-server        adds a server to a service
  -e, --edit-server       sets a server up anew; what is not given becomes the default
  -d, --delete-server     removes a server from a service
  -L, -l, --list          lists services, or what VIEW says; without any option too
  -S, --save              writes commands that restore the table
  -R, --restore           restores a table, see below
  -Z, --zero              zeroes counters of a service or of all
      --set               sets timeouts of connections in seconds; 0 keeps one as it is
      --start-daemon      starts a daemon that tells connections to other directors, or listens
      --stop-daemon       stops it
  -h, --help  -v, --version

SERVICE, one of:
  -t, --tcp-service HOST[:PORT]             HOST is an address or a name, PORT a number or a
  -u, --udp-service HOST[:PORT]             name; an IPv6 address with a port is [ADDRESS]:PORT;
      --sctp-service HOST[:PORT]            no port, or 0, is every port, which needs -p
  -f, --fwmark-service MARK [-6]            what the firewall marked; -6 for IPv6

Of a service:
  -s, --scheduler NAME    rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh twos (default: wlc)
  -p, --persistent [S]    a client stays with its server for S seconds (default: 360)
  -M, --netmask MASK      clients of a network are one: 255.255.255.0, or 64 for IPv6
      --pe ENGINE         what else tells persistent clients apart: sip
  -b, --sched-flags LIST  sh-fallback,sh-port  mh-fallback,mh-port  flag-1,flag-2,flag-3
  -o, --ops               every packet is scheduled by itself (UDP and marks)

Of a server:
  -r, --real-server HOST[:PORT]             PORT counts with -m only, otherwise packets keep theirs
  -g, --gatewaying        by direct route (default)
  -i, --ipip              by tunnel
  -m, --masquerading      by network address translation
  -w, --weight N          its share, 0 to 2147483647 (default: 1); 0: no new connections
  -x, --u-threshold N     no new connections from so many on (0: any number)
  -y, --l-threshold N     new ones again below so many (0: three quarters of -x)
TUNNEL: --tun-type ipip|gue|gre  --tun-port PORT  --tun-nocsum|--tun-csum|--tun-remcsum

VIEW:
  -c, --connection        connections; with --persistent-conn what engines know them by
      --stats  --rate     what passed in total, or passes in a second
      --thresholds  --persistent-conn  --tun-info
      --timeout  --daemon
  -n, --numeric           addresses and ports in numbers; without, names are looked up for 5 s
  -X, --exact             great numbers in full
      --nosort            in the kernel's order, the newest server first
      --sort              does nothing: sorted is the default
  +   --order ORDER       ipvsadm (default; 200.0.0.1 before 10.1.0.100), numeric or kernel
  +   --json              all views of services in one document, see the manual

DAEMON: --mcast-interface IF (default: eth0)  --syncid 0-255  --sync-maxlen BYTES
        --mcast-group ADDRESS  --mcast-port PORT  --mcast-ttl HOPS

Saving and restoring:
  +   --complete          saves thresholds, timeouts and daemons too; ipvsadm -R reads it
  -R reads all lines before it changes anything; one that is wrong, and nothing is changed. What a
  line asks for and is so already is passed over, what differs is changed, and what the kernel
  refuses leads back to the table as it was.
  +   --replace           services that are not in the file go, as after -C, but without a gap
  +   --no-rollback       what was changed stays when the rest is refused

Every command that changes something:
  +   --dry-run           writes the commands that would be made, makes none
  +   --json              with --dry-run: as JSON

Exit status: 0 done; 1 could not be listed; 2 wrong command line or file, nothing done;
255 no command, or refused by the kernel.
";
