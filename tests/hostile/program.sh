#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The programs must be built so that a fault in them is hard to exploit.
# shellcheck source=tests/hostile/lib.sh
. "$(dirname "$0")/lib.sh"

has() {
    grep -qE "$3" <<<"$(readelf -W "$1" "$2")" || fail "$2 has no $3"
}

before_each() {
    ! is_sanitized || skip "built with a sanitizer, which does all of it otherwise"
    grep -q __fortify_fail "$HOOKSFS" || grep -q _chk "$HOOKSFS" || skip "built without an optimizer"
}

test_daemon() {
    has -h "$HOOKSFS" 'Type: +DYN'
    has -d "$HOOKSFS" 'BIND_NOW|FLAGS.* NOW'
    has -l "$HOOKSFS" GNU_RELRO
    has --dyn-syms "$HOOKSFS" __stack_chk_fail
    has --dyn-syms "$HOOKSFS" '__[a-z]+_chk'
    ! grep -E 'GNU_STACK.* RWE' <<<"$(readelf -W -l "$HOOKSFS")" || fail "its stack is executable"
}

# The agent is static, and its address is still random.
test_agent() {
    has -h "$HOOKSFS_AGENT" 'Type: +DYN'
    has -l "$HOOKSFS_AGENT" GNU_RELRO
    ! grep -E 'INTERP|GNU_STACK.* RWE' <<<"$(readelf -W -l "$HOOKSFS_AGENT")" || fail "its loader, or its stack"
}

run_tests
