/* fork(2) and exec(3): a child has nothing to do with its parent's handles. */
#define _XOPEN_SOURCE 700
#include "sandbox.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static kw_handle *h;

/* Number of calls that did not do in the child what they should. */
static int in_the_child(void)
{
    kw_event event;
    kw_stats stats = KW_STATS_INIT;
    kw_error error = KW_ERROR_INIT;
    kw_watch watch;
    kw_handle *own;
    int wrong = 0;

    wrong += kw_add(h, "tree", NULL, &watch) != KW_E_FORKED;
    wrong += kw_remove(h, 1) != KW_E_FORKED;
    wrong += kw_poll(h, &event, 1, 0) != KW_E_FORKED;
    wrong += kw_poll(h, &event, 1, -1) != KW_E_FORKED;
    wrong += kw_wake(h) != KW_E_FORKED;
    wrong += kw_fd(h) != KW_E_FORKED;
    wrong += kw_stats_get(h, &stats) != KW_E_FORKED;
    wrong += kw_sync(h, 0) != KW_E_FORKED;
    wrong += kw_last_error(h, &error) != KW_E_FORKED;
    wrong += kw_last_error(NULL, &error) != KW_OK || error.status != KW_E_FORKED;
    kw_free(h);
    wrong += kw_wake(h) != KW_E_FORKED; /* and so it has not been freed */

    /* A handle of its own is as good as any. */
    wrong += kw_open(NULL, &own) != KW_OK;
    wrong += kw_add(own, "tree", NULL, &watch) != KW_OK;
    write_file("tree/by-child", "x");
    wrong += kw_poll(own, &event, 1, 0) != 1;
    kw_free(own);
    return wrong;
}

static int exit_status(pid_t child)
{
    int status;
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
    char self[PATH_MAX];
    kw_event e;

    /* This program, started again by itself. */
    if (argc > 1)
        return strcmp(argv[1], "descriptors") == 0 ? open_descriptors() : atoi(argv[1]);

    if (realpath(argv[0], self) == NULL)
        die("realpath: %s", strerror(errno));
    sandbox();
    int before = open_descriptors();
    h = watch_tree();
    write_file("tree/f", "x");

    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        /* Not _exit(): valgrind would have it account for its parent's memory. */
        execl(self, self, fmt("%d", in_the_child()), (char *)NULL);
        _exit(127);
    }
    is(exit_status(child), 0, "in a child every call answers KW_E_FORKED");
    expect_in_any_order(h, "and the parent has lost nothing", "CREATED by-child\nCREATED f\n");
    long start = now_ms();
    is(kw_poll(h, &e, 1, 50), 0, "nor is it woken");
    ok(now_ms() - start >= 50, "  by what the child did");
    append("tree/f", "y");
    expect(h, "and it goes on", "MODIFIED f\n");

    fflush(stdout);
    child = fork();
    if (child == 0) {
        execl(self, self, "descriptors", (char *)NULL);
        _exit(127);
    }
    is(exit_status(child), before, "a program that is started inherits no descriptor");
    kw_free(h);
    is(open_descriptors(), before, "and the parent has none left");
    return done();
}
