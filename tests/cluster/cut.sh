#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The connection to the pod is cut while the command runs, with every kubectl of this machine, for
# slots and for conversations.
#
# If kubectl gives any sign of the cut, by its exit code or a word on stderr, the status must
# be `unreachable` and the last read of a conversation must fail. If it gives no sign,
# nobody outside of the pod can know of the cut: hooksfs(5) warns of just that. Over
# WebSocket kubectl must give a sign. kubectl is started through a script that records
# its exit code and stderr, so that each run is compared with its own kubectl.
# shellcheck source=tests/cluster/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/cluster/kubectls.sh
. "$(dirname "$0")/kubectls.sh"

for name in "${!path_of[@]}"; do
    cat >"$T/$name" <<SCRIPT
#!/bin/sh
'${path_of[$name]}' "\$@" 2>'$T/$name.err'
code=\$?
cat '$T/$name.err' >&2
echo \$code >'$T/$name.code'
exit \$code
SCRIPT
    chmod 755 "$T/$name"
    eval "test_cut_$name() { check_cuts $name; }"
done

write_config() {
    echo "timeout = 60s"
    for name in "${!path_of[@]}"; do
        printf '[%s]\nmode = kubectl_exec\nkubectl_path = %s\npod = my-pod\ncontainer = hooks\n' \
            "$name" "$T/$name"
    done
}
# Not through a pipe: nobody could end a daemon that was started in a subshell.
mount_with < <(write_config) || exit 1

a_stream_is_open() {
    [[ $(fault status) =~ streams=[1-9] ]]
}

# Prints how a conversation of $1 with the command $2 ends: `end`, or an errno.
converse() {
    /usr/bin/python3 - "$M/$1/call" "$2" <<'PYTHON'
import errno, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
os.write(fd, sys.argv[2].encode() + b"\n")
try:
    while os.read(fd, 1 << 16):
        pass
    print("end")
except OSError as e:
    print(errno.errorcode[e.errno])
PYTHON
}

gave_no_sign() {
    [[ $(cat "$T/$1.code") == 0 && ! -s $T/$1.err ]] || return
    [[ $over_websocket == no ]] || fail "kubectl gave no sign, over WebSocket"
}

check_slot() {
    local s=$1
    if gave_no_sign "$s"; then
        is "$(status "$s")" "0 exited unconfirmed" "kubectl gave no sign ($2): status"
        echo "# $s, slot, $2: no sign" >&3
    else
        like "$(status "$s")" "125 unreachable ?*" "$2: status"
    fi
}

check_conversation() {
    if gave_no_sign "$1"; then
        is "$3" end "kubectl gave no sign ($2): conversation"
    else
        is "$3" EHOSTUNREACH "$2: conversation"
    fi
}

check_cuts() {
    local s=$1 how command what
    for how in close fin rst; do
        for command in "sleep 300" "sh -c 'echo begun; sleep 300'"; do
            ask "$M/$s" "$command"
            wait_until 20 a_stream_is_open || fail "the command does not run"
            [[ $command == sleep* ]] || is "$(head -n 1 "$M/$s/stdout")" begun
            fault cut-now "$how"
            status "$s" >/dev/null
            check_slot "$s" "'$command' cut by $how"
            converse "$s" "$command" >"$T/$s.answer" &
            wait_until 20 a_stream_is_open || fail "the command does not run"
            fault cut-now "$how"
            wait $!
            check_conversation "$s" "'$command' cut by $how" "$(cat "$T/$s.answer")"
        done
        fault cut-after 100000 "$how"
        what="a long output cut by $how"
        ask "$M/$s" "sh -c 'yes | head -c 1000000; sleep 300'"
        status "$s" >/dev/null
        check_slot "$s" "$what"
        check_conversation "$s" "$what" "$(converse "$s" "sh -c 'yes | head -c 1000000; sleep 300'")"
        fault none
    done
}

run_tests
