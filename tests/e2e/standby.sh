#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Standbys under load and at their ends, directly and by an agent. Each answer belongs to its own
# request, each command runs once for each request, and no command runs without a request.
# STANDBY_CALLS is the number of calls of each test under load; STANDBY_SEED repeats a run.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2119,SC2016
. "$(dirname "$0")/../lib.sh"

: "${HOOKSFS_AGENT:=$(dirname "$HOOKSFS")/agent/hooksfs-agent-native}"
export HOOKSFS_AGENT

with_daemon() {
    rm -rf "$T/served"
    mkdir "$T/served"
    chmod 777 "$T/served"
    { cat "$T/standby.py"; cat; } | PYTHONPATH=$TESTS/e2e PYTHONDONTWRITEBYTECODE=1 \
        timeout "${STANDBY_SECONDS:-240}" /usr/bin/python3 - "$T/served"
}

cat >"$T/standby.py" <<'PYTHON'
import random, stat, sys
from calls import *
faulthandler.cancel_dump_traceback_later()
folder = sys.argv[1]
calls = int(os.environ.get("STANDBY_CALLS", 1500))
seed = int(os.environ.get("STANDBY_SEED", random.randrange(1 << 30)))
print(f"seed {seed}")
chance = random.Random(seed)
DIRECT = "mode = direct\nuser = nobody\n"
AGENT = f"mode = kubectl_exec\npod = p\nkubectl_path = {folder}/kubectl\nagent = require\nagent_path = {os.environ['HOOKSFS_AGENT']}\n"
PLAIN = f"mode = kubectl_exec\npod = p\nkubectl_path = {folder}/kubectl\n"
ran, hook = f"{folder}/ran", f"{folder}/hook"


def make(path, text):
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, 0o755)


# Stands for kubectl: its command runs in another place, and is not killed with the client.
make(f"{folder}/kubectl", '#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift\nexec 3<&0\n'
     'setsid -w "$@" <&3 3<&- &\nexec 3<&-\nwait $!\n')
# The hook notes the request that it ran for; a run without a request must not happen.
make(hook, f'#!/bin/sh\nread -r id || id=nobody\necho "$id" >>{ran}\necho "answer $id"\n')
make(ran, "")
os.chmod(ran, 0o666)


def config(place, count, more="", timeout="20s"):
    return f"[gate]\n{place}timeout = {timeout}\nstandby = {hook}\nstandby_count = {count}\n{more}"


def waiting():
    """The hooks themselves, and neither clients nor the shells around a client's command."""
    return [pid for pid in processes(hook) if command_line(pid) == f"/bin/sh\0{hook}\0".encode()]


def command_line(pid):
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    return b""


def nobody_ran():
    with open(ran) as file:
        assert "nobody" not in file.read(), "a command ran without a request"


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]
PYTHON

cat >"$T/load.py" <<'PYTHON'
good, bad, stop = [], {}, threading.Event()
lock = threading.Lock()
numbers = iter(range(calls))


def caller():
    while True:
        with lock:
            number = next(numbers, None)
        if number is None:
            return
        request = f"{hook}\nrequest-{number}\nmore".encode()
        try:
            answer, error = converse(f"{daemon.mount}/gate", request)
        except OSError as failure:
            answer, error = b"", errno.errorcode[failure.errno]
        if error == "none":
            assert answer == f"answer request-{number}\n".encode(), (number, answer)
            good.append(number)
        else:
            assert answer in (b"", f"answer request-{number}\n".encode()), (number, answer, error)
            bad[number] = error


def disturb():
    """Kills standbys and clients, and reads the configuration again."""
    while not stop.is_set():
        what = chance.random()
        with contextlib.suppress(OSError, IndexError):
            if what < 0.6:
                os.kill(chance.choice(waiting()), signal.SIGKILL)
            elif what < 0.75 and cuts:
                os.kill(chance.choice(children(daemon.pid)), signal.SIGKILL)
            elif what < 0.85:
                daemon.configure(config(place, count, f"max_slots = {chance.randrange(1, 9)}\n" if chance.random() < 0.5 else ""))
                os.kill(daemon.pid, signal.SIGHUP)
        stop.wait(chance.random() * 0.05)


with Daemon(folder, config(place, count)) as daemon:
    disturber = threading.Thread(target=disturb)
    disturber.start()
    try:
        side_by_side(*[caller] * callers)
    finally:
        stop.set()
        disturber.join()
    text = daemon.text()
    assert len(good) + len(bad) == calls
    with open(ran) as file:
        runs = file.read().split()
    assert "nobody" not in runs, "a command ran without a request"
    assert len(set(runs)) == len(runs), "a command ran twice for one request"
    missing = {f"request-{number}" for number in good} - set(runs)
    assert not missing, f"answered, and not run: {missing}"
    os.kill(daemon.pid, signal.SIGHUP)
    eventually(lambda: len(waiting()) >= count, "no standbys after a reload")
hits = sum(int(number) for number in re.findall(r" hits=(\d+)", daemon.text()))
print(f"{len(good)} answers, {len(bad)} failures {sorted(set(bad.values()))}, {hits} from standbys")
assert hits > calls / 100, daemon.text()[-3000:]
assert len(bad) < calls / 4, bad
gone(hook)
nobody_ran()
PYTHON

under_load() {
    { echo "place, count, callers, cuts = $1, $2, $3, $4"; cat "$T/load.py"; } | with_daemon
}

test_one_standby_under_load() {
    under_load DIRECT 1 4 False
}

test_four_standbys_under_load() {
    under_load DIRECT 4 8 False
}

test_16_standbys_under_load() {
    under_load DIRECT 16 16 False
}

test_standbys_of_an_agent_under_load() {
    under_load AGENT 4 8 True
}

test_standbys_of_a_client_under_load() {
    STANDBY_CALLS=$((${STANDBY_CALLS:-1500} / 5)) under_load PLAIN 4 4 True
}

# The daemon is ended by SIGKILL, by SIGTERM, and while a request has taken a standby.
test_nothing_is_left_of_a_daemon_that_is_killed() {
    with_daemon <<'PYTHON'
for place in DIRECT, AGENT, PLAIN:
    for _ in range(10):
        daemon = Daemon(folder, config(place, 8))
        eventually(lambda: len(waiting()) >= 8, "too few standbys")
        time.sleep(0.1)
        daemon.process.kill()
        daemon.process.wait()
        subprocess.run(["umount", "-l", daemon.mount], check=True)
        gone(hook)
        nobody_ran()
PYTHON
}

test_end_and_reload_run_no_hook() {
    with_daemon <<'PYTHON'
for place in DIRECT, AGENT, PLAIN:
    with Daemon(folder, config(place, 8)) as daemon:
        for _ in range(5):
            eventually(lambda: len(waiting()) >= 8, "too few standbys")
            before = waiting()
            os.kill(daemon.pid, signal.SIGHUP)
            eventually(lambda: not set(before) & set(waiting()), "one has survived a reload")
        nobody_ran()
    gone(hook)
    nobody_ran()
PYTHON
}

# One of the shells around a client's command is killed, and then the client's connection ends.
test_a_shell_around_a_command_that_is_killed_runs_no_hook() {
    with_daemon <<'PYTHON'
def parent(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(") ")[2].split()[1])

def shells(pid):
    second = parent(pid)
    first = parent(second)
    holder = next(child for child in children(first) if child != second)
    return {"relay": children(holder)[0], "holder": holder, "second": second, "first": first}

def killed(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)

for name in "relay", "holder", "second", "first":
    with Daemon(folder, config(PLAIN, 1)) as daemon:
        for _ in range(5):
            pid = eventually(waiting, "no standby")[0]
            time.sleep(0.1)
            killed(shells(pid)[name])
            if name == "holder":  # a request is still answered
                answer = converse(f"{daemon.mount}/gate", f"{hook}\nrequest-1\n".encode())
                assert answer == (b"answer request-1\n", "none"), answer
                pid = eventually(lambda: set(waiting()) - {pid}, "no standby").pop()
                time.sleep(0.1)
                killed(shells(pid)[name])
                os.kill(daemon.pid, signal.SIGHUP)
            elif name == "second":
                os.kill(daemon.pid, signal.SIGHUP)
            eventually(lambda: pid not in waiting(), f"the {name} was killed, and the hook lives")
            nobody_ran()
    gone(hook)
    nobody_ran()
PYTHON
}

# After a reload the standby runs the new script.
test_a_reload_brings_the_new_script() {
    with_daemon <<'PYTHON'
make(f"{folder}/changing", "#!/bin/sh\nsay() { echo old; }\nread -r line\nsay\n")
place = DIRECT + f"standby = {folder}/changing\n"
with Daemon(folder, "[gate]\n" + place) as daemon:
    there(f"{folder}/changing")
    make(f"{folder}/changing.new", "#!/bin/sh\nsay() { echo new; }\nread -r line\nsay\n")
    os.rename(f"{folder}/changing.new", f"{folder}/changing")
    os.kill(daemon.pid, signal.SIGHUP)
    eventually(lambda: "was read again" in daemon.text(), "no reload")
    assert converse(f"{daemon.mount}/gate", f"{folder}/changing\nx\n".encode()) == (b"new\n", "none")
    there(f"{folder}/changing")
    assert converse(f"{daemon.mount}/gate", f"{folder}/changing\nx\n".encode()) == (b"new\n", "none")
PYTHON
}

# A hit is far quicker than a start, also as another user, because the process has been started
# before.
test_a_request_does_not_wait_for_the_start() {
    with_daemon <<'PYTHON'
make(f"{folder}/slow", "#!/bin/sh\nsleep 2\nread -r line\necho $line $$\n")
with Daemon(folder, "[gate]\n" + DIRECT + f"standby = {folder}/slow\nstandby_count = 2\n[plain]\n" + DIRECT) as daemon:
    there(f"{folder}/slow", 2)
    pids = processes(f"{folder}/slow")
    time.sleep(2.5)
    begin = time.monotonic()
    answer, error = converse(f"{daemon.mount}/gate", f"{folder}/slow\nhello\n".encode())
    seconds = time.monotonic() - begin
    assert error == "none" and answer.split()[0] == b"hello" and int(answer.split()[1]) in pids, (answer, pids)
    assert seconds < 1, seconds
    assert re.search(r"job sandbox=gate .* ms=\d{1,3} in=6 ", daemon.text()), daemon.text()
    # A request that does not match takes the whole time of a start.
    begin = time.monotonic()
    assert converse(f"{daemon.mount}/plain", f"{folder}/slow\nhello\n".encode())[1] == "none"
    assert time.monotonic() - begin > 2
PYTHON
}

# The commands of an ordinary user's daemon are confined as their callers are. A caller with less
# than the daemon gets no standby, and one with more has a standby that got no more.
test_a_daemon_of_an_ordinary_user() {
    local nobody=65534
    mkdir "$T/user" "$T/user/mnt"
    cp "$HOOKSFS" "$T/user/hooksfs"
    mknod -m 666 "$T/fuse" c 10 229
    printf '[gate]\nmode = direct\nstandby = sh -c "cat; ulimit -Sn; ulimit -Sc; nice"\n' >"$T/user/conf"
    chown -R "$nobody:$nobody" "$T/user"
    timeout 100 unshare -m bash -eu -c '
        mount --bind "$1/fuse" /dev/fuse
        cd "$1/user"
        exec setpriv --reuid="$2" --regid="$2" --clear-groups bash -eu -c "$3"' bash "$T" "$nobody" '
        ulimit -Sc 0
        ulimit -Sn 500
        ./hooksfs --debug=job -f conf mnt 2>log &
        until grep -q serving log; do sleep 0.02; done
        # $1 says which caller it is. The second line of its answer is what `ready` waits for.
        ask() {
            "${@:2}" bash -c "exec 3<>mnt/gate/call; printf \"%s\n\$0\n\" \"\$1\" >&3; cat <&3" "$1" \
                "sh -c \"cat; ulimit -Sn; ulimit -Sc; nice\"" | tr "\n" " "
            echo
        }
        ready() {
            until pgrep -f "^sh -c cat; ulimit" >/dev/null; do sleep 0.02; done
            sleep 0.2
        }
        ready; ask same env
        ready; ask more prlimit --nofile=600:
        ready; ask less prlimit --nofile=400:
        ready; ask nice nice -n 5
        ready; ask gains setpriv --no-new-privs
        ready; ask again env
        kill -TERM $!
        wait $!' >"$T/got" 2>"$T/stderr" || fail "exit code $?: $(cat "$T/got" "$T/stderr" "$T/user/log")"
    is "$(cat "$T/got")" "$(printf '%s \n' "same 500 0 0" "more 500 0 0" "less 400 0 0" "nice 500 0 5" "gains 500 0 0" "again 500 0 0")" answers
    is "$(grep -c 'standby of .* taken' "$T/user/log")" 3 hits
    like "$(cat "$T/user/log")" '* hits=3 misses=0 * others=3*'
}

run_tests
