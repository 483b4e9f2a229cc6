#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Slots that users make: making and removing them by every usual tool, their owners and modes,
# their number and age, removal while somebody still uses a slot, and listings while slots come
# and go.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2119,SC2016,SC2012
. "$(dirname "$0")/../lib.sh"

mount_with <<CONF || exit 1
mode = direct
timeout = 200s
max_timeout = none
kill_grace = 300ms
[local]
[few]
max_slots = 3
[none]
max_slots = 0
[brief]
slot_ttl = 1s
[many]
max_slots = 25000
CONF
L=$M/local
export NAP=$T/nap
ln -s "$(command -v sleep)" "$NAP"

with_calls() {
    PYTHONPATH=$TESTS/e2e PYTHONDONTWRITEBYTECODE=1 timeout 240 /usr/bin/python3 - "$@"
}

# error_of COMMAND...: prints the message with which the command fails; empty when it succeeds.
error_of() {
    "$@" 2>&1 >/dev/null | sed 's/.*: //'
}

# Removes the slots that a failed test has left.
before_each() {
    local slot
    for slot in "$M"/{local,few}/*/; do
        [[ ! -d $slot ]] || rmdir "$slot"
    done
}

# --- Making and removing

test_mktemp_and_rmdir() {
    local d
    d=$(mktemp -d "$L/XXXXXX")
    is "$(stat -c '%F %a %u %g' "$d")" "directory 700 $(id -u) $(id -g)"
    is "$(ls "$d" | sort | tr '\n' ' ')" "ctl request status stderr stdout "
    is "$(cat "$d/stdout" "$d/stderr" "$d/status")" "" "the files of an empty slot"
    printf 'sh -c "cat; echo err >&2; exit 4"\nhello' >"$d/request"
    is "$(get "$d/stdout")" hello
    is "$(get "$d/stderr")" err
    is "$(get "$d/status")" "4 exited"
    rmdir "$d"
    [[ ! -e $d ]] || fail "it is still there"
    is "$(error_of cat "$d/status")" "No such file or directory"
}

# A slot is made with the caller's umask, and the files follow the directory. The request is for the
# owner alone.
test_modes() {
    local mask mode
    for mask in 077 027 022 000 0177; do
        (umask "$mask" && mkdir "$L/masked")
        mode=$((0777 & ~0$mask))
        is "$(stat -c %a "$L/masked")" "$(printf %o "$mode")" "umask $mask"
        is "$(stat -c %a "$L/masked/request")" "$(printf %o "$((mode & 0600))")" "request, umask $mask"
        is "$(stat -c %a "$L/masked/stdout")" "$(printf %o "$((mode & 0444))")" "stdout, umask $mask"
        is "$(stat -c %a "$L/masked/status")" "$(printf %o "$((mode & 0444))")" "status, umask $mask"
        is "$(stat -c %a "$L/masked/ctl")" "$(printf %o "$((mode & 0222))")" "ctl, umask $mask"
        rmdir "$L/masked"
    done
    mkdir -m 0750 "$L/asked"
    is "$(stat -c '%a %U' "$L/asked")" "750 $(id -un)"
    is "$(stat -c '%u:%g' "$L/asked"/*)" "$(for _ in {1..5}; do echo "$(id -u):$(id -g)"; done)" "files"
    rmdir "$L/asked"
}

test_names() {
    with_calls "$L" <<'PYTHON'
import sys
from calls import *
sandbox = sys.argv[1]
for name in ("a b", "-n", "...", "ü", "new\nline", "*", "x" * 255, ".hidden", "request2", "quo'te\"s", b"\xff\xfe"):
    path = os.path.join(os.fsencode(sandbox), os.fsencode(name))
    os.mkdir(path)
    assert os.fsencode(name) in os.listdir(os.fsencode(sandbox)), name
    fd = os.open(path + b"/request", os.O_WRONLY)
    os.write(fd, b"echo " + b"hi")
    os.close(fd)
    assert get(path + b"/stdout") == b"hi\n", name
    assert error_of(os.mkdir, path) == "EEXIST", name
    os.rmdir(path)
assert error_of(os.mkdir, sandbox + "/" + "x" * 256) == "ENAMETOOLONG"
for name in ("request", "stdout", "stderr", "status", "ctl"):
    assert error_of(os.mkdir, f"{sandbox}/{name}") == "EEXIST", name
os.mkdir(sandbox + "/there")
assert error_of(os.mkdir, sandbox + "/there") == "EEXIST"
os.rmdir(sandbox + "/there")
assert error_of(os.rmdir, sandbox + "/there") == "ENOENT"
# The name can be used again, and the new slot has nothing of the old one.
for number in range(20):
    os.mkdir(sandbox + "/again")
    assert get(sandbox + "/again/stdout") == get(sandbox + "/again/status") == b""
    ask(sandbox + "/again", b"echo %d" % number)
    assert get(sandbox + "/again/stdout") == b"%d\n" % number
    os.rmdir(sandbox + "/again")
PYTHON
}

# No other place for a slot, such as two levels deep, and no other call that makes a file.
test_what_cannot_be_made() {
    local d=$L/slot no="Operation not permitted"
    mkdir "$d"
    is "$(error_of mkdir "$M/new")" "$no" "mkdir in the root"
    is "$(error_of mkdir "$d/new")" "$no" "mkdir in a slot"
    for where in "$M" "$L" "$d"; do
        is "$(error_of touch "$where/new")" "$no" "touch in $where"
        is "$(error_of ln -s /etc "$where/new")" "$no" "symlink in $where"
        is "$(error_of ln "$d/stdout" "$where/new")" "$no" "link in $where"
        is "$(error_of mkfifo "$where/new")" "$no" "mkfifo in $where"
        is "$(error_of mknod "$where/new" c 1 3)" "$no" "mknod in $where"
        [[ ! -e $where/new ]] || fail "$where/new is there"
    done
    is "$(error_of mv -T "$d" "$L/other")" "$no" "rename of a slot"
    is "$(error_of mv -T "$d/stdout" "$d/other")" "$no" "rename of a file"
    is "$(error_of mv -T "$L" "$M/other")" "$no" "rename of a sandbox"
    is "$(error_of rmdir "$L")" "$no" "rmdir of a sandbox"
    is "$(error_of rm -f "$L/stdout")" "$no" "rm of a sandbox's file"
    is "$(error_of rmdir "$d/stdout")" "Not a directory" "rmdir of a file"
    is "$(error_of rm -r "$M/few" | sort -u)" "$no" "rm -r of a sandbox"
    is "$(ls "$d" | wc -l)" 5 "files"
    ask "$d" echo fine
    is "$(get "$d/stdout")" fine
    ask "$M/few" echo fine
    is "$(get "$M/few/stdout")" fine
    rmdir "$d"
}

test_max_slots() {
    local few=$M/few full="No space left on device" number
    for number in {1..20}; do
        mkdir "$few/1" "$few/2" "$few/3"
        is "$(error_of mkdir "$few/4")" "$full"
        is "$(error_of mktemp -d "$few/XXXXXX" | sed 's/.*: //')" "$full"
        is "$(error_of mkdir "$few/2")" "File exists"
        rmdir "$few/2"
        mkdir "$few/4"
        is "$(error_of mkdir "$few/5")" "$full"
        rmdir "$few"/*/
    done
    # A removed slot does not count any more, even if somebody still uses it.
    mkdir "$few/1" "$few/2" "$few/3"
    exec 4<"$few/1/stdout"
    rmdir "$few/1"
    mkdir "$few/1"
    exec 4<&-
    rmdir "$few"/*/
    is "$(error_of mkdir "$M/none/1")" "$full"
    # The sandbox's own slot and conversations do not count.
    ask "$M/none" echo own
    is "$(get "$M/none/stdout")" own
    exec 4<>"$M/none/call"
    printf 'echo conversation' >&4
    is "$(cat <&4)" conversation
    exec 4>&-
}

# busybox mkdir -m makes the directory before it sets the mode, and so does cp -p.
test_permissions_can_be_changed() {
    local d=$L/slot
    mkdir "$d"
    chmod 750 "$d" || fail "chmod"
    is "$(stat -c %a "$d" "$d/request" "$d/stdout" "$d/ctl" | tr '\n' ' ')" "750 600 440 200 "
    is "$(error_of chmod 2750 "$d")" "Operation not permitted" "a bit that means nothing"
    is "$(error_of chmod 1777 "$d")" "Operation not permitted" "a bit that means nothing"
    is "$(error_of chmod 777 "$d/stdout")" "Operation not permitted" "a file follows its directory"
    is "$(stat -c %a "$d")" 750 "after what failed"
    rmdir "$d"
    if busybox true; then
        busybox mkdir -m 700 "$d" || fail "busybox mkdir -m"
        is "$(stat -c %a "$d")" 700
        rmdir "$d"
    fi
    mkdir -m 711 "$T/model"
    cp -rp "$T/model" "$d" || fail "cp -p"
    is "$(stat -c %a "$d")" 711
    ask "$d" echo works
    is "$(get "$d/stdout")" works
    rmdir "$d" "$T/model"
}

test_rm_r_and_unlink() {
    local d=$L/slot file
    mkdir "$d"
    ask "$d" echo hello
    ends "$d" "0 exited"
    rm -r "$d"
    [[ ! -e $d ]] || fail "rm -r leaves it"
    mkdir "$d"
    rm -rf "$d"
    [[ ! -e $d ]] || fail "rm -rf leaves it"
    mkdir "$d"
    for file in request stdout stderr status ctl; do
        rm "$d/$file"
        [[ ! -e $d/$file ]] || fail "$file is still there"
        is "$(error_of rm "$d/$file")" "No such file or directory"
        is "$(error_of cat "$d/$file")" "No such file or directory"
        is "$(find "$d" -name "$file")" "" "a listing without $file"
    done
    is "$(ls -A "$d")" "" "what is left"
    rmdir "$d"
    mkdir "$d"
    is "$(ls "$d" | wc -l)" 5 "files of a new one with the same name"
    rm "$d/stderr"
    ask "$d" echo "still works"
    is "$(get "$d/stdout")" "still works"
    rmdir "$d"
    mkdir "$L/a" "$L/b"
    find "$L" -mindepth 1 -maxdepth 1 -type d -exec rm -r {} +
    is "$(find "$L" -mindepth 1 -type d)" "" "after find"
}

test_temporary_directory() {
    with_calls "$L" "$daemon_pid" <<'PYTHON'
import pathlib, shutil, sys, tempfile
from calls import *
sandbox, daemon = sys.argv[1:]
for _ in range(30):
    with tempfile.TemporaryDirectory(dir=sandbox) as name:
        slot = pathlib.Path(name)
        (slot / "request").write_text("cat\nhello")
        assert (slot / "stdout").read_text() == "hello"
        assert (slot / "status").read_text() == "0 exited\n"
    assert not slot.exists()
# The removal of the directory ends the job.
with tempfile.TemporaryDirectory(dir=sandbox) as name:
    ask(name, f"{nap} 1000".encode())
    there(nap)
gone(nap)
slot = tempfile.mkdtemp(dir=sandbox)
assert os.stat(slot).st_mode & 0o777 == 0o700
shutil.rmtree(slot)
assert not os.path.exists(slot)
before = used(daemon)
def use(number):
    for _ in range(15):
        with tempfile.TemporaryDirectory(dir=sandbox) as name:
            ask(name, b"cat\n" + bytes(number * 1000))
            assert get(name + "/stdout") == bytes(number * 1000)
side_by_side(*[lambda number=number: use(number) for number in range(10)])
check_used(daemon, before)
assert not [entry.name for entry in os.scandir(sandbox) if entry.is_dir()]
PYTHON
}

# --- Removal of what is in use

test_rmdir_cancels() {
    with_calls "$L" "$daemon_pid" <<'PYTHON'
import sys
from calls import *
sandbox, daemon = sys.argv[1:]
slot = sandbox + "/slot"
before = used(daemon)
for command in (f"{nap} 1000", f"sh -c '{nap} 1000 & {nap} 1000'", f"sh -c 'trap \"\" TERM; {nap} 1000; {nap} 1000'"):
    os.mkdir(slot)
    ask(slot, b"--timeout=none " + command.encode() + b"\n")
    there(nap)
    os.rmdir(slot)
    gone(nap)

# A request that is not complete never becomes a job.
os.mkdir(slot)
fd = os.open(slot + "/request", os.O_WRONLY)
os.write(fd, f"touch {sandbox}/../../ran".encode())
os.rmdir(slot)
assert error_of(os.write, fd, b"\n") == "ECANCELED"
os.close(fd)

# A writer that waits for the command goes on after the removal.
os.mkdir(slot)
fd = os.open(slot + "/request", os.O_WRONLY)
with child(lambda: write_all(fd, f"{nap} 1000\n".encode() + bytes(10_000_000))) as pid:
    there(nap)
    os.rmdir(slot)
    gone(nap)
    os.waitpid(pid, 0)
os.close(fd)
check_used(daemon, before)
assert not os.path.exists(f"{sandbox}/../../ran")
PYTHON
}

# A caller with an open file sees the end of the file.
test_open_files_of_a_removed_slot() {
    with_calls "$L" "$daemon_pid" <<'PYTHON'
import sys
from calls import *
sandbox, daemon = sys.argv[1:]
slot = sandbox + "/slot"
before = used(daemon)

# After the job has ended, everything stays readable, again and again.
os.mkdir(slot)
ask(slot, b"sh -c 'echo out; echo err >&2; exit 5'\n")
assert status(slot) == "5 exited"
fds = {name: os.open(f"{slot}/{name}", os.O_RDONLY) for name in ("stdout", "stderr", "status")}
ctl = os.open(slot + "/ctl", os.O_WRONLY)
os.rmdir(slot)
os.mkdir(slot)  # another one, which has nothing to do with it
ask(slot, b"echo new")
assert status(slot) == "0 exited"
for name, wanted in (("stdout", b"out\n"), ("stderr", b"err\n"), ("status", b"5 exited\n")):
    assert os.fstat(fds[name]).st_size == len(wanted), name
    for _ in range(3):
        assert os.pread(fds[name], 100, 0) == wanted, name
    os.close(fds[name])
ask(slot, f"{nap} 1000".encode())
there(nap)
assert error_of(os.write, ctl, b"cancel") == "none"
time.sleep(0.2)
assert processes(nap), "the ctl of a removed slot has cancelled another's job"
os.close(ctl)

# A running job is cancelled, and its waiting readers hear so.
out, state = (os.open(f"{slot}/{name}", os.O_RDONLY) for name in ("stdout", "status"))
threading.Timer(0.3, os.rmdir, (slot,)).start()
assert os.read(state, 100) == b"130 cancelled\n"
assert read_all(out) == (b"", "none")
os.close(out), os.close(state)
gone(nap)
check_used(daemon, before)
PYTHON
}

# A process holds a directory open, or has it as its working directory, while it is removed.
test_standing_in_a_removed_directory() {
    with_calls "$L" "$daemon_pid" <<'PYTHON'
import sys
from calls import *
sandbox, daemon = sys.argv[1:]
slot = sandbox + "/slot"
before = used(daemon)
for ways_down in range(3):
    os.mkdir(slot)
    held = os.open(slot, os.O_RDONLY | os.O_DIRECTORY)
    os.chdir(slot)
    os.rmdir(slot)
    if ways_down:
        os.mkdir(slot)  # its successor
    assert os.listdir(".") == os.listdir(held) == []
    assert error_of(os.stat, "request") == error_of(os.open, "request", os.O_WRONLY) == "ENOENT"
    assert error_of(os.open, "stdout", os.O_RDONLY) == "ENOENT"
    assert error_of(os.open, "request", os.O_RDWR, dir_fd=held) == "ENOENT"
    assert error_of(os.mkdir, "new") in ("ENOENT", "EPERM")
    assert error_of(os.open, "new", os.O_WRONLY | os.O_CREAT) in ("ENOENT", "EPERM")
    assert error_of(os.rmdir, "new") == "ENOENT"
    os.fstat(held), os.stat(".")
    assert error_of(os.stat, "../slot") in ("ENOENT", "none")
    if ways_down:
        ask(slot, b"echo successor")
        assert get(slot + "/stdout") == b"successor\n"
        os.rmdir(slot)
    os.chdir("/")
    os.close(held)
check_used(daemon, before)
works(sandbox)
PYTHON
}

# A job whose working directory, or executable, is in the mount.
test_hooks_that_look_at_their_own_mount() {
    local d=$L/slot
    mkdir "$d"
    ask "$d" "sh -c 'cd $d && ls && mkdir $L/inner && echo echo from inside >$L/inner/request && cat $L/inner/stdout && rmdir $L/inner && cd / && rmdir $d'"
    exec 4<"$d/stdout"
    like "$(timeout 30 cat <&4)" "*request*from inside" "what it sees"
    exec 4<&-
    wait_until 10 test ! -e "$d"
}

# --- Age

# exists NAME: asks by readdir, which does not use the slot.
exists() {
    [[ $'\n'$(ls "$M/brief")$'\n' == *$'\n'"$1"$'\n'* ]]
}

is_gone() {
    ! exists "$1"
}

test_slots_expire() {
    mkdir "$M/brief/unused" "$M/brief/used"
    exists used || fail "it is not there"
    ask "$M/brief/used" echo hello
    ends "$M/brief/used" "0 exited"
    wait_until 20 is_gone unused || fail "it does not expire"
    wait_until 20 is_gone used || fail "one that was used does not expire"
    is "$(error_of cat "$M/brief/used/status")" "No such file or directory"
    mkdir "$M/brief/used"
    is "$(cat "$M/brief/used/stdout")" "" "another of the same name"
    rmdir "$M/brief/used"
}

# A slot does not expire while a job runs, or while somebody waits for the job's end.
test_no_expiry_while_a_job_runs() {
    with_calls "$M/brief" <<'PYTHON'
import sys
from calls import *
sandbox = sys.argv[1]
os.mkdir(sandbox + "/busy")
ask(sandbox + "/busy", f"{nap} 3.5\n".encode())
soon = time.monotonic() + 3
while time.monotonic() < soon:
    assert "busy" in os.listdir(sandbox)
    time.sleep(0.2)
assert status(sandbox + "/busy") == "0 exited"
eventually(lambda: "busy" not in os.listdir(sandbox), "it does not expire after its job")
PYTHON
}

# The time of a slot begins with its last use, and a job uses its slot until the job's end: a
# caller that comes soon after the end finds the answer.
test_no_expiry_right_after_the_end_of_a_job() {
    with_calls "$M/brief" <<'PYTHON'
import sys
from calls import *
sandbox = sys.argv[1]
names = [f"job{number}" for number in range(20)]
ended = {}
for number, name in enumerate(names):
    os.mkdir(f"{sandbox}/{name}")
    # The jobs end at various times, after several periods of slot_ttl.
    ask(f"{sandbox}/{name}", f"sh -c '{nap} {2 + number * 0.05:.2f}; date +%s.%N >{sandbox}/../../ended.{name}'\n".encode())
deadline = time.monotonic() + 30
lost = []
while len(ended) < len(names):
    assert time.monotonic() < deadline
    listed = os.listdir(sandbox)
    now = time.time()
    for name in names:
        if name in ended:
            continue
        with contextlib.suppress(OSError, ValueError):
            end = float(get(f"{sandbox}/../../ended.{name}"))
            if name not in listed:
                ended[name] = "lost"
                lost.append((name, round(now - end, 3)))
            elif now - end > 0.5:
                ended[name] = "kept"
    time.sleep(0.01)
# On a slow machine a look may take longer than slot_ttl.
lost = [(name, age) for name, age in lost if age < 0.8]
assert not lost, f"gone so many seconds after the end of their jobs, with slot_ttl = 1s: {lost}"
PYTHON
}

test_no_expiry_while_a_file_is_open() {
    with_calls "$M/brief" <<'PYTHON'
import sys
from calls import *
sandbox = sys.argv[1]
for name, flags in (("stdout", os.O_RDONLY), ("ctl", os.O_WRONLY), ("request", os.O_RDWR), ("request", os.O_WRONLY)):
    os.mkdir(sandbox + "/open")
    fd = os.open(f"{sandbox}/open/{name}", flags)
    for _ in range(10):
        time.sleep(0.25)
        assert "open" in os.listdir(sandbox), name
    os.close(fd)
    eventually(lambda: "open" not in os.listdir(sandbox), "it does not expire after the close")
PYTHON
}

test_use_renews() {
    with_calls "$M/brief" <<'PYTHON'
import sys
from calls import *
sandbox = sys.argv[1]
slot = sandbox + "/used"
uses = (lambda: ask(slot, b"true") or status(slot), lambda: get(slot + "/stdout"))
for use in uses:
    for attempt in range(10):
        os.mkdir(slot)
        start_time = last = time.monotonic()
        longest = 0
        while time.monotonic() < start_time + 3:
            try:
                use()
            except FileNotFoundError:
                longest = max(longest, time.monotonic() - last)
                assert longest > 0.7, f"expired although it was used {longest} seconds ago"
                break
            longest = max(longest, time.monotonic() - last)
            last = time.monotonic()
            time.sleep(0.1)
        else:
            os.rmdir(slot)
            break
        # This machine was too slow: the slot had expired before the test looked.
    else:
        raise AssertionError("it expires again and again")
PYTHON
}

test_standing_in_an_expired_directory() {
    with_calls "$M/brief" <<'PYTHON'
import sys
from calls import *
sandbox = sys.argv[1]
os.mkdir(sandbox + "/old")
os.chdir(sandbox + "/old")
eventually(lambda: "old" not in os.listdir(sandbox), "it does not expire")
assert os.listdir(".") == []
# The kernel may remember the name for a second before it looks the name up again.
eventually(lambda: error_of(os.stat, "request") == error_of(os.open, "stdout", os.O_RDONLY) == "ENOENT", "it is there")
assert error_of(os.mkdir, "new") in ("ENOENT", "EPERM", "ESTALE")
os.chdir("/")
works(sandbox)
PYTHON
}

# Long results take memory of the daemon. They are freed with their slot, because nobody can
# read them any more, whatever names the kernel still remembers. Each way of removal has a daemon
# of its own; otherwise one could use memory that another one has freed.
test_removed_and_expired_slots_give_memory_back() {
    mkdir -p "$T/second"
    with_calls "$T/second" <<'PYTHON'
import sys
from calls import *
folder = sys.argv[1]
size, count = 8_000_000, 8
kept = []

def removed(slots):
    for slot in slots:
        os.rmdir(slot)

def closed_later(slots):
    fds = [os.open(f"{slot}/{name}", os.O_RDONLY) for slot in slots for name in ("stdout", "status")]
    removed(slots)
    for fd in fds[::2]:
        assert len(os.pread(fd, 10, size - 10)) == 10
    for fd in fds:
        os.close(fd)

def stood_in(slots):
    kept.extend(os.open(slot, os.O_RDONLY | os.O_DIRECTORY) for slot in slots)
    removed(slots)

def stood_in_and_closed_later(slots):
    kept.extend(os.open(slot, os.O_RDONLY | os.O_DIRECTORY) for slot in slots)
    closed_later(slots)

def expired(slots):
    eventually(lambda: not [entry for entry in os.scandir(os.path.dirname(slots[0])) if entry.is_dir()], "they stay")

wrong = []
for way in (removed, closed_later, stood_in, stood_in_and_closed_later, expired):
    with Daemon(folder, "mode = direct\n[it]\nslot_ttl = %s\n" % ("2s" if way is expired else "1h")) as daemon:
        works(daemon.mount + "/it")
        before = kib(daemon.pid, "VmRSS")
        slots = [f"{daemon.mount}/it/{number}" for number in range(count)]
        for slot in slots:
            os.mkdir(slot)
            ask(slot, f"head -c {size} /dev/urandom\n".encode())
        for slot in slots:
            assert status(slot) == "0 exited"
        grown = lambda: kib(daemon.pid, "VmRSS") - before
        skipped = is_sanitized(daemon.pid)
        assert skipped or grown() > size * count / 1024 * 0.9, "where is it?"
        way(slots)
        deadline = time.monotonic() + 5
        while not skipped and grown() > size * count / 1024 / 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        if not skipped and grown() > size * count / 1024 / 2:
            wrong.append(f"{way.__name__}: {grown()} KiB are kept")
        while kept:
            os.close(kept.pop())
assert not wrong, wrong
PYTHON
}

# --- Listings

# While some slots are made and removed, each of the other slots is in each listing exactly once,
# however small the steps of the listing are.
test_listings_while_slots_come_and_go() {
    with_calls "$L" <<'PYTHON'
import collections, random, struct, sys
from calls import *
sandbox = sys.argv[1]
stay = {f"stay-{number:03}-" + "x" * (number * 7 % 60) for number in range(400)}
files = {"call", "request", "stdout", "stderr", "status", "ctl"}
names = sorted(stay)
random.Random(1).shuffle(names)
ended = os.path.join(sandbox, "../../listed")

def churn(seed):
    chance = random.Random(seed)
    mine = []
    while not os.path.exists(ended):
        if mine and chance.random() < len(mine) / 60:
            os.rmdir(f"{sandbox}/{mine.pop(chance.randrange(len(mine)))}")
        else:
            mine.append(f"churn-{seed}-{chance.randrange(1 << 30)}" + "y" * chance.randrange(40))
            os.mkdir(f"{sandbox}/{mine[-1]}")
    for name in mine:
        os.rmdir(f"{sandbox}/{name}")

libc.getdents64.restype = ctypes.c_ssize_t

def entries(size):
    """With a buffer of SIZE, as few of them at once as fit."""
    fd = os.open(sandbox, os.O_RDONLY | os.O_DIRECTORY)
    buffer = ctypes.create_string_buffer(size)
    while (count := libc.getdents64(fd, buffer, ctypes.c_size_t(size))) > 0:
        at = 0
        while at < count:
            length, = struct.unpack_from("=H", buffer, at + 16)
            yield buffer.raw[at + 19 : at + length].split(b"\0")[0].decode()
            at += length
    assert count == 0, errno.errorcode[ctypes.get_errno()]
    os.close(fd)

def check(listing, how):
    counts = collections.Counter(listing)
    wrong = [name for name in stay | files if counts[name] != 1]
    assert not wrong, f"{how}: {len(wrong)}, such as {wrong[:3]}, {counts[wrong[0]]} times"
    twice = [name for name, count in counts.items() if count > 1]
    assert not twice, f"{how}: twice: {twice[:3]}"
    return len(counts)

with contextlib.ExitStack() as stack:
    churners = [stack.enter_context(child(churn, seed)) for seed in range(3)]
    for name in names:
        os.mkdir(f"{sandbox}/{name}")
    sizes = set()
    for number in range(60):
        sizes.add(check(entries((150, 300, 4096)[number % 3]), "getdents64"))
        sizes.add(check((entry.name for entry in os.scandir(sandbox)), "scandir"))
        if number == 30:
            for name in names[:100]:
                os.rmdir(f"{sandbox}/{name}")
                stay.remove(name)
    open(ended, "w").close()
    for pid in churners:
        wait_for(pid)
assert len(sizes) > 5, "nothing came or went"
check(entries(4096), "at rest")
assert set(os.listdir(sandbox)) == stay | files
for name in stay:
    os.rmdir(f"{sandbox}/{name}")
os.unlink(ended)
assert set(os.listdir(sandbox)) == files
PYTHON
}

# An earlier offset of a listing stays valid, and a listing can begin again.
test_seeking_in_a_listing() {
    with_calls "$L" <<'PYTHON'
import sys
from calls import *
sandbox = sys.argv[1]
for number in range(50):
    os.mkdir(f"{sandbox}/{number}")
libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p
libc.telldir.restype = ctypes.c_long

def name():
    entry = libc.readdir(ctypes.c_void_p(directory))
    return entry and ctypes.string_at(entry + 19).decode()

directory = libc.opendir(sandbox.encode())
before = [name() for _ in range(30)]
place = ctypes.c_long(libc.telldir(ctypes.c_void_p(directory)))
after = name()
rest = []
while (one := name()):
    rest.append(one)
for gone_one in before[-10:]:
    os.rmdir(f"{sandbox}/{gone_one}")
os.mkdir(f"{sandbox}/new")
libc.seekdir(ctypes.c_void_p(directory), place)
assert name() == after
again = []
while (one := name()):
    again.append(one)
assert again == rest + ["new"], (again, rest)
libc.rewinddir(ctypes.c_void_p(directory))
listed = []
while (one := name()):
    listed.append(one)
assert listed == before[:-10] + [after] + rest + ["new"]
libc.closedir(ctypes.c_void_p(directory))
for entry in list(os.scandir(sandbox)):
    if entry.is_dir():
        os.rmdir(entry.path)
PYTHON
}

# --- Many

test_10000_idle_slots() {
    with_calls "$M" "$daemon_pid" <<'PYTHON'
import sys
from calls import *
mount, daemon = sys.argv[1:]
many, local = mount + "/many", mount + "/local"
works(local)
memory = []
for turn in range(3):
    before = kib(daemon, "VmRSS")
    for number in range(10000):
        os.mkdir(f"{many}/{number:08}")
    each = (kib(daemon, "VmRSS") - before) / 10000
    print(f"{each} KiB for each idle slot")
    assert is_sanitized(daemon) or each < 10, f"{each} KiB for each idle slot"
    listed = subprocess.run(["ls", many], capture_output=True, check=True, timeout=60).stdout
    assert len(listed.split()) == 10006
    listed = subprocess.run(["ls", "-l", many], capture_output=True, check=True, timeout=60).stdout
    assert listed.count(b"\n") == 10007
    os.stat(f"{many}/00005000/request")
    works(local)
    works(many)
    for number in (0, 5000, 9999):
        ask(f"{many}/{number:08}", b"cat\nslot %d" % number)
        assert get(f"{many}/{number:08}/stdout") == b"slot %d" % number
    memory.append(kib(daemon, "VmRSS"))
    for number in range(10000):
        os.rmdir(f"{many}/{number:08}")
    assert len(os.listdir(many)) == 6
print(f"{memory} KiB with them")
# Memory of the removed slots is used again when there are as many new ones.
assert is_sanitized(daemon) or memory[2] - memory[0] < 4096, memory
PYTHON
}

# A slot whose job has ended keeps its results, and nothing else.
test_idle_slots_with_results() {
    with_calls "$M" "$daemon_pid" <<'PYTHON'
import sys
from calls import *
mount, daemon = sys.argv[1:]
works(mount + "/many")
before_used = used(daemon)
before = kib(daemon, "VmRSS")
for number in range(500):
    slot = f"{mount}/many/{number}"
    os.mkdir(slot)
    ask(slot, b"echo result %d" % number)
    assert status(slot) == "0 exited"
check_used(daemon, before_used)
each = (kib(daemon, "VmRSS") - before) / 500
assert is_sanitized(daemon) or each < 10, f"{each} KiB"
for number in range(500):
    slot = f"{mount}/many/{number}"
    assert get(slot + "/stdout") == b"result %d\n" % number
    os.rmdir(slot)
PYTHON
}

run_tests
