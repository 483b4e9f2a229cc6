# SPDX-License-Identifier: Apache-2.0
"""What the tests of agents have in common, on top of calls.py: what runs in a
container, the cluster's faults, and daemons whose sandboxes have agents."""

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
PROMISE = GRACE + 1  # then nothing is left of a job that was ended


def fault(*words):
    """Returns what the cluster's front says."""
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(f"{cluster}/control.sock")
        control.sendall(f"{' '.join(words)}\n".encode())
        reply = control.makefile().read().strip()
    assert not reply.startswith("error"), reply
    return reply


def execs():
    """How many clients have come to the front so far."""
    return int(re.search(r"execs=(\d+)", fault("status")).group(1))


# --- Processes


def namespace(pod, container):
    if (pod, container) not in namespaces:
        ps = os.path.join(os.path.dirname(__file__), "ps")
        first = subprocess.run([ps, cluster, pod, container], capture_output=True, text=True, check=True)
        namespaces[pod, container] = os.readlink(f"/proc/{first.stdout.split()[0]}/ns/pid")
    return namespaces[pod, container]


def inside(pod="my-pod", container="hooks"):
    """{pid: command line} of what runs in a container, without its first process, as
    this machine numbers it."""
    wanted, found = namespace(pod, container), {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{pid}/ns/pid") == wanted:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    line = file.read().replace(b"\0", b" ").decode(errors="replace")
                if line and "sleep 2147483647" not in line:  # what has no line is a zombie
                    found[int(pid)] = line
    return found


def parent(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def is_alive(pid):
    """Not there, and not a zombie that nobody has asked for."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def agents(*place):
    """The agents themselves, without the processes that they have for their jobs, and
    those that such processes have become when their agent died, as long as they last."""
    serving = [pid for pid, line in inside(*place).items() if is_agent(line)]
    found = []
    for pid in serving:
        with contextlib.suppress(OSError):
            if parent(pid) not in serving:
                found.append(pid)
    return sorted(found)


def is_agent(line):
    return " --serve" in line and " sh -c " not in f" {line}"


def jobs(*place):
    """What runs in a container and is no agent's."""
    return {pid: line for pid, line in inside(*place).items() if not is_agent(line)}


def is_idle(*place):
    """Nothing but agents, each of which is alone."""
    return len(inside(*place)) == len(agents(*place))


def clients(daemon):
    """The daemon's kubectls."""
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
    """With the time that it takes to look, and longer where others keep the processors
    busy: then everybody waits for their turn."""
    waiting = os.getloadavg()[0] - os.cpu_count()
    return seconds + 0.3 + max(0, waiting) * 0.2


def in_time(seconds, began, what):
    took = time.monotonic() - began
    assert took < allowed(seconds), f"{what}: that took {took:.2f} s, and may take {seconds}"


def within(seconds, predicate, what, began):
    """predicate() is true before so many SECONDS have passed since BEGAN."""
    eventually(predicate, what, 30)
    in_time(seconds, began, what)


# --- Calls


def retry(directory, request=b"echo works"):
    """Calls until a call works; returns how long that took."""
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
    """Waits until the log has told of COUNT connections in all."""
    eventually(lambda: len(re.findall(r"connection \d+ of \d+ to the agent is open", daemon.text())) >= count,
               f"fewer than {count} connections are open")
