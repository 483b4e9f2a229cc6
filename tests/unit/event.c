// SPDX-License-Identifier: Apache-2.0
// client/event.c: the event in an agent's JSON, at its outermost level only.
#include "unit.h"

#include "event.h"

#include <string.h>

static const struct payload {
    const char *text;
    const char *name;
    bool is_again;
} payloads[] = {
  // clang-format off
    {"{\"hook_event_name\":\"Stop\"}", "Stop", false},
    {" { \"a\" : 1 , \"hook_event_name\" : \"PreToolUse\" , \"b\":[]}\n", "PreToolUse", false},
    {"{\"hook_event_name\":\"Stop\",\"stop_hook_active\":true}", "Stop", true},
    {"{\"stop_hook_active\": true ,\"hook_event_name\":\"Stop\"}", "Stop", true},
    {"{\"stop_hook_active\":false,\"hook_event_name\":\"Stop\"}", "Stop", false},
    {"{\"stop_hook_active\":\"true\"}", "", false},
    {"{\"stop_hook_active\":{\"x\":true}}", "", false},
    {"{\"stop_hook_active\":[true]}", "", false},
    {"{\"tool_input\":{\"hook_event_name\":\"Stop\"}}", "", false},
    {"{\"tool_input\":{\"hook_event_name\":\"Stop\"},\"hook_event_name\":\"PreToolUse\"}", "PreToolUse", false},
    {"{\"a\":\"\\\"hook_event_name\\\":\\\"Stop\\\"\",\"hook_event_name\":\"PreToolUse\"}", "PreToolUse", false},
    {"{\"a\":\"x\\\\\",\"hook_event_name\":\"PreToolUse\"}", "PreToolUse", false},
    {"{\"hook_event_name\":\"Stop\",\"hook_event_name\":\"PreToolUse\"}", "", false},
    {"{\"hook_event_name\":\"Stop\",\"hook_event_name\":\"Stop\"}", "Stop", false},
    {"{\"hook_event_name\":7}", "", false},
    {"{\"hook_event_name\":[\"Stop\"]}", "", false},
    {"{\"x\":\"hook_event_name\",\"y\":\"Stop\"}", "", false},
    {"{}{\"hook_event_name\":\"Stop\"}", "Stop", false},
    {"}{\"hook_event_name\":\"Stop\"}", "", false},
    {"", "", false},
    {"no json \"hook_event_name\":\"Stop\"", "", false},
  // clang-format on
};

START_TEST(is_found)
{
    const struct payload *payload = &payloads[_i];

    for (size_t piece = 1; piece < 50; piece++) {
        struct event event = {0};
        size_t length = strlen(payload->text);

        for (size_t at = 0; at < length; at += piece)
            event_feed(&event, payload->text + at, piece < length - at ? piece : length - at);
        ck_assert_str_eq(event.name, payload->name);
        ck_assert(event.is_again == payload->is_again);
    }
}
END_TEST

START_TEST(is_not_a_long_one)
{
    struct event event = {0};
    char name[200];

    memset(name, 'x', sizeof name);
    event_feed(&event, "{\"hook_event_name\":\"", 20);
    event_feed(&event, name, sizeof name);
    event_feed(&event, "\",\"", 3);
    event_feed(&event, name, sizeof name);
    event_feed(&event, "\":1}", 4);
    ck_assert_str_eq(event.name, "");
}
END_TEST

int main(void)
{
    UNIT_RUN("event", EACH(is_found, payloads), ONCE(is_not_a_long_one));
}
