#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The end of the daemon while a kubectl runs.
# shellcheck source=tests/cluster/lib.sh
. "$(dirname "$0")/lib.sh"

mount_with <<'CONF' || exit 1
[sidecar]
mode = kubectl_exec
pod = my-pod
container = hooks
timeout = 60s
CONF

daemon_is_gone() {
    ! kill -0 "$daemon_pid" 2>/dev/null || [[ $(ps -o stat= -p "$daemon_pid") == Z* ]]
}

test_the_end_of_the_daemon_ends_kubectl() {
    local child reader
    ask "$M/sidecar" "sh -c 'echo begun; sleep 300'"
    is "$(head -n 1 "$M/sidecar/stdout")" begun
    child=$(pgrep -P "$daemon_pid")
    [[ $child ]] || fail "there is no kubectl"
    exec 4<"$M/sidecar/status"
    cat <&4 >"$T/last" &
    reader=$!
    exec 4<&-
    kill -TERM "$daemon_pid"
    wait "$reader" || fail "the reader failed"
    is "$(cat "$T/last")" "130 cancelled"
    wait_until 10 daemon_is_gone || fail "the daemon is still there"
    ! kill -0 "$child" 2>/dev/null || fail "kubectl has survived"
}

run_tests
