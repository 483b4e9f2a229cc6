#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A slot that one user has made is no trap for another user, who takes it for a slot of its own.
# shellcheck source=tests/hostile/lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

TOGETHER=23010

mount_with <<CONF || exit 1
mode = direct
permissions = 0777
[d]
[sharing]
slot_sharing = yes
CONF

as_member() { # as_member UID COMMAND...: as UID, in a group that all have
    local uid=$1
    shift
    setpriv --reuid "$uid" --regid $TOGETHER --clear-groups -- "$@"
}

# squat WHO MODE: makes the slot `app` as mallory; then WHO does as a program that expects it to be
# its own.
squat() {
    as_member $MALLORY sh -c "mkdir $M/d/app && chmod $2 $M/d/app"
    # shellcheck disable=SC2016
    as_member "$1" sh -c 'mkdir -p "$1" && echo "echo secret of $(id -u)" >"$1/request"' sh "$M/d/app" \
        2>"$T/error" && fail "$1 has written to a slot of mode $2"
    like "$(cat "$T/error")" "*ermission denied*" "$1, mode $2"
    is "$(as_member $MALLORY timeout 5 cat "$M/d/app/status")" "" "$1 has run something, mode $2"
    as_member $MALLORY rmdir "$M/d/app"
}

test_a_slot_under_the_name_of_another_user() {
    local mode
    for mode in 700 733 770 777; do
        squat $HONEST $mode
        squat 0 $mode
    done
}

# The descriptor of a directory, and a slot whose permissions change between look-up and open, give
# no more.
test_permissions_that_change() {
    mallory mkdir -m 777 "$M/d/app"
    honest /usr/bin/python3 - "$M/d/app" <<'PYTHON'
import errno, os, sys
slot = os.open(sys.argv[1], os.O_PATH)
request = os.open("request", os.O_PATH, dir_fd=slot)
for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_WRONLY | os.O_CREAT):
    for path, where in (("request", slot), (f"/proc/self/fd/{request}", None)):
        try:
            os.open(path, flags, dir_fd=where)
            sys.exit(f"{path} was opened with {flags}")
        except OSError as e:
            assert e.errno == errno.EACCES, e
PYTHON
    mallory sh -c "echo 'id -u' >$M/d/app/request"
    is "$(mallory timeout 10 cat "$M/d/app/stdout")" "$MALLORY" "the owner's own"
    # Results are the owner's to show, and a job the owner's to let others end.
    is "$(honest cat "$M/d/app/stdout")" "$MALLORY"
    honest sh -c "echo cancel >$M/d/app/ctl"
    mallory rmdir "$M/d/app"
}

test_a_sandbox_whose_slots_are_shared() {
    local who
    mallory sh -c "mkdir $M/sharing/app; chmod 777 $M/sharing/app"
    for who in $HONEST 0; do
        as_member "$who" sh -c "echo 'id -u' >$M/sharing/app/request; timeout 10 cat $M/sharing/app/stdout" >"$T/out"
        is "$(cat "$T/out")" "$who"
    done
    # A reload takes the sharing away.
    sed -i 's/^slot_sharing.*/slot_sharing = no/' "$T/conf"
    kill -HUP "$daemon_pid"
    wait_until 20 sh -c "[ \$(stat -c %a $M/sharing/app/request) = 600 ]"
    is "$(honest sh -c "echo id >$M/sharing/app/request" 2>&1 | sed 's/.*: //')" "Permission denied"
    mallory rmdir "$M/sharing/app"
}

run_tests
