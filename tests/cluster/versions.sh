#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Mode kubectl_exec with every kubectl that this machine has.
# shellcheck source=tests/cluster/lib.sh
. "$(dirname "$0")/lib.sh"

# shellcheck source=tests/cluster/kubectls.sh
. "$(dirname "$0")/kubectls.sh"

{
    for name in "${!path_of[@]}"; do
        printf '[%s]\nmode = kubectl_exec\nkubectl_path = %s\npod = my-pod\ncontainer = hooks\n' \
            "$name" "${path_of[$name]}"
    done
} | mount_with || exit 1

for name in "${!path_of[@]}"; do
    eval "test_kubectl_$name() { check_kubectl $name; }"
done

check_kubectl() {
    local s=$1 how
    echo 'python -m pii --strict
{"hook":"provider","phase":"before_call"}' >"$M/$s/request"
    is "$(stdout "$s")" '{"allow":true}' stdout
    is "$(status "$s")" "0 exited unconfirmed" status
    ask "$M/$s" "sh -c 'printf oops >&2; exit 3'"
    is "$(status "$s")" "3 exited"
    is "$(stderr "$s")" "oops"
    ask "$M/$s" nope
    like "$(status "$s")" '127 unstarted *'
    ask "$M/$s" /etc/passwd
    like "$(status "$s")" '126 unstarted *'
    head -c 3000000 /dev/urandom >"$T/payload"
    request "$M/$s" cat <"$T/payload"
    cp "$M/$s/stdout" "$T/answer"
    same_file "$T/payload" "$T/answer"
    for how in "401" "403 exec" "404" "500" "refuse" "cut-before close" "cut-before rst"; do
        # shellcheck disable=SC2086
        fault $how
        ask "$M/$s" cat
        like "$(status "$s")" "125 unreachable ?*" "with fault $how"
    done
    fault none
    ask "$M/$s" --timeout=1s "sleep 300"
    is "$(status "$s")" "124 timeout after 1s"
}

run_tests
