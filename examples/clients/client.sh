#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Calling a hook from a POSIX shell, in each of the two ways, from as many
# processes at once as wanted.
#
# usage: client.sh DIR slot|conversation N
#
# DIR is the directory of a sandbox, for example /run/hooks/local. N calls of `cat`
# run at once, each with a payload of its own. The exit code is 0 if each call got
# its own payload back. Needs mktemp -d, which busybox has, too.

# Each of the two ways is a function that is used like a command:
#
#   call_by_... DIR COMMAND-LINE <PAYLOAD >ANSWER
#
# The function succeeds only if the command ended with 0.

# By a slot of one's own, which keeps stdout, stderr and the status. A read of status
# waits until the job has ended. So status is read first: then nothing is written after
# a failure, and stdout has its size. Without the size busybox's cat finds no bytes
# (hooksfs(5), "Programs that look at the size first").
call_by_slot() (
    slot=$(mktemp -d "$1/XXXXXXXXXX") || exit 1
    trap 'rmdir "$slot"' EXIT # cancels the job if it still runs
    trap 'exit 1' HUP INT TERM
    { printf '%s\n' "$2" && cat; } >"$slot/request" &&
        read -r status <"$slot/status" || exit 1
    if [ "$status" != "0 exited" ]; then
        echo "$2: $status" >&2
        cat "$slot/stderr" >&2
        exit 1
    fi
    cat "$slot/stdout"
)

# By a conversation: one descriptor. Reading fails unless the command ended with 0; the
# bytes that were read until then are no answer.
call_by_conversation() (
    exec 3<>"$1/call" || exit 1
    { printf '%s\n' "$2" && cat; } >&3 && cat <&3 && exit 0
    echo "$2: there is no answer" >&2
    exit 1
)

# --- N of them at once

payload_of() {
    awk -v number="$1" 'BEGIN { for (i = 0; i <= number * 1000; i++) print "payload " number }'
}

# Succeeds when call number $3 got its own answer.
try() {
    payload_of "$3" >"$work/$3.payload"
    "call_by_$2" "$1" cat <"$work/$3.payload" >"$work/$3.answer" &&
        cmp "$work/$3.payload" "$work/$3.answer"
}

case $2 in
slot | conversation) ;;
*)
    echo "usage: client.sh DIR slot|conversation N" >&2
    exit 2
    ;;
esac
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

children=
number=0
while [ "$number" -lt "$3" ]; do
    try "$1" "$2" "$number" &
    children="$children $!"
    number=$((number + 1))
done
failed=0
for child in $children; do
    wait "$child" || failed=$((failed + 1))
done
[ "$failed" = 0 ] || {
    echo "$failed of $3 answers are missing or wrong" >&2
    exit 1
}
echo "$3 answers, all right"
