# SPDX-License-Identifier: Apache-2.0
# For the tests against the test cluster: what tests/lib.sh gives, and a cluster
# that goes when the script ends. Sourced with the options of `up`.
# shellcheck shell=bash

# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

trap 'clean_up_cluster' EXIT

clean_up_cluster() {
    [[ ! $daemon_pid ]] || unmount
    "$TESTS/cluster/down" "$T/cluster" >/dev/null 2>&1
    clean_up
}

"$TESTS/cluster/up" "$@" "$T/cluster" >"$T/up.log" 2>&1 || {
    echo "Bail out! the test cluster does not start"
    sed 's/^/# /' "$T/up.log"
    exit 1
}
. "$T/cluster/env"

fault() {
    "$TESTS/cluster/fault" -d "$T/cluster" "$@"
}

# What runs in the container, without its first process.
processes_in() {
    "$TESTS/cluster/ps" "$T/cluster" "$@" | awk '{ $1 = $2 = ""; print }' | grep -v 'sleep 2147483647'
}

# The three results, once there is an outcome.
status() {
    cat "$M/$1/status"
}
stdout() {
    cat "$M/$1/stdout"
}
stderr() {
    cat "$M/$1/stderr"
}

# Descriptors, and resident memory in KiB, of the daemon.
descriptors() {
    find "/proc/$daemon_pid/fd" -mindepth 1 | wc -l
}
resident_kib() {
    awk '/^VmRSS/ { print $2 }' "/proc/$daemon_pid/status"
}
