# SPDX-License-Identifier: Apache-2.0
# Finds every docker of this machine that is on PATH: client_of has their paths, by
# version. To be sourced.
# shellcheck shell=bash

declare -A client_of=()
while read -r path; do
    version=$("$path" version --format '{{.Client.Version}}' 2>/dev/null) || continue
    name=docker_${version//[^a-zA-Z0-9]/_}
    [[ -v client_of[$name] ]] || client_of[$name]=$path
done < <(type -ap docker)
