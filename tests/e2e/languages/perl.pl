# SPDX-License-Identifier: Apache-2.0
# usage: see languages.sh
use strict;
use warnings;
my ($way, $path, $text) = @ARGV;
if ($way eq "write") {
    open my $file, "+>", $path or die "$path: $!";
    print {$file} $text or die "$path: $!";
    close $file or die "$path: $!";
} elsif ($way eq "read") {
    open my $file, "<", $path or die "$path: $!";
    local $/;
    print <$file>;
    close $file or die "$path: $!";
} else {
    open my $file, "+<", $path or die "$path: $!";
    syswrite($file, $text) == length $text or die "$path: $!";
    while (my $count = sysread($file, my $part, 65536) // die "$path: $!") {
        print $part;
    }
}
