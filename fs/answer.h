// SPDX-License-Identifier: Apache-2.0
// The answer to a conversation in the form that its request asks for: plain bytes of stdout
// with an error at their end, frames, or a JSON object.
#pragma once

#include "call.h"
#include "frames.h"
#include "json.h"

// The position of a reader. All zero is the start.
struct answer {
    struct frames frames;
    struct json json;
};

struct answer_pieces {
    struct frames_pieces frames;
    struct iovec plain;
    const struct iovec *parts; // valid until the loop runs on
    int count;
    struct answer after; // the position of the reader after these pieces
};

// Finds up to SIZE bytes of the answer of CALL for a reader at the position ANSWER. Returns their
// number and sets PIECES, -EAGAIN when there is nothing yet, or 0 at the end. At the end of a
// plain answer returns -errno if the command did not exit with 0. A large JSON answer needs
// several calls: the owner of CALL is told of a change in between.
ssize_t answer_find(struct answer *answer, struct call *call, size_t size,
                    struct answer_pieces *pieces);

// Says that the reader has taken PIECES, SIZE bytes.
void answer_take(struct answer *answer, struct call *call, const struct answer_pieces *pieces,
                 size_t size);

// Has answer_find something to return?
bool answer_is_ready(const struct answer *answer, const struct call *call);
