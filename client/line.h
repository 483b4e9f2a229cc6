// SPDX-License-Identifier: Apache-2.0
// The command line of a request, from words as a program gets them: hooksfs(5), "The command
// line".
#pragma once

#include "buffer.h"

#include <stdbool.h>

// Appends WORD and, unless it is the first word, a blank before it. It is quoted where the
// grammar asks for it, so that the daemon reads exactly WORD. Returns 0 or -ENOMEM.
int line_add_word(struct buffer *line, const char *word);

// Appends PREFIX, which must need no quoting, and right behind it the quoted VALUE: for
// NAME=value and --option=value, whose names may not be quoted. Returns 0 or -ENOMEM.
int line_add_pair(struct buffer *line, const char *prefix, size_t prefix_length, const char *value);

// How many bytes of WORD are a variable's NAME and the `=` behind it; 0: WORD is no assignment.
size_t line_name_length(const char *word);
