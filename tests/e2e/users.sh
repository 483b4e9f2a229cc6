#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Several users on one mount: their rights on each other's slots and on the sandboxes, the
# user and environment of commands, and a daemon of an ordinary user. Needs root, which can
# become each user.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2119,SC2016,SC2012
. "$(dirname "$0")/../lib.sh"

if [[ $(id -u) != 0 ]]; then
    echo "1..0 # SKIP only root can be several users"
    exit 0
fi

# Alice and Bob are in one group, Carol is in none; Bob and Carol have no entry
# in /etc/passwd.
TEAM=21000
ALICE=65534 BOB=21002 CAROL=21003
root() { "$@"; }
alice() { setpriv --reuid $ALICE --regid $ALICE --groups $TEAM,21001 -- "$@"; }
bob() { setpriv --reuid $BOB --regid $BOB --groups $TEAM -- "$@"; }
dora() { setpriv --reuid $CAROL --regid $TEAM --clear-groups -- "$@"; }
carol() { setpriv --reuid $CAROL --regid $CAROL --clear-groups -- "$@"; }

# The daemon's environment has a variable to hide, and one to hand on.
export HOOKS_SECRET=hunter2 HOOKS_SHARED=shared
mount_with <<CONF || exit 1
mode = direct
timeout = 100s
kill_grace = 300ms
[private]
[everyone]
permissions = 0777
[sharing]
permissions = 0777
slot_sharing = yes
[team]
group = $TEAM
permissions = 0770
[writers]
group = $TEAM
permissions = 0730
[readers]
group = $TEAM
permissions = 0750
[hers]
owner = $ALICE
permissions = 0700
[fixed]
permissions = 0777
user = daemon
[handing]
permissions = 0777
env = HOOKS_SHARED
env = HOOKS_SET=given
CONF
unset HOOKS_SECRET HOOKS_SHARED
E=$M/everyone
export NAP=$T/nap
cp "$(command -v sleep)" "$NAP"

with_calls() {
    PYTHONPATH=$TESTS/e2e PYTHONDONTWRITEBYTECODE=1 timeout 240 /usr/bin/python3 - "$@"
}

before_each() {
    local slot
    for slot in "$M"/*/*/; do
        [[ ! -d $slot ]] || rmdir "$slot"
    done
}

# The error of a command, in words; empty when there is none.
error_of() {
    "$@" 2>&1 >/dev/null </dev/null | sed 's/.*: //'
}

denied() {
    is "$(error_of "$@")" "Permission denied" "$*"
}

# Prints the error of a write that is not permitted. It uses cat, because each shell's echo
# words it in its own way.
writes() {
    "$1" sh -c 'cat >"$1"' sh "$2" <<<"$3"
}

# converses USER SANDBOX LINE: the answer to LINE in a conversation
converses() {
    "$1" bash -c 'exec 4<>"$1/call" && printf %s "$2" >&4 && timeout 30 cat <&4' bash "$2" "$3"
}

# answers USER SLOT LINE: the answer to LINE, from the slot
answers() {
    "$1" bash -c 'printf %s "$2" >"$1/request" && timeout 30 cat "$1/stdout"' bash "$2" "$3"
}

# --- Slots of others

test_nobody_gets_into_the_slot_of_another() {
    local d file user
    d=$(alice mktemp -d "$E/XXXXXX")
    is "$(stat -c '%u %g %a' "$d")" "$ALICE $ALICE 700"
    is "$(stat -c '%u %g %a' "$d/request")" "$ALICE $ALICE 600"
    writes alice "$d/request" "sh -c 'echo secret; exec $NAP 1000'"
    is "$(alice timeout 30 head -n 1 "$d/stdout")" secret
    for user in bob carol; do
        denied "$user" ls "$d"
        denied "$user" stat "$d/status"
        for file in stdout stderr status; do
            denied "$user" cat "$d/$file"
        done
        denied "$user" sh -c 'exec cat >"$1"' sh "$d/request"
        denied "$user" sh -c 'exec cat >"$1"' sh "$d/ctl"
        denied "$user" bash -c 'exec 4<>"$1"' bash "$d/request"
        denied "$user" rm "$d/stdout"
        denied "$user" mkdir "$d/new"
        is "$(error_of "$user" rmdir "$d")" "Operation not permitted" "rmdir"
        is "$(error_of "$user" chmod 777 "$d")" "Operation not permitted" "chmod"
        is "$(error_of "$user" mv "$d" "$E/mine")" "Operation not permitted" "mv"
        like "$(error_of "$user" rm -rf "$d")" "*ermi*" "rm -rf"
        writes "$user" "$E/ctl" cancel # of the sandbox's own slot
    done
    pgrep -f "^$NAP" >/dev/null || fail "somebody has ended her job"
    [[ -d $d ]] || fail "somebody has removed her slot"
    is "$(alice timeout 30 head -n 1 "$d/stdout")" secret
    writes alice "$d/ctl" cancel
    is "$(alice timeout 30 cat "$d/status")" "130 cancelled"
    alice rmdir "$d"
}

# Her own are hers to remove, and root's.
test_who_may_remove() {
    local d=$E/slot
    alice mkdir "$d"
    alice rmdir "$d"
    alice mkdir "$d"
    rmdir "$d"
    alice mkdir -m 777 "$d"
    is "$(error_of bob rmdir "$d")" "Operation not permitted" "of a slot that all may use"
    alice rmdir "$d"
    # The owner of the sandbox's directory.
    bob mkdir "$M/team/slot"
    is "$(error_of alice rmdir "$M/team/slot")" "Operation not permitted" "of a colleague"
    bob chmod 711 "$M/team/slot" || fail "chmod of one's own"
    is "$(stat -c %a "$M/team/slot")" 711
    is "$(error_of alice chmod 777 "$M/team/slot")" "Operation not permitted" "chmod of a colleague's"
    is "$(error_of bob chgrp $TEAM "$M/team/slot")" "Operation not permitted" "chgrp of one's own"
    bob rmdir "$M/team/slot"
}

test_a_slot_that_is_shared() {
    local d=$M/sharing/slot
    (umask 0; alice mkdir "$d")
    is "$(stat -c '%u %a' "$d")" "$ALICE 777"
    is "$(answers bob "$d" 'id -u')" "$BOB" "a job is its writer's, and not its slot's"
    is "$(carol cat "$d/stdout")" "$BOB"
    writes bob "$d/request" "$NAP 1000"
    writes carol "$d/ctl" cancel
    is "$(alice timeout 30 cat "$d/status")" "130 cancelled"
    alice rmdir "$d"
}

# A descriptor stays usable after its process has changed its user, and the job keeps the user
# who opened the file.
test_descriptors_that_are_handed_on() {
    local d=$E/slot
    alice mkdir "$d"
    exec 4<"$d/stdout" 5<>"$E/call"
    writes alice "$d/request" "echo hers"
    alice cat "$d/status" >/dev/null
    is "$(carol cat <&4)" hers
    is "$(carol bash -c 'echo "id -u" >&5; cat <&5')" 0 "whose conversation it is"
    exec 4<&- 5<&-
    alice rmdir "$d"
}

# A write that waits holds a lock of its inode in the kernel, and whoever needs the same lock
# waits in a state that even SIGKILL does not end. Nobody does.
test_a_write_that_waits_holds_up_nobody() {
    with_calls "$M/sharing" "$ALICE" "$BOB" "$T" <<'PYTHON'
import sys
from calls import *
sandbox, alice, bob, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
os.mkdir(folder + "/bound")
open(folder + "/file", "w").close()

def become(uid):
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)

def waits(path, flags, said):
    """Writes until it has to wait."""
    become(alice)
    fd = os.open(path, flags)
    os.write(fd, f"{nap} 1000\n".encode())
    os.write(said, b"x")
    write_all(fd, bytes(50_000_000))

def in_time(uid, function, what):
    def run():
        become(uid)
        try:
            function()
        except OSError:
            pass  # whether it may is another question
    with child(run) as pid:
        deadline = time.monotonic() + 15
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            assert time.monotonic() < deadline, f"{what} by {uid} waits"
            time.sleep(0.005)

def with_request(path, flags):
    """Opens, and writes if that may be done."""
    fd = os.open(path, flags)
    os.write(fd, b"true\n")

for name, flags in (("request", os.O_WRONLY), ("request", os.O_RDWR), ("call", os.O_RDWR)):
    for place in ((sandbox, sandbox + "/hers") if name == "request" else (sandbox,)):
        if place != sandbox:
            os.mkdir(place, 0o777)
            os.chmod(place, 0o777)
        path = f"{place}/{name}"
        read, said = os.pipe()
        with child(waits, path, flags, said) as writer:
            os.read(read, 1)
            there(nap)
            time.sleep(0.1)
            actions = {
                "touch": lambda: os.utime(path), "chmod": lambda: os.chmod(path, 0o600),
                "truncate": lambda: os.truncate(path, 0), "stat": lambda: os.stat(path),
                "O_TRUNC": lambda: os.open(path, flags | os.O_TRUNC),
                "a second open": lambda: with_request(path, flags),
                "O_PATH": lambda: os.utime(f"/proc/self/fd/{os.open(path, os.O_PATH)}"),
                "O_PATH and open": lambda: with_request(f"/proc/self/fd/{os.open(path, os.O_PATH)}", flags),
                "a list": lambda: subprocess.run(["ls", "-l", place], capture_output=True),
                "unlink": lambda: os.unlink(path),
                "rm -r": lambda: subprocess.run(["rm", "-r", place], capture_output=True),
                "rmdir": lambda: os.rmdir(place),
                "mkdir": lambda: os.mkdir(sandbox + "/next"),
            }
            for what, function in actions.items():
                for uid in (alice, bob, 0):
                    in_time(uid, function, f"{what} of {path}")
            in_time(bob, lambda: works(sandbox), "a call")
            os.kill(writer, signal.SIGKILL)
        with contextlib.suppress(FileNotFoundError):
            os.close(os.open(place + "/ctl", os.O_WRONLY))
            with open(place + "/ctl", "w") as ctl:
                ctl.write("cancel")
        gone(nap)
        for left in ("/hers", "/next"):
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(sandbox + left)

# A bind mount of the file itself is one inode: for the user who opens it first.
for name, flags in (("request", os.O_WRONLY), ("call", os.O_RDWR)):
    bound = folder + "/file"
    subprocess.run(["mount", "--bind", f"{sandbox}/{name}", bound], check=True)
    read, said = os.pipe()
    with child(waits, bound, flags, said) as writer:
        os.read(read, 1)
        there(nap)
        for uid in (bob, 0):
            def busy():
                assert error_of(os.open, bound, flags) == "EBUSY"
            def run(uid=uid):
                become(uid)
                busy()
            with child(run) as pid:
                wait_for(pid)
        in_time(alice, lambda: with_request(bound, flags), "a second open of a bind mount")
        os.kill(writer, signal.SIGKILL)
    with open(sandbox + "/ctl", "w") as ctl:
        ctl.write("cancel")
    gone(nap)
    def run():
        become(alice)
        with_request(bound, flags)
    with child(run) as pid:
        wait_for(pid)
    subprocess.run(["umount", bound], check=True)
PYTHON
}

# A user who keeps a handle of a file, or opens the file again and again, gets nothing of another
# user's call.
test_a_handle_is_of_no_use_for_the_calls_of_others() {
    with_calls "$E" "$ALICE" "$BOB" <<'PYTHON'
import sys
from calls import *
sandbox, alice, bob = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

def become(uid):
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)

def keeps(said):
    """Handles of inodes that have come back, which others could be given; each is used."""
    become(bob)
    for _ in range(12):
        while True:
            handle = os.open(sandbox + "/call", os.O_PATH)
            with contextlib.suppress(OSError):  # a child below may have been faster
                os.close(os.open(f"/proc/self/fd/{handle}", os.O_RDWR))
                break
            os.close(handle)
        if os.fork() == 0:
            try:
                time.sleep(0.05)
                # Another one of the same user may have been faster.
                fd = os.open(f"/proc/self/fd/{handle}", os.O_RDWR)
                os.write(fd, f"{nap} 1000\n".encode())
                write_all(fd, bytes(50_000_000))
            finally:
                os._exit(0)
        time.sleep(0.02)
    there(nap)
    os.write(said, b"x")
    for _ in range(12):
        os.wait()

def calls():
    become(alice)
    for number in range(40):
        body = b"%d" % number * 30000
        assert converse(sandbox, b"cat\n" + body) == (body, "none"), number

read, said = os.pipe()
with child(keeps, said):
    with child(calls) as before:
        os.read(read, 1)
        wait_for(before)
    with child(calls) as after:
        wait_for(after)
    for pid in processes(nap):
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.2)
gone(nap)
PYTHON
}

# --- Sandboxes

test_who_has_no_permission() {
    local sandbox
    is "$(carol ls "$M" | wc -l)" 9 "the root is for all"
    for sandbox in private team writers readers hers; do
        denied carol ls "$M/$sandbox"
        denied carol cat "$M/$sandbox/status"
        denied carol sh -c 'exec cat >"$1"' sh "$M/$sandbox/request"
        denied carol sh -c 'exec cat >"$1"' sh "$M/$sandbox/ctl"
        denied carol bash -c 'exec 4<>"$1"' bash "$M/$sandbox/call"
        denied carol mkdir "$M/$sandbox/new"
    done
    denied alice ls "$M/private"
    denied carol mkdir "$M/new"
    denied carol touch "$M/new"
}

test_permissions_of_the_directories() {
    is "$(stat -c '%a %u %g' "$M")" "755 0 0"
    is "$(stat -c '%a %u %g' "$M/private" "$M/private/request" "$M/private/stdout" "$M/private/ctl")" \
        $'700 0 0\n600 0 0\n400 0 0\n200 0 0'
    is "$(stat -c '%a %u %g' "$M/team" "$M/team/request" "$M/team/status" "$M/team/ctl")" \
        "770 0 $TEAM"$'\n'"660 0 $TEAM"$'\n'"440 0 $TEAM"$'\n'"220 0 $TEAM"
    is "$(stat -c '%a %u' "$M/hers" "$M/hers/stderr")" "700 $ALICE"$'\n'"400 $ALICE"
    is "$(stat -c '%a' "$E" "$E/request" "$E/stdout" "$E/ctl")" $'777\n666\n444\n222'
}

test_a_team() {
    is "$(answers alice "$M/team" 'id -u')" "$ALICE"
    is "$(bob cat "$M/team/stdout")" "$ALICE" "what a colleague reads"
    is "$(answers bob "$M/team" 'id -u')" "$BOB"
    is "$(converses alice "$M/team" 'id -u')" "$ALICE"
    is "$(converses bob "$M/team" 'id -u')" "$BOB"
    writes alice "$M/team/request" "$NAP 1000"
    is "$(error_of bob sh -c 'exec cat >"$1"' sh "$M/team/request")" "Device or resource busy"
    writes bob "$M/team/ctl" cancel
    is "$(alice timeout 30 cat "$M/team/status")" "130 cancelled"
    denied carol cat "$M/team/stdout"
    # A member by her first group, and by no other.
    is "$(answers dora "$M/team" 'id -g')" "$TEAM" "of a member by the first group"
    is "$(converses dora "$M/team" 'id -g')" "$TEAM" "of a member by the first group"
}

test_only_some_rights() {
    writes bob "$M/writers/request" 'echo hello'
    is "$(get "$M/writers/stdout")" hello
    denied bob cat "$M/writers/stdout"
    denied bob bash -c 'exec 4<>"$1"' bash "$M/writers/call"
    denied bob ls "$M/writers"
    bob mkdir "$M/writers/slot"
    is "$(answers bob "$M/writers/slot" 'echo own')" own
    bob rmdir "$M/writers/slot"

    ask "$M/readers" echo "for all"
    is "$(bob timeout 30 cat "$M/readers/stdout")" "for all"
    denied bob sh -c 'exec cat >"$1"' sh "$M/readers/request"
    denied bob sh -c 'exec cat >"$1"' sh "$M/readers/ctl"
    denied bob bash -c 'exec 4<>"$1"' bash "$M/readers/call"
    denied bob mkdir "$M/readers/slot"

    is "$(answers alice "$M/hers" 'id -u')" "$ALICE"
    alice mkdir "$M/hers/slot"
    alice rmdir "$M/hers/slot"
    denied bob ls "$M/hers"
}

# --- The user of a command

test_id_is_the_callers() {
    is "$(answers alice "$E" 'id -u')" "$ALICE"
    is "$(answers alice "$E" 'id -ru')" "$ALICE"
    is "$(answers alice "$E" 'id -g')" "$ALICE"
    is "$(answers alice "$E" 'id -G')" "$ALICE $TEAM 21001" "her groups"
    is "$(converses alice "$E" 'id -G')" "$ALICE $TEAM 21001" "her groups in a conversation"
    is "$(answers bob "$E" 'id -G')" "$BOB $TEAM"
    is "$(converses carol "$E" 'id -G')" "$CAROL"
    is "$(answers root "$E" 'id -G')" "$(id -G)" "root"
    like "$(answers alice "$E" "grep -E '^(Uid|CapEff|CapPrm|CapAmb):' /proc/self/status")" \
        "Uid:?$ALICE?$ALICE?$ALICE?$ALICE"$'\n'"CapPrm:?0000000000000000"$'\n'"CapEff:?0000000000000000"$'\n'"CapAmb:?0000000000000000"
    # More groups than usual.
    local many
    many=$(seq -s, 30001 30200)
    is "$(setpriv --reuid $BOB --regid $BOB --groups "$many" bash -c '
        echo "id -G" >"$1/request"; cat "$1/stdout"' bash "$E" | tr ' ' '\n' | sort -n | tr '\n' ,)" \
        "$BOB,$many,"
}

# Another user who writes to the opened file, and a process with another file system uid.
test_rights_are_those_of_the_opening() {
    with_calls "$E" "$ALICE" "$BOB" <<'PYTHON'
import sys
from calls import *
sandbox, alice, bob = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

# The kernel opens files with the file system uid.
def run():
    os.setgroups([])
    os.setresgid(bob, bob, 0)
    os.setresuid(bob, bob, 0)
    fd = open_call(sandbox)
    os.write(fd, b"id -u\n")
    assert read_all(fd) == (b"%d\n" % bob, "none")
    fd = open_call(sandbox)
    os.setresuid(0, 0, 0)
    os.write(fd, b"id -u\n")  # root now, with the descriptor of before
    assert read_all(fd) == (b"%d\n" % bob, "none")
with child(run) as pid:
    wait_for(pid)
PYTHON
}

test_files_are_made_as_the_caller() {
    install -d -m 1777 "$T/made"
    is "$(converses alice "$E" "sh -c 'echo x >$T/made/alice && umask'")" 0022
    is "$(stat -c '%u %g %a' "$T/made/alice")" "$ALICE $ALICE 644"
    install -m 600 /dev/null "$T/made/root"
    writes bob "$E/request" "cat $T/made/root"
    is "$(bob timeout 30 cat "$E/status")" "1 exited"
    like "$(bob cat "$E/stderr")" "*Permission denied*"
}

# A user can send signals to that user's own jobs.
test_killed_by_its_user() {
    writes alice "$E/request" "$NAP 1000"
    wait_until 10 pgrep -f "^$NAP" >/dev/null
    is "$(error_of bob kill "$(pgrep -f "^$NAP")")" "Operation not permitted" "bob's kill"
    alice kill -KILL "$(pgrep -f "^$NAP")"
    is "$(alice timeout 30 cat "$E/status")" "137 signaled KILL"
    # And the daemon can end them although it is another user's.
    writes alice "$E/request" "$NAP 1000"
    writes alice "$E/ctl" cancel
    is "$(alice timeout 30 cat "$E/status")" "130 cancelled"
}

test_environment() {
    local names
    names=$(answers alice "$E" env | sed 's/=.*//' | sort | tr '\n' ' ')
    is "$names" "HOME LOGNAME PATH SHELL USER " "variables of a user who has an entry"
    like "$(answers alice "$E" env)" "*USER=$(id -un $ALICE)*"
    names=$(converses bob "$E" env | sed 's/=.*//' | sort | tr '\n' ' ')
    like "$names" "*PATH *"
    [[ ! $names =~ HOOKS|LC_ALL|NAP|TMPDIR|INVOCATION ]] || fail "he sees $names"
    like "$(answers alice "$M/handing" env)" "*HOOKS_SHARED=shared*"
    like "$(answers alice "$M/handing" env)" "*HOOKS_SET=given*"
    [[ $(answers alice "$M/handing" env) != *HOOKS_SECRET* ]] || fail "she sees it"
    like "$(answers alice "$E" 'OWN=1 env')" "*OWN=1*"
    # A caller with the daemon's own uid gets the daemon's environment.
    like "$(answers root "$M/private" env)" "*HOOKS_SECRET=hunter2*"
    # The same in other ways.
    writes alice "$E/request" "sh -c 'cat /proc/\$PPID/environ'"
    is "$(alice timeout 30 cat "$E/stdout")" ""
    is "$(converses bob "$E" 'ls /proc/self/fd' | tr '\n' ' ')" "0 1 2 3 " "descriptors, 3 is of ls"
}

test_a_fixed_user() {
    local wanted
    wanted=$(setpriv --reuid daemon --regid daemon --init-groups id)
    is "$(answers alice "$M/fixed" id)" "$wanted"
    is "$(converses bob "$M/fixed" id)" "$wanted"
    is "$(answers root "$M/fixed" id)" "$wanted" "root"
    like "$(answers alice "$M/fixed" env)" "*USER=daemon*"
    [[ $(answers alice "$M/fixed" env) != *HOOKS_SECRET* ]] || fail "it sees the daemon's variables"
    [[ $(answers root "$M/fixed" env) != *HOOKS_SECRET* ]] || fail "it sees the daemon's variables"
}

test_the_log_has_the_callers() {
    alice mkdir "$E/logged"
    is "$(answers alice "$E/logged" 'echo x y z')" "x y z"
    wait_until 10 grep -q "sandbox=everyone slot=logged uid=$ALICE pid=[0-9]* command=echo " "$T/log" ||
        fail "no line with her uid"
    alice rmdir "$E/logged"
    is "$(converses bob "$E" 'echo x y z')" "x y z"
    wait_until 10 grep -q "sandbox=everyone slot=[^ ]* uid=$BOB pid=[0-9]* command=echo " "$T/log" ||
        fail "no line with his uid"
    ! grep -q 'x y z' "$T/log" || fail "the log has arguments"
}

# Each user makes many calls at the same time, and each command runs as its own caller.
test_all_of_them_at_once() {
    with_calls "$E" "$ALICE" "$BOB" "$CAROL" <<'PYTHON'
import sys, tempfile
from calls import *
sandbox, users = sys.argv[1], [int(user) for user in sys.argv[2:]]

def run(user, number):
    groups = sorted([31000 + number, user + 7])
    os.setgroups(groups), os.setgid(user), os.setuid(user)
    wanted = " ".join(map(str, [user, *groups])).encode()
    for _ in range(15):
        answer, end = converse(sandbox, b"sh -c 'id -G; cat'\nof %d" % number)
        assert end == "none" and answer == wanted + b"\nof %d" % number, (user, number, answer, end)
        with tempfile.TemporaryDirectory(dir=sandbox) as slot:
            ask(slot, b"sh -c 'id -G; cat'\nof %d" % number)
            assert get(slot + "/stdout") == wanted + b"\nof %d" % number

with contextlib.ExitStack() as stack:
    for pid in [stack.enter_context(child(run, user, number)) for number in range(8) for user in users]:
        wait_for(pid)
PYTHON
}

# --- A daemon of an ordinary user

# in_its_own_world COMMAND...: in a mount namespace where every user may open /dev/fuse and
# use allow_other.
in_its_own_world() {
    unshare -m --propagation private bash -euc '
        mkdir -p "$1"
        mount -t tmpfs -o mode=755 none "$1"
        mknod "$1/fuse" c 10 229
        chmod 666 "$1/fuse"
        mount --bind "$1/fuse" /dev/fuse
        if [ -e /etc/fuse.conf ]; then
            echo user_allow_other >"$1/fuse.conf"
            mount --bind "$1/fuse.conf" /etc/fuse.conf
        fi
        shift
        exec "$@"' bash "$T/world" "$@"
}

can_have_its_own_world() {
    unshare -m true 2>/dev/null || skip "no mount namespaces here"
    in_its_own_world setpriv --reuid $ALICE --regid $ALICE --clear-groups test -w /dev/fuse ||
        skip "no /dev/fuse for others here"
    install -m 755 "$HOOKSFS" "$T/hooksfs"
    [[ -u $(command -v fusermount3) ]] || skip "no fusermount3 with its s bit"
}

test_a_daemon_of_a_user() {
    can_have_its_own_world
    install -d -o $ALICE -m 755 "$T/hers"
    : >"$T/hers.log"
    cat >"$T/hers.sh" <<'SCRIPT'
set -eu
cd /
. "$TESTS/lib.sh"
exec 3>&1 2>&1
alice() { setpriv --reuid "$ALICE" --regid "$ALICE" --groups 21000 -- "$@"; }
bob() { setpriv --reuid "$BOB" --regid "$BOB" --clear-groups -- "$@"; }
H=$WHERE/hers/mnt
alice mkdir "$H"
printf 'mode = direct\nkill_grace = 200ms\n[own]\n[open]\npermissions = 0777\n' >"$WHERE/hers/conf"
T_LOG=$WHERE/hers.log
hers() {
    : >"$T_LOG" # now: what is there from before must not be seen
    alice "$WHERE/hooksfs" -f $OPTIONS "$WHERE/hers/conf" "$H" >>"$T_LOG" 2>&1 &
    daemon_pid=$!
    wait_until 10 grep -q "serving, with process" "$T_LOG" || fail "it does not serve: $(cat "$T_LOG")"
    daemon=$(sed -n 's/.*serving, with process //p' "$T_LOG")
}
hers
# She can take down the mount of her daemon that was killed.
kill -KILL "$daemon"
wait "$daemon_pid" || true
! alice stat "$H" 2>/dev/null || fail "the mount of a killed daemon answers"
hers
is "$(grep -c " $H " /proc/self/mountinfo)" 1 mounts
is "$(alice stat -c '%u %a' "$H/own" "$H/own/request")" "$ALICE 700"$'\n'"$ALICE 600"
is "$(alice bash -c 'echo "id -u" >"$1/request"; cat "$1/stdout" "$1/status"' bash "$H/own")" "$ALICE"$'\n'"0 exited"
is "$(alice bash -c 'exec 4<>"$1/call"; printf "cat\nhello" >&4; cat <&4' bash "$H/own")" hello
alice bash -euc 'd=$(mktemp -d "$1/XXXXXX"); echo "sleep 1000" >$d/request; rmdir $d; [ ! -e $d ]' bash "$H/own"
alice mkdir "$H/own/a"
alice rm -r "$H/own/a"
if [[ $OPTIONS ]]; then
    # Commands of other users run as the daemon's user.
    is "$(bob bash -c 'exec 4<>"$1/call"; echo "id -u" >&4; cat <&4' bash "$H/open")" "$ALICE"
    is "$(bob bash -c 'd=$(mktemp -d "$1/XXXXXX"); echo "id -u" >$d/request; cat $d/stdout; stat -c %u $d; rmdir $d' bash "$H/open")" "$ALICE"$'\n'"$BOB"
    like "$(bob ls "$H/own" 2>&1)" "*Permission denied"
else
    like "$(bob ls "$H" 2>&1)" "*Permission denied"
    like "$(ls "$H" 2>&1)" "*Permission denied"
fi
kill -TERM "$daemon"
code=0
wait "$daemon_pid" || code=$?
is "$code" 0 "its exit code"
daemon_pid=
! mountpoint -q "$H" || fail "it is still mounted"
! grep -E 'runtime error:|ERROR: [A-Za-z]+Sanitizer' "$T_LOG" || fail "see $T_LOG"
rmdir "$H"
echo went well
SCRIPT
    local options got
    for options in "" "-o allow_other"; do
        got=$(TESTS=$TESTS WHERE=$T ALICE=$ALICE BOB=$BOB OPTIONS=$options \
            in_its_own_world timeout 100 bash "$T/hers.sh" 3>&1) || true
        is "$got" "went well" "with options '$options'"
    done
}

run_tests
