#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Mode kubectl_exec with every kubectl that this machine has: those called
# kubectl, or kubectl.VERSION, on PATH, and beside the one on PATH.
. "$(dirname "$0")/lib.sh"

find_kubectls() {
    local dir
    {
        tr : '\n' <<<"$PATH"
        dirname "$(readlink -f "$(type -P kubectl)")"
    } | while read -r dir; do
        ls "$dir"/kubectl "$dir"/kubectl.[0-9]* 2>/dev/null
    done | xargs -r -d '\n' readlink -f | sort -u
}

version_of() {
    "$1" version --client -o json 2>/dev/null | jq -r .clientVersion.gitVersion
}

# A test function for each, named after its version.
declare -A path_of=()
while read -r path; do
    version=$(version_of "$path")
    [[ $version == v* ]] || continue
    name=${version//[^a-zA-Z0-9]/_}
    [[ ! -v path_of[$name] ]] || continue
    path_of[$name]=$path
    eval "test_kubectl_$name() { check_kubectl $name; }"
done < <(find_kubectls)

{
    for name in "${!path_of[@]}"; do
        printf '[%s]\nmode = kubectl_exec\nkubectl_path = %s\npod = my-pod\ncontainer = hooks\n' \
            "$name" "${path_of[$name]}"
    done
} | mount_with || exit 1

check_kubectl() {
    local s=$1 how
    echo 'python -m pii --strict
{"hook":"provider","phase":"before_call"}' >"$M/$s/request"
    is "$(stdout "$s")" '{"allow":true}' stdout
    is "$(status "$s")" "0 exited" status
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
