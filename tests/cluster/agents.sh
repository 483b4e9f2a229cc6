# SPDX-License-Identifier: Apache-2.0
# For the tests of agents: the cluster, with the agent on a volume of some of its
# containers, and inside.py. Sourced, with more options of `up`.
# shellcheck shell=bash

: "${HOOKSFS_AGENT:?set it to the hooksfs-agent that is to be on the volume}"

# shellcheck source=tests/cluster/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh" --agent "$HOOKSFS_AGENT" "$@"

# inside ARGUMENT...: the program on stdin, after `from inside import *`. `folder` is a
# new one, for a daemon of its own; the arguments are sys.argv[2:].
inside() {
    rm -rf "$T/served"
    mkdir "$T/served"
    { echo 'from inside import *'; cat; } | PYTHONPATH=$TESTS/e2e:$TESTS/cluster:$T \
        PYTHONDONTWRITEBYTECODE=1 timeout 240 /usr/bin/python3 - "$T/served" "$@"
}
