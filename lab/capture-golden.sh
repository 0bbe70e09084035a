#!/usr/bin/env bash
# Captures what a real keepalived puts on the wire and writes it as annotated hex, one file a subject:
#
#     lab/capture-golden.sh [OUTPUT_DIRECTORY]        (default: vrrp/tests/golden)
#
# Needs root, keepalived, iproute2 and tcpdump. Two namespaces joined by a veth pair: keepalived
# runs in one, tcpdump listens in the other, so the bytes are those a neighbour receives.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${1:-$here/../vrrp/tests/golden}
mkdir -p "$out"

work=$(mktemp -d)
node=golden-node-$$
peer=golden-peer-$$
children=()

cleanup() {
    for pid in "${children[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
    ip netns del "$node" 2>/dev/null || true
    ip netns del "$peer" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

# Fixed hardware addresses and no duplicate address detection make every run give the same frames,
# except for the IPv6 flow label and the IPv4 identification of the priority 0 advertisement.
lay_cable() {
    ip netns add "$node"
    ip netns add "$peer"
    ip -n "$node" link add eth0 address 02:00:00:00:00:01 type veth \
        peer name eth0 address 02:00:00:00:00:02 netns "$peer"
    local i=0 ns
    for ns in "$node" "$peer"; do
        i=$((i + 1))
        ip netns exec "$ns" sysctl -qw net.ipv6.conf.eth0.addr_gen_mode=1
        ip -n "$ns" link set lo up
        ip -n "$ns" link set eth0 up
        ip -n "$ns" addr add "192.0.2.$i/24" dev eth0
        ip -n "$ns" addr add "fe80::$i/64" dev eth0 nodad
        ip -n "$ns" addr add "2001:db8::$i/64" dev eth0 nodad
    done
}

wait_until() { # wait_until SECONDS WHAT COMMAND…
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS > deadline)); then
            echo "capture-golden: $what did not happen in time" >&2
            cat "$work"/*.log >&2 || true
            exit 1
        fi
        sleep 0.05
    done
}

packets() { tcpdump -r "$work/packets.pcap" -nn "$@" 2>/dev/null; }
captured_at_least() { (($(packets "$2" | wc -l) >= $1)); }

# Runs one keepalived with the vrrp_instance body given on standard input: captures from before its
# start until after its stop, which comes once it has sent so many advertisements.
run_keepalived() { # run_keepalived [ADVERTISEMENTS]
    local advertisements=${1:-1} body
    body=$(cat)
    cat >"$work/keepalived.conf" <<CONF
global_defs {
    vrrp_garp_master_delay 0
}
vrrp_instance VI_1 {
    interface eth0
    $body
}
CONF
    rm -f "$work"/*.pid "$work/packets.pcap" "$work/tcpdump.log"

    ip netns exec "$peer" tcpdump -i eth0 -U -w "$work/packets.pcap" 2>"$work/tcpdump.log" &
    local tcpdump=$!
    children+=("$tcpdump")
    wait_until 10 "tcpdump listening" grep -q 'listening on' "$work/tcpdump.log"

    ip netns exec "$node" keepalived -n -l -P -f "$work/keepalived.conf" -p "$work/k.pid" \
        -r "$work/v.pid" >"$work/keepalived.log" 2>&1 &
    local keepalived=$!
    children+=("$keepalived")
    wait_until 20 "advertisement $advertisements" captured_at_least "$advertisements" "$regular"
    kill -TERM "$keepalived"
    wait "$keepalived" || true
    wait_until 10 "the priority 0 advertisement" captured_at_least 1 "$release"

    kill -INT "$tcpdump"
    wait "$tcpdump" || true
}

# Priority is the third byte of the VRRP message.
release='(ip proto 112 and ip[22] == 0) or (ip6 proto 112 and ip6[42] == 0)'
regular='(ip proto 112 and ip[22] != 0) or (ip6 proto 112 and ip6[42] != 0)'

begin() { # begin FILE WHAT…: starts a file
    file=$out/$1
    shift
    {
        printf '# %s\n' "$@"
        echo "# From $(keepalived --version 2>&1 | head -n 1), received over veth; made by lab/capture-golden.sh."
        echo "# One packet a line. The bytes start at the Ethernet header (14 bytes), then IPv4 (20), IPv6 (40) or ARP."
    } >"$file"
}

# Appends the first or last COUNT packets that match a filter, each under tcpdump's reading of it, which
# says source, destination and TTL / hop limit.
keep() { # keep first|last COUNT FILTER WHAT CONFIGURATION
    local which=$1 count=$2 filter=$3 what=$4 configuration=$5 frames offset readings i
    local take=(head -n "$count")
    [[ $which == last ]] && take=(tail -n "$count")
    mapfile -t frames < <(packets -t -xx "$filter" |
        awk '/^\t0x/ { sub(/^\t0x[0-9a-f]+: */, ""); gsub(/ /, ""); hex = hex $0; next }
             hex != "" { print hex; hex = "" }
             END { if (hex != "") print hex }' | "${take[@]}")
    mapfile -t readings < <(packets -t -e -vv "$filter" |
        awk '/^[^ \t]/ { if (line != "") print line; line = $0; next }
             { sub(/^[ \t]+/, " "); line = line $0 }
             END { print line }' | "${take[@]}")
    if ((${#frames[@]} != count || ${#readings[@]} != count)); then
        echo "capture-golden: expected $count packets matching '$filter', got ${#frames[@]}" >&2
        exit 1
    fi
    {
        echo
        echo "# what: $what"
        echo "# configuration: $configuration"
        for i in "${!frames[@]}"; do
            echo "# tcpdump: ${readings[$i]}"
            echo "${frames[$i]}"
        done
    } >>"$file"
}

lay_cable

begin v2-multicast-ipv4.hex "VRRP v2 (RFC 3768) over IPv4 multicast, advertisements and priority 0 at stop"
run_keepalived <<'CONF'
    version 2
    virtual_router_id 51
    priority 200
    advert_int 1
    authentication {
        auth_type PASS
        auth_pass 1111
    }
    virtual_ipaddress {
        192.0.2.100/24
    }
CONF
conf='version 2, virtual_router_id 51, priority 200, advert_int 1, auth_pass 1111, 192.0.2.100/24'
keep first 1 "$regular" 'PASS authentication, one address' "$conf"
keep last 1 "$release" 'PASS authentication, priority 0 at stop' "$conf"

begin gratuitous-arp.hex "Gratuitous ARP on becoming master: five rounds over the addresses, no pause between"
run_keepalived <<'CONF'
    version 2
    virtual_router_id 255
    priority 254
    advert_int 1
    authentication {
        auth_type PASS
        auth_pass longer-than-eight
    }
    virtual_ipaddress {
        192.0.2.100/24
        192.0.2.101/24
        198.51.100.1
    }
CONF
conf='virtual_ipaddress 192.0.2.100/24 192.0.2.101/24 198.51.100.1 (a host address: /32)'
keep first 15 arp 'the whole first burst' "$conf"
file=$out/v2-multicast-ipv4.hex
conf='version 2, virtual_router_id 255, priority 254, auth_pass longer-than-eight (cut to eight), 192.0.2.100/24 192.0.2.101/24 198.51.100.1'
keep first 1 "$regular" 'PASS authentication, three addresses' "$conf"

run_keepalived <<'CONF'
    version 2
    virtual_router_id 1
    priority 100
    advert_int 2
    virtual_ipaddress {
        192.0.2.100/24
    }
CONF
keep first 1 "$regular" 'no authentication' \
    'version 2, virtual_router_id 1, priority 100, advert_int 2, no authentication, 192.0.2.100/24'

begin v3-multicast-ipv4.hex \
    "VRRP v3 (RFC 5798, RFC 9568) over IPv4 multicast, advertisements and priority 0 at stop." \
    "The checksum covers the IPv4 pseudo header (keepalived's default; 2.2.7 has no v3_checksum_as_v2)."
run_keepalived 2 <<'CONF'
    version 3
    virtual_router_id 51
    priority 200
    advert_int 0.1
    virtual_ipaddress {
        192.0.2.100/24
    }
CONF
conf='version 3, virtual_router_id 51, priority 200, advert_int 0.1, 192.0.2.100/24'
keep first 2 "$regular" 'one address; two in a row: only the IPv4 identification differs' "$conf"
keep last 1 "$release" 'priority 0 at stop' "$conf"
run_keepalived <<'CONF'
    version 3
    virtual_router_id 7
    priority 255
    advert_int 40.95
    virtual_ipaddress {
        192.0.2.100/24
        192.0.2.101/24
        198.51.100.1
    }
CONF
keep first 1 "$regular" 'three addresses, priority 255, the longest interval' \
    'version 3, virtual_router_id 7, priority 255, advert_int 40.95, 192.0.2.100/24 192.0.2.101/24 198.51.100.1'

begin v3-unicast-ipv4.hex "VRRP v3 over IPv4 unicast; the checksum covers the IPv4 pseudo header"
run_keepalived <<'CONF'
    version 3
    virtual_router_id 51
    priority 200
    advert_int 0.1
    unicast_src_ip 192.0.2.1
    unicast_peer {
        192.0.2.2
    }
    virtual_ipaddress {
        192.0.2.100/24
    }
CONF
conf='version 3, virtual_router_id 51, priority 200, advert_int 0.1, unicast_peer 192.0.2.2, 192.0.2.100/24'
keep first 1 "$regular" 'one address' "$conf"
keep last 1 "$release" 'priority 0 at stop' "$conf"

begin v2-unicast-ipv4.hex "VRRP v2 over IPv4 unicast"
run_keepalived <<'CONF'
    version 2
    virtual_router_id 51
    priority 200
    advert_int 1
    authentication {
        auth_type PASS
        auth_pass 1111
    }
    unicast_src_ip 192.0.2.1
    unicast_peer {
        192.0.2.2
    }
    virtual_ipaddress {
        192.0.2.100/24
    }
CONF
keep first 1 "$regular" 'PASS authentication, one address' \
    'version 2, virtual_router_id 51, priority 200, advert_int 1, auth_pass 1111, unicast_peer 192.0.2.2, 192.0.2.100/24'

begin v3-multicast-ipv6.hex "VRRP v3 over IPv6 multicast, advertisements and priority 0 at stop"
run_keepalived <<'CONF'
    version 3
    virtual_router_id 51
    priority 200
    advert_int 0.1
    virtual_ipaddress {
        fe80::100/64
        2001:db8::100/64
    }
CONF
conf='version 3, virtual_router_id 51, priority 200, advert_int 0.1, fe80::100/64 2001:db8::100/64'
keep first 1 "$regular" 'two addresses' "$conf"
keep last 1 "$release" 'priority 0 at stop' "$conf"

begin unsolicited-neighbour-advertisement.hex \
    "Unsolicited neighbour advertisements on becoming master: five rounds over the addresses, no pause between"
keep first 10 'icmp6 and ip6[40] == 136' 'the whole first burst' \
    'virtual_ipaddress fe80::100/64 2001:db8::100/64'

begin v3-unicast-ipv6.hex "VRRP v3 over IPv6 unicast"
run_keepalived <<'CONF'
    version 3
    virtual_router_id 51
    priority 200
    advert_int 0.1
    unicast_src_ip 2001:db8::1
    unicast_peer {
        2001:db8::2
    }
    virtual_ipaddress {
        2001:db8::100/64
    }
CONF
conf='version 3, virtual_router_id 51, priority 200, advert_int 0.1, unicast_peer 2001:db8::2, 2001:db8::100/64'
keep first 1 "$regular" 'one address' "$conf"
keep last 1 "$release" 'priority 0 at stop' "$conf"

echo "capture-golden: wrote $(cat "$out"/*.hex | grep -c '^[0-9a-f]') packets"
