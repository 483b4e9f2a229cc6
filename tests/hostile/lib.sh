# SPDX-License-Identifier: Apache-2.0
# For the tests that attack. Two ordinary users want more than they may have, or want to stop all
# other users. A third user only wants to work.
# shellcheck shell=bash disable=SC2034,SC2154

# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

if [[ $(id -u) != 0 ]]; then
    echo "1..0 # SKIP only root can be several users"
    exit 0
fi

# Scripts run at the same time, and what a user has counts for limits: each has users of its own.
: "${FIRST_UID:=$((23001 + $(cksum <<<"${0##*/}" | cut -d " " -f 1) % 300 * 3))}"
MALLORY=$FIRST_UID EVE=$((FIRST_UID + 1)) HONEST=$((FIRST_UID + 2))
mallory() { setpriv --reuid "$MALLORY" --regid "$MALLORY" --clear-groups -- "$@"; }
eve() { setpriv --reuid "$EVE" --regid "$EVE" --clear-groups -- "$@"; }
honest() { setpriv --reuid "$HONEST" --regid "$HONEST" --clear-groups -- "$@"; }

# The daemon's memory in KiB: now, and its highest value so far.
daemon_kib() {
    awk -v name="${1:-VmRSS}:" '$1 == name { print $2 }' "/proc/$daemon_pid/status"
}
daemon_descriptors() {
    find "/proc/$daemon_pid/fd" -mindepth 1 | wc -l
}

is_sanitized() {
    grep -q __asan_init "$HOOKSFS" || [[ ${HOOKSFS_VALGRIND:-} ]]
}
