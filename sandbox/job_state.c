// SPDX-License-Identifier: Apache-2.0
#include "job_state.h"

// A cell that the table leaves out is {JOB_QUEUED, JOB_DO_NOTHING}. No event leads back to
// JOB_QUEUED, so such a cell means that the event has no meaning in the state.
// clang-format off
static const struct job_transition table[JOB_STATES][JOB_EVENTS] = {
    [JOB_QUEUED] = {
        [JOB_START] = {JOB_RUNNING, JOB_DO_SPAWN},
        [JOB_STOP] = {JOB_DONE, JOB_DO_FINISH},
    },
    [JOB_RUNNING] = {
        [JOB_UNSTARTED] = {JOB_DONE, JOB_DO_FINISH},
        [JOB_EXIT] = {JOB_DRAINING, JOB_DO_DRAIN},
        [JOB_CLOSE] = {JOB_RUNNING_CLOSED, JOB_DO_NOTHING},
        [JOB_STOP] = {JOB_STOPPING, JOB_DO_TERM},
        [JOB_OVERFLOW] = {JOB_STOPPING, JOB_DO_TERM},
        [JOB_LOST] = {JOB_DONE, JOB_DO_FINISH},
    },
    [JOB_RUNNING_CLOSED] = {
        [JOB_UNSTARTED] = {JOB_DONE, JOB_DO_FINISH},
        [JOB_EXIT] = {JOB_DONE, JOB_DO_FINISH},
        [JOB_STOP] = {JOB_STOPPING_CLOSED, JOB_DO_TERM},
        [JOB_LOST] = {JOB_DONE, JOB_DO_FINISH},
    },
    // The exit is known: a cancel or a timeout is too late to change it. An overflow is not,
    // because output that is cut off would be taken for the whole.
    [JOB_DRAINING] = {
        [JOB_CLOSE] = {JOB_DONE, JOB_DO_FINISH},
        [JOB_OVERFLOW] = {JOB_STOPPING_DRAINING, JOB_DO_TERM},
        [JOB_DRAIN_OVER] = {JOB_DONE, JOB_DO_FINISH},
        [JOB_LOST] = {JOB_DONE, JOB_DO_FINISH},
    },
    [JOB_STOPPING] = {
        [JOB_UNSTARTED] = {JOB_DONE, JOB_DO_FINISH},
        [JOB_EXIT] = {JOB_STOPPING_DRAINING, JOB_DO_NOTHING},
        [JOB_CLOSE] = {JOB_STOPPING_CLOSED, JOB_DO_NOTHING},
        [JOB_GRACE_OVER] = {JOB_KILLED, JOB_DO_KILL},
        [JOB_LOST] = {JOB_DONE, JOB_DO_FINISH},
    },
    [JOB_STOPPING_CLOSED] = {
        [JOB_UNSTARTED] = {JOB_DONE, JOB_DO_FINISH},
        [JOB_EXIT] = {JOB_DONE, JOB_DO_FINISH},
        [JOB_GRACE_OVER] = {JOB_KILLED_CLOSED, JOB_DO_KILL},
        [JOB_LOST] = {JOB_DONE, JOB_DO_FINISH},
    },
    [JOB_STOPPING_DRAINING] = {
        [JOB_CLOSE] = {JOB_DONE, JOB_DO_FINISH},
        [JOB_GRACE_OVER] = {JOB_KILLED_DRAINING, JOB_DO_KILL},
        [JOB_LOST] = {JOB_DONE, JOB_DO_FINISH},
    },
    // After SIGKILL the job waits for the drain time and no longer, not even for the exit: a
    // process that hangs in the kernel must not hold up the answer.
    [JOB_KILLED] = {
        [JOB_UNSTARTED] = {JOB_DONE, JOB_DO_FINISH},
        [JOB_EXIT] = {JOB_KILLED_DRAINING, JOB_DO_NOTHING},
        [JOB_CLOSE] = {JOB_KILLED_CLOSED, JOB_DO_NOTHING},
        [JOB_DRAIN_OVER] = {JOB_DONE, JOB_DO_FINISH},
        [JOB_LOST] = {JOB_DONE, JOB_DO_FINISH},
    },
    [JOB_KILLED_CLOSED] = {
        [JOB_UNSTARTED] = {JOB_DONE, JOB_DO_FINISH},
        [JOB_EXIT] = {JOB_DONE, JOB_DO_FINISH},
        [JOB_DRAIN_OVER] = {JOB_DONE, JOB_DO_FINISH},
        [JOB_LOST] = {JOB_DONE, JOB_DO_FINISH},
    },
    [JOB_KILLED_DRAINING] = {
        [JOB_CLOSE] = {JOB_DONE, JOB_DO_FINISH},
        [JOB_DRAIN_OVER] = {JOB_DONE, JOB_DO_FINISH},
        [JOB_LOST] = {JOB_DONE, JOB_DO_FINISH},
    },
};
// clang-format on

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
