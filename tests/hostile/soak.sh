#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Two hostile users attack at full speed, and there are reloads. A third user only works, and each
# answer of this user is right. HOSTILE_SECONDS is the length of the attack (20); from 300 on, the
# third user's 99th percentile must be at most 5 times as long as before the attack.
FIRST_UID=23101
# shellcheck source=tests/hostile/lib.sh disable=SC2119
. "$(dirname "$0")/lib.sh"

: "${HOSTILE_SECONDS:=20}"
# AddressSanitizer keeps freed memory, and with a sanitizer each child is a fork, which copies the
# tables of all pages: otherwise the daemon would become slower with its age.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}quarantine_size_mb=16"
# Each user has a session, as a service and two logins have: the kernel divides the processors by
# sessions.
HOOKSFS_WRAPPER="setsid ${HOOKSFS_WRAPPER:-}"

mount_with <<CONF || exit 1
mode = direct
permissions = 0777
timeout = 5s
kill_grace = 100ms
max_user_bytes = 16M
max_user_calls = 500
write_timeout = 3s
slot_ttl = 1s
[d]
[other]
CONF

# The users may be unable to enter the folder of the checkout.
cp "$TESTS/hostile/honest.py" "$TESTS/hostile/attack.py" "$T"

test_two_hostile_users() {
    local before after descriptors end attackers=() results idle busy ratio uid
    idle=$(honest setsid -w /usr/bin/python3 "$T/honest.py" "$M/d" $((HOSTILE_SECONDS / 10 + 2)))
    before=$(daemon_kib)
    descriptors=$(daemon_descriptors)
    # Each hostile user has as many processes as a user of a small machine may have, and no more.
    mallory setsid -w bash -c "ulimit -u 200; exec /usr/bin/python3 $T/attack.py $M/d $RANDOM" >"$T/mallory" 2>&1 &
    attackers+=($!)
    eve setsid -w bash -c "ulimit -u 200; exec /usr/bin/python3 $T/attack.py $M/d $RANDOM" >"$T/eve" 2>&1 &
    attackers+=($!)
    honest setsid -w /usr/bin/python3 "$T/honest.py" "$M/d" "$HOSTILE_SECONDS" >"$T/honest" 2>&1 &
    results=$!
    end=$((SECONDS + HOSTILE_SECONDS - 1))
    while ((SECONDS < end)); do
        sed -i "s/^\[other\].*/[other] ; $RANDOM/; s/^timeout = .*/timeout = $((RANDOM % 3 + 3))s/" "$T/conf"
        kill -HUP "$daemon_pid"
        sleep 0.5
        kill -0 "$daemon_pid" || fail "the daemon is gone"
    done
    wait "$results" || fail "$(cat "$T/honest")"
    after=$(daemon_kib VmHWM)
    pkill -TERM -u "$MALLORY,$EVE" python3 || :
    wait "${attackers[@]}" || :
    busy=$(cat "$T/honest")
    {
        echo "# idle:     $idle (calls, median and p99 in ms)"
        echo "# attacked: $busy"
        echo "# mallory:  $(cat "$T/mallory")"
        echo "# eve:      $(cat "$T/eve")"
        echo "# memory of the daemon: $before KiB, at most $after"
    } >&3
    # The sum of the memory that the keys allow two users, twice because of the allocator, and of
    # the daemon's own memory.
    is_sanitized || ((after < before + 2 * 2 * 16384 + 20000)) || fail "the daemon has had $after KiB"
    ratio=$(awk -v a="${idle##* }" -v b="${busy##* }" 'BEGIN { printf "%.1f", b / a }')
    echo "# p99 is $ratio times that of the time before" >&3
    ((HOSTILE_SECONDS < 300)) || awk -v r="$ratio" 'BEGIN { exit r > 5 }' || fail "p99 is $ratio times as long"
    # No job is left: jobs end with their callers, or with their time limit.
    for uid in $MALLORY $EVE; do
        pkill -KILL -u "$uid" || :
        wait_until 30 sh -c "! pgrep -u $uid >/dev/null" || fail "processes of $uid: $(ps -u "$uid" -o args=)"
    done
    wait_until 30 eval "((\$(daemon_descriptors) <= $descriptors))" || fail "$(daemon_descriptors) descriptors, not $descriptors"
    # A slot expires when it is not used, and to look into it is a use.
    wait_until 30 sh -c "! ls '$M/d' | grep -q '^[0-9]'" || fail "slots are left"
}

# A test that has failed leaves its attackers.
trap 'pkill -KILL -u "$MALLORY,$EVE" || :; clean_up' EXIT

run_tests
