#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The clients in examples/clients, each in both ways. People copy them: they must tell a
# failure from an answer, and leave nothing behind.
. "$(dirname "$0")/../lib.sh"

CLIENTS=$ROOT/examples/clients
N=20

# The clients call `cat`; these sandboxes have another first in their PATH.
for name in failing killed other; do
    mkdir -p "$T/$name"
    chmod 755 "$T/$name"
done
printf '#!/bin/sh\n/bin/cat; echo sorry >&2; exit 3\n' >"$T/failing/cat"
printf '#!/bin/sh\n/bin/cat; kill -9 $$\n' >"$T/killed/cat"
printf '#!/bin/sh\n/bin/cat; echo more\n' >"$T/other/cat"
chmod 755 "$T"/{failing,killed,other}/cat

mount_with <<CONF || exit 1
[local]
mode = direct
[narrow]
mode = direct
max_running = 2
timeout = 60s
[failing]
mode = direct
env = PATH=$T/failing
[killed]
mode = direct
env = PATH=$T/killed
[other]
mode = direct
env = PATH=$T/other
[refusing]
mode = direct
allow = dog
CONF

# client LANGUAGE SANDBOX WAY: its output and, in a last line, its exit code
client() {
    local command=("$CLIENTS/client.$1")
    [[ $1 == c ]] && command=("$T/client")
    [[ $1 == dash || $1 == bash ]] && command=("$1" "$CLIENTS/client.sh")
    [[ $1 == busybox ]] && command=(busybox sh "$CLIENTS/client.sh")
    timeout 120 "${command[@]}" "$M/$2" "$3" "$N" 2>"$T/stderr"
    echo "exit code $?"
}

# The slots that users have made, of all sandboxes.
slots() {
    find "$M" -mindepth 2 -type d
}

answers() {
    local language=$1 sandbox way
    for way in slot conversation; do
        for sandbox in local narrow; do
            is "$(client "$language" "$sandbox" "$way")" \
                "$N answers, all right"$'\n'"exit code 0" "$way in $sandbox, $(head -n 3 "$T/stderr")"
            is "$(cat "$T/stderr")" "" "stderr of $way in $sandbox"
        done
        for sandbox in failing killed other refusing; do
            is "$(client "$language" "$sandbox" "$way")" "exit code 1" "$way in $sandbox"
            like "$(cat "$T/stderr")" "*$N of $N answers are missing or wrong*" "$way in $sandbox"
        done
    done
    is "$(slots)" "" "slots left behind"
}

test_sh() { answers sh; }
test_dash() { needs dash; answers dash; }
test_bash() { answers bash; }
test_busybox() { needs busybox; answers busybox; }
test_python() { needs python3; answers py; }
test_perl() { needs perl; answers pl; }
test_tcl() { needs tclsh; answers tcl; }

test_c() {
    needs cc
    cc -std=c11 -Wall -Wextra -Werror -pthread -o "$T/client" "$CLIENTS/client.c"
    answers c
}

test_node() { needs node; answers js; }

# With fewer threads than calls, calls must not wait for each other.
test_node_with_one_thread() { needs node; UV_THREADPOOL_SIZE=1 answers js; }
test_node_with_many_threads() { needs node; UV_THREADPOOL_SIZE=64 answers js; }

run_tests
