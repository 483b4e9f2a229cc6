#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Thirty callers at once, through thirty kubectls: each gets its own answer.
# shellcheck source=tests/cluster/lib.sh
. "$(dirname "$0")/lib.sh"

mount_with <<'CONF' || exit 1
[sidecar]
mode = kubectl_exec
pod = my-pod
container = hooks
timeout = 120s
[narrow]
mode = kubectl_exec
pod = my-pod
container = hooks
timeout = 20s
max_running = 3
CONF

# crowd WAY SANDBOX CALLERS
crowd() {
    timeout 300 /usr/bin/python3 - "$M/$2" "$1" "$3" <<'PYTHON'
import concurrent.futures, os, random, sys, tempfile

sandbox, way, callers = sys.argv[1], sys.argv[2], int(sys.argv[3])

def converse(payload):
    fd = os.open(sandbox + "/call", os.O_RDWR)
    try:
        data = memoryview(b"cat\n" + payload)
        while data:
            data = data[os.write(fd, data):]
        answer = b""
        while piece := os.read(fd, 1 << 20):
            answer += piece
        return answer
    finally:
        os.close(fd)

def slot(payload):
    with tempfile.TemporaryDirectory(dir=sandbox) as d:
        with open(d + "/request", "wb", buffering=0) as f:
            data = memoryview(b"cat\n" + payload)
            while data:
                data = data[f.write(data):]
        answer = open(d + "/stdout", "rb").read()
        status = open(d + "/status").read()
        assert status == "0 exited unconfirmed\n", status
        return answer

def one(number):
    payload = os.urandom(random.Random(number).choice((1, 1000, 65536, 300000, 1 << 20)))
    assert {"conversation": converse, "slot": slot}[way](payload) == payload, number

with concurrent.futures.ThreadPoolExecutor(callers) as pool:
    list(pool.map(one, range(callers)))
PYTHON
}

test_thirty_conversations() {
    crowd conversation sidecar 30
}

test_thirty_slots() {
    crowd slot sidecar 30
}

# A job that waits does not run out of time: its time limit counts from the start.
test_more_callers_than_may_run() {
    crowd conversation narrow 12
}

run_tests
