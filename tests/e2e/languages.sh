#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The ordinary ways in which languages write a whole file, read a whole file, and use a descriptor
# for both. Each gets the right bytes, or shows an error. None gets nothing without an error, and
# none gets an earlier answer.
#
# languages/NAME is a program: write FILE TEXT; read FILE; call FILE TEXT, which writes TEXT
# and prints what it reads. A language that the machine lacks is skipped.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2119,SC2016
. "$(dirname "$0")/../lib.sh"

mount_with <<'CONF' || exit 1
mode = direct
timeout = 60s
[local]
CONF
L=$M/local
programs=$TESTS/e2e/languages
text=$(seq -s ' ' 1 4000)

# Compilers start now; each test waits until its program has been compiled.
compile() {
    local name=$1
    shift
    { timeout 200 "$@" >"$T/$name.log" 2>&1; echo $? >"$T/$name.code"; } &
}
mkdir "$T/go"
! command -v go >/dev/null || GOCACHE=$T/go GOFLAGS=-mod=mod compile go go build -o "$T/prog-go" "$programs/go.go"
! command -v javac >/dev/null || compile java javac -d "$T" "$programs/Java.java"
! command -v cc >/dev/null || compile stdio cc -o "$T/prog-stdio" "$programs/stdio.c"
! command -v cc >/dev/null || compile raw cc -o "$T/prog-raw" "$programs/raw.c"

# compiled NAME COMPILER
compiled() {
    needs "$2"
    wait_until 200 test -s "$T/$1.code"
    is "$(cat "$T/$1.code")" 0 "$2: $(cat "$T/$1.log")"
}

needs() {
    command -v "$1" >/dev/null || skip "no $1 here"
}

# language COMMAND...: all tests, by a program that COMMAND starts. With is_blind=1 the language
# takes an error of read(2) for the end of the file, as hooksfs(5) says of it; the outcome must
# then be among the bytes.
language() {
    local d code
    d=$(mktemp -d "$L/XXXXXX")
    # An answer that must never be seen again.
    printf 'echo before' >"$d/request"
    ends "$d" "0 exited"

    timeout 60 "$@" write "$d/request" "cat"$'\n'"$text" || fail "it cannot write a file: $?"
    is "$(timeout 60 "$@" read "$d/stdout")" "$text" "what was written, read"
    is "$(timeout 60 "$@" read "$d/status")" "0 exited" "status"

    timeout 60 "$@" write "$d/request" "sh -c 'cat; echo no >&2; exit 3'"$'\n'"denied" || fail "it cannot write a file: $?"
    is "$(timeout 60 "$@" read "$d/stdout")" denied "a failing hook"
    is "$(timeout 60 "$@" read "$d/status")" "3 exited" "the status of a failing hook"

    # A refused request is an error of the write, or at least no older answer.
    code=0
    timeout 60 "$@" write "$d/request" "ls | wc"$'\n' 2>"$T/error" || code=$?
    ((code != 0)) || [[ -s $T/error ]] || fail "a refused write goes unseen"
    like "$(timeout 60 "$@" read "$d/status")" "2 refused *" "the status of a refused one"
    is "$(timeout 60 "$@" read "$d/stdout")" "" "stdout of a refused one"

    is "$(timeout 60 "$@" call "$L/call" "cat"$'\n'"$text")" "$text" "an answer by call"
    code=0
    timeout 60 "$@" call "$L/call" "sh -c 'echo part; exit 3'" >"$T/got" 2>"$T/error" || code=$?
    [[ ${is_blind:-} ]] || ((code != 0)) || [[ -s $T/error ]] || fail "a failing hook by call goes unseen: $(cat "$T/got")"
    # With json the outcome is among the bytes.
    like "$(timeout 60 "$@" call "$L/call" "--answer=json sh -c 'cat; exit 3'"$'\n'"denied")" \
        '{"code":3,"kind":"exited","detail":"","stdout":"denied",*' "json by call"
    rmdir "$d"
}

test_go() {
    compiled go go
    language "$T/prog-go"
}

test_java() {
    compiled java javac
    language java -cp "$T" Java
}

test_c_stdio() {
    compiled stdio cc
    language "$T/prog-stdio"
}

test_c_raw() {
    compiled raw cc
    language "$T/prog-raw"
}

test_ruby() { needs ruby; language ruby "$programs/ruby.rb"; }
test_php() { needs php; language php "$programs/php.php"; }
test_perl() { needs perl; language perl "$programs/perl.pl"; }
test_python() { needs /usr/bin/python3; language /usr/bin/python3 "$programs/python.py"; }
test_node() { needs node; language node "$programs/node.js"; }
test_lua() { needs lua5.4; language lua5.4 "$programs/lua.lua"; }
test_tcl() { needs tclsh; language tclsh "$programs/tcl.tcl"; }
test_r() { needs Rscript; is_blind=1 language Rscript "$programs/R.R"; }
test_busybox_sh() { needs busybox; language busybox sh "$programs/shell.sh"; }
test_bash() { needs bash; language bash "$programs/shell.sh"; }
test_dash() { needs dash; language dash "$programs/shell.sh"; }
test_zsh() { needs zsh; language zsh "$programs/shell.sh"; }

run_tests
code=$?
wait # for compilers that still run
((code == 0))
