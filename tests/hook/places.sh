#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Places that are not there, hang or die, and every kind of stdin.
. "$(dirname "$0")/../lib.sh"

test_places_and_stdin() {
    PYTHONPATH=$TESTS/hook timeout 500 /usr/bin/python3 "$TESTS/hook/places.py" "$T"
}

run_tests
