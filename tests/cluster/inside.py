# SPDX-License-Identifier: Apache-2.0
"""Functions for the tests of agents, on top of calls.py: the processes of a container, the
cluster's faults, and daemons whose sandboxes have agents."""

import socket

from calls import *

folder = sys.argv[1]
cluster = os.environ["CLUSTER_DIR"]
namespaces = {}

HEAD = """mode = kubectl_exec
pod = my-pod
container = hooks
agent = require
timeout = 60s
kill_grace = 300ms
"""
GRACE = 0.3  # kill_grace
PROMISE = GRACE + 1  # by then no process is left of a job that was ended


def fault(*words):
    """Returns the answer of the cluster's front."""
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(f"{cluster}/control.sock")
        control.sendall(f"{' '.join(words)}\n".encode())
        reply = control.makefile().read().strip()
    assert not reply.startswith("error"), reply
    return reply


def execs():
    """The number of clients that have come to the front so far."""
    return int(re.search(r"execs=(\d+)", fault("status")).group(1))


# --- Processes


def namespace(pod, container):
    if (pod, container) not in namespaces:
        ps = os.path.join(os.path.dirname(__file__), "ps")
        first = subprocess.run([ps, cluster, pod, container], capture_output=True, text=True, check=True)
        namespaces[pod, container] = os.readlink(f"/proc/{first.stdout.split()[0]}/ns/pid")
    return namespaces[pod, container]


def inside(pod="my-pod", container="hooks"):
    """{pid: command line} of the processes in a container, without its first process. The
    pids are those of this machine."""
    wanted, found = namespace(pod, container), {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{pid}/ns/pid") == wanted:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    line = file.read().replace(b"\0", b" ").decode(errors="replace")
                if line and "sleep 2147483647" not in line:  # a zombie has no command line
                    found[int(pid)] = line
    return found


def parent(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def is_alive(pid):
    """Is the process there, and not a zombie?"""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def agents(*container):
    """The agents, without their supervisors. A supervisor whose agent has died is found too,
    as long as it lasts."""
    serving = [pid for pid, line in inside(*container).items() if is_agent(line)]
    found = []
    for pid in serving:
        with contextlib.suppress(OSError):
            if parent(pid) not in serving:
                found.append(pid)
    return sorted(found)


def is_agent(line):
    return " --serve" in line and " sh -c " not in f" {line}"


def jobs(*container):
    """The processes in a container that are neither agents nor supervisors."""
    return {pid: line for pid, line in inside(*container).items() if not is_agent(line)}


def is_idle(*container):
    """Are there only agents, and no supervisors?"""
    return len(inside(*container)) == len(agents(*container))


def clients(daemon):
    """The kubectl processes of the daemon."""
    return children(daemon.pid, "kubectl")


def children(pid, name):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        found = [int(child) for child in file.read().split()]
    return [child for child in found if name_of(child).startswith(name)]


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read()
    except OSError:
        return ""


# --- Time


def allowed(seconds):
    """SECONDS, with the time that it takes to look added, and more on a busy machine, where
    each process waits for a processor."""
    waiting = os.getloadavg()[0] - os.cpu_count()
    return seconds + 0.3 + max(0, waiting) * 0.2


def in_time(seconds, began, what):
    took = time.monotonic() - began
    assert took < allowed(seconds), f"{what}: that took {took:.2f} s, and may take {seconds}"


def within(seconds, predicate, what, began):
    """Waits until predicate() is true, which must be before SECONDS have passed since BEGAN."""
    eventually(predicate, what, 30)
    in_time(seconds, began, what)


# --- Calls


def retry(directory, request=b"echo works"):
    """Calls until a call works. Returns the time that this took."""
    began = time.monotonic()
    while converse(directory, request) != (b"works\n", "none"):
        assert time.monotonic() - began < 30, "calls do not work again"
    return time.monotonic() - began


def reload(daemon, config):
    word = "was read again"
    before = daemon.text().count(word)
    daemon.configure(config)
    os.kill(daemon.pid, signal.SIGHUP)
    eventually(lambda: daemon.text().count(word) > before, "the configuration is not read")


def connected(daemon, count=1):
    """Waits until the log has COUNT lines about an open connection."""
    eventually(lambda: len(re.findall(r"connection \d+ of \d+ to the agent is open", daemon.text())) >= count,
               f"fewer than {count} connections are open")
