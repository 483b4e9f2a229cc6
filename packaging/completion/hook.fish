# SPDX-License-Identifier: Apache-2.0
# Completion of hook(1) for fish.

function __hook_sandboxes
    set -l mount $HOOKSFS_MOUNT
    set -l words (commandline -opc)
    for i in (seq (count $words))
        switch $words[$i]
            case -m --mount
                set mount $words[(math $i + 1)]
            case '--mount=*'
                set mount (string replace -- --mount= '' $words[$i])
        end
    end
    test -n "$mount"; or set mount (awk '/ - fuse\.hooksfs / && $4 == "/" { print $5; exit }' /proc/self/mountinfo)
    # Another process, given up after a second: the shell must not wait for a daemon that hangs.
    timeout 1 ls -1 -- $mount 2>/dev/null
end

function __hook_needs_sandbox
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
        else
            switch $word
                case -m -t -C -e -a --mount --timeout --workdir --env --agent --event --on-failure --verdict
                    set skip 1
                case '-*'
                case '*'
                    return 1
            end
        end
    end
end

complete -c hook -f
complete -c hook -n __hook_needs_sandbox -a '(__hook_sandboxes)' -d sandbox
complete -c hook -n 'not __hook_needs_sandbox' -a '(__fish_complete_subcommand)'
complete -c hook -n __hook_needs_sandbox -s m -l mount -r -d 'where hooksfs is mounted' -a '(__fish_complete_directories)'
complete -c hook -n __hook_needs_sandbox -s t -l timeout -x -d 'one deadline for everything'
complete -c hook -n __hook_needs_sandbox -s C -l workdir -r -d 'working directory of the command' -a '(__fish_complete_directories)'
complete -c hook -n __hook_needs_sandbox -s e -l env -x -d 'set a variable, or hand one on'
complete -c hook -n __hook_needs_sandbox -s a -l agent -x -d 'be a gate' -a 'claude codex gemini cursor copilot kimi hermes promptkit git none'
complete -c hook -n __hook_needs_sandbox -l event -x -d 'the event, where stdin does not tell'
complete -c hook -n __hook_needs_sandbox -l on-failure -x -d 'what a failure is' -a 'block pass'
complete -c hook -n __hook_needs_sandbox -l verdict -x -d 'what a yes is' -a 'exit json allow'
complete -c hook -n __hook_needs_sandbox -l check -d 'whether calls would work'
complete -c hook -n __hook_needs_sandbox -l self-test -d 'what each outcome would give'
