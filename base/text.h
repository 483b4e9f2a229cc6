// SPDX-License-Identifier: Apache-2.0
// Makes text from outside (a command's message, a name, a value of the environment) safe to
// show in a line of a log or a status, or on a terminal.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// Replaces, in place, each control character of the LENGTH bytes of TEXT by one blank:
// U+0000 to U+001F, U+007F, U+0080 to U+009F, in UTF-8 of any length, and the bytes 0x80 to
// 0x9F where they are part of no UTF-8 character (some terminals obey these, too). Other
// bytes stay as they are. Returns the new length, which is LENGTH or less. Adds no NUL.
size_t text_clean(char *text, size_t length);

// Returns LENGTH without the incomplete UTF-8 character, if there is one, at the end of TEXT.
// For a text that was cut: only whole characters are left.
size_t text_whole(const char *text, size_t length);

// The length of the UTF-8 character at the start of TEXT, LENGTH bytes. 0: there is none, or
// one that RFC 3629 does not allow.
size_t text_character(const char *text, size_t length);

// Is TEXT, LENGTH bytes, valid UTF-8: whole characters in their shortest form, up to
// U+10FFFF, and no surrogates?
bool text_is_utf8(const char *text, size_t length);

// Makes the string TEXT one line of at most MAXIMUM bytes, in place: cleaned, cut after a
// whole character, without blanks at the end.
void text_make_line(char *text, size_t maximum);
