#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Each outcome of a hook, with each agent and each --on-failure.
. "$(dirname "$0")/../lib.sh"

test_each_outcome_with_each_agent() {
    PYTHONPATH=$TESTS/hook timeout 500 /usr/bin/python3 "$TESTS/hook/table.py" "$T"
}

run_tests
