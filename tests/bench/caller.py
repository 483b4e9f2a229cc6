#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Single calls from a Python process that stays up: a child of its own by
subprocess.run, or a command in a pod by the Kubernetes client library. For each line
on stdin, which is a number, makes so many calls and answers with a line of how many
nanoseconds each took.

usage: caller.py subprocess PAYLOAD-FILE COMMAND [ARGUMENT...]
       caller.py kubernetes NAMESPACE POD CONTAINER PAYLOAD-FILE COMMAND [ARGUMENT...]"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


def subprocess_caller(payload_file: str, *command: str) -> Callable[[], None]:
    payload = Path(payload_file).read_bytes()

    def call() -> None:
        done = subprocess.run(command, input=payload, capture_output=True, check=True)
        assert done.stdout == payload, "a wrong answer"
    return call


def kubernetes_caller(namespace: str, pod: str, container: str, payload_file: str,
                      *command: str) -> Callable[[], None]:
    from kubernetes import client, config
    from kubernetes.stream import stream
    config.load_kube_config()
    api = client.CoreV1Api()
    payload = Path(payload_file).read_text()

    def call() -> None:
        connection = stream(api.connect_get_namespaced_pod_exec, pod, namespace,
                            container=container, command=list(command), stdin=True,
                            stdout=True, stderr=True, tty=False, _preload_content=False)
        connection.write_stdin(payload)
        answer = ""
        while connection.is_open():
            connection.update(timeout=1)
            if connection.peek_stdout():
                answer += connection.read_stdout()
        assert connection.returncode == 0 and answer == payload, "a wrong answer"
    return call


CALLERS = {"subprocess": subprocess_caller, "kubernetes": kubernetes_caller}
call = CALLERS[sys.argv[1]](*sys.argv[2:])
for line in sys.stdin:
    times = []
    for _ in range(int(line)):
        start = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - start)
    print(*times, flush=True)
