# SPDX-License-Identifier: Apache-2.0
# For the end-to-end tests, which are bash scripts. A script sources this file first, and gets
# a folder, a mount and assertions. Its last command is `run_tests`, which runs every function
# called test_... and prints the results as TAP.
#
# A test function runs in a subshell with `set -e`, and must leave the mount as
# usable as before. If it cannot run here, it says so with `skip` or `needs`.
#
# HOOKSFS_WRAPPER is put in front of each daemon: a program and its options, such
# as valgrind, which replaces itself by the daemon.
# shellcheck shell=bash disable=SC2034,SC2154

set -uo pipefail
LC_ALL=C.UTF-8
export LC_ALL

: "${HOOKSFS:?set it to the daemon that is to be tested}"
TESTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(dirname "$TESTS")
T=$(mktemp -d "${TMPDIR:-/tmp}/hooksfs-test.XXXXXX")
M=$T/mnt # where mount_with mounts
mkdir "$M"
chmod 755 "$T"

daemon_pid=
daemon_code=0

# Starts the daemon with the configuration on stdin. The arguments are more options for the
# daemon. Returns when it serves, and fails when it does not. $T/log is its log.
mount_with() {
    cat >"$T/conf"
    start_daemon "$@"
}

start_daemon() {
    : >"$T/log"
    # shellcheck disable=SC2086
    ${HOOKSFS_WRAPPER:-} "$HOOKSFS" -f "$@" "$T/conf" "$M" 2>>"$T/log" &
    daemon_pid=$!
    wait_until 60 daemon_answered || { cat "$T/log"; return 1; }
    grep -q 'serving, with process' "$T/log" || { cat "$T/log"; return 1; }
}

daemon_answered() {
    grep -q 'serving, with process' "$T/log" || ! kill -0 "$daemon_pid" 2>/dev/null
}

# Ends the daemon as its user would. Returns its exit code.
unmount() {
    local code=0
    [[ $daemon_pid ]] || return 0
    kill -TERM "$daemon_pid" 2>/dev/null
    wait "$daemon_pid" || code=$?
    daemon_pid=
    return "$code"
}

# Runs COMMAND until it succeeds, for at most SECONDS.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.02
    done
}

# --- Requests

# Writes a request for the slot DIR: the command line, then stdin.
request() {
    local dir=$1
    shift
    { printf '%s\n' "$*"; cat; } >"$dir/request"
}

# Writes a request without stdin.
ask() {
    local dir=$1
    shift
    printf '%s\n' "$*" >"$dir/request"
}

# Prints the whole of a file. If the file does not end in time, a line says so, so that the
# test fails and does not hang, and the result is no empty file.
get() {
    timeout 30 cat "$1" || echo "[cat $1 ended with $?]"
}

# ends DIR STATUS: the request of the slot DIR ends so; STATUS is a glob.
ends() {
    like "$(get "$1/status")" "$2" "status of $1"
}

# Runs the program on stdin with Debian's own python, for which its packages are.
py() {
    timeout "${PY_TIMEOUT:-60}" /usr/bin/python3 - "$@"
}

# The errno name of a failing write of $2 to the file $1, or `none`.
write_error() {
    /usr/bin/python3 - "$1" "$2" <<'PYTHON'
import errno, os, sys
try:
    fd = os.open(sys.argv[1], os.O_WRONLY)
except OSError as e:
    print("open", errno.errorcode[e.errno])
    sys.exit()
try:
    os.write(fd, os.fsencode(sys.argv[2]))
    print("none")
except OSError as e:
    print(errno.errorcode[e.errno])
os.close(fd)
PYTHON
}

# --- Assertions: each ends the test when it fails

fail() {
    sed "s/^/# /" <<<"$*" >&3
    exit 1
}

skip() {
    echo "$*" >"$T/skip"
    exit 77
}

# needs PROGRAM...: skips the test where one of them is missing.
needs() {
    local program
    for program; do
        command -v "$program" >/dev/null || skip "there is no $program here"
    done
}

# is GOT WANTED [WHAT]
is() {
    [[ $1 == "$2" ]] || fail "${3:-value}: got '$1', wanted '$2'"
}

# like GOT PATTERN [WHAT]: PATTERN is a glob
like() {
    # shellcheck disable=SC2053
    [[ $1 == $2 ]] || fail "${3:-value}: got '$1', wanted something like '$2'"
}

same_file() {
    cmp -s "$1" "$2" || fail "$1 and $2 differ: $(cmp "$1" "$2" 2>&1)"
}

# --- Running

clean_up() {
    if [[ $daemon_pid ]]; then
        kill -TERM "$daemon_pid" 2>/dev/null
        wait "$daemon_pid" 2>/dev/null
    fi
    if mountpoint -q "$M" 2>/dev/null || ! stat "$M" >/dev/null 2>&1; then
        umount -l "$M" 2>/dev/null || fusermount3 -uz "$M" 2>/dev/null
    fi
    [[ ${KEEP:-} ]] || rm -rf "$T"
}
trap clean_up EXIT

# Runs before each test function. Scripts replace it, for example to clean up after a test
# that failed.
before_each() {
    :
}

# The daemon of all tests of a script ends with 0, and no sanitizer that it was
# built with, or valgrind, has found anything.
daemon_ends_well() {
    ! grep -E -A 30 'runtime error:|ERROR: [A-Za-z]+Sanitizer|^==[0-9]+==' "$T/log" ||
        fail "see its log"
    ((daemon_code == 0)) || fail "the daemon's exit code was $daemon_code"
    ! mountpoint -q "$M" || fail "$M is still mounted"
}

# Runs the test functions, those named in $ONLY or all.
run_tests() {
    local name number=0 failed=0 tests
    tests=${ONLY:-$(declare -F | sed -n 's/^declare -f \(test_.*\)/\1/p')}
    [[ ! $daemon_pid ]] || tests="$tests daemon_ends_well"
    exec 3>&1
    echo "1..$(wc -w <<<"$tests")"
    for name in $tests; do
        number=$((number + 1))
        rm -f "$T/skip"
        if [[ $name == daemon_ends_well ]]; then
            # Not in a subshell: only its parent can wait for the daemon.
            daemon_code=0
            unmount || daemon_code=$?
        fi
        (set -e; trap - EXIT; before_each; "$name") >"$T/out" 2>&1
        case $? in
        0) echo "ok $number - $name" ;;
        77) echo "ok $number - $name # SKIP $(cat "$T/skip" 2>/dev/null)" ;;
        *)
            echo "not ok $number - $name"
            sed 's/^/# /' "$T/out"
            echo "# the daemon's last lines:"
            tail -n 5 "$T/log" 2>/dev/null | sed 's/^/#   /'
            failed=1
            ;;
        esac
    done
    return "$failed"
}
