#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A hook that looks for personal data in a JSON payload.

usage: pii [--strict] [--ipv4] < PAYLOAD

Every string value of the payload is searched for e-mail addresses, telephone
numbers, IBANs, payment card numbers and, with --ipv4, IPv4 addresses.

  --strict   a payload with personal data is denied, and the answer says where
             the data are: {"allow":false,"reason":...,"found":[...]}
  otherwise  the answer has a copy of the payload without personal data:
             {"allow":true,"payload":...}

Exit code 0: there is an answer. Exit code 2: there is no answer, and stderr says
why; the payload is no JSON, or the command line is wrong. A caller must treat
everything but a whole answer with "allow":true as a denial.
"""

import argparse
import json
import re
import sys


def is_iban(text):
    """ISO 13616: with the first four characters at the end and letters as
    10 to 35, the number leaves 1 when divided by 97."""
    text = text.replace(" ", "").upper()
    digits = "".join(str(int(c, 36)) for c in text[4:] + text[:4])
    return 15 <= len(text) <= 34 and int(digits) % 97 == 1


def is_card(text):
    """13 to 19 digits with Luhn's check digit."""
    digits = [int(c) for c in text if c.isdigit()]
    total = sum(digits[-1::-2]) + sum(sum(divmod(2 * d, 10)) for d in digits[-2::-2])
    return 13 <= len(digits) <= 19 and total % 10 == 0


def is_phone(text):
    return 8 <= sum(c.isdigit() for c in text) <= 15


def is_ipv4(text):
    return all(int(part) <= 255 for part in text.split("."))


# The kinds are tried in this order: a later kind does not look at text that an earlier one has
# found. No expression can match more than about 700 characters, so that the time is linear in the
# length of the text. (?a): a number may follow any letter but the Latin ones.
KINDS = {
    "email": (
        r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])",
        lambda text: True,
    ),
    "iban": (
        r"(?a)\b[A-Za-z]{2}[0-9]{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?\b",
        is_iban,
    ),
    "card": (
        r"(?a)(?<![\w+.])(?:[2-6][0-9]{12,18}"
        r"|[2-6][0-9]{3}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{1,3})?"
        r"|3[47][0-9]{2}([ -])[0-9]{6}\2[0-9]{5})(?!\w)",
        is_card,
    ),
    "ipv4": (
        r"(?a)(?<![\w.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?!\w|\.[0-9])",
        is_ipv4,
    ),
    # The international form, or a leading 0 and separators.
    "phone": (
        r"(?a)(?<![\w+.-])(?:(?:\+|00)[1-9][0-9 ()./-]{6,22}[0-9]"
        r"|\(?0[1-9][0-9]{0,4}\)?[ /-][0-9 /-]{4,14}[0-9])(?!\w)",
        is_phone,
    ),
}


def find(text, expression, is_one):
    """Yields (begin, end) of each part of TEXT for which IS_ONE is true. EXPRESSION may
    match a word too many, in front or behind: "BE68 5390 0754 7034 ok"."""
    position = 0
    while match := expression.search(text, position):
        begin = match.start()
        gaps = [begin + gap.start() for gap in re.finditer("[ -]", match.group())]
        ends = [match.end(), *reversed(gaps)]
        end = next((end for end in ends if is_one(text[begin:end])), None)
        if end:
            yield begin, end
        position = end or (gaps[0] + 1 if gaps else match.end())


def search(text, kinds):
    """The pieces of TEXT as (kind, piece); kind is None for text without personal data."""
    pieces = [(None, text)]
    for kind in kinds:
        expression, is_one = re.compile(KINDS[kind][0]), KINDS[kind][1]
        split = []
        for known, piece in pieces:
            position = 0
            for begin, end in find(piece, expression, is_one) if known is None else ():
                split += [(None, piece[position:begin]), (kind, piece[begin:end])]
                position = end
            split.append((known, piece[position:]))
        pieces = split
    return [(kind, piece) for kind, piece in pieces if piece]


def step(path, key):
    """PATH and KEY as a JSONPath."""
    if isinstance(key, str) and re.fullmatch(r"[A-Za-z_]\w*", key, re.ASCII):
        return f"{path}.{key}"
    return f"{path}[{json.dumps(key)}]"


def redact(value, path, kinds, found):
    """A copy of VALUE without personal data; the path and kind of each find go to FOUND."""
    if isinstance(value, dict):
        return {key: redact(item, step(path, key), kinds, found) for key, item in value.items()}
    if isinstance(value, list):
        return [redact(item, step(path, i), kinds, found) for i, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    pieces = search(value, kinds)
    found += [{"path": path, "kind": kind} for kind, _ in pieces if kind]
    return "".join(f"[{kind}]" if kind else piece for kind, piece in pieces)


def object_of(pairs):
    """An object; a name that is given twice is an error, because one value would go unseen."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object has a name twice")
    return members


def main():
    parser = argparse.ArgumentParser(prog="pii", description="look for personal data in JSON")
    parser.add_argument("--strict", action="store_true", help="deny, rather than redact")
    parser.add_argument("--ipv4", action="store_true", help="IPv4 addresses, too")
    options = parser.parse_args()
    kinds = [kind for kind in KINDS if kind != "ipv4" or options.ipv4]
    found = []
    try:
        payload = json.loads(sys.stdin.buffer.read(), object_pairs_hook=object_of)
        copy = redact(payload, "$", kinds, found)
        json.dumps(copy, allow_nan=False)
    except (ValueError, RecursionError) as error:
        print(f"pii: the payload is no JSON: {error}", file=sys.stderr)
        return 2
    if not options.strict:
        answer = {"allow": True, "payload": copy}
    elif found:
        names = sorted({item["kind"] for item in found})
        answer = {"allow": False, "reason": "personal data: " + ", ".join(names), "found": found}
    else:
        answer = {"allow": True}
    # One line, written at once: an answer is whole, or there is none.
    sys.stdout.write(json.dumps(answer, separators=(",", ":")) + "\n")
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
