#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# hook(1) with the real daemon.
. "$(dirname "$0")/../lib.sh"

mount_with <<END || exit 1
timeout = 20s
[local]
mode = direct
[only-echo]
mode = direct
allow = /bin/echo
[short]
mode = direct
timeout = 500ms
END

real() {
    PYTHONPATH=$TESTS/hook PYTHONDONTWRITEBYTECODE=1 timeout 500 /usr/bin/python3 "$TESTS/hook/real.py" "$M" "$T" "$@"
}

test_transparent() { real transparent; }
test_streams() { real streams; }
test_gates() { real gates; }
test_a_full_queue() { real queue_is_full; }
test_killed_at_random_moments() { real killed; }
test_check_and_self_test() { real checks; }
# complete WORD...: the completions of the last word.
complete_words() {
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    _hook
    echo "${COMPREPLY[*]}"
}

test_completion() {
    # shellcheck source=packaging/completion/hook.bash
    . "$ROOT/packaging/completion/hook.bash"
    is "$(complete_words hook -m "$M" '')" "local only-echo short"
    is "$(complete_words hook -t 5s --mount = "$M" o)" "only-echo"
    is "$(HOOKSFS_MOUNT=$M complete_words hook s)" "short"
    is "$(complete_words hook -a co)" "codex copilot"
    is "$(complete_words hook -a codex --on-failure = p)" "pass"
    is "$(complete_words hook -m "$M" local x)" ""
    ! command -v zsh >/dev/null || zsh -n "$ROOT/packaging/completion/_hook"
    ! command -v fish >/dev/null || fish -n "$ROOT/packaging/completion/hook.fish"
}

test_many_callers_and_a_daemon_that_is_killed() { real chaos; }

run_tests
