// SPDX-License-Identifier: Apache-2.0
// sandbox/job_state.c: every cell of the table, and the promises that every way through it
// keeps ("Ending a job" in hooksfs(5)).
#include "unit.h"

#include "job_state.h"

#include <stdbool.h>

static const char *const state_names[JOB_STATES] = {
    [JOB_QUEUED] = "queued",
    [JOB_RUNNING] = "running",
    [JOB_RUNNING_CLOSED] = "running closed",
    [JOB_DRAINING] = "draining",
    [JOB_STOPPING] = "stopping",
    [JOB_STOPPING_CLOSED] = "stopping closed",
    [JOB_STOPPING_DRAINING] = "stopping draining",
    [JOB_KILLED] = "killed",
    [JOB_KILLED_CLOSED] = "killed closed",
    [JOB_KILLED_DRAINING] = "killed draining",
    [JOB_DONE] = "done",
};

// The facts that are true in a state. The expectations are written with these, and not with
// the names of states.
struct truth {
    bool is_started;
    bool has_exited;
    bool is_closed; // both streams have ended
    enum { NOT_STOPPED, TERMED, KILLED } stop;
};

// clang-format off
static const struct truth truths[JOB_DONE] = {
    [JOB_QUEUED] = {false, false, false, NOT_STOPPED},
    [JOB_RUNNING] = {true, false, false, NOT_STOPPED},
    [JOB_RUNNING_CLOSED] = {true, false, true, NOT_STOPPED},
    [JOB_DRAINING] = {true, true, false, NOT_STOPPED},
    [JOB_STOPPING] = {true, false, false, TERMED},
    [JOB_STOPPING_CLOSED] = {true, false, true, TERMED},
    [JOB_STOPPING_DRAINING] = {true, true, false, TERMED},
    [JOB_KILLED] = {true, false, false, KILLED},
    [JOB_KILLED_CLOSED] = {true, false, true, KILLED},
    [JOB_KILLED_DRAINING] = {true, true, false, KILLED},
};
// clang-format on

static enum job_state state_of(struct truth truth)
{
    for (int state = 0; state < JOB_DONE; state++)
        if (truths[state].is_started == truth.is_started &&
            truths[state].has_exited == truth.has_exited &&
            truths[state].is_closed == truth.is_closed && truths[state].stop == truth.stop)
            return (enum job_state)state;
    return JOB_DONE; // exited and closed
}

static struct job_transition expect(enum job_state state, enum job_event event)
{
    struct job_transition nothing = {state, JOB_DO_NOTHING};
    struct job_transition done = {JOB_DONE, JOB_DO_FINISH};

    if (state == JOB_DONE)
        return nothing;
    struct truth now = truths[state];
    struct truth next = now;
    if (!now.is_started) {
        next.is_started = true;
        if (event == JOB_START)
            return (struct job_transition){state_of(next), JOB_DO_SPAWN};
        return event == JOB_STOP ? done : nothing;
    }
    switch (event) {
    case JOB_UNSTARTED: // says that nothing ran: not after an exit
        return now.has_exited ? nothing : done;
    case JOB_EXIT:
        if (now.has_exited)
            return nothing;
        if (now.is_closed)
            return done;
        next.has_exited = true;
        return (struct job_transition){state_of(next),
                                       now.stop == NOT_STOPPED ? JOB_DO_DRAIN : JOB_DO_NOTHING};
    case JOB_CLOSE:
        if (now.is_closed)
            return nothing;
        if (now.has_exited)
            return done;
        next.is_closed = true;
        return (struct job_transition){state_of(next), JOB_DO_NOTHING};
    case JOB_STOP: // once, and too late when the exit is known
        if (now.stop != NOT_STOPPED || now.has_exited)
            return nothing;
        next.stop = TERMED;
        return (struct job_transition){state_of(next), JOB_DO_TERM};
    case JOB_OVERFLOW: // not too late then; but there is none from ended streams
        if (now.stop != NOT_STOPPED || now.is_closed)
            return nothing;
        next.stop = TERMED;
        return (struct job_transition){state_of(next), JOB_DO_TERM};
    case JOB_GRACE_OVER:
        if (now.stop != TERMED)
            return nothing;
        next.stop = KILLED;
        return (struct job_transition){state_of(next), JOB_DO_KILL};
    case JOB_DRAIN_OVER:
        return now.stop == KILLED || state == JOB_DRAINING ? done : nothing;
    case JOB_LOST:
        return done;
    default:
        return nothing;
    }
}

START_TEST(has_the_right_cells)
{
    enum job_state state = (enum job_state)_i;

    for (int event = 0; event < JOB_EVENTS; event++) {
        struct job_transition transition = job_state_next(state, (enum job_event)event);
        struct job_transition expected = expect(state, (enum job_event)event);
        ck_assert_msg(transition.next == expected.next, "%s, event %d: leads to %s, not to %s",
                      state_names[state], event, state_names[transition.next],
                      state_names[expected.next]);
        ck_assert_msg(transition.action == expected.action, "%s, event %d: action %d, not %d",
                      state_names[state], event, transition.action, expected.action);
    }
}
END_TEST

START_TEST(stays_done)
{
    for (int event = 0; event < JOB_EVENTS; event++) {
        struct job_transition transition = job_state_next(JOB_DONE, (enum job_event)event);
        ck_assert_int_eq(transition.next, JOB_DONE);
        ck_assert_int_eq(transition.action, JOB_DO_NOTHING);
    }
}
END_TEST

// A job that finishes is done, and nothing else is.
START_TEST(finishes_exactly_when_done)
{
    for (int state = 0; state < JOB_DONE; state++)
        for (int event = 0; event < JOB_EVENTS; event++) {
            struct job_transition transition =
                job_state_next((enum job_state)state, (enum job_event)event);
            ck_assert_int_eq(transition.next == JOB_DONE, transition.action == JOB_DO_FINISH);
            ck_assert_int_lt(transition.next, JOB_STATES);
            if (state != JOB_QUEUED)
                ck_assert_int_ne(transition.next, JOB_QUEUED);
        }
}
END_TEST

struct walk {
    unsigned actions[JOB_DO_FINISH + 1];
    bool is_killed_before_term;
};

static enum job_state take(struct walk *walk, enum job_state state, enum job_event event)
{
    struct job_transition transition = job_state_next(state, event);

    walk->actions[transition.action]++;
    if (transition.action == JOB_DO_KILL && !walk->actions[JOB_DO_TERM])
        walk->is_killed_before_term = true;
    return transition.next;
}

// Any walk of up to LENGTH events from STATE keeps the promises.
static void walk_all(struct walk walk, enum job_state state, int length)
{
    if (walk.actions[JOB_DO_SPAWN] > 1 || walk.actions[JOB_DO_TERM] > 1 ||
        walk.actions[JOB_DO_KILL] > 1 || walk.actions[JOB_DO_DRAIN] > 1 ||
        walk.actions[JOB_DO_FINISH] > 1)
        ck_abort_msg("something was done twice");
    if (walk.is_killed_before_term)
        ck_abort_msg("SIGKILL came before SIGTERM");
    if (!walk.actions[JOB_DO_SPAWN] &&
        (walk.actions[JOB_DO_TERM] || walk.actions[JOB_DO_KILL] || walk.actions[JOB_DO_DRAIN]))
        ck_abort_msg("a job that was not started was signalled or drained");
    if ((state == JOB_DONE) != (walk.actions[JOB_DO_FINISH] == 1))
        ck_abort_msg("done without a finish");
    for (int event = 0; length > 0 && state != JOB_DONE && event < JOB_EVENTS; event++) {
        struct walk next = walk;
        enum job_state to = take(&next, state, (enum job_event)event);
        walk_all(next, to, length - 1);
    }
}

START_TEST(keeps_its_promises_on_any_way)
{
    walk_all((struct walk){0}, JOB_QUEUED, 7);
}
END_TEST

// The events that come whatever the command does, in any order, again and
// again: a started job ends. Of a stopped one that is true even when it never
// exits and its streams never end.
START_TEST(always_ends)
{
    static const enum job_event of_all[] = {JOB_EXIT, JOB_CLOSE, JOB_DRAIN_OVER, JOB_GRACE_OVER};

    for (int start = JOB_RUNNING; start < JOB_DONE; start++)
        for (int order = 0; order < 4 * 4 * 4 * 4; order++) {
            enum job_state state = (enum job_state)start;
            bool has[4] = {false};
            for (int rest = order, i = 0; i < 4; i++, rest /= 4)
                has[rest % 4] = true;
            if (!has[0] || !has[1] || !has[2] || !has[3])
                continue; // no permutation
            for (int round = 0; round < 4; round++)
                for (int rest = order, i = 0; i < 4; i++, rest /= 4)
                    state = job_state_next(state, of_all[rest % 4]).next;
            ck_assert_msg(state == JOB_DONE, "%s ends as %s", state_names[start],
                          state_names[state]);
        }
}
END_TEST

START_TEST(ends_without_the_command_when_stopped)
{
    for (int start = JOB_RUNNING; start < JOB_DONE; start++) {
        enum job_state state = (enum job_state)start;
        state = job_state_next(state, JOB_STOP).next;
        state = job_state_next(state, JOB_GRACE_OVER).next;
        state = job_state_next(state, JOB_DRAIN_OVER).next;
        ck_assert_msg(state == JOB_DONE, "%s ends as %s", state_names[start], state_names[state]);
    }
}
END_TEST

START_TEST(goes_the_usual_ways)
{
    // clang-format off
    static const struct {
        enum job_event events[6];
        int count;
        enum job_action actions[6];
    } ways[] = {
        {{JOB_START, JOB_CLOSE, JOB_EXIT}, 3, {JOB_DO_SPAWN, JOB_DO_NOTHING, JOB_DO_FINISH}},
        {{JOB_START, JOB_EXIT, JOB_CLOSE}, 3, {JOB_DO_SPAWN, JOB_DO_DRAIN, JOB_DO_FINISH}},
        {{JOB_START, JOB_EXIT, JOB_DRAIN_OVER}, 3, {JOB_DO_SPAWN, JOB_DO_DRAIN, JOB_DO_FINISH}},
        {{JOB_START, JOB_UNSTARTED}, 2, {JOB_DO_SPAWN, JOB_DO_FINISH}},
        {{JOB_STOP}, 1, {JOB_DO_FINISH}},
        {{JOB_START, JOB_STOP, JOB_EXIT, JOB_CLOSE},
         4,
         {JOB_DO_SPAWN, JOB_DO_TERM, JOB_DO_NOTHING, JOB_DO_FINISH}},
        {{JOB_START, JOB_OVERFLOW, JOB_GRACE_OVER, JOB_EXIT, JOB_DRAIN_OVER},
         5,
         {JOB_DO_SPAWN, JOB_DO_TERM, JOB_DO_KILL, JOB_DO_NOTHING, JOB_DO_FINISH}},
        {{JOB_START, JOB_STOP, JOB_GRACE_OVER, JOB_DRAIN_OVER},
         4,
         {JOB_DO_SPAWN, JOB_DO_TERM, JOB_DO_KILL, JOB_DO_FINISH}},
        {{JOB_START, JOB_EXIT, JOB_OVERFLOW, JOB_GRACE_OVER, JOB_DRAIN_OVER},
         5,
         {JOB_DO_SPAWN, JOB_DO_DRAIN, JOB_DO_TERM, JOB_DO_KILL, JOB_DO_FINISH}},
        {{JOB_START, JOB_EXIT, JOB_STOP, JOB_CLOSE},
         4,
         {JOB_DO_SPAWN, JOB_DO_DRAIN, JOB_DO_NOTHING, JOB_DO_FINISH}},
    };
    // clang-format on

    for (size_t i = 0; i < COUNT(ways); i++) {
        enum job_state state = JOB_QUEUED;
        for (int j = 0; j < ways[i].count; j++) {
            struct job_transition transition = job_state_next(state, ways[i].events[j]);
            ck_assert_msg(transition.action == ways[i].actions[j], "way %zu, step %d: action %d", i,
                          j, transition.action);
            state = transition.next;
        }
        ck_assert_int_eq(state, JOB_DONE);
    }
}
END_TEST

int main(void)
{
    UNIT_RUN("job_state", EACH(has_the_right_cells, state_names), ONCE(stays_done),
             ONCE(finishes_exactly_when_done), ONCE(keeps_its_promises_on_any_way),
             ONCE(always_ends), ONCE(ends_without_the_command_when_stopped),
             ONCE(goes_the_usual_ways));
}
