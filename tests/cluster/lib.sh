# SPDX-License-Identifier: Apache-2.0
# For the tests with the test cluster: tests/lib.sh, and a cluster that is taken down when
# the script ends. To be sourced, with the options of `up`.
# shellcheck shell=bash

# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

# Where the daemons write the agent for engines to mount.
export STATE_DIRECTORY=$T/state
mkdir -m 755 "$STATE_DIRECTORY"

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

# Lists the processes in the container, without its first process.
processes_in() {
    "$TESTS/cluster/ps" "$T/cluster" "$@" | awk '{ $1 = $2 = ""; print }' | grep -v 'sleep 2147483647'
}

# Waits for the outcome, and prints the three results.
status() {
    cat "$M/$1/status"
}
stdout() {
    cat "$M/$1/stdout"
}
stderr() {
    cat "$M/$1/stderr"
}

# Prints the daemon's number of descriptors, and its resident memory in KiB.
descriptors() {
    find "/proc/$daemon_pid/fd" -mindepth 1 | wc -l
}
resident_kib() {
    awk '/^VmRSS/ { print $2 }' "/proc/$daemon_pid/status"
}
