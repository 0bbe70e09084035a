#!/usr/bin/env bash
# Builds everything and runs every test: unit, property, simulation and documentation tests, and the
# lab tests with real daemons in network namespaces. Goes on after a failure, so that all are seen.
#
# The lab tests need root (and Debian, where what is missing gets installed); without it they are
# reported as skipped. The last line is `N passed, N failed, N skipped`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec </dev/null
export CARGO_TERM_COLOR=never

# command:package that brings it
tools=(keepalived:keepalived ip:iproute2 tcpdump:tcpdump ps:procps)

missing_packages() {
    local tool
    for tool in "${tools[@]}"; do
        command -v "${tool%%:*}" >/dev/null || echo "${tool##*:}"
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

# Makes the laboratory ready, or says on standard output why it is not to be had.
lab_obstacle() {
    if ((EUID != 0)); then
        echo "they need root; run ./test.sh as root"
        return
    fi
    local missing
    mapfile -t missing < <(missing_packages)
    if ((${#missing[@]} > 0)); then
        echo "==> installing ${missing[*]}" >&2
        command -v apt-get >/dev/null && install "${missing[@]}" >&2 || true
        mapfile -t missing < <(missing_packages)
        ((${#missing[@]} == 0)) || { echo "these packages are missing and could not be installed: ${missing[*]}"; return; }
    fi
    unshare --net true 2>/dev/null || echo "this machine does not allow network namespaces (CAP_SYS_ADMIN)"
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

obstacle=$(lab_obstacle)
lab=(--features lab)
if [[ -n $obstacle ]]; then
    echo "==> the lab tests (real daemons in network namespaces) are skipped: $obstacle"
    lab=()
fi

# Lab tests start the daemon that lies beside them, and wait far more than they compute.
step cargo build --locked --workspace --bins
cores=$(nproc)
export RUST_TEST_THREADS=$((cores > 6 ? cores : 6))
step cargo test --locked --workspace --no-fail-fast "${lab[@]}"

echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
