// SPDX-License-Identifier: Apache-2.0
#include "wait.h"

#include "account.h"
#include "cleanup.h"

static void free_parked(struct parked *parked)
{
    list_remove(&parked->link);
    loop_undefer(&parked->interrupted);
    if (parked->account)
        account_give_back(parked->account, ACCOUNT_BYTES, parked->size);
    account_unref(parked->account);
    free(parked);
}

static void on_interrupted(void *data)
{
    struct parked *parked = data;

    parked->operations->interrupt(parked);
    free_parked(parked);
}

// libfuse may call this at once, from within fuse_req_interrupt_func, and does
// so with the request's lock held, which a reply would need.
static void mark_interrupted(fuse_req_t req, void *data)
{
    struct parked *parked = data;

    (void)req;
    loop_defer(parked->loop, &parked->interrupted);
}

struct parked *wait_park(struct loop *loop, struct list *list, fuse_req_t req,
                         const struct parked_operations *operations, const char *bytes,
                         size_t count)
{
    struct parked *parked = calloc(1, sizeof *parked + count);

    if (!parked)
        return NULL;
    parked->loop = loop;
    parked->req = req;
    parked->operations = operations;
    if (count > 0)
        memcpy(parked->bytes, bytes, count);
    list_init(&parked->link);
    list_append(list, &parked->link);
    task_init(&parked->interrupted, on_interrupted, parked);
    fuse_req_interrupt_func(req, mark_interrupted, parked);
    return parked;
}

void wait_retry_all(struct list *list)
{
    struct list waiting;

    // Waits that must go on return to the list during the walk.
    list_init(&waiting);
    list_move_all(&waiting, list);
    while (!list_is_empty(&waiting)) {
        struct parked *parked = LIST_ENTRY(waiting.next, struct parked, link);
        list_remove(&parked->link);
        if (parked->operations->retry(parked))
            free_parked(parked);
        else
            list_append(list, &parked->link);
    }
}

void wait_fail_all(struct list *list, int errnum)
{
    while (!list_is_empty(list)) {
        struct parked *parked = LIST_ENTRY(list->next, struct parked, link);
        fuse_reply_err(parked->req, errnum);
        free_parked(parked);
    }
}
