# SPDX-License-Identifier: Apache-2.0
# Finds every kubectl of this machine: those called kubectl, or kubectl.VERSION,
# on PATH and beside the one on PATH. path_of has their paths, by version. Sourced.
# shellcheck shell=bash

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

declare -A path_of=()
while read -r path; do
    version=$(version_of "$path")
    [[ $version == v* ]] || continue
    name=${version//[^a-zA-Z0-9]/_}
    [[ ! -v path_of[$name] ]] || continue
    path_of[$name]=$path
done < <(find_kubectls)
