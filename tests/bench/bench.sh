#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Tests of the measuring programs: every way to call times as many calls as it was asked for,
# and fails when an answer is wrong; and the report compares correctly.
# BENCH_PROGRAMS is the folder of the measuring programs.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

programs=${BENCH_PROGRAMS:?}
here=$TESTS/bench
payload=$T/payload
head -c 768 /dev/urandom | base64 -w 0 >"$payload"

mount_with <<CONF || exit 1
[local]
mode = direct
CONF

# The command comes after them.
callers=("$programs/bench-calls conversation $M/local $payload"
    "$programs/bench-calls slot $M/local $payload"
    "$programs/bench-calls spawn $payload"
    "$programs/bench-calls spawn $payload $programs/bench-once-static $M/local"
    "$here/caller.py subprocess $payload"
    "$here/caller.sh $payload")
size=3000000
stream=$programs/bench-stream-static

# asked COMMAND...: three calls, and then two. Prints how many times came for each.
asked() {
    printf '3\n2\n' | timeout 30 "$@" | awk '{ printf "%d ", NF }'
    return "${PIPESTATUS[1]}"
}

fails() {
    local code=0
    printf '1\n' | timeout 30 "$@" || code=$?
    ((code != 0 && code != 124)) || fail "$* ended with $code"
    # A caller that failed may have left its slot.
    find "$M/local" -mindepth 1 -maxdepth 1 -type d -exec rmdir {} +
}

test_calls_are_counted() {
    local caller
    for caller in "${callers[@]}"; do
        # shellcheck disable=SC2086
        is "$(asked $caller cat)" "3 2 " "$caller"
    done
}

test_wrong_answers_end_it() {
    local caller
    for caller in "${callers[@]}"; do
        # shellcheck disable=SC2086
        fails $caller head -c 1023
        # shellcheck disable=SC2086
        fails $caller tr A-Za-z B-ZAb-za
    done
    for caller in "${callers[@]:0:4}"; do
        # shellcheck disable=SC2086
        fails $caller sh -c 'cat; exit 3'
    done
}

test_streams_are_compared() {
    local way
    for way in "conversation $M/local" "slot $M/local" pipe; do
        # shellcheck disable=SC2086
        is "$(asked "$stream" out $way $size "$stream" produce $size)" "3 2 " "out, $way"
        # shellcheck disable=SC2086
        is "$(asked "$stream" in $way $size "$stream" consume)" "3 2 " "in, $way"
        # shellcheck disable=SC2086
        fails "$stream" out $way $size "$stream" produce $((size - 1))
        # shellcheck disable=SC2086
        fails "$stream" out $way $size sh -c "$stream produce $size | tr a b"
        # shellcheck disable=SC2086
        fails "$stream" in $way $size sh -c "head -c $((size - 1)) | $stream consume"
        # shellcheck disable=SC2086
        fails "$stream" in $way $size sh -c "tr a b | $stream consume"
    done
}

test_rates_are_of_right_answers() {
    local way
    for way in "conversation $M/local" spawn; do
        # shellcheck disable=SC2086
        like "$("$programs/bench-rate" 3 1 $way "$payload" cat)" '[1-9]*.??? [1-9]*' "$way"
        # shellcheck disable=SC2086
        fails "$programs/bench-rate" 3 1 $way "$payload" tr A-Za-z B-ZAb-za
    done
}

test_contenders_take_turns() {
    "$here/alternate.py" "$T/results" direct 0 <<TABLE
conversation | 4 | ${callers[0]} cat
C: pipes, fork, exec | 2 | ${callers[2]} cat
TABLE
    is "$(jq -r '"\(.what), \(.contender): \(.ns | length)"' "$T/results")" \
        "direct, conversation: 12
direct, C: pipes, fork, exec: 6"
}

test_a_contender_that_fails_ends_it() {
    rm -f "$T/results"
    "$here/alternate.py" "$T/results" direct 0 <<<"x | 1 | ${callers[2]} head -c 1023" &&
        fail "it went on"
    [[ ! -e $T/results ]] || fail "it recorded something"
}

test_stalls_are_seen() {
    local calm busy
    # Somebody else on each processor is one, as far as we can tell.
    calm=$("$here/stalls.py" 1)
    like "$calm" "* $(nproc).0 *"
    for ((i = 0; i < 4 * $(nproc); i++)); do
        timeout 10 sh -c 'while :; do :; done' &
    done
    busy=$("$here/stalls.py" 1)
    # shellcheck disable=SC2046
    kill $(jobs -p)
    wait
    ((${busy%% *} > 20)) || fail "$busy, where it was $calm"
}

# report WHAT [CONTENDER NS]...: the last one's line, for a hundred equal samples.
report() {
    local what=$1
    shift
    : >"$T/results"
    while [[ $# -gt 0 ]]; do
        jq -nc --arg what "$what" --arg name "$1" --argjson ns "$2" \
            '{what: $what, contender: $name, ns: [range(100) | $ns]}' >>"$T/results"
        shift 2
    done
    "$here/report.py" "$T/results" | tail -n 1
}

test_goals_are_judged() {
    local peer="C: pipes, fork, exec"
    like "$(report direct "$peer" 1000000 conversation 1150000)" \
        "*| conversation | 100 | 1.15 ms | 1.15 ms | 1.150 ± 0.000 | ≤ 1.15: met |"
    like "$(report direct "$peer" 1000000 conversation 1151000)" "*≤ 1.15: \*\*not met\*\* |"
    like "$(report direct "$peer" 1000000 slot 1300000)" "*≤ 1.3: met |"
    peer="C: a pipe of 64 KiB"
    like "$(report "stream in" "$peer" 700000000 slot 1000000000)" \
        "*| 1.00 GiB/s |  | 0.700 ± 0.000 | ≥ 0.7: met |"
    like "$(report "stream in" "$peer" 699000000 slot 1000000000)" "*≥ 0.7: \*\*not met\*\* |"
    peer="kubectl exec -i"
    like "$(report kubectl "$peer" 100000000 "conversation, agent" 2000000)" \
        "*| ≥ 50 times faster: 50.0, met; ≥ 50 times faster at p99: 50.0, met |"
    like "$(report kubectl "$peer" 100000000 "conversation, agent" 2010000)" \
        "*| ≥ 50 times faster: 49.8, \*\*not met\*\*; *p99: 49.8, \*\*not met\*\* |"
    like "$(report kubectl "$peer" 100000000 "Python's client library" 39000000 \
        "Node's client library" 50000000 "conversation, agent" 2000000)" \
        "*; ≥ 20 times faster than the best library: 19.5, \*\*not met\*\* |"
}

run_tests
