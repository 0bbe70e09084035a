#!/usr/bin/env bash
# Builds everything and runs every test: unit, property, simulation and documentation tests, the lab
# tests with real daemons in network namespaces, and the guest tests on a kernel with IPVS, which
# boots as an ordinary program. Goes on after a failure, so that all are seen.
#
# As root on Debian it installs what is missing. The lab tests need root, the guest tests what
# lab/src/guest.rs says; those that cannot run are reported as skipped, and why. The last line is
# `N passed, N failed, N skipped`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec </dev/null
export CARGO_TERM_COLOR=never PATH=$PATH:/usr/sbin:/sbin

# command (or python3.module):package that brings it
lab_tools=(keepalived:keepalived ip:iproute2 tcpdump:tcpdump ps:procps nft:nftables curl:curl
    setpriv:util-linux redis-server:redis-server dnsmasq:dnsmasq-base nginx:nginx-light
    python3.aiosmtpd:python3-aiosmtpd)
guest_tools=(linux.uml:user-mode-linux modprobe:kmod ip:iproute2 ipvsadm:ipvsadm curl:curl
    iptables-legacy:iptables nginx:nginx-light)

# Whether a command is here, or Debian's python3 has a module (`python3.module`).
has() {
    case $1 in
    python3.*) /usr/bin/python3 -c "import ${1#python3.}" 2>/dev/null ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

# Of the tools given, the packages of those that are not here.
missing_packages() {
    local tool
    for tool; do
        has "${tool%%:*}" || echo "${tool##*:}"
    done
}

# Installs packages without letting them start a service: the tests start their own daemons.
install() {
    local policy=/usr/sbin/policy-rc.d status=0
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    else
        policy=
    fi
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"; } || status=$?
    [[ -z $policy ]] || rm -f "$policy"
    return "$status"
}

# Installs the tools that are missing, where it may, and names the packages that still are.
obstacle_of_tools() {
    local missing
    mapfile -t missing < <(missing_packages "$@")
    if ((${#missing[@]} > 0 && EUID == 0)) && command -v apt-get >/dev/null; then
        echo "==> installing ${missing[*]}" >&2
        install "${missing[@]}" >&2 || true
        mapfile -t missing < <(missing_packages "$@")
    fi
    ((${#missing[@]} == 0)) || echo "these packages are missing and could not be installed: ${missing[*]}"
}

# Makes the laboratory ready, or says on standard output why it is not to be had.
lab_obstacle() {
    local tools
    if ((EUID != 0)); then
        echo "they need root; run ./test.sh as root"
    elif tools=$(obstacle_of_tools "${lab_tools[@]}") && [[ -n $tools ]]; then
        echo "$tools"
    elif ! unshare --net true 2>/dev/null; then
        echo "this machine does not allow network namespaces (CAP_SYS_ADMIN)"
    fi
}

# The same for the guest, which needs no root once it is installed.
guest_obstacle() {
    local tools message
    if tools=$(obstacle_of_tools "${guest_tools[@]}") && [[ -n $tools ]]; then
        echo "$tools"
    elif ! message=$("$in_guest" --deadline 60 true 2>&1); then
        echo "it does not boot: $message"
    fi
}

passed=0 failed=0 skipped=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Runs a command and adds up its "test result:" lines. One that fails without a failed test (it did
# not compile, a test program crashed) counts as one failure.
step() {
    local status=0 sums
    echo "==> $*"
    "$@" 2>&1 | tee "$log" || status=$?
    sums=$(awk '/^test result: / { for (i = 2; i <= NF; i++) {
                    if ($i ~ /^passed/) passed += $(i - 1)
                    if ($i ~ /^failed/) failed += $(i - 1)
                    if ($i ~ /^ignored/) skipped += $(i - 1) } }
                END { print passed + 0, failed + 0, skipped + 0 }' "$log")
    read -r step_passed step_failed step_skipped <<<"$sums"
    if ((status != 0 && step_failed == 0)); then
        echo "==> failed with status $status: $*"
        step_failed=1
    fi
    passed=$((passed + step_passed)) failed=$((failed + step_failed)) skipped=$((skipped + step_skipped))
}

# Lab tests start the daemon that lies beside them, and guest tests the program that boots.
step cargo build --locked --workspace --bins
in_guest=$(realpath -m "${CARGO_TARGET_DIR:-target}/debug/in-guest")

features=()
runner=()
obstacle=$(lab_obstacle)
if [[ -z $obstacle ]]; then
    features+=(--features lab)
else
    echo "==> the lab tests (real daemons in network namespaces) are skipped: $obstacle"
fi
obstacle=$(guest_obstacle)
if [[ -z $obstacle ]]; then
    features+=(--features guest)
    runner=(--config "target.'cfg(all())'.runner = ['$in_guest', '--only', 'guest', '--guests', '2', '--deadline', '900']")
else
    echo "==> the guest tests (a kernel with IPVS) are skipped: $obstacle"
fi

# Lab tests wait far more than they compute.
cores=$(nproc)
export RUST_TEST_THREADS=$((cores > 6 ? cores : 6))
step cargo test --locked --workspace --no-fail-fast "${features[@]}" "${runner[@]}"

echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
