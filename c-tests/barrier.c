/* A kw_poll() that returns 0: everything that had happened before the call has been
 * delivered. Many processes write, end, and are waited for; then it is all there. */
#include "sandbox.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WRITERS 16
#define ROUNDS 6

static replica *mirror;

static void apply(const kw_event *event)
{
    replica_apply(mirror, event);
}

/* One of many: makes, writes, renames and removes among the others. */
static void writer(unsigned seed)
{
    char a[64], b[64];
    srand(seed);
    for (int i = 0; i < 120; i++) {
        snprintf(a, sizeof a, "tree/%d/%d", rand() % 4, rand() % 12);
        snprintf(b, sizeof b, "tree/%d/%d", rand() % 4, rand() % 12);
        switch (rand() % 6) {
        case 0:
            mkdir(a, 0777);
            break;
        case 1:
            rename(a, b);
            break;
        case 2:
            remove(a);
            break;
        default: {
            FILE *f = fopen(a, "a");
            if (f != NULL) {
                fprintf(f, "%d", rand());
                fclose(f);
            }
        }
        }
    }
    /* The last thing that it does. */
    snprintf(a, sizeof a, "tree/last-%u", seed);
    FILE *f = fopen(a, "w");
    if (f == NULL || fclose(f) != 0)
        _exit(1);
    /* (It has no part in what the parent holds, and is not asked to give that back.) */
    raise(SIGKILL);
}

/* Starts them all; whether each ended well. `poll`: is what they do read meanwhile? */
static int run_writers(kw_handle *h, unsigned round, int poll)
{
    pid_t children[WRITERS];
    int ended = 0, good = 0, status;

    for (unsigned i = 0; i < WRITERS; i++) {
        fflush(NULL);
        children[i] = fork();
        if (children[i] == 0)
            writer(round * WRITERS + i);
        if (children[i] < 0)
            return 0;
    }
    while (ended < WRITERS) {
        pid_t child = waitpid(-1, &status, poll ? WNOHANG : 0);
        if (child > 0) {
            ended++;
            good += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        } else if (poll) {
            drain(h);
        }
    }
    return good == WRITERS;
}

int main(void)
{
    sandbox();
    for (int i = 0; i < 4; i++)
        make_dir(fmt("tree/%d", i));
    kw_handle *h = watch_tree();
    on_event = apply;
    mirror = replica_of("tree");
    for (unsigned round = 0; round < ROUNDS; round++) {
        if (!run_writers(h, round, round % 2))
            die("a writer failed");
        drain(h);
        is(replica_differences(mirror), 0, "what all of them did is there");
    }

    /* With a handle that polls, after kw_sync(). */
    is(kw_set_watch_limit(h, 2), KW_OK, "hardly a watch");
    for (unsigned round = ROUNDS; round < 2 * ROUNDS; round++) {
        if (!run_writers(h, round, round % 2))
            die("a writer failed");
        is(kw_sync(h, 0), KW_OK, "kw_sync()");
        drain(h);
        is(replica_differences(mirror), 0, "what all of them did is there");
    }
    on_event = NULL;
    replica_free(mirror);
    kw_free(h);
    return done();
}
