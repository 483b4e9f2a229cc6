#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Single calls by a pipeline of the shell. For each line on stdin, which is a number,
# makes so many calls and answers with a line of how many nanoseconds each took.
#
# usage: caller.sh PAYLOAD-FILE COMMAND [ARGUMENT...]

set -u
export LC_ALL=C
payload=$(<"$1")
shift

while read -r count; do
    times=
    for ((; count > 0; count--)); do
        start=$EPOCHREALTIME
        answer=$(printf '%s' "$payload" | "$@")
        end=$EPOCHREALTIME
        if [[ $answer != "$payload" ]]; then
            echo "caller.sh: a wrong answer of ${#answer} bytes" >&2
            exit 1
        fi
        times+="$(((${end/./} - ${start/./}) * 1000)) "
    done
    echo "$times"
done
