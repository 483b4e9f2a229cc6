#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# hook(1) with real agents. Codex and Gemini come from npm, into a folder that is kept
# ($HOOKSFS_NPM_CACHE), and speak with a scripted model on 127.0.0.1 or with none. HOOK_FULL=1 has
# all cases run with Codex, too.
. "$(dirname "$0")/../lib.sh"

NPM=${HOOKSFS_NPM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hooksfs-tests}
AGENTS_DIR=$ROOT/examples/agents
export AGENTS_DIR

mkdir "$T/bin" "$T/dead" "$T/stopped"
ln -s "$HOOK" "$T/bin/hook"
{
    cat "$AGENTS_DIR/hooksfs.conf"
    printf '[local]\nmode = direct\ntimeout = 20s\n'
} >"$T/agents.conf"
mount_with <"$T/agents.conf" || exit 1

# One mount without a daemon, and one whose daemon has been stopped.
other_daemon() {
    "$HOOKSFS" -f "$T/conf" "$1" 2>"$1.log" &
    wait_until 30 grep -q 'serving, with process' "$1.log"
}
other_daemon "$T/dead"
kill -9 $!
other_daemon "$T/stopped"
stopped=$!
kill -STOP "$stopped"
trap 'kill -9 "$stopped"; umount -l "$T/dead" "$T/stopped"; clean_up' EXIT

run() {
    PYTHONDONTWRITEBYTECODE=1 timeout 400 /usr/bin/python3 "$TESTS/hook/agents/run.py" "$1" "$T" "$M" "${@:2}"
}

# Installs the npm package $1, at the version $2, unless it is there.
npm_package() {
    local folder=$NPM/$1-$2
    command -v node >/dev/null && command -v npm >/dev/null || skip "there is no npm"
    if [[ ! -e $folder/done ]]; then
        mkdir -p "$folder"
        timeout 240 npm install --prefix "$folder" --no-audit --no-fund --ignore-scripts --loglevel=error \
            "$1@$2" >"$T/npm.log" 2>&1 || skip "npm cannot install $1: $(tail -n 1 "$T/npm.log")"
        touch "$folder/done"
    fi
    package=$folder
}

test_configurations() { run examples; }

test_git() {
    command -v git >/dev/null || skip "there is no git"
    run git
}

test_codex() {
    npm_package @openai/codex 0.169.0
    compgen -G "$package/node_modules/@openai/codex*/vendor/*/bin/codex" >/dev/null || skip "no Codex for this processor"
    run codex "$package"
}

test_gemini() {
    [[ $(node --version 2>/dev/null) =~ ^v([0-9]+) && ${BASH_REMATCH[1]} -ge 20 ]] || skip "Gemini needs Node 20"
    npm_package @google/gemini-cli-core 0.61.0
    run gemini "$package"
}

run_tests
