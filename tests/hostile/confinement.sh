#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A command has no right that its caller does not have (limits, capabilities, filters, keys,
# scheduling), and no right of the daemon.
# shellcheck source=tests/hostile/lib.sh disable=SC2016
. "$(dirname "$0")/lib.sh"

# The daemon has one of each attribute that a command could inherit.
cat >"$T/wrapper" <<'PYTHON'
#!/usr/bin/python3
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall(250, 1, None)                  # keyctl: a session keyring
os.setpriority(os.PRIO_PROCESS, 0, -5)
libc.syscall(251, 1, 0, 2 << 13 | 1)        # ioprio_set
with open("/proc/self/oom_score_adj", "w") as f:
    f.write("100")
os.execvp("setpriv", ["setpriv", "--inh-caps", "+chown,+kill", "--"] + sys.argv[1:])
PYTHON
chmod 755 "$T/wrapper"
[[ $(uname -m) == x86_64 ]] && HOOKSFS_WRAPPER="$T/wrapper ${HOOKSFS_WRAPPER:-}"

mount_with <<CONF || exit 1
permissions = 0777
timeout = 60s
mode = direct
[d]
[auto]
confinement = auto
[no]
confinement = no
[fixed]
user = daemon
[limited]
rlimit_nofile = 60
rlimit_nproc = 20
rlimit_fsize = 8K
CONF

# ask_as WHO... -- SANDBOX COMMAND-LINE: prints the command's output and its status.
cat >"$T/ask" <<'PYTHON'
#!/usr/bin/python3
import os, sys
fd = os.open(f"{sys.argv[1]}/call", os.O_RDWR)
try:
    os.write(fd, os.fsencode(sys.argv[2]) + b"\n")
    while data := os.read(fd, 65536):
        sys.stdout.buffer.write(data)
except OSError as e:
    print("error", e.strerror)
PYTHON
chmod 755 "$T/ask"
M_FILE=/tmp/hooksfs-hostile.$$
STATUS='cat /proc/self/status'

field() {
    awk -v name="$1:" '$1 == name { print $2 }'
}

test_limits() {
    local out
    out=$(mallory bash -c "ulimit -u 100; ulimit -n 50; ulimit -f 10; ulimit -Sc 0; ulimit -Sv 1000000
        exec $T/ask $M/d 'bash -c \"ulimit -u; ulimit -n; ulimit -f; ulimit -v\"'")
    is "$(tr "\n" " " <<<"$out")" "100 50 10 1000000 "
    is "$("$T/ask" "$M/fixed" 'bash -c "ulimit -u"')" "$(ulimit -u)"
}

# The lowest of the key's limit and the caller's, and no way to raise it.
test_limits_of_the_configuration() {
    local own
    for own in 50:50 60:60 500:60; do
        is "$(mallory bash -c "ulimit -n ${own%:*}; exec $T/ask $M/limited 'bash -c \"ulimit -Sn; ulimit -Hn\"'" | tr '\n' ' ')" \
            "${own#*:} ${own#*:} " "a caller with ${own%:*}"
    done
    is "$(mallory "$T/ask" "$M/limited" 'bash -c "ulimit -n 61 2>/dev/null || prlimit --nofile=61 true 2>/dev/null || ulimit -n"')" 60
    is "$(mallory "$T/ask" "$M/limited" 'bash -c "ulimit -u"')" 20
    is "$(mallory "$T/ask" "$M/limited" "sh -c 'dd if=/dev/zero of=$M_FILE bs=4096 count=9 2>/dev/null; echo \$?; wc -c <$M_FILE'" | tr '\n' ' ')" "153 8192 "
    rm -f "$M_FILE"
    is "$(mallory "$T/ask" "$M/limited" "sh -c 'for i in \$(seq 60); do sleep 1 & done; wait; echo done'")" "error Input/output error"
    # Only in this sandbox.
    is "$(mallory bash -c "ulimit -n 500; exec $T/ask $M/d 'bash -c \"ulimit -n\"'")" 500
}

# A caller who may have 100 processes asks for 2000.
test_a_fork_bomb() {
    local out
    out=$(mallory bash -c "ulimit -u 20; exec $T/ask $M/d 'sh -c \"for i in \\\$(seq 60); do sleep 1 & done; wait; echo done\"'" 2>&1) || :
    [[ $out != *done* ]] || fail "60 processes of a caller who may have 20"
}

test_scheduling() {
    local out
    is "$(mallory "$T/ask" "$M/d" 'nice')" 0 "nice"
    is "$(mallory nice -n 7 "$T/ask" "$M/d" 'nice')" 7 "the caller's nice"
    is "$(nice -n -7 "$T/ask" "$M/d" 'nice')" 0 "root's nice"
    is "$(mallory "$T/ask" "$M/fixed" 'nice')" 0 "the nice of another user"
    out=$(mallory "$T/ask" "$M/d" "ionice")
    like "$out" 'none*' "I/O priority"
    is "$(mallory ionice -c 3 "$T/ask" "$M/d" "ionice")" "idle"
    like "$(mallory chrt -i 0 "$T/ask" "$M/d" "sh -c 'chrt -p \$\$'")" '*SCHED_IDLE*'
}

test_oom_score_adj() {
    is "$(mallory "$T/ask" "$M/d" 'cat /proc/self/oom_score_adj')" 100 "as the daemon"
    is "$(mallory sh -c "echo 700 >/proc/self/oom_score_adj; exec $T/ask $M/d 'cat /proc/self/oom_score_adj'")" 700
    is "$(cat "/proc/$daemon_pid/oom_score_adj")" 100 "the daemon's"
    is "$(mallory "$T/ask" "$M/d" 'cat /proc/self/oom_score_adj')" 100 "as the daemon"
}

test_capabilities() {
    local out name
    out=$(mallory "$T/ask" "$M/d" "$STATUS")
    for name in CapInh CapPrm CapEff CapAmb; do
        is "$(field $name <<<"$out")" 0000000000000000 "$name"
    done
    is "$(field CapBnd <<<"$out")" "$(field CapBnd </proc/self/status)" "CapBnd"
    out=$(mallory "$T/ask" "$M/fixed" "$STATUS")
    is "$(field CapInh <<<"$out")" 0000000000000000 "CapInh of another user"
    # Root, as in a container: uid 0, but not more than a few capabilities.
    out=$(setpriv --bounding-set -all,+chown,+kill "$T/ask" "$M/d" "$STATUS")
    for name in CapPrm CapEff CapBnd; do
        is "$(field $name <<<"$out")" 0000000000000021 "root's $name"
    done
    is "$(field CapInh <<<"$out")" 0000000000000000 "root's CapInh"
    out=$("$T/ask" "$M/d" "$STATUS")
    is "$(field CapEff <<<"$out")" "$(field CapEff </proc/self/status)" "whole root's CapEff"
    # A user whose bounding set is smaller, in whichever way it became so.
    out=$(setpriv --bounding-set -all --reuid $MALLORY --regid $MALLORY --clear-groups "$T/ask" "$M/d" "$STATUS")
    is "$(field CapBnd <<<"$out")" 0000000000000000 "CapBnd"
}

test_no_new_privs() {
    is "$(mallory "$T/ask" "$M/d" "$STATUS" | field NoNewPrivs)" 0
    is "$(mallory setpriv --no-new-privs "$T/ask" "$M/d" "$STATUS" | field NoNewPrivs)" 1
    # Root that cannot gain: what it has not, it does not get by an exec here.
    is "$(setpriv --no-new-privs --bounding-set -sys_admin "$T/ask" "$M/d" 'unshare -m true' 2>&1)" "error Input/output error"
}

test_a_seccomp_filter() {
    local filter='
import ctypes, os, struct, sys
libc = ctypes.CDLL(None)
code = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7fff0000))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 1, ctypes.addressof(code)))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program) == 0
os.execv(sys.argv[1], sys.argv[1:])'
    is "$(mallory /usr/bin/python3 -c "$filter" "$T/ask" "$M/d" "echo ran")" "error Permission denied"
    is "$(mallory /usr/bin/python3 -c "$filter" "$T/ask" "$M/auto" "echo ran")" ran
    is "$(mallory /usr/bin/python3 -c "$filter" "$T/ask" "$M/auto" "$STATUS" | field NoNewPrivs)" 1
    mallory mkdir -m 777 "$M/d/m"
    mallory /usr/bin/python3 -c "$filter" /bin/sh -c "echo id >$M/d/m/request" 2>/dev/null || :
    is "$(get "$M/d/m/status")" "2 refused the caller has a seccomp filter, and the command would not have it"
    rmdir "$M/d/m"
}

test_a_user_namespace() {
    unshare -U true 2>/dev/null || skip "no user namespaces here"
    is "$(unshare -U --map-root-user "$T/ask" "$M/d" "id -u")" "error Permission denied"
    is "$(unshare -U --map-root-user "$T/ask" "$M/auto" "$STATUS" | field CapEff)" 0000000000000000
    is "$(unshare -U --map-root-user "$T/ask" "$M/no" "id -u")" 0
}

test_session_keyrings() {
    local add='import ctypes; print(ctypes.CDLL(None).syscall(248, b"user", b"hooksfs-key", b"secret", 6, -3) > 0)'
    local look='import ctypes; print(ctypes.CDLL(None).syscall(250, 10, -3, b"user", b"hooksfs-key", 0) > 0)'
    [[ $(uname -m) == x86_64 ]] || skip "written for one processor"
    /usr/bin/python3 -c "$add" | grep -q True || skip "no keys here"
    is "$(mallory "$T/ask" "$M/d" "/usr/bin/python3 -c '$add'")" True
    is "$(eve "$T/ask" "$M/d" "/usr/bin/python3 -c '$look'")" False "eve finds the key of mallory"
}

# A caller whose process cannot be looked at does not count as a caller without confinement.
test_a_process_namespace_that_cannot_be_seen() {
    local log=$T/log2 mount=$T/mnt2 pid
    unshare -pf true 2>/dev/null || skip "no process namespaces here"
    mkdir -p "$mount"
    printf '[d]\nmode = direct\npermissions = 0777\n[no]\nmode = direct\npermissions = 0777\nconfinement = no\n' >"$T/conf2"
    # The daemon's /proc belongs to another namespace: each number there is another process.
    unshare -pf --kill-child "$HOOKSFS" -f "$T/conf2" "$mount" 2>"$log" &
    pid=$!
    wait_until 20 grep -q "serving, with process" "$log" || fail "$(cat "$log")"
    is "$(mallory "$T/ask" "$mount/d" "id -G")" "error Permission denied"
    is "$(setpriv --reuid $MALLORY --regid $MALLORY --groups 24001,24002 "$T/ask" "$mount/no" "id -G")" "$MALLORY"
    umount "$mount"
    wait "$pid" || :
}

run_tests
