# SPDX-License-Identifier: Apache-2.0
# For the tests of agents: a cluster in which some containers have the agent on a volume, and
# inside.py. To be sourced, with further options of `up`.
# shellcheck shell=bash

: "${HOOKSFS_AGENT:?set it to the hooksfs-agent that is to be on the volume}"

# shellcheck source=tests/cluster/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh" --agent "$HOOKSFS_AGENT" "$@"

# inside ARGUMENT...: runs the Python program on stdin, after `from inside import *`. `folder`
# is a new folder, for a daemon of its own; the arguments are sys.argv[2:].
inside() {
    rm -rf "$T/served"
    mkdir "$T/served"
    { echo 'from inside import *'; cat; } | PYTHONPATH=$TESTS/e2e:$TESTS/cluster:$T \
        PYTHONDONTWRITEBYTECODE=1 timeout 240 /usr/bin/python3 - "$T/served" "$@"
}
