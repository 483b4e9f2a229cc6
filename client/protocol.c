// SPDX-License-Identifier: Apache-2.0
#include "protocol.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

// clang-format off
// NOLINTBEGIN(bugprone-macro-parentheses): they are initializers

// stdout and stderr empty.
#define QUIET           {0, NULL, false, JSON_NEVER, NULL}
// The same, or the JSON of the hook.
#define QUIET_OR_JSON   {0, NULL, false, JSON_WHOLE, NULL}
#define QUIET_OR_CODEX  {0, NULL, false, JSON_DISTILLED, NULL}
#define JSON_OR(out)    {0, out, false, JSON_WHOLE, NULL}
// The reason on stderr.
#define SAYS(code)      {code, NULL, true, JSON_NEVER, NULL}
// The reason in JSON on stdout; BOTH: and on stderr.
#define JSON(code, out) {code, out, false, JSON_NEVER, NULL}
#define BOTH(code, out) {code, out, true, JSON_NEVER, NULL}
// A fixed yes, or the hook's JSON if that has the member KEY.
#define YES(out, key)   {0, out, false, JSON_WITH_KEY, key}
#define NO_ASK          {-1, NULL, false, JSON_NEVER, NULL}

#define CLAUDE_DENY                                                                                \
    "{\"hookSpecificOutput\":{\"hookEventName\":\"PermissionRequest\","                            \
    "\"decision\":{\"behavior\":\"deny\",\"message\":@}}}"
#define CLAUDE_ASK                                                                                 \
    "{\"hookSpecificOutput\":{\"hookEventName\":\"PreToolUse\","                                   \
    "\"permissionDecision\":\"ask\",\"permissionDecisionReason\":@}}"
#define CURSOR_ALLOW   "{\"permission\":\"allow\"}"
#define CURSOR_DENY    "{\"permission\":\"deny\",\"user_message\":@,\"agent_message\":@}"
#define CURSOR_ASK     "{\"permission\":\"ask\",\"user_message\":@,\"agent_message\":@}"
#define CURSOR_GO_ON   "{\"continue\":true}"
#define CURSOR_STOP    "{\"continue\":false,\"user_message\":@}"
#define CURSOR_FOLLOW  "{\"followup_message\":@}"
#define COPILOT_DENY   "{\"permissionDecision\":\"deny\",\"permissionDecisionReason\":@}"
#define COPILOT_BLOCK  "{\"decision\":\"block\",\"reason\":@}"
#define KIT_ALLOW      "{\"allow\":true}"
#define KIT_DENY       "{\"allow\":false,\"reason\":@}"

// Each row: yes, no, a failure that blocks, a failure that passes, ask.
#define ROW(yes, no, block, pass)           {yes, no, block, pass, NO_ASK}
#define ROW_ASKS(yes, no, block, pass, ask) {yes, no, block, pass, ask}
#define EVERY(row)                                                                                 \
    {[EVENT_ACTION] = row, [EVENT_TOOL] = row, [EVENT_PERMISSION] = row, [EVENT_PROMPT] = row,     \
     [EVENT_STOP] = row, [EVENT_NOTICE] = row}

#define CLAUDE_ACTION ROW(QUIET_OR_JSON, SAYS(2), SAYS(2), SAYS(1))
#define CODEX_ACTION  ROW(QUIET_OR_CODEX, SAYS(2), SAYS(2), SAYS(1))
#define KIMI_ACTION   ROW(QUIET, SAYS(2), SAYS(2), SAYS(1))
#define CURSOR_ACTION                                                                              \
    ROW(YES(CURSOR_ALLOW, "permission"), BOTH(2, CURSOR_DENY), BOTH(2, CURSOR_DENY),               \
        JSON(0, CURSOR_ALLOW))
#define COPILOT_TOOL  ROW(QUIET, BOTH(2, COPILOT_DENY), BOTH(2, COPILOT_DENY), QUIET)
#define HERMES_ACTION ROW(QUIET, SAYS(2), SAYS(2), QUIET)
#define OTHER_STOP    ROW(QUIET_OR_JSON, SAYS(2), QUIET, QUIET)
#define OTHER_NOTICE  ROW(QUIET_OR_JSON, SAYS(2), QUIET, QUIET)
#define KIT_FILTER                                                                                 \
    ROW(YES(KIT_ALLOW, "allow"), JSON(0, KIT_DENY), JSON(0, KIT_DENY), JSON(0, KIT_ALLOW))
#define GIT_HOOK      ROW(QUIET, SAYS(1), SAYS(1), SAYS(0))
#define NO_AGENT      ROW(QUIET_OR_JSON, SAYS(2), SAYS(2), SAYS(0))

// NOLINTEND(bugprone-macro-parentheses)

static const struct protocol protocols[] = {
    {
        .name = "claude", .deadline_ms = 50000, .prompt_deadline_ms = 25000, .end_deadline_ms = 1000,
        .forms = {
            [EVENT_ACTION]     = CLAUDE_ACTION,
            [EVENT_TOOL]       = ROW_ASKS(QUIET_OR_JSON, SAYS(2), SAYS(2), SAYS(1), JSON(0, CLAUDE_ASK)),
            [EVENT_PERMISSION] = ROW(QUIET_OR_JSON, JSON(0, CLAUDE_DENY), JSON(0, CLAUDE_DENY), QUIET),
            [EVENT_PROMPT]     = CLAUDE_ACTION,
            [EVENT_STOP]       = OTHER_STOP,
            [EVENT_NOTICE]     = OTHER_NOTICE,
        },
    },
    {
        .name = "codex", .deadline_ms = 50000, .end_deadline_ms = 800,
        .forms = {
            [EVENT_ACTION]     = CODEX_ACTION,
            [EVENT_TOOL]       = CODEX_ACTION,
            [EVENT_PERMISSION] = CODEX_ACTION,
            [EVENT_PROMPT]     = CODEX_ACTION,
            [EVENT_STOP]       = ROW(QUIET, SAYS(2), QUIET, QUIET),
            [EVENT_NOTICE]     = ROW(QUIET_OR_CODEX, SAYS(2), QUIET, QUIET),
        },
    },
    {
        .name = "gemini", .deadline_ms = 50000,
        .forms = {
            [EVENT_ACTION]     = CLAUDE_ACTION,
            [EVENT_TOOL]       = CLAUDE_ACTION,
            [EVENT_PERMISSION] = CLAUDE_ACTION,
            [EVENT_PROMPT]     = CLAUDE_ACTION,
            [EVENT_STOP]       = OTHER_STOP,
            [EVENT_NOTICE]     = OTHER_NOTICE,
        },
    },
    {
        .name = "cursor", .deadline_ms = 10000,
        .forms = {
            [EVENT_ACTION]     = CURSOR_ACTION,
            [EVENT_TOOL]       = ROW_ASKS(YES(CURSOR_ALLOW, "permission"), BOTH(2, CURSOR_DENY),
                                          BOTH(2, CURSOR_DENY), JSON(0, CURSOR_ALLOW),
                                          JSON(0, CURSOR_ASK)),
            [EVENT_PERMISSION] = CURSOR_ACTION,
            [EVENT_PROMPT]     = ROW(YES(CURSOR_GO_ON, "continue"), JSON(0, CURSOR_STOP),
                                     JSON(0, CURSOR_STOP), JSON(0, CURSOR_GO_ON)),
            [EVENT_STOP]       = ROW(JSON_OR("{}"), JSON(0, CURSOR_FOLLOW), JSON(0, "{}"),
                                     JSON(0, "{}")),
            [EVENT_NOTICE]     = OTHER_NOTICE,
        },
    },
    {
        .name = "copilot", .deadline_ms = 25000, .default_event = "preToolUse",
        .forms = {
            [EVENT_ACTION]     = COPILOT_TOOL,
            [EVENT_TOOL]       = COPILOT_TOOL,
            [EVENT_PERMISSION] = ROW(QUIET, SAYS(2), SAYS(2), QUIET),
            [EVENT_PROMPT]     = OTHER_NOTICE,
            [EVENT_STOP]       = ROW(QUIET, JSON(0, COPILOT_BLOCK), QUIET, QUIET),
            [EVENT_NOTICE]     = OTHER_NOTICE,
        },
    },
    {
        .name = "kimi", .deadline_ms = 25000,
        .forms = {
            [EVENT_ACTION]     = KIMI_ACTION,
            [EVENT_TOOL]       = KIMI_ACTION,
            [EVENT_PERMISSION] = KIMI_ACTION,
            [EVENT_PROMPT]     = KIMI_ACTION,
            [EVENT_STOP]       = OTHER_STOP,
            [EVENT_NOTICE]     = OTHER_NOTICE,
        },
    },
    {
        .name = "hermes", .deadline_ms = 50000,
        .forms = {
            [EVENT_ACTION]     = HERMES_ACTION,
            [EVENT_TOOL]       = HERMES_ACTION,
            [EVENT_PERMISSION] = HERMES_ACTION,
            [EVENT_PROMPT]     = HERMES_ACTION,
            [EVENT_STOP]       = OTHER_STOP,
            [EVENT_NOTICE]     = OTHER_NOTICE,
        },
    },
    {.name = "promptkit", .deadline_ms = 9000, .needs_words = true, .forms = EVERY(KIT_FILTER)},
    {.name = "git", .ignores_text = true, .is_by_code = true, .forms = EVERY(GIT_HOOK)},
    {.name = "none", .forms = EVERY(NO_AGENT)},
};

// The names as squeezed by is_same_event. Each is one event, or its namesakes in several agents.
static const struct {
    const char *name;
    enum event_class class;
} events[] = {
    {"pretooluse",           EVENT_TOOL},
    {"beforeshellexecution", EVENT_TOOL},
    {"beforemcpexecution",   EVENT_TOOL},
    {"permissionrequest",    EVENT_PERMISSION},
    {"userpromptsubmit",     EVENT_PROMPT},
    {"userpromptsubmitted",  EVENT_PROMPT},
    {"beforesubmitprompt",   EVENT_PROMPT},
    {"stop",                 EVENT_STOP},
    {"subagentstop",         EVENT_STOP},
    {"agentstop",            EVENT_STOP},
    {"afteragent",           EVENT_STOP},
    {"teammateidle",         EVENT_STOP},
    {"taskcompleted",        EVENT_STOP},
    {"setup",                EVENT_NOTICE},
    {"sessionstart",         EVENT_NOTICE},
    {"sessionend",           EVENT_NOTICE},
    {"onsessionstart",       EVENT_NOTICE},
    {"onsessionend",         EVENT_NOTICE},
    {"onsessionfinalize",    EVENT_NOTICE},
    {"onsessionreset",       EVENT_NOTICE},
    {"notification",         EVENT_NOTICE},
    {"posttooluse",          EVENT_NOTICE},
    {"posttoolusefailure",   EVENT_NOTICE},
    {"posttoolbatch",        EVENT_NOTICE},
    {"posttoolcall",         EVENT_NOTICE},
    {"prellmcall",           EVENT_NOTICE},
    {"postllmcall",          EVENT_NOTICE},
    {"aftertool",            EVENT_NOTICE},
    {"aftershellexecution",  EVENT_NOTICE},
    {"aftermcpexecution",    EVENT_NOTICE},
    {"afterfileedit",        EVENT_NOTICE},
    {"afteragentresponse",   EVENT_NOTICE},
    {"afteragentthought",    EVENT_NOTICE},
    {"precompact",           EVENT_NOTICE},
    {"postcompact",          EVENT_NOTICE},
    {"precompress",          EVENT_NOTICE},
    {"subagentstart",        EVENT_NOTICE},
    {"permissiondenied",     EVENT_NOTICE},
    {"stopfailure",          EVENT_NOTICE},
    {"erroroccurred",        EVENT_NOTICE},
    {"instructionsloaded",   EVENT_NOTICE},
    {"cwdchanged",           EVENT_NOTICE},
    {"filechanged",          EVENT_NOTICE},
    {"worktreeremove",       EVENT_NOTICE},
};

// clang-format on

const struct protocol *protocol_find(const char *name)
{
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
        if (strcmp(protocols[i].name, name) == 0)
            return &protocols[i];
    return NULL;
}

const struct protocol *protocol_at(unsigned i)
{
    return i < sizeof protocols / sizeof *protocols ? &protocols[i] : NULL;
}

// Whether NAME is SQUEEZED, but for case and underscores: PreToolUse, preToolUse, pre_tool_use.
static bool is_same_event(const char *name, const char *squeezed)
{
    for (; *name; name++) {
        if (*name == '_' || *name == '-')
            continue;
        if (tolower((unsigned char)*name) != *squeezed)
            return false;
        squeezed++;
    }
    return *squeezed == '\0';
}

enum event_class protocol_classify(const char *name)
{
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (is_same_event(name, events[i].name))
            return events[i].class;
    return EVENT_ACTION;
}

uint64_t protocol_deadline_ms(const struct protocol *protocol, const char *name)
{
    if (protocol->prompt_deadline_ms && protocol_classify(name) == EVENT_PROMPT)
        return protocol->prompt_deadline_ms;
    if (protocol->end_deadline_ms && is_same_event(name, "sessionend"))
        return protocol->end_deadline_ms;
    return protocol->deadline_ms;
}
