// SPDX-License-Identifier: Apache-2.0
// client/verdict.c: each spelling of yes and no, and all that is neither.
#include "unit.h"

#include "verdict.h"

#include <string.h>

#define SPECIFIC(text) "{\"hookSpecificOutput\":" text "}"

static const struct answer_row {
    const char *json;
    enum verdict_kind kind;
    bool is_explicit;
    const char *reason; // NULL: any
} rows[] = {
  // clang-format off
    {"{}", VERDICT_YES, false, NULL},
    {" {\"x\":1}\n", VERDICT_YES, false, NULL},
    {"{\"allow\":true}", VERDICT_YES, true, NULL},
    {"{\"decision\":\"approve\"}", VERDICT_YES, true, NULL},
    {"{\"decision\":\"allow\"}", VERDICT_YES, true, NULL},
    {"{\"permission\":\"allow\"}", VERDICT_YES, true, NULL},
    {"{\"continue\":true}", VERDICT_YES, true, NULL},
    {"{\"decision\":null}", VERDICT_YES, false, NULL},
    {SPECIFIC("{\"permissionDecision\":\"allow\"}"), VERDICT_YES, true, NULL},
    {SPECIFIC("{\"decision\":{\"behavior\":\"allow\"}}"), VERDICT_YES, true, NULL},
    {"{\"decision\":\"deny\",\"reason\":\"R\"}", VERDICT_NO, false, "R"},
    {"{\"decision\":\"block\",\"reason\":\"R\"}", VERDICT_NO, false, "R"},
    {"{\"decision\":\"BLOCK\"}", VERDICT_NO, false, NULL},
    {"{\"permissionDecision\":\"deny\",\"permissionDecisionReason\":\"R\"}", VERDICT_NO, false, "R"},
    {"{\"permission_decision\":\"deny\"}", VERDICT_NO, false, NULL},
    {"{\"permission\":\"deny\",\"agent_message\":\"R\"}", VERDICT_NO, false, "R"},
    {"{\"allow\":false,\"reason\":\"R\"}", VERDICT_NO, false, "R"},
    {"{\"action\":\"block\",\"message\":\"R\"}", VERDICT_NO, false, "R"},
    {"{\"behavior\":\"deny\",\"message\":\"R\"}", VERDICT_NO, false, "R"},
    {"{\"continue\":false,\"stopReason\":\"R\"}", VERDICT_NO, false, "R"},
    {SPECIFIC("{\"permissionDecision\":\"deny\",\"permissionDecisionReason\":\"R\"}"), VERDICT_NO, false, "R"},
    {SPECIFIC("{\"decision\":{\"behavior\":\"deny\",\"message\":\"R\"}}"), VERDICT_NO, false, "R"},
    {"{\"allow\":true,\"decision\":\"block\",\"reason\":\"R\"}", VERDICT_NO, false, "R"},
    {"{\"decision\":\"maybe\",\"allow\":false}", VERDICT_NO, false, NULL},
    {"{\"decision\":\"ask\",\"reason\":\"R\"}", VERDICT_ASK, false, "R"},
    {"{\"decision\":\"ask\",\"allow\":true}", VERDICT_ASK, false, NULL},
    {SPECIFIC("{\"updatedInput\":{\"decision\":\"deny\"},\"permissionDecision\":\"allow\"}"), VERDICT_YES, true, NULL},
    {"{\"decision\":\"denied\"}", VERDICT_FAILURE, false, NULL},
    {"{\"decision\":7}", VERDICT_FAILURE, false, NULL},
    {"{\"allow\":\"true\"}", VERDICT_FAILURE, false, NULL},
    {"{\"allow\":1}", VERDICT_FAILURE, false, NULL},
    {"{\"continue\":\"false\"}", VERDICT_FAILURE, false, NULL},
    {"{\"allow\":true,\"allow\":false}", VERDICT_FAILURE, false, NULL},
    {"{\"allow\":true}{\"allow\":true}", VERDICT_FAILURE, false, NULL},
    {"ok {\"allow\":true}", VERDICT_FAILURE, false, NULL},
    {"{\"allow\":true} ok", VERDICT_FAILURE, false, NULL},
    {"{\"allow\":tru", VERDICT_FAILURE, false, NULL},
    {"[{\"allow\":true}]", VERDICT_FAILURE, false, NULL},
    {"true", VERDICT_FAILURE, false, NULL},
    {"\"allow\"", VERDICT_FAILURE, false, NULL},
    {"{\"allow\":true,\"x\":\"\xff\"}", VERDICT_FAILURE, false, NULL},
    {"\xef\xbb\xbf{\"allow\":true}", VERDICT_FAILURE, false, NULL},
    {"", VERDICT_FAILURE, false, NULL},
  // clang-format on
};

START_TEST(reads)
{
    const struct answer_row *row = &rows[_i];
    struct verdict verdict = {0};

    verdict_read(&verdict, row->json, strlen(row->json));
    ck_assert_msg(verdict.kind == row->kind, "%s: %d", row->json, (int)verdict.kind);
    ck_assert(verdict.is_explicit == row->is_explicit);
    if (row->reason)
        ck_assert_str_eq(verdict.reason, row->reason);
    verdict_finish(&verdict);
}
END_TEST

START_TEST(is_no_yes_when_it_is_cut)
{
    const char *json = rows[_i].json;

    for (size_t length = 0; length < strlen(json); length++) {
        struct verdict verdict = {0};

        if (verdict_is_blank(json + length, strlen(json) - length))
            continue;
        verdict_read(&verdict, json, length);
        ck_assert_int_ne(verdict.kind, rows[_i].kind == VERDICT_FAILURE ? VERDICT_NO : VERDICT_YES);
        verdict_finish(&verdict);
    }
}
END_TEST

int main(void)
{
    UNIT_RUN("verdict", EACH(reads, rows), EACH(is_no_yes_when_it_is_cut, rows));
}
