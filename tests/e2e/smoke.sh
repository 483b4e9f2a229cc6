#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The shortest test: a mount, a request, its three results.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2119
. "$(dirname "$0")/../lib.sh"

mount_with <<'CONF' || exit 1
[local]
mode = direct
CONF

test_a_request_and_its_results() {
    printf 'cat' | request "$M/local" "sh -c 'cat; echo oops >&2; exit 3'"
    is "$(cat "$M/local/stdout")" cat stdout
    is "$(cat "$M/local/stderr")" oops stderr
    is "$(cat "$M/local/status")" "3 exited" status
}

run_tests
