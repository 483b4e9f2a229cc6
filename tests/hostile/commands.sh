#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The parts of a request reach the command, and neither a client nor the daemon.
# shellcheck source=tests/hostile/lib.sh
. "$(dirname "$0")/lib.sh"

# A docker and a kubectl that write their own environment to a file, and then run the command on
# this machine, as the real clients run it in a container.
cat >"$T/client" <<'CLIENT'
#!/usr/bin/python3
import os, sys
with open("/proc/self/environ", "rb") as own, open(os.environ["SEEN"], "ab") as seen:
    seen.write(own.read())
words, env = sys.argv[1:], dict(os.environ)
while words and words[0] not in ("place", "--"):
    word = words.pop(0)
    if word == "-e":
        pair = words.pop(0)
        env.update([pair.split("=", 1)] if "=" in pair else [])
    elif word.startswith("--env-file="):
        with open(word.split("=", 1)[1], newline="\n") as file:
            env.update(line.rstrip("\n").split("=", 1) for line in file)
while words[0] in ("place", "--"):
    words.pop(0)
os.execvpe(words[0], words, env)
CLIENT
chmod 755 "$T/client"
export SEEN=$T/seen
touch "$SEEN"

mount_with <<CONF || exit 1
permissions = 0777
docker_path = $T/client
kubectl_path = $T/client
timeout = 60s
[direct]
mode = direct
[exec]
mode = docker_exec
container = place
[run]
mode = docker_run
image = place
[kubectl]
mode = kubectl_exec
pod = place
[exec-agent]
mode = docker_exec
container = place
agent = require
connections = 1
[kubectl-agent]
mode = kubectl_exec
pod = place
agent = require
connections = 1
CONF

# A request sets variables whose names a client, or a program that the client starts, acts on.
test_no_variable_of_a_request_is_in_a_client() {
    local s value=$'two\nlines'
    for s in exec run kubectl exec-agent kubectl-agent; do
        mallory mkdir -m 700 "$M/$s/m"
        mallory sh -c "printf '%s\n' \"\$1\" >'$M/$s/m/request'" sh \
            "EVIL_A=evil-one XTABLES_LIBDIR=/evil-two 'sh' -c 'echo \"\$EVIL_A\$XTABLES_LIBDIR\"'"
        is "$(mallory cat "$M/$s/m/stdout")" "evil-one/evil-two" "the variables in $s"
        like "$(mallory cat "$M/$s/m/status")" "0 exited*" "$s"
        mallory sh -c "printf '%s\n' \"\$1\" >'$M/$s/m/request'" sh "EVIL_B='evil-$value' sh -c 'echo \"\$EVIL_B\"'"
        is "$(mallory cat "$M/$s/m/stdout")" "evil-$value" "two lines in $s"
        mallory rmdir "$M/$s/m"
    done
    [[ -s $SEEN ]] || fail "no client was started"
    ! grep -qai evil "$SEEN" || fail "a client has: $(tr '\0' '\n' <"$SEEN" | grep -ai evil)"
}

# Two lengths that the caller chooses, 65000 each: their product was 4.2 GB.
test_a_long_path_and_a_long_command() {
    local before after
    before=$(daemon_kib VmHWM)
    mallory /usr/bin/python3 - "$M/direct" <<'PYTHON'
import os, sys, time
os.mkdir(sys.argv[1] + "/m", 0o700)
def request(line):
    fd = os.open(sys.argv[1] + "/m/request", os.O_WRONLY)
    while line:
        line = line[os.write(fd, line):]
    os.close(fd)
    with open(sys.argv[1] + "/m/status") as f:
        return f.read()
for path, command in ((65000, 65000), (120000, 4), (100, 120000)):
    status = request(b"PATH=" + path * b":" + b" " + command * b"x")
    assert status.startswith("127 unstarted"), status
# The search of PATH finds the command, also behind directories with too long names.
status = request(b"PATH=" + 5000 * b"/x" + b"::" + 300 * b"/no/such:" + b"/usr/bin:/bin true")
assert status == "0 exited\n", status
os.rmdir(sys.argv[1] + "/m")
PYTHON
    after=$(daemon_kib VmHWM)
    is_sanitized || ((after - before < 20000)) || fail "the daemon has had $before KiB, now $after"
}

test_files_of_path_in_order() {
    mkdir -p "$T/a" "$T/b" "$T/c"
    echo data >"$T/a/which-one"
    printf '#!/bin/sh\necho b\n' >"$T/b/which-one"
    printf '#!/bin/sh\necho c\n' >"$T/c/which-one"
    chmod 755 "$T/b/which-one" "$T/c/which-one"
    ask "$M/direct" "PATH=$T/none:$T/a:$T/b:$T/c which-one"
    is "$(get "$M/direct/stdout")" b
    ask "$M/direct" "PATH=$T/a which-one"
    ends "$M/direct" "126 unstarted *Permission denied"
    ask "$M/direct" "PATH=$T/none which-one"
    ends "$M/direct" "127 unstarted *No such file*"
    ask "$M/direct" "PATH= which-one"
    ends "$M/direct" "127 unstarted *No such file*"
}

# The pipes belong to root, and the command runs as another user.
test_standard_files_by_their_names() {
    local line='sh -c "cat /dev/stdin; echo out >/dev/stdout; echo err >/dev/stderr"'
    mallory sh -c "mkdir -m 700 $M/direct/m; printf '%s\nin\n' '$line' >$M/direct/m/request"
    is "$(mallory cat "$M/direct/m/stdout")" $'in\nout'
    is "$(mallory cat "$M/direct/m/stderr")" err
    is "$(mallory cat "$M/direct/m/status")" "0 exited"
    mallory rmdir "$M/direct/m"
}

# The lines about refused requests must not push all other lines out of the log.
test_refusals_do_not_flood_the_log() {
    local before after
    before=$(grep -c '^hooksfs: refused' "$T/log" || :)
    mallory /usr/bin/python3 - "$M/direct" <<'PYTHON'
import os, sys
for i in range(1000):
    fd = os.open(sys.argv[1] + "/call", os.O_RDWR)
    try:
        os.write(fd, b"|\n")
        sys.exit("it was taken")
    except OSError:
        os.close(fd)
PYTHON
    sleep 1.1
    mallory sh -c "echo '|' >$M/direct/request" 2>/dev/null || :
    after=$(grep -c '^hooksfs: refused' "$T/log")
    ((after - before < 300)) || fail "$((after - before)) lines"
    grep -q '[0-9]* more refused requests were not logged' "$T/log" || fail "nothing says how many"
}

# No control character, also none beyond ASCII, is in the log or in a status.
test_control_characters() {
    local name=$'a\u009bb\x1bc'
    mallory sh -c "printf '%s\n' \"\$1\" >$M/direct/request" sh "'$name'"
    ! grep -qP '\xc2\x9b|\x1b' "$T/log" || fail "in the log"
    ! get "$M/direct/status" | grep -qP '\xc2\x9b|\x1b' || fail "in the status"
}

test_a_configuration_that_everybody_can_write() {
    cp "$T/conf" "$T/open"
    chmod 666 "$T/open"
    like "$("$HOOKSFS" --check "$T/open" 2>&1 || :)" "*every user can write*"
    chmod 644 "$T/open"
    "$HOOKSFS" --check "$T/open" || fail "$?"
}

run_tests
