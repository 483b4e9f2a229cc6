// SPDX-License-Identifier: Apache-2.0
#include "gate.h"

#include "cleanup.h"
#include "reason.h"

#include <string.h>

static const char no_reason[] = "denied by the hook, which gave no reason";

static enum gate_rule choose_rule(const struct protocol *protocol, enum gate_rule rule,
                                  const struct answer_outcome *outcome)
{
    if (rule != RULE_DEFAULT)
        return rule;
    if (outcome->is_unconfirmed || protocol->needs_words)
        return RULE_ALLOW;
    return protocol->ignores_text ? RULE_EXIT : RULE_JSON;
}

// Returns the hook's output for people, which the caller frees, or NULL.
static char *printed_text(const struct gate_run *run, bool takes_out)
{
    struct buffer text = {0};

    if (reason_append(&text, run->err, run->err_length) < 0 ||
        (text.length == 0 && takes_out && reason_append(&text, run->out, run->out_length) < 0) ||
        text.length == 0) {
        buffer_finish(&text);
        return NULL;
    }
    return buffer_take_string(&text);
}

// The hook ended with 0.
static void judge_success(enum gate_rule rule, const struct gate_run *run, struct verdict *verdict)
{
    if (verdict_is_blank(run->out, run->out_length)) {
        verdict->kind = VERDICT_YES;
        if (rule == RULE_ALLOW)
            verdict_fail(verdict, "it printed nothing, and only an explicit yes counts");
        return;
    }
    if (rule == RULE_EXIT && !memchr(run->out, '{', run->out_length)) {
        verdict->kind = VERDICT_YES;
        return;
    }
    verdict_read(verdict, run->out, run->out_length);
    if (verdict->kind == VERDICT_YES && !verdict->is_explicit && rule == RULE_ALLOW)
        verdict_fail(verdict, "its JSON does not say yes, and only an explicit yes counts");
    if (verdict->kind != VERDICT_YES && !verdict->reason)
        verdict->reason = printed_text(run, false);
}

// The hook ended with another code. A no in its JSON is one all the same.
static void judge_failure(const struct protocol *protocol, const struct gate_run *run,
                          struct verdict *verdict)
{
    int code = run->outcome.code;
    AUTO_FREE char *text = printed_text(run, protocol->is_by_code);

    if (!verdict_is_blank(run->out, run->out_length)) {
        verdict_read(verdict, run->out, run->out_length);
        if (verdict->kind == VERDICT_NO) {
            if (!verdict->reason)
                verdict->reason = take_ptr(&text);
            return;
        }
        verdict_finish(verdict);
    }
    if (protocol->is_by_code || (code == 2 && text)) {
        if (!text)
            verdict_fail(verdict, "it exited with %d", code);
        else
            verdict->reason = take_ptr(&text);
        verdict->kind = VERDICT_NO;
        return;
    }
    verdict_fail(verdict, "it exited with %d%s%s", code, text ? ": " : " and gave no reason",
                 text ? text : "");
    verdict->is_certain = code == 2;
}

void gate_judge(const struct protocol *protocol, enum gate_rule rule, const struct gate_run *run,
                struct verdict *verdict)
{
    const struct answer_outcome *outcome = &run->outcome;

    if (run->failure)
        verdict_fail(verdict, "%s", run->failure);
    else if (outcome->kind != ANSWER_EXITED)
        verdict_fail(verdict, "%s%s%s", answer_kind_name(outcome->kind),
                     *outcome->detail ? ": " : "", outcome->detail);
    else if (outcome->code != 0)
        judge_failure(protocol, run, verdict);
    else
        judge_success(choose_rule(protocol, rule, outcome), run, verdict);
}

enum form_index gate_choose(const struct protocol *protocol, enum event_class class, bool is_again,
                            bool passes, const struct verdict *verdict)
{
    switch (verdict->kind) {
    case VERDICT_YES:
        return FORM_YES;
    case VERDICT_ASK:
    case VERDICT_NO:
        if (verdict->kind == VERDICT_ASK && protocol->forms[class][FORM_ASK].code >= 0)
            return FORM_ASK;
        return class == EVENT_STOP && is_again ? FORM_PASS : FORM_NO;
    default:
        return passes && !verdict->is_certain ? FORM_PASS : FORM_BLOCK;
    }
}

// Of JSON with a yes, the members that Codex takes: it drops the whole when there is another
// one, a new input included, and goes on with the old input.
static int distil(const json_t *json, struct buffer *out)
{
    static const char *const names[] = {"hookEventName", "additionalContext", "updatedInput"};
    const json_t *specific = json_object_get(json, "hookSpecificOutput");
    json_t *distilled = json_object();
    char *text;
    int result = 0;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_object_get(specific, names[i]))
            json_object_set(distilled, names[i], json_object_get(specific, names[i]));
    if (json_object_get(distilled, "updatedInput")) {
        json_object_set_new(distilled, "permissionDecision", json_string("allow"));
        if (!json_object_get(distilled, "hookEventName"))
            json_object_set_new(distilled, "hookEventName", json_string("PreToolUse"));
    }
    if (json_object_size(distilled) < 2 || !json_object_get(distilled, "hookEventName")) {
        json_decref(distilled);
        return 0;
    }
    distilled = json_pack("{s:o}", "hookSpecificOutput", distilled);
    text = distilled ? json_dumps(distilled, JSON_COMPACT) : NULL;
    result = text ? buffer_append(out, text, strlen(text)) : -1;
    free(text);
    json_decref(distilled);
    return result;
}

static bool hands_on(const struct form *form, const json_t *json)
{
    const json_t *member;

    if (!json || form->json != JSON_WITH_KEY)
        return json && form->json == JSON_WHOLE;
    member = json_object_get(json, form->key);
    return member && !json_is_null(member);
}

static int say(const struct form *form, const struct verdict *verdict, const char *out,
               size_t length, struct gate_reply *reply)
{
    struct buffer reason __attribute__((cleanup(buffer_finish))) = {0};
    const char *text = verdict->reason ? verdict->reason : no_reason;
    int result = reason_may_be_json(text, strlen(text)) ? buffer_append(&reason, "denied: ", 8) : 0;

    if (result == 0)
        result = reason_append(&reason, text, strlen(text));
    reply->code = form->code;
    if (result == 0 && form->err)
        result = buffer_append(&reply->err, reason.data, reason.length);
    if (result == 0 && form->err)
        result = buffer_append(&reply->err, "\n", 1);
    if (result < 0)
        return result;
    if (hands_on(form, verdict->json))
        return buffer_append(&reply->out, out, length);
    if (form->json == JSON_DISTILLED && verdict->json)
        return distil(verdict->json, &reply->out);
    if (!form->out)
        return 0;
    result = reason_append_json(&reply->out, form->out, reason.data, reason.length);
    return result < 0 ? result : buffer_append(&reply->out, "\n", 1);
}

void gate_say(const struct form *form, const struct verdict *verdict, const char *out,
              size_t length, struct gate_reply *reply)
{
    if (say(form, verdict, out, length, reply) == 0)
        return;
    // No memory. Each agent takes this for a no, or at least for no yes.
    gate_reply_finish(reply);
    reply->code = 2;
}

void gate_reply_finish(struct gate_reply *reply)
{
    buffer_finish(&reply->out);
    buffer_finish(&reply->err);
}
