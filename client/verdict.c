// SPDX-License-Identifier: Apache-2.0
#include "verdict.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// The meaning of one member.
enum word { WORD_NOTHING, WORD_YES, WORD_ASK, WORD_NO, WORD_UNKNOWN };

// The members that decide, in all agents' spellings. BOOLEAN ones are true for a yes.
static const struct member {
    const char *name;
    bool is_boolean;
} members[] = {
  // clang-format off
    {"decision",           false},
    {"permissionDecision", false},
    {"permission",         false},
    {"action",             false},
    {"behavior",           false},
    {"allow",              true},
    {"continue",           true},
  // clang-format on
};

// The words that the others of them take.
static const struct {
    const char *text;
    enum word word;
} words[] = {
  // clang-format off
    {"allow",    WORD_YES},
    {"approve",  WORD_YES},
    {"continue", WORD_YES},
    {"ask",      WORD_ASK},
    {"deny",     WORD_NO},
    {"block",    WORD_NO},
  // clang-format on
};

// Members with the reason of a no, the one for the model first.
static const char *const reasons[] = {
    "permissionDecisionReason",
    "reason",
    "message",
    "agent_message",
    "agentMessage",
    "stopReason",
    "user_message",
    "userMessage",
    "systemMessage",
};

static enum word read_member(const struct member *member, const json_t *value)
{
    if (!value || json_is_null(value))
        return WORD_NOTHING;
    if (member->is_boolean) {
        if (!json_is_boolean(value))
            return WORD_UNKNOWN;
        return json_is_true(value) ? WORD_YES : WORD_NO;
    }
    if (json_is_object(value) && strcmp(member->name, "decision") == 0)
        return WORD_NOTHING; // an object with the decision in it, which is read by itself
    if (!json_is_string(value))
        return WORD_UNKNOWN;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(json_string_value(value), words[i].text) == 0)
            return words[i].word;
    return WORD_UNKNOWN;
}

static enum word graver(enum word one, enum word other)
{
    return one == WORD_NO || (other != WORD_NO && one > other) ? one : other;
}

// Whether KEY is NAME, however its letters and underscores are set: permission_decision, too.
static bool is_name(const char *key, const char *name)
{
    for (; *key; key++) {
        if (*key == '_' || *key == '-')
            continue;
        if (tolower((unsigned char)*key) != tolower((unsigned char)*name))
            return false;
        name++;
    }
    return *name == '\0';
}

// The gravest word of one object. A no is graver than a word that is not known, because it is
// certain.
static enum word read_object(json_t *object)
{
    enum word gravest = WORD_NOTHING;
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value)
    {
        for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
            enum word word =
                is_name(key, members[i].name) ? read_member(&members[i], value) : WORD_NOTHING;

            gravest = graver(gravest, word);
        }
    }
    return gravest;
}

// The places in which agents look for a decision. Returns how many there are.
enum { MAX_PLACES = 4 };

static size_t find_places(json_t *root, json_t *places[MAX_PLACES])
{
    json_t *specific = json_object_get(root, "hookSpecificOutput");
    size_t count = 0;

    places[count++] = root;
    if (json_is_object(specific))
        places[count++] = specific;
    for (size_t i = 0, last = count; i < last; i++) {
        json_t *decision = json_object_get(places[i], "decision");

        if (json_is_object(decision))
            places[count++] = decision;
    }
    return count;
}

static char *find_reason(json_t *const places[], size_t count)
{
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        for (size_t j = count; j-- > 0;) {
            const char *text = json_string_value(json_object_get(places[j], reasons[i]));

            if (text && !verdict_is_blank(text, strlen(text)))
                return strdup(text);
        }
    }
    return NULL;
}

static void judge(struct verdict *verdict)
{
    json_t *places[MAX_PLACES];
    size_t count = find_places(verdict->json, places);
    enum word gravest = WORD_NOTHING;

    for (size_t i = 0; i < count; i++)
        gravest = graver(gravest, read_object(places[i]));
    switch (gravest) {
    case WORD_NO:
        verdict->kind = VERDICT_NO;
        verdict->reason = find_reason(places, count);
        break;
    case WORD_UNKNOWN:
        verdict_fail(verdict, "its JSON has a decision that is neither yes nor no");
        break;
    case WORD_ASK:
        verdict->kind = VERDICT_ASK;
        verdict->reason = find_reason(places, count);
        break;
    default:
        verdict->kind = VERDICT_YES;
        verdict->is_explicit = gravest == WORD_YES;
    }
}

void verdict_read(struct verdict *verdict, const char *bytes, size_t size)
{
    json_error_t error;

    verdict->json = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, &error);
    if (!verdict->json)
        verdict_fail(verdict, "its stdout is not one whole JSON object (see byte %d)",
                     error.position);
    else if (!json_is_object(verdict->json))
        verdict_fail(verdict, "its stdout is JSON, but no object");
    else
        judge(verdict);
}

void verdict_fail(struct verdict *verdict, const char *format, ...)
{
    char *reason = NULL;
    va_list arguments;

    va_start(arguments, format);
    if (vasprintf(&reason, format, arguments) < 0)
        reason = NULL;
    va_end(arguments);
    verdict_finish(verdict);
    verdict->kind = VERDICT_FAILURE;
    verdict->reason = reason;
}

bool verdict_is_blank(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] == '\0' || !strchr(" \t\r\n", bytes[i]))
            return false;
    return true;
}

void verdict_finish(struct verdict *verdict)
{
    free(verdict->reason);
    json_decref(verdict->json);
    memset(verdict, 0, sizeof *verdict);
}
