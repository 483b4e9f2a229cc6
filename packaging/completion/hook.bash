# SPDX-License-Identifier: Apache-2.0
# Completion of hook(1) for bash. The mount is listed by another process, which is given up after a
# second: a shell must not wait for a daemon that hangs.

_hook_mount() {
    local i
    for ((i = 1; i < ${#COMP_WORDS[@]}; i++)); do
        case ${COMP_WORDS[i]} in
        -m | --mount)
            [[ ${COMP_WORDS[i + 1]} == = ]] && ((i++))
            echo "${COMP_WORDS[i + 1]}"
            return
            ;;
        --mount=*) echo "${COMP_WORDS[i]#*=}"; return ;;
        esac
    done
    [[ -n ${HOOKSFS_MOUNT-} ]] && { echo "$HOOKSFS_MOUNT"; return; }
    awk '/ - fuse\.hooksfs / && $4 == "/" { print $5; exit }' /proc/self/mountinfo
}

_hook() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} i word
    [[ $cur == = ]] && cur=
    [[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD - 2]}
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
        -m | -t | -C | -e | -a | --mount | --timeout | --workdir | --env | --agent | --event | --on-failure | --verdict)
            [[ ${COMP_WORDS[i + 1]} == = ]] && ((i++))
            ((i++))
            ;;
        -* | =) ;;
        *) return ;; # the sandbox is there: what follows is the command's
        esac
    done
    case $prev in
    -a | --agent)
        mapfile -t COMPREPLY < <(compgen -W "claude codex gemini cursor copilot kimi hermes promptkit git none" -- "$cur")
        return
        ;;
    --on-failure) mapfile -t COMPREPLY < <(compgen -W "block pass" -- "$cur"); return ;;
    --verdict) mapfile -t COMPREPLY < <(compgen -W "exit json allow" -- "$cur"); return ;;
    -m | --mount | -C | --workdir) mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
    -e | --env) mapfile -t COMPREPLY < <(compgen -e -- "$cur"); return ;;
    -t | --timeout | --event) return ;;
    esac
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "--mount= --timeout= --workdir= --env= --agent= --event= --on-failure= --verdict= --check --self-test --help --version" -- "$cur")
        [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace 2>/dev/null
        return
    fi
    mapfile -t COMPREPLY < <(compgen -W "$(timeout 1 ls -1 -- "$(_hook_mount)" 2>/dev/null)" -- "$cur")
}

complete -F _hook hook
