// SPDX-License-Identifier: Apache-2.0
#include "job_state.h"

// A cell that is not here is {JOB_QUEUED, JOB_DO_NOTHING}; no event leads back
// to JOB_QUEUED, so that such a cell reads as "means nothing".
static const struct job_transition table[JOB_STATES][JOB_EVENTS] =
    {
        [JOB_QUEUED] =
            {
                          [JOB_START] = {JOB_RUNNING, JOB_DO_SPAWN},
                          [JOB_STOP] = {JOB_DONE, JOB_DO_FINISH},
                          },
        [JOB_RUNNING] =
            {
                          [JOB_UNSTARTED] = {JOB_DONE, JOB_DO_FINISH},
                          [JOB_EXIT] = {JOB_DRAINING, JOB_DO_DRAIN},
                          [JOB_CLOSE] = {JOB_RUNNING_CLOSED, JOB_DO_NOTHING},
                          [JOB_STOP] = {JOB_STOPPING, JOB_DO_TERM},
                          [JOB_OVERFLOW] = {JOB_STOPPING, JOB_DO_TERM},
                          [JOB_LOST] = {JOB_DONE, JOB_DO_FINISH},
                          },
        [JOB_RUNNING_CLOSED] =
            {
                          [JOB_UNSTARTED] = {JOB_DONE, JOB_DO_FINISH},
                          [JOB_EXIT] = {JOB_DONE, JOB_DO_FINISH},
                          [JOB_STOP] = {JOB_STOPPING_CLOSED, JOB_DO_TERM},
                          [JOB_LOST] = {JOB_DONE, JOB_DO_FINISH},
                          },
 // Its exit is known: a cancel or a timeout is too late to change it. Output
  // that is cut off would be taken for the whole, so an overflow is not.
        [JOB_DRAINING] =
            {
                          [JOB_CLOSE] = {JOB_DONE, JOB_DO_FINISH},
                          [JOB_OVERFLOW] = {JOB_STOPPING_DRAINING, JOB_DO_TERM},
                          [JOB_DRAIN_OVER] = {JOB_DONE, JOB_DO_FINISH},
                          [JOB_LOST] = {JOB_DONE, JOB_DO_FINISH},
                          },
        [JOB_STOPPING] =
            {
                          [JOB_UNSTARTED] = {JOB_DONE, JOB_DO_FINISH},
                          [JOB_EXIT] = {JOB_STOPPING_DRAINING, JOB_DO_NOTHING},
                          [JOB_CLOSE] = {JOB_STOPPING_CLOSED, JOB_DO_NOTHING},
                          [JOB_GRACE_OVER] = {JOB_KILLED, JOB_DO_KILL},
                          [JOB_LOST] = {JOB_DONE, JOB_DO_FINISH},
                          },
        [JOB_STOPPING_CLOSED] =
            {
                          [JOB_UNSTARTED] = {JOB_DONE, JOB_DO_FINISH},
                          [JOB_EXIT] = {JOB_DONE, JOB_DO_FINISH},
                          [JOB_GRACE_OVER] = {JOB_KILLED_CLOSED, JOB_DO_KILL},
                          [JOB_LOST] = {JOB_DONE, JOB_DO_FINISH},
                          },
        [JOB_STOPPING_DRAINING] =
            {
                          [JOB_CLOSE] = {JOB_DONE, JOB_DO_FINISH},
                          [JOB_GRACE_OVER] = {JOB_KILLED_DRAINING, JOB_DO_KILL},
                          [JOB_LOST] = {JOB_DONE, JOB_DO_FINISH},
                          },
 // After SIGKILL nothing is waited for longer than the drain, not even the
  // exit: a process that hangs in the kernel must not hold up the answer.
        [JOB_KILLED] =
            {
                          [JOB_UNSTARTED] = {JOB_DONE, JOB_DO_FINISH},
                          [JOB_EXIT] = {JOB_KILLED_DRAINING, JOB_DO_NOTHING},
                          [JOB_CLOSE] = {JOB_KILLED_CLOSED, JOB_DO_NOTHING},
                          [JOB_DRAIN_OVER] = {JOB_DONE, JOB_DO_FINISH},
                          [JOB_LOST] = {JOB_DONE, JOB_DO_FINISH},
                          },
        [JOB_KILLED_CLOSED] =
            {
                          [JOB_UNSTARTED] = {JOB_DONE, JOB_DO_FINISH},
                          [JOB_EXIT] = {JOB_DONE, JOB_DO_FINISH},
                          [JOB_DRAIN_OVER] = {JOB_DONE, JOB_DO_FINISH},
                          [JOB_LOST] = {JOB_DONE, JOB_DO_FINISH},
                          },
        [JOB_KILLED_DRAINING] =
            {
                          [JOB_CLOSE] = {JOB_DONE, JOB_DO_FINISH},
                          [JOB_DRAIN_OVER] = {JOB_DONE, JOB_DO_FINISH},
                          [JOB_LOST] = {JOB_DONE, JOB_DO_FINISH},
                          },
};

struct job_transition job_state_next(enum job_state state, enum job_event event)
{
    struct job_transition transition = table[state][event];

    if (transition.next == JOB_QUEUED)
        transition.next = state;
    return transition;
}

const char *job_state_name(enum job_state state)
{
    static const char *const names[JOB_STATES] = {
        [JOB_QUEUED] = "queued",
        [JOB_RUNNING] = "running",
        [JOB_RUNNING_CLOSED] = "running, streams ended",
        [JOB_DRAINING] = "draining",
        [JOB_STOPPING] = "stopping",
        [JOB_STOPPING_CLOSED] = "stopping, streams ended",
        [JOB_STOPPING_DRAINING] = "stopping, exited",
        [JOB_KILLED] = "killed",
        [JOB_KILLED_CLOSED] = "killed, streams ended",
        [JOB_KILLED_DRAINING] = "killed, exited",
        [JOB_DONE] = "done",
    };

    return names[state];
}

const char *job_event_name(enum job_event event)
{
    static const char *const names[JOB_EVENTS] = {
        [JOB_START] = "start",
        [JOB_UNSTARTED] = "not started",
        [JOB_EXIT] = "exit",
        [JOB_CLOSE] = "end of both streams",
        [JOB_STOP] = "stop",
        [JOB_OVERFLOW] = "overflow",
        [JOB_GRACE_OVER] = "grace over",
        [JOB_DRAIN_OVER] = "drain over",
        [JOB_LOST] = "connection lost",
    };

    return names[event];
}
