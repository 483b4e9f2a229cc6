// SPDX-License-Identifier: Apache-2.0
// The states of a job as a table: each event leads to a next state and to an action. The
// table knows neither processes nor time, so that every cell can be tested.
#pragma once

enum job_state {
    JOB_QUEUED,
    // The command runs; its streams are open, or have both ended.
    JOB_RUNNING,
    JOB_RUNNING_CLOSED,
    // The command exited by itself, and another process still holds a stream open.
    JOB_DRAINING,
    // The command was sent SIGTERM. It runs with streams open or ended, or it has exited
    // and a stream is open.
    JOB_STOPPING,
    JOB_STOPPING_CLOSED,
    JOB_STOPPING_DRAINING,
    // The same after SIGKILL.
    JOB_KILLED,
    JOB_KILLED_CLOSED,
    JOB_KILLED_DRAINING,
    JOB_DONE,
    JOB_STATES,
};

enum job_event {
    JOB_START,      // the turn of the job has come
    JOB_UNSTARTED,  // the command could not be executed
    JOB_EXIT,       // the command, or its client, ended
    JOB_CLOSE,      // both streams have ended
    JOB_STOP,       // a cancel or the timeout
    JOB_OVERFLOW,   // there is more output than may be kept
    JOB_GRACE_OVER, // the time between SIGTERM and SIGKILL has passed
    JOB_DRAIN_OVER, // the time for reading what is left has passed
    JOB_LOST,       // the connection broke: nothing more will come
    JOB_EVENTS,
};

enum job_action {
    JOB_DO_NOTHING,
    JOB_DO_SPAWN,
    JOB_DO_TERM,   // send SIGTERM and begin the grace
    JOB_DO_KILL,   // send SIGKILL and begin the drain
    JOB_DO_DRAIN,  // begin the drain
    JOB_DO_FINISH, // the outcome is known
};

struct job_transition {
    enum job_state next;
    enum job_action action;
};

// For the debug log.
const char *job_state_name(enum job_state state);
const char *job_event_name(enum job_event event);

// The transition for EVENT in STATE. An event without a meaning there keeps the state and
// asks for nothing.
struct job_transition job_state_next(enum job_state state, enum job_event event);
