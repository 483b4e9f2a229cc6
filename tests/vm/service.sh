#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The unit for systemd, with systemd as the first process.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

M=/run/hooks
CONF=/etc/hooksfs.conf

cat >"$CONF" <<'CONF'
mode = direct
permissions = 0777
timeout = 60s
kill_grace = 200ms
[d]
CONF
install -D "$HOOKSFS" /usr/local/sbin/hooksfs
cp "$ROOT/packaging/systemd/hooksfs.service" /etc/systemd/system/
systemctl daemon-reload
systemctl start hooksfs || systemctl status hooksfs

# No number when there is no daemon: kill would take 0 for this process group.
main_pid() { systemctl show -P MainPID hooksfs | sed 's/^0$/none/'; }

serves() {
    [[ $(main_pid) != none ]] && echo 'echo served' >"$M/d/request" && [[ $(cat "$M/d/stdout") == served ]]
}

is_another() {
    [[ $(main_pid) != "$1" ]] && serves
}

test_it_serves() {
    is "$(systemctl is-active hooksfs)" active
    ask "$M/d" "id -u"
    is "$(get "$M/d/stdout")" 0
    setpriv --reuid 23001 --regid 23001 --clear-groups sh -c "echo 'id -u' >$M/d/request"
    is "$(get "$M/d/stdout")" 23001
}

test_exposure() {
    systemd-analyze security --threshold=39 hooksfs.service >"$T/exposure" 2>&1 ||
        fail "$(tail -n 1 "$T/exposure")"
    grep -q "Overall exposure level" "$T/exposure" || fail "$(cat "$T/exposure")"
}

test_it_starts_again_after_sigkill() {
    local pid
    pid=$(main_pid)
    kill -KILL "$pid"
    wait_until 60 is_another "$pid" || fail "$(systemctl status hooksfs)"
}

# The kernel kills the job, and systemd leaves the service alone.
test_a_job_without_memory_does_not_end_the_service() {
    local pid
    pid=$(main_pid)
    systemctl set-property --runtime hooksfs MemoryMax=120M MemorySwapMax=0
    ask "$M/d" "python3 -c 'print(len(\"a\" * 500000000))'"
    ends "$M/d" "137 signaled*"
    sleep 1
    systemctl set-property --runtime hooksfs MemoryMax=infinity
    is "$(main_pid)" "$pid"
    is "$(systemctl is-active hooksfs)" active
    serves
}

test_a_reload() {
    sed 's/^\[d\]/[d]\n[more]/' "$CONF" >"$CONF.new"
    mv "$CONF.new" "$CONF"
    systemctl reload hooksfs
    wait_until 20 test -e "$M/more/request"
    is "$(systemctl is-active hooksfs)" active
}

test_a_stop_leaves_nothing() {
    ask "$M/d" "sh -c 'setsid sleep 4711 & sleep 4711'"
    wait_until 20 pgrep -f "sleep 4711" >/dev/null
    systemctl stop hooksfs
    is "$(systemctl is-active hooksfs)" inactive
    ! mountpoint -q "$M" || fail "still mounted"
    ! pgrep -f "sleep 4711" || fail "these are left"
    [[ ! -e /sys/fs/cgroup/system.slice/hooksfs.service ]] || fail "its control group is left"
    systemctl start hooksfs
}

run_tests
