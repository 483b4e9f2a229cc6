#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The unit for systemd: systemd finds no error in it, and a daemon with the remaining capabilities
# does everything that a daemon of root does.
# shellcheck source=tests/hostile/lib.sh
. "$(dirname "$0")/lib.sh"

UNIT=$ROOT/packaging/systemd/hooksfs.service
words=$(sed -n 's/^CapabilityBoundingSet=//p' "$UNIT" | tr 'A-Z ' 'a-z,' | sed 's/cap_/+/g')
# shellcheck disable=SC2034
HOOKSFS_WRAPPER="setpriv --no-new-privs --bounding-set -all,$words --inh-caps -all -- ${HOOKSFS_WRAPPER:-}"

mount_with <<CONF || exit 1
mode = direct
permissions = 0777
timeout = 60s
kill_grace = 100ms
[d]
[fixed]
user = daemon
CONF

# Uses a tree of programs like the tree of an installation.
copy_unit() {
    rm -rf "$T/unit"
    mkdir -p "$T/unit"
    sed "s#/usr/local/sbin/hooksfs#$HOOKSFS#; /^Documentation/d" "$UNIT" >"$T/unit/hooksfs.service"
}

test_verify() {
    command -v systemd-analyze >/dev/null || skip "no systemd-analyze"
    copy_unit
    is "$(systemd-analyze verify "$T/unit/hooksfs.service" 2>&1 | grep hooksfs || :)" ""
    mkdir "$T/unit/hooksfs.service.d"
    cp "$ROOT/packaging/systemd/network.conf" "$T/unit/hooksfs.service.d"
    is "$(systemd-analyze verify "$T/unit/hooksfs.service" 2>&1 | grep hooksfs || :)" ""
}

test_exposure() {
    command -v systemd-analyze >/dev/null || skip "no systemd-analyze"
    copy_unit
    systemd-analyze security --offline=true --threshold=39 "$T/unit/hooksfs.service" >"$T/exposure" 2>&1 ||
        fail "$(tail -n 1 "$T/exposure")"
    grep -q "Overall exposure level" "$T/exposure" || fail "$(cat "$T/exposure")"
}

# Settings that end the service for one job's memory, or never let it start again.
test_the_traps() {
    ! grep -E '^(RuntimeDirectory|Protect(System|Home|KernelTunables|KernelModules|KernelLogs|ControlGroups|Proc)|Private(Tmp|Devices|Mounts)|ReadOnlyPaths|MountFlags)=' "$UNIT" ||
        fail "these"
    grep -qx 'OOMPolicy=continue' "$UNIT"
    grep -qx 'Delegate=yes' "$UNIT"
    grep -qx 'Restart=on-failure' "$UNIT"
}

test_it_does_what_root_does() {
    mallory sh -c "echo 'id -u' >$M/d/request"
    is "$(get "$M/d/stdout")" "$MALLORY"
    setpriv --reuid $EVE --regid $EVE --groups 24001,24002 -- sh -c "echo 'id -G' >$M/d/request"
    is "$(get "$M/d/stdout")" "$EVE 24001 24002"
    ask "$M/fixed" "id -un"
    is "$(get "$M/fixed/stdout")" daemon
    ask "$M/d" "cat /etc/shadow"
    ends "$M/d" "0 exited"
    mallory bash -c "ulimit -u 77; echo \"bash -c 'ulimit -u'\" >$M/d/request"
    is "$(get "$M/d/stdout")" 77 "the caller's limit"
    mallory sh -c "echo 'sh -c \"trap : TERM; sleep 60; sleep 60\"' >$M/d/request"
    wait_until 10 pgrep -u $MALLORY sleep >/dev/null
    echo cancel >"$M/d/ctl"
    ends "$M/d" "130 cancelled"
    wait_until 10 sh -c "! pgrep -u $MALLORY sleep >/dev/null"
    unshare -U true 2>/dev/null || return 0
    unshare -U --map-root-user sh -c "echo id >$M/d/request" 2>/dev/null || :
    ends "$M/d" "2 refused the caller is in a user namespace*"
}

# Starts after SIGKILL, on the mount that was left, with the commands of the unit in turn.
test_it_starts_again_after_sigkill() {
    local pre mount=$T/mnt2 pid
    mkdir "$mount"
    $HOOKSFS_WRAPPER "$HOOKSFS" -f "$T/conf" "$mount" 2>"$T/log2" &
    pid=$!
    wait_until 20 grep -q 'serving, with process' "$T/log2" || fail "$(cat "$T/log2")"
    kill -KILL "$pid"
    wait "$pid" 2>/dev/null || :
    ! stat "$mount" 2>/dev/null || fail "the mount is not dead"
    while read -r pre; do
        ${pre//\/run\/hooks/$mount} 2>/dev/null || :
    done < <(sed -n 's/^ExecStartPre=-//p' "$UNIT")
    $HOOKSFS_WRAPPER "$HOOKSFS" -f "$T/conf" "$mount" 2>"$T/log3" &
    pid=$!
    wait_until 20 grep -q 'serving, with process' "$T/log3" || fail "$(cat "$T/log3")"
    ask "$mount/d" true
    ends "$mount/d" "0 exited"
    umount "$mount"
    wait "$pid"
}

run_tests
