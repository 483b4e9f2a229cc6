# SPDX-License-Identifier: Apache-2.0
# usage: see languages.sh
lassign $argv way path text
if {$way eq "write"} {
    set file [open $path w+]
    puts -nonewline $file $text
    close $file
} elseif {$way eq "read"} {
    set file [open $path]
    puts -nonewline [read $file]
    close $file
} else {
    set file [open $path r+]
    fconfigure $file -translation binary
    puts -nonewline $file $text
    flush $file
    puts -nonewline [read $file]
    close $file
}
