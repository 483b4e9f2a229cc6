#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Faults on purpose: each kind of call that can fail is made to fail. One caller gets an error
# that names the reason, which the log has as well; other callers notice nothing; and the
# daemon goes on without a leak. tests/faults has the daemon whose calls fail. The full disk,
# the limit of descriptors and the mount that is taken away are real.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2119,SC2016
: "${HOOKSFS:?}" "${HOOKSFS_FAULTY:=$(dirname "$HOOKSFS")/tests/faults/hooksfs-faulty}"
: "${HOOKSFS_AGENT:=$(dirname "$HOOKSFS")/agent/hooksfs-agent-native}"
HOOKSFS=$HOOKSFS_FAULTY
export HOOKSFS HOOKSFS_AGENT
. "$(dirname "$0")/../lib.sh"

export NAP=$T/nap
ln -s "$(command -v sleep)" "$NAP"

# with_faults FOLDER: the program on stdin, with a daemon whose calls can fail.
cat >"$T/common.py" <<'PYTHON'
import select
from calls import *
from faults import Faults

CONFIG = "mode = direct\ntimeout = 60s\nkill_grace = 50ms\n[local]\n[other]\n"
BODY = bytes(range(256)) * 16


@contextlib.contextmanager
def served(folder, config=CONFIG):
    """A daemon with a caller in the middle of a conversation, who must not notice
    anything, and of which nothing may be left."""
    os.makedirs(folder)
    with Daemon(folder, config, Faults(f"{folder}/faults", create=True)) as daemon:
        daemon.slot = f"{daemon.mount}/local"
        works(daemon.slot)
        before = settled(daemon.pid)
        fd = start(f"{daemon.mount}/other", b"cat\n" + BODY)
        eventually(lambda: select.select([fd], [], [], 0)[0], "the other does not run")
        try:
            yield daemon
            daemon.faults.clear()
            write_all(fd, BODY)
            assert read_all(fd) == (2 * BODY, "none"), "the other was disturbed"
        finally:
            os.close(fd)
        works(daemon.slot)
        ask(daemon.slot, b"cat\n" + BODY)
        assert (get(daemon.slot + "/stdout"), status(daemon.slot)) == (BODY, "0 exited")
        check_used(daemon.pid, before)


def logged(daemon, pattern):
    eventually(lambda: re.search(pattern, daemon.text()), f"not logged: {pattern}", 5)


def is_told(daemon, line, error, logs):
    """The slot's status is LINE, a conversation's error ERROR, and both are logged."""
    ask(daemon.slot, b"cat\n" + BODY)
    assert re.fullmatch(line, status(daemon.slot)), status(daemon.slot)
    assert get(daemon.slot + "/stdout") == b""
    assert converse(daemon.slot, b"cat\n" + BODY) == (b"", error)
    assert len(re.findall(logs, daemon.text())) == 2, daemon.text()
PYTHON

with_faults() {
    local folder=$1
    shift
    PYTHONPATH=$T:$TESTS/e2e:$TESTS/faults PYTHONDONTWRITEBYTECODE=1 PY_TIMEOUT=120 \
        py "$T/$folder" "$@"
}

# refused CALL ERRNO STATUS: a start that fails is the outcome of its job.
refused() {
    with_faults "$1-$2" "$@" <<'PYTHON'
from common import *
folder, call, error, line = sys.argv[1:]
with served(folder) as daemon:
    daemon.faults.set(call, error, times=2)
    is_told(daemon, line, "EACCES", f"command=cat .* outcome={line}")
    assert daemon.faults.injected(call) == 2
PYTHON
}

test_no_process() {
    refused fork EAGAIN '126 unstarted cannot make a process: Resource temporarily unavailable'
}

test_no_pipe() {
    refused pipe2 EMFILE '126 unstarted cannot make pipes for a process: Too many open files'
}

test_no_descriptor_for_a_process() {
    refused fork EMFILE '126 unstarted cannot make a process: Too many open files'
}

test_no_watch() {
    refused epoll_ctl ENOSPC '126 unstarted cannot watch a process: No space left on device'
}

# A reload that cannot look up its names changes nothing; the next one can.
test_no_process_for_names() {
    with_faults names <<'PYTHON'
from common import *
with served(sys.argv[1]) as daemon:
    daemon.configure(CONFIG + "[more]\nowner = daemon\n")
    for call, error, why in (("fork", "EAGAIN", "Resource temporarily unavailable"),
                             ("pipe2", "EMFILE", "Too many open files"),
                             ("epoll_ctl", "ENOSPC", "No space left on device")):
        before = daemon.text().count("the configuration of before stays")
        daemon.faults.set(call, error, times=1)
        os.kill(daemon.pid, signal.SIGHUP)
        eventually(lambda: daemon.text().count("the configuration of before stays") > before, call)
        assert f"cannot look up users and groups: {why}" in daemon.text()
        assert daemon.faults.injected(call) == 1
        assert sorted(os.listdir(daemon.mount)) == ["local", "other"]
        works(daemon.slot)
        daemon.faults.clear()
    os.kill(daemon.pid, signal.SIGHUP)
    eventually(lambda: os.path.exists(daemon.mount + "/more"), "it is not read")
    daemon.configure(CONFIG)
    os.kill(daemon.pid, signal.SIGHUP)
    eventually(lambda: not os.path.exists(daemon.mount + "/more"), "it is not read again")
PYTHON
}

# Without events there is nothing more to do: the daemon says so, and ends as after any
# other failure.
test_no_events() {
    with_faults epoll_wait <<'PYTHON'
from common import *
os.makedirs(sys.argv[1])
with Daemon(sys.argv[1], CONFIG, Faults(f"{sys.argv[1]}/faults", create=True)) as daemon:
    works(daemon.mount + "/local")
    fd = start(f"{daemon.mount}/other", b"cat\n" + BODY)
    daemon.faults.set("epoll_wait", "EINVAL", times=1)
    os.kill(daemon.pid, signal.SIGHUP)
    assert daemon.process.wait(30) == 1, daemon.process.returncode
    logged(daemon, "cannot wait for events: Invalid argument")
    assert error_of(os.write, fd, b"x") in ("ENOTCONN", "ECONNABORTED")
    os.close(fd)
    assert not os.path.ismount(daemon.mount)
PYTHON
}

# waitid reports no exit although the pidfd is ready. The daemon asks again, also when the job
# is over.
test_a_child_that_cannot_be_reaped_yet() {
    with_faults waitid <<'PYTHON'
from common import *
with served(sys.argv[1]) as daemon:
    for after in range(6):
        daemon.faults.set("waitid", 0, after=after, times=3)
        ask(daemon.slot, b"cat\n" + BODY)
        assert (get(daemon.slot + "/stdout"), status(daemon.slot)) == (BODY, "0 exited")
        assert converse(daemon.slot, b"cat\n" + BODY) == (BODY, "none")
    assert daemon.faults.injected("waitid") > 10
    eventually(lambda: used(daemon.pid)[1] == 1, "a child is left")
PYTHON
}

# The kernel takes a page for each write to a pipe. A command whose input it could
# not take must not look like a command that has read all of it.
test_no_page_for_a_commands_input() {
    with_faults write <<'PYTHON'
from common import *
with served(sys.argv[1]) as daemon:
    for number in range(3):
        daemon.faults.set("write", "ENOMEM", after=number, times=1)
        ask(daemon.slot, b"cat\n" + BODY * 64)
        assert status(daemon.slot) == "130 cancelled no memory for its stdin"
        daemon.faults.set("write", "ENOMEM", after=number, times=1)
        out, end = converse(daemon.slot, b"cat\n" + BODY * 64)
        assert end == "ECANCELED" and (BODY * 64).startswith(out), end
    logged(daemon, "outcome=130 cancelled no memory for its stdin")
PYTHON
}

# The limit is real, and so is what the daemon does with the descriptors it has.
test_no_descriptors_left() {
    with_faults limit <<'PYTHON'
from common import *
import resource
with served(sys.argv[1]) as daemon:
    least = settled(daemon.pid)[0]
    whole = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    told = set()
    for limit in range(3, least + 14):
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (limit, whole[1]))
        told.add(error_of(ask, daemon.slot, b"true"))
        if "none" in told:
            told.add(status(daemon.slot))
        fd = None
        try:
            fd = start(daemon.slot, b"true")
            told.add(read_all(fd)[1])
        except OSError as error:
            told.add(errno.errorcode[error.errno])
        finally:
            if fd:
                os.close(fd)
        eventually(lambda: len(os.listdir(f"/proc/{daemon.pid}/fd")) == least, "a descriptor is left")
        # Calls that need no descriptor go on.
        os.mkdir(daemon.slot + "/own")
        assert len(os.listdir(daemon.slot + "/own")) == 5
        os.rmdir(daemon.slot + "/own")
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, whole)
    pipes = "126 unstarted cannot make pipes for a process: Too many open files"
    process = "126 unstarted cannot make a process: Too many open files"
    assert {"EMFILE", "EACCES", "none", pipes, "0 exited"} <= told <= {
        "EMFILE", "EACCES", "none", pipes, process, "0 exited"}, told
    logged(daemon, "a caller was turned away: uid=0 pid=[0-9]+ error=EMFILE")
    logged(daemon, "outcome=126 unstarted cannot make pipes for a process: Too many open files")
PYTHON
}

# No memory at all for a while. A file that is closed in this time must still count as
# closed.
test_no_memory_for_a_while() {
    with_faults memory <<'PYTHON'
from common import *
with served(sys.argv[1]) as daemon:
    fd = os.open(daemon.slot + "/request", os.O_WRONLY)
    counted = f"{daemon.folder}/counted"
    os.write(fd, f"sh -c 'wc -c >$0.new; mv $0.new $0' {counted}\n".encode() + BODY)
    running = open_call(daemon.slot)
    write_all(running, f"{nap} 60\n".encode())
    daemon.faults.set("memory", "ENOMEM")
    told = [error_of(call) for call in (
        lambda: ask(daemon.slot, b"true"), lambda: converse(daemon.slot, b"true"),
        lambda: os.mkdir(daemon.slot + "/own"), lambda: os.listdir(daemon.slot),
        lambda: get(daemon.slot + "/status"), lambda: os.stat(daemon.mount + "/other/stdout"))]
    assert set(told) == {"ENOMEM"}, told
    os.close(fd)
    os.close(running)
    eventually(lambda: os.path.exists(counted), "a close was lost")
    gone(nap)
    daemon.faults.clear()
    assert (get(counted), status(daemon.slot)) == (b"4096\n", "0 exited")
    logged(daemon, "failed to allocate request")
PYTHON
}

# A caller for whose answer there is no memory, and the line for each.
test_no_memory_for_one_caller() {
    with_faults one <<'PYTHON'
from common import *
with served(sys.argv[1]) as daemon:
    for what, call in (("EMFILE", "open"), ("ENOMEM", "memory")):
        daemon.faults.clear() # the last one may not have happened
        told = set()
        for after in range(12):
            daemon.faults.set(call, what, after=after, times=1)
            told.add(error_of(os.mkdir, f"{daemon.slot}/{call}{after}"))
            daemon.faults.set(call, what, after=after, times=1)
            told.add(error_of(lambda: os.close(open_call(daemon.slot))))
        assert what in told and told <= {what, "none"}, told
        logged(daemon, f"a caller was turned away: uid=0 pid=[0-9]+ error={what}")
    daemon.faults.clear()
    for entry in os.scandir(daemon.slot):
        if entry.is_dir():
            os.rmdir(entry.path)
PYTHON
}

# --- The device

test_reads_and_writes_of_the_device_that_fail() {
    with_faults device <<'PYTHON'
from common import *
with served(sys.argv[1]) as daemon:
    for call in ("device_read", "device_write"):
        told = set()
        for after in range(8):
            daemon.faults.set(call, "ENOMEM", after=after, times=1)
            told.add(error_of(converse, daemon.slot, b"true"))
        assert told <= {"none", "EIO"} and "EIO" in told, told
    daemon.faults.clear() # the last one may not have happened
    daemon.faults.set("device", "ENOMEM", times=20)
    assert converse(daemon.slot, b"cat\n" + BODY) == (BODY, "none")
    assert daemon.faults.injected("device") == 20
PYTHON
}

# ends_in_order FOLDER HOW: without a mount the daemon ends, and so do its jobs.
ends_in_order() {
    with_faults "$@" <<'PYTHON'
from common import *
folder, how = sys.argv[1:]
os.makedirs(folder)
daemon = Daemon(folder, CONFIG, Faults(f"{folder}/faults", create=True))
slot = f"{daemon.mount}/local"
works(slot)
fd = start(slot, f"sh -c '{nap} 61 & {nap} 62'\n".encode())
os.mkdir(slot + "/own")
ask(slot + "/own", f"{nap} 63".encode())
there(nap, 4)
answers = []
def read():
    answers.append(read_all(fd))
reader = threading.Thread(target=read, daemon=True)
reader.start()
time.sleep(0.1)
if how == "ENODEV":
    daemon.faults.set("device", "ENODEV")
    with contextlib.suppress(OSError):
        os.stat(slot + "/status")
elif how == "abort":
    minor = os.minor(os.stat(daemon.mount).st_dev)
    control = folder + "/control"
    os.mkdir(control)
    subprocess.run(["mount", "-t", "fusectl", "none", control], check=True)
    try:
        with open(f"{control}/{minor}/abort", "w") as abort:
            abort.write("1")
    finally:
        subprocess.run(["umount", control], check=True)
else:
    subprocess.run(["umount", "-l", daemon.mount], check=True)
    # The kernel keeps the connection for those who have a file open.
    assert daemon.process.poll() is None
    works_still = error_of(os.stat, slot)
    assert works_still == "ENOENT", works_still
    os.kill(daemon.pid, signal.SIGTERM)
reader.join(20)
assert not reader.is_alive(), "a reader hangs"
assert answers[0][1] in ("ENOTCONN", "ECONNABORTED", "ECANCELED"), answers
os.close(fd)
assert daemon.process.wait(20) == 0, daemon.process.returncode
if how != "umount":
    logged(daemon, "ending: the mount is gone; 2 jobs to cancel")
assert len(re.findall("outcome=130 cancelled", daemon.text())) == 2, daemon.text()
assert not re.search("runtime error:|ERROR: [A-Za-z]+Sanitizer", daemon.text()), daemon.text()
gone(nap)
daemon.faults.clear()
with Daemon(folder, CONFIG, daemon.faults) as daemon:  # takes down what is left of the mount
    works(slot)
PYTHON
}

test_the_device_is_gone() {
    ends_in_order gone ENODEV
}

test_the_connection_is_aborted() {
    ends_in_order aborted abort
}

test_the_mount_is_taken_away_from_under_it() {
    ends_in_order taken umount
}

# --- The log

# On a disk that is full lines are lost, and nothing else is; their number is said
# when there is room again.
test_a_full_disk_for_the_log() {
    mkdir "$T/full"
    mount -t tmpfs -o size=64k none "$T/full" || skip "no tmpfs"
    with_faults log "$T/full" <<'PYTHON' || { umount -l "$T/full"; fail "see above"; }
from common import *
folder, full = sys.argv[1:]
os.makedirs(folder)
os.symlink(full + "/log", folder + "/log")
with Daemon(folder, CONFIG) as daemon:
    slot = f"{daemon.mount}/local"
    with open(full + "/filler", "wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(b"x" * 4096)
    for number in range(100):
        assert converse(slot, b"cat\n%d" % number) == (b"%d" % number, "none")
        ask(slot, b"cat\n" + BODY)
        assert (get(slot + "/stdout"), status(slot)) == (BODY, "0 exited")
    before = daemon.text().count("job sandbox")
    assert before < 200, "the disk is not full"
    os.unlink(full + "/filler")
    works(slot)
    lost = int(re.search("([0-9]+) log lines were lost", daemon.text()).group(1))
    assert 0 < lost <= 201 - before and daemon.text().endswith("0 exited\n"), (lost, before)
PYTHON
    umount -l "$T/full"
}

# --- Each call in turn: see sweep.py

sweep() {
    local folder
    folder=$(mktemp -d "$T/sweep.XXXX")
    PYTHONPATH=$TESTS/e2e:$TESTS/faults PYTHONDONTWRITEBYTECODE=1 timeout 800 \
        /usr/bin/python3 "$TESTS/faults/sweep.py" "$folder" "$@" >"$folder/counts" ||
        fail "$(cat "$folder/counts"; tail -n 5 "$folder/log")"
    echo "# $(tail -n 1 "$folder/counts")" >&3
}

scenarios=(slot failing unknown client conversation mkdir cancel timeout user long_slot
    long_conversation overflow waiting)
device=(slot conversation mkdir user long_conversation waiting look)

# Two tests, because calls.py gives up after 230 seconds.
test_each_allocation_for_a_slot() {
    sweep memory ENOMEM slot failing unknown client mkdir
}

test_each_allocation_for_a_conversation() {
    sweep memory ENOMEM conversation user waiting long_conversation
}

test_each_allocation_for_an_end() {
    sweep memory ENOMEM cancel timeout overflow long_slot look
}

test_each_allocation_for_a_reload() {
    sweep memory ENOMEM reload wrong_reload
}

agent=(agent agent_unknown agent_conversation agent_cancel agent_again)

test_each_allocation_for_an_agent() {
    sweep memory ENOMEM "${agent[@]}"
}

test_each_other_call_for_an_agent() {
    sweep write ENOMEM "${agent[@]}"
    sweep epoll_ctl ENOMEM agent_again
    sweep fork EAGAIN agent_again
    sweep pipe2 EMFILE agent_again
}

test_each_failure_for_a_standby() {
    sweep memory ENOMEM standby
    sweep fork EAGAIN standby
    sweep pipe2 EMFILE standby
    sweep epoll_ctl ENOMEM standby
    sweep waitid 0 standby
    sweep write ENOMEM standby
}

test_each_process() {
    sweep fork EAGAIN "${scenarios[@]}"
    sweep pidfd_open EMFILE "${scenarios[@]}"
    sweep waitid 0 "${scenarios[@]}"
}

test_each_descriptor() {
    sweep pipe2 EMFILE "${scenarios[@]}"
    sweep fcntl EMFILE "${scenarios[@]}"
    sweep open EMFILE "${scenarios[@]}" reload wrong_reload
}

test_each_watch() {
    sweep epoll_ctl ENOMEM "${scenarios[@]}"
}

test_each_write_to_a_command() {
    sweep write ENOMEM "${scenarios[@]}"
}

test_each_request_of_the_kernel() {
    sweep device_read ENOMEM "${device[@]}"
}

test_each_reply_to_the_kernel() {
    sweep device_write ENOMEM "${device[@]}"
}

test_each_turn_of_the_device() {
    sweep device ENOMEM slot waiting long_conversation
    sweep device EINTR slot waiting
}

run_tests
