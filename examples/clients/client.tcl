#!/usr/bin/env tclsh
# SPDX-License-Identifier: Apache-2.0
# Calling a hook from Tcl 8.6, in each of the two ways, from as many processes at
# once as wanted.
#
# usage: client.tcl DIR slot|conversation N
#
# DIR is the directory of a sandbox, for example /run/hooks/local. N calls of `cat`
# run at once, each with a payload of its own. The exit code is 0 if each call got
# its own payload back.

# Opens a file, does not make it, and does not translate its bytes.
proc open_file {path access} {
    set file [open $path $access]
    chan configure $file -translation binary
    return $file
}

proc read_file {path} {
    set file [open_file $path RDONLY]
    try {
        return [read $file]
    } finally {
        close $file
    }
}

proc write_file {path bytes} {
    set file [open_file $path WRONLY]
    try {
        puts -nonewline $file $bytes
    } finally {
        close $file
    }
}

# Each of the two ways takes the directory of a sandbox, a command line and bytes. It
# returns the stdout of the command, or throws. Tcl itself goes on after a part of a
# write or read, and after a signal.

# By a slot of one's own, which keeps stdout, stderr and the status.
proc call_by_slot {sandbox command payload} {
    set slot [exec mktemp -d $sandbox/XXXXXXXXXX]
    try {
        write_file $slot/request [encoding convertto utf-8 $command]\n$payload
        set answer [read_file $slot/stdout]
        set status [string trim [read_file $slot/status]]
        if {$status ne "0 exited"} {
            error "$command: $status\n[read_file $slot/stderr]"
        }
        return $answer
    } finally {
        file delete $slot ;# cancels the job if it still runs
    }
}

# By a conversation: one descriptor. Reading fails unless the command ended with 0.
# When this process dies, the daemon cancels the command.
proc call_by_conversation {sandbox command payload} {
    set file [open_file $sandbox/call RDWR]
    try {
        puts -nonewline $file [encoding convertto utf-8 $command]\n$payload
        flush $file
        return [read $file]
    } finally {
        close $file
    }
}

# --- N of them at once

proc is_right {sandbox way number} {
    set payload [string repeat "payload $number\n" [expr {1 + $number * 1000}]]
    try {
        return [expr {[call_by_$way $sandbox cat $payload] eq $payload}]
    } on error message {
        puts stderr "call $number: $message"
        return 0
    }
}

lassign $argv sandbox way count
if {$way ni {slot conversation} || ![string is digit -strict $count]} {
    puts stderr "usage: client.tcl DIR slot|conversation N"
    exit 2
}
# Each call is a process of its own: this program, with the number as a fourth
# argument.
if {[llength $argv] == 4} {
    puts [is_right $sandbox $way [lindex $argv 3]]
    exit
}
set children {}
for {set number 0} {$number < $count} {incr number} {
    set command [list [info nameofexecutable] [info script] {*}$argv $number 2>@stderr]
    lappend children [open |$command]
}
set wrong 0
foreach child $children {
    if {[gets $child] ne "1"} {
        incr wrong
    }
    catch {close $child}
}
if {$wrong > 0} {
    puts stderr "$wrong of $count answers are missing or wrong"
    exit 1
}
puts "$count answers, all right"
