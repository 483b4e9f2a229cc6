#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The soak, as TAP: soak.py with the daemon as it is, and with one whose calls fail.
# SOAK_SECONDS is how long each of them takes.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2119,SC2016
. "$(dirname "$0")/../lib.sh"

: "${HOOKSFS_FAULTY:=$(dirname "$HOOKSFS")/tests/faults/hooksfs-faulty}"
: "${SOAK_SECONDS:=60}" "${SOAK_SEED:=$RANDOM$RANDOM}"
echo "# seed $SOAK_SEED, $SOAK_SECONDS seconds each"
export NAP=$T/nap SOAK_SECONDS SOAK_SEED
ln -s "$(command -v sleep)" "$NAP"

soak() {
    local folder=$T/$1 code=0
    mkdir "$folder"
    HOOKSFS=$2 PYTHONPATH=$TESTS/e2e:$TESTS/faults PYTHONDONTWRITEBYTECODE=1 \
        timeout "$((SOAK_SECONDS + 240))" /usr/bin/python3 "$TESTS/soak/soak.py" "$folder" \
        >"$folder/result" 2>"$folder/stderr" || code=$?
    sed 's/^/# /' "$folder/result" >&3
    ((code == 0)) || fail "it ended with $code: $(tail -n 20 "$folder/stderr"; grep -v -e 'job sandbox' \
        -e 'refused sandbox' "$folder/log" | tail -n 20)"
}

test_soak_plain() {
    soak plain "$HOOKSFS"
}

test_soak_with_faults() {
    soak faulty "$HOOKSFS_FAULTY"
}

run_tests
