#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Calling a hook from Perl, in each of the two ways, from as many processes at
# once as wanted.
#
# usage: client.pl DIR slot|conversation N
#
# DIR is the directory of a sandbox, for example /run/hooks/local. N calls of `cat`
# run at once, each with a payload of its own. The exit code is 0 if each call got
# its own payload back.
use strict;
use warnings;

use Errno qw(EINTR);
use Fcntl qw(O_RDONLY O_RDWR O_WRONLY);
use File::Temp qw(tempdir);

sub open_file {
    my ($path, $flags) = @_;
    my $file;
    until (sysopen($file, $path, $flags)) {
        die "$path: $!\n" unless $! == EINTR;
    }
    return $file;
}

# Each of these two goes on to the last byte: a system call may take, or give, fewer
# bytes than it was asked for.
sub write_all {
    my ($file, $bytes) = @_;
    my $done = 0;
    while ($done < length $bytes) {
        my $count = syswrite($file, $bytes, length($bytes) - $done, $done);
        die "write: $!\n" unless defined $count || $! == EINTR;
        $done += $count // 0;
    }
}

sub read_all {
    my ($file) = @_;
    my $bytes = '';
    while (1) {
        my $count = sysread($file, $bytes, 65536, length $bytes);
        die "read: $!\n" unless defined $count || $! == EINTR;
        return $bytes if defined $count && $count == 0;
    }
}

# Each of the two ways takes the directory of a sandbox, a command line and bytes. It
# returns the stdout of the command, or dies.

# By a slot of one's own, which keeps stdout, stderr and the status.
sub call_by_slot {
    my ($sandbox, $command, $payload) = @_;
    my $slot = tempdir(DIR => $sandbox);
    my $answer = eval {
        my $request = open_file("$slot/request", O_WRONLY);
        write_all($request, "$command\n$payload");
        close $request or die "close: $!\n";    # the end of stdin
        my $stdout = read_all(open_file("$slot/stdout", O_RDONLY));
        my $status = read_all(open_file("$slot/status", O_RDONLY));
        die "$command: $status" . read_all(open_file("$slot/stderr", O_RDONLY))
            unless $status eq "0 exited\n";
        $stdout;
    };
    my $error = $@;
    rmdir $slot or warn "$slot: $!\n";    # cancels the job if it still runs
    die $error unless defined $answer;
    return $answer;
}

# By a conversation: one descriptor. Reading fails unless the command ended with 0.
# When this process dies, the daemon cancels the command.
sub call_by_conversation {
    my ($sandbox, $command, $payload) = @_;
    my $file = open_file("$sandbox/call", O_RDWR);
    write_all($file, "$command\n$payload");
    return read_all($file);
}

# --- N of them at once

my %calls = (slot => \&call_by_slot, conversation => \&call_by_conversation);
my ($sandbox, $way, $count) = @ARGV;
unless (@ARGV == 3 && $calls{$way}) {
    print STDERR "usage: client.pl DIR slot|conversation N\n";
    exit 2;
}

sub is_right {
    my ($number) = @_;
    my $payload = "payload $number\n" x (1 + $number * 1000);
    my $answer = eval { $calls{$way}->($sandbox, 'cat', $payload) };
    warn "call $number: $@" unless defined $answer;
    return defined $answer && $answer eq $payload;
}

my @children;
for my $number (0 .. $count - 1) {
    my $pid = fork // die "fork: $!\n";
    exit(is_right($number) ? 0 : 1) if $pid == 0;
    push @children, $pid;
}
my $wrong = 0;
for my $pid (@children) {
    waitpid($pid, 0);
    $wrong++ if $? != 0;
}
die "$wrong of $count answers are missing or wrong\n" if $wrong;
print "$count answers, all right\n";
