# SPDX-License-Identifier: Apache-2.0
# Lists the Debian packages that the scripts need, and installs them. Sourced.
# shellcheck shell=bash disable=SC2034

build_packages=(gcc libc6-dev libfuse3-dev fuse3 libinih-dev libjansson-dev meson musl-tools ninja-build
    pkg-config)

# For the example hooks and scripts/run.
run_packages=(python3)

# Programs that the tests call through the mount, and programs that the tests themselves use.
test_packages=(bash busybox-static check coreutils findutils grep jq mount nodejs procps
    perl-base python3 sed systemd tar tcl util-linux valgrind)

# Languages, shells and tools that write requests and read answers in their own ways. R and
# Java are large: they are tested where they are.
language_packages=(dash golang-go lua5.4 mksh php-cli pv rsync ruby socat zsh)

# A pod on this machine; podman; a Docker engine.
cluster_packages=(apparmor conmon containerd docker.io openssl podman protobuf-compiler python3-grpcio
    python3-protobuf runc)

# A virtual machine. The tests unpack Debian's kernel, and do not install it.
vm_packages=(busybox-static qemu-system-x86 systemd)

# For measuring, and to compare with.
bench_packages=(bash busybox-static coreutils grep jq procps python3 sed)
bench_library_packages=(nodejs python3-kubernetes)

lint_packages=(clang clang-format clang-tidy git mandoc shellcheck)

fuzz_packages=(clang libclang-rt-14-dev)

is_installed() {
    [[ $(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null) == ii* ]]
}

# Installs the named packages that are missing.
install_packages() {
    local package missing=() sudo=()
    for package; do
        is_installed "$package" || missing+=("$package")
    done
    [[ ${#missing[@]} -gt 0 ]] || return 0
    echo "installing ${missing[*]}"
    if [[ $(id -u) != 0 ]]; then
        command -v sudo >/dev/null || {
            echo "these packages are missing, and only root can install them" >&2
            return 1
        }
        sudo=(sudo)
    fi
    "${sudo[@]}" apt-get update -qq &&
        "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
}
