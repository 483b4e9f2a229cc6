# SPDX-License-Identifier: Apache-2.0
# Finds every kubectl of this machine: each file called kubectl or kubectl.VERSION that is on
# PATH, or beside the kubectl on PATH. path_of has their paths, by version. In a script with
# the option --websocket, it finds only each kubectl that speaks WebSocket. To be sourced.
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

over_websocket=no
[[ " $* " != *" --websocket "* ]] || over_websocket=yes

speaks_websocket() {
    printf '%s\n' v1.30 "$1" | sort -VC
}

declare -A path_of=()
while read -r path; do
    version=$(version_of "$path")
    [[ $version == v* ]] || continue
    [[ $over_websocket == no ]] || speaks_websocket "$version" || continue
    name=${version//[^a-zA-Z0-9]/_}
    [[ ! -v path_of[$name] ]] || continue
    path_of[$name]=$path
done < <(find_kubectls)
if [[ $over_websocket == yes && ${#path_of[@]} == 0 ]]; then
    echo "1..0 # SKIP no kubectl here speaks WebSocket (1.30 and later do)"
    exit 0
fi
