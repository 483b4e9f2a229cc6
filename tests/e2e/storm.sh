#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A storm, for $STORM_SECONDS: callers that are killed at any moment, cancels,
# removals, time limits, full queues and reloads, while some calls must be right
# all the time. Afterwards nothing is left, and the next call works.
# $STORM_SEED makes it the same again, as far as the machine does.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2119,SC2016
. "$(dirname "$0")/../lib.sh"

: "${STORM_SECONDS:=20}" "${STORM_SEED:=$RANDOM$RANDOM}"
echo "# seed $STORM_SEED, $STORM_SECONDS seconds"
export NAP=$T/nap
ln -s "$(command -v sleep)" "$NAP"

test_storm() {
    mkdir "$T/served"
    # calls.py gives up on what takes longer than a suite's test may.
    PYTHONPATH=$TESTS/e2e PYTHONDONTWRITEBYTECODE=1 timeout "$((STORM_SECONDS + 200))" \
        /usr/bin/python3 - "$T/served" "$STORM_SECONDS" "$STORM_SEED" <<'PYTHON'
import collections, random, sys
from calls import *
folder, seconds, seed = sys.argv[1], float(sys.argv[2]), sys.argv[3]
faulthandler.dump_traceback_later(seconds + 190, exit=True)
stop = folder + "/stop"
BASE = "mode = direct\ntimeout = 20s\nkill_grace = 50ms\n[stable]\nmax_running = 200\n"
CALLERS, VICTIMS = 4, 16

def config(chance):
    text = BASE
    for name in ("tight", "other", "brief"):
        if name == "tight" or chance.random() < 0.7:
            text += f"[{name}]\nmax_running = {chance.randrange(1, 8)}\nmax_queued = {chance.randrange(0, 8)}\n"
            text += f"max_slots = {chance.randrange(3, 50)}\nmax_output = {chance.randrange(100, 3000)}K\n"
            text += f"timeout = {chance.randrange(50, 3000)}ms\n"
        if name == "brief":
            text += "slot_ttl = 200ms\n" if f"[{name}]" in text else ""
    if chance.random() < 0.2:
        text += "[broken]\nmax_running = many\n"
    return text

def line(chance):
    """A command: quick ones and slow ones, silent ones and loud ones."""
    number = chance.random()
    return chance.choice((
        "cat", "true", "false", "no-such-command", "sha256sum", "a | b", "/etc", "cat /dev/zero",
        f"{nap} {number * 0.1}", f"{nap} {number * 30}", f"--timeout={chance.randrange(1, 200)}ms {nap} 30",
        f"sh -c 'trap \"\" TERM; {nap} {number * 20} & {nap} {number * 20}'",
        f"sh -c '{nap} 0.1; cat; {nap} {number * 3} & exit 0'",
        f"head -c {chance.randrange(1, 4000000)} /dev/urandom", f"sh -c 'cat; exec <&- >&- 2>&-; {nap} {number}'",
        "sh -c 'kill -KILL $$'", f"sh -c 'exec 1>&-; {nap} {number}'", "sh -c 'seq 100000; seq 100000 >&2'",
    )).encode() + chance.choice((b"\n", b"\n", b"\n", b""))

# Where a caller is killed or fails, anything may be; but no answer of cat's is
# any other than its beginning.
def victim(number):
    chance = random.Random(f"{seed} victim {number}")
    while not os.path.exists(stop):
        sandbox = f"{mount}/{chance.choice(('stable', 'tight', 'other', 'brief'))}"
        fds, slot = [], None
        try:
            body = chance.randbytes(int(2 ** chance.uniform(0, 21)))
            command = line(chance)
            flags = chance.choice((0, 0, os.O_NONBLOCK))
            if chance.random() < 0.5:
                fds.append(open_request(sandbox, flags))
                for piece in (command[:5], command[5:], body):
                    write_all(fds[0], piece)
                    time.sleep(chance.choice((0, 0, 0.01)))
                out = fds[0]
            else:
                slot = f"{sandbox}/{number}-{chance.randrange(1 << 30)}" if chance.random() < 0.8 else sandbox
                if slot != sandbox:
                    os.mkdir(slot)
                fds.append(os.open(slot + "/request", os.O_WRONLY | flags))
                fds.append(os.open(slot + "/stdout", os.O_RDONLY | flags))
                write_all(fds[0], command)
                if chance.random() < 0.3:
                    with open(slot + "/ctl", "w") as ctl:
                        ctl.write("cancel\n")
                if chance.random() < 0.2 and slot != sandbox:
                    os.rmdir(slot)
                write_all(fds[0], body)
                os.close(fds.pop(0))
                out = fds[0]
            if chance.random() < 0.2:
                time.sleep(chance.random() * 0.2)
            if chance.random() < 0.9:
                total = 0
                while total < 5_000_000 and (part := os.read(out, chance.randrange(1, 1 << 17))):
                    if command == b"cat\n" and out is fds[0] and slot != sandbox:
                        assert body[total : total + len(part)] == part, f"{number}: not its own bytes"
                    total += len(part)
            if slot and slot != sandbox and chance.random() < 0.9:
                os.rmdir(slot)
        except OSError as error:
            allowed = {"ENOENT", "ENOSPC", "ESTALE", "EPERM", "EBUSY", "EAGAIN", "EINVAL", "EACCES", "ECANCELED",
                       "EIO", "ETIMEDOUT", "EPIPE", "EHOSTUNREACH"}
            assert errno.errorcode[error.errno] in allowed, error
        finally:
            for fd in fds:
                os.close(fd)

# These have a sandbox whose rules stay: each of their calls must be right.
def caller(number):
    chance = random.Random(f"{seed} caller {number}")
    count = 0
    while not os.path.exists(stop):
        body = chance.randbytes(int(2 ** chance.uniform(0, 19)))
        code = chance.randrange(2)
        request = b"sh -c 'cat; exit %d'\n" % code + body
        if chance.random() < 0.5:
            answer, end = converse(mount + "/stable", request)
            assert answer == body and end == ("EIO" if code else "none"), (number, count, len(answer), len(body), end)
        else:
            slot = f"{mount}/stable/caller{number}-{count}"
            os.mkdir(slot)
            ask(slot, request)
            answer = get(slot + "/stdout")
            assert answer == body, (number, count, len(answer), len(body))
            assert status(slot) == f"{code} exited", (number, count)
            os.rmdir(slot)
        count += 1
    assert count > 10, f"only {count} calls"

def meddler():
    """Cancels and removes what others have made."""
    chance = random.Random(f"{seed} meddler")
    while not os.path.exists(stop):
        time.sleep(chance.random() * 0.02)
        with contextlib.suppress(OSError):
            sandbox = f"{mount}/{chance.choice(('tight', 'other', 'brief', 'stable'))}"
            slots = [entry.path for entry in os.scandir(sandbox) if entry.is_dir() and "caller" not in entry.name]
            if slots and chance.random() < 0.5:
                os.rmdir(chance.choice(slots))
            elif slots:
                with open(chance.choice(slots + [sandbox]) + "/ctl", "w") as ctl:
                    ctl.write("cancel\n")

def spawn(function, *args):
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        function(*args)
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)

chance = random.Random(f"{seed} storm")
with Daemon(folder, BASE + "[tight]\n[other]\n[brief]\n") as daemon:
    mount = daemon.mount
    works(mount + "/stable")
    before, idle = used(daemon.pid), kib(daemon.pid, "VmRSS")
    exempt = [spawn(caller, number) for number in range(CALLERS)] + [spawn(meddler)]
    victims = {number: spawn(victim, number) for number in range(VICTIMS)}
    counts = collections.Counter()
    problems = []
    end = time.monotonic() + seconds
    while time.monotonic() < end and not problems:
        time.sleep(chance.random() * 0.03)
        number = chance.choice(list(victims))
        os.kill(victims[number], signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(victims[number], 0)[1])
        if code != -signal.SIGKILL:
            problems.append(f"victim {number} ended with {code}")
        counts["killed"] += 1
        del victims[number]
        number += VICTIMS
        victims[number] = spawn(victim, number)
        if chance.random() < 0.05:
            daemon.configure(config(chance))
            os.kill(daemon.pid, signal.SIGHUP)
            counts["reloads"] += 1
        if daemon.process.poll() is not None:
            problems.append(f"the daemon ended with {daemon.process.returncode}: {daemon.text()[-3000:]}")
    open(stop, "w").close()
    deadline = time.monotonic() + 60
    while victims and time.monotonic() < deadline:
        for number, pid in list(victims.items()):
            done, how = os.waitpid(pid, os.WNOHANG)
            if done:
                del victims[number]
                if how:
                    problems.append(f"victim {number} ended with {os.waitstatus_to_exitcode(how)}")
        time.sleep(0.05)
    for number, pid in victims.items():  # they wait for long jobs, perhaps
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    problems += [f"a caller ended with {code}" for code in
                 (os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in exempt) if code]
    assert not problems, problems

    # The sky clears: what runs is ended by its time at the latest.
    daemon.configure(BASE)
    os.kill(daemon.pid, signal.SIGHUP)
    eventually(lambda: os.listdir(mount) == ["stable"], "the other sandboxes stay")
    for entry in list(os.scandir(mount + "/stable")):
        if entry.is_dir():
            assert "caller" not in entry.name, f"{entry.name} is left"
            counts["slots that their callers left"] += 1
            os.rmdir(entry.path)
    with open(mount + "/stable/ctl", "w") as ctl:
        ctl.write("cancel\n")
    status(mount + "/stable")
    ask(mount + "/stable", b"true")  # instead of results that may be long
    assert status(mount + "/stable") == "0 exited"
    check_used(daemon.pid, before)
    # What a command left behind on purpose is its own; what it was ended with is not.
    eventually(lambda: not processes(nap), f"processes are left: {processes(nap)}", 40)
    works(mount + "/stable")
    assert sorted(os.listdir(mount + "/stable")) == ["ctl", "request", "status", "stderr", "stdout"]
    grown = kib(daemon.pid, "VmRSS") - idle
    counts.update(kind for kind in re.findall(r"outcome=\d+ (\w+)", daemon.text()))
    counts["refused"] += daemon.text().count("refused sandbox=")
    print(f"it grew by {grown} KiB; {dict(counts)}")
    with open(folder + "/../counts", "w") as file:
        file.write(f"it grew by {grown} KiB; {dict(counts)}")
    with open(folder + "/../grown", "w") as file:
        file.write("sanitized" if is_sanitized(daemon.pid) else str(grown))
    wanted = {"killed", "exited", "cancelled", "timeout", "signaled", "unstarted", "overflow", "refused"}
    assert wanted <= set(counts), f"this was no storm: {counts}"
    daemon.end()
    assert processes(nap) == []
PYTHON
    echo "# $(cat "$T/counts")" >&3
}

# What the storm needed is given back.
test_storm_leaves_no_memory() {
    local grown
    [[ -e $T/grown ]] || skip "no storm"
    grown=$(cat "$T/grown")
    [[ $grown != sanitized ]] || skip "a sanitizer keeps memory"
    ((grown < 32 * 1024)) || fail "it grew by $grown KiB"
}

run_tests
