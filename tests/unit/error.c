// SPDX-License-Identifier: Apache-2.0
// base/error.c: the first cause is kept, and prefixes are put in front of it.
#include "unit.h"

#include "error.h"

#include <errno.h>
#include <string.h>

START_TEST(keeps_code_and_message)
{
    struct error err = {0};

    ck_assert_int_eq(error_set(&err, ENOENT, "no %s number %d", "thing", 7), -ENOENT);
    ck_assert_int_eq(err.code, ENOENT);
    ck_assert_str_eq(error_message(&err), "no thing number 7");
    error_finish(&err);
    ck_assert_int_eq(err.code, 0);
    ck_assert_ptr_null(err.message);
}
END_TEST

START_TEST(keeps_the_first)
{
    struct error err = {0};

    error_set(&err, EACCES, "first");
    ck_assert_int_eq(error_set(&err, ENOENT, "second"), -ENOENT);
    ck_assert_int_eq(err.code, EACCES);
    ck_assert_str_eq(error_message(&err), "first");
    error_finish(&err);
    error_set(&err, ENOENT, "second");
    ck_assert_str_eq(error_message(&err), "second");
    error_finish(&err);
}
END_TEST

START_TEST(may_be_null)
{
    ck_assert_int_eq(error_set(NULL, EINVAL, "nobody reads this"), -EINVAL);
    error_prefix(NULL, "nor this");
}
END_TEST

START_TEST(prefixes)
{
    struct error err = {0};

    error_prefix(&err, "nothing is set");
    ck_assert_int_eq(err.code, 0);
    ck_assert_ptr_null(err.message);
    error_set(&err, EIO, "cause");
    error_prefix(&err, "line %d", 3);
    error_prefix(&err, "file");
    ck_assert_str_eq(error_message(&err), "file: line 3: cause");
    ck_assert_int_eq(err.code, EIO);
    error_finish(&err);
}
END_TEST

START_TEST(says_something_without_a_message)
{
    struct error err = {.code = ENOENT};

    ck_assert_str_eq(error_message(&err), strerror(ENOENT));
    error_prefix(&err, "file");
    ck_assert_ptr_nonnull(strstr(error_message(&err), strerror(ENOENT)));
    error_finish(&err);
    error_finish(&err);
}
END_TEST

int main(void)
{
    UNIT_RUN("error", ONCE(keeps_code_and_message), ONCE(keeps_the_first), ONCE(may_be_null),
             ONCE(prefixes), ONCE(says_something_without_a_message));
}
