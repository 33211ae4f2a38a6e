/* Descriptors: all close-on-exec, all given back, and what if there are none. */
#define _XOPEN_SOURCE 700
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#define DIRS 50

/* Descriptors that a program would inherit. */
static int inheritable(void)
{
    int n = 0;
    for (int fd = 0; fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFD);
        n += flags >= 0 && (flags & FD_CLOEXEC) == 0;
    }
    return n;
}

/* The limit on descriptors at which `more` can still be had. Each takes the
 * lowest number that is free, and the limit is one on the numbers. */
static rlim_t limit_for(int more)
{
    int fd = 0;
    while (more > 0 || fcntl(fd, F_GETFD) >= 0)
        more -= fcntl(fd++, F_GETFD) < 0;
    return (rlim_t)fd;
}

static void given_back(void)
{
    int before = open_descriptors();
    int inheritable_before = inheritable();

    kw_handle *h = open_handle();
    kw_stats s = KW_STATS_INIT;
    for (int i = 0; i < DIRS; i++) {
        make_dir(fmt("tree/%d", i));
        write_file(fmt("tree/%d/f", i), "x");
    }
    int opened = open_descriptors();
    kw_watch watch = add_watch(h, "tree", KW_RECURSIVE);
    for (int i = 0; i < DIRS; i++) {
        append(fmt("tree/%d/f", i), "y");
        rename_to(fmt("tree/%d", i), fmt("tree/n%d", i));
    }
    drain(h);
    is(inheritable(), inheritable_before, "all descriptors are close-on-exec");
    kw_stats_get(h, &s);
    is(open_descriptors() - before, s.descriptors, "kw_stats knows how many there are");
    if (strcmp(s.engine, "inotify") == 0)
        ok(open_descriptors() - before <= 4, "which are few with inotify");
    for (int i = 0; i < DIRS; i++)
        remove_tree(fmt("tree/n%d", i));
    drain(h);
    is(kw_remove(h, watch), KW_OK, "kw_remove()");
    is(open_descriptors(), opened, "gives back what the watch held");
    kw_stats_get(h, &s);
    ok(s.entries == 0 && s.kernel_watches == 0, "and what the kernel held for it");
    kw_free(h);
    is(open_descriptors(), before, "kw_free() gives back the rest");

    for (int i = 0; i < 200; i++) {
        h = watch_tree();
        kw_add(h, "nothing", NULL, NULL);
        kw_free(h);
    }
    is(open_descriptors(), before, "and so it is after 200 handles");
}

static void none_left(void)
{
    struct rlimit limit, low;
    kw_handle *h = NULL;
    kw_error e = KW_ERROR_INIT;
    int before = open_descriptors();

    getrlimit(RLIMIT_NOFILE, &limit);
    low = limit;
    for (int more = 0; more < 4; more++) {
        low.rlim_cur = limit_for(more);
        setrlimit(RLIMIT_NOFILE, &low);
        int status = kw_open(NULL, &h);
        kw_last_error(NULL, &e);
        setrlimit(RLIMIT_NOFILE, &limit);
        if (status == KW_OK) {
            ok(more > 0, "%d descriptors are enough to open a handle", more);
            kw_free(h);
            break;
        }
        is(status, KW_E_LIMIT, fmt("%d descriptors are not enough to open a handle", more));
        ok(h == NULL, "  and there is none");
        is(e.sys_errno, EMFILE, "  the errno");
        is(open_descriptors(), before, "  nothing is left open");
    }

    make_dir("tree/old0");
    make_dir("tree/old1");
    h = watch_tree();
    kw_watch watch = 0;
    low.rlim_cur = limit_for(0);
    setrlimit(RLIMIT_NOFILE, &low);
    int status = kw_add(h, "tree", NULL, &watch);
    setrlimit(RLIMIT_NOFILE, &limit);
    ok(status == KW_OK || (status == KW_E_LIMIT && watch == 0),
       "kw_add() when there are none left: %s", kw_strerror(status));
    write_file("tree/f", "x");
    ok(strstr(drain(h), "CREATED f\n") != NULL, "the watch that was there goes on");
    if (watch != 0)
        kw_remove(h, watch);

    /* They run out while it looks. */
    make_dir("tree/d");
    write_file("tree/d/f", "x");
    low.rlim_cur = limit_for(0);
    setrlimit(RLIMIT_NOFILE, &low);
    kw_stats held = KW_STATS_INIT, now = KW_STATS_INIT;
    kw_stats_get(h, &held);
    char *text = strdup(drain(h));
    kw_stats_get(h, &now);
    setrlimit(RLIMIT_NOFILE, &limit);
    if (strcmp(now.engine, "inotify") == 0)
        is(now.kernel_watches, held.kernel_watches,
           "a descriptor that is missing costs no other directory its watch");
    note("none left:\n%s", text);
    ok(strstr(text, "kw_poll: ") == NULL, "there are none left when it looks: no failure");
    kw_sync(h, -1);
    char *later = strdup(drain(h));
    note("afterwards:\n%s", later);
    ok((strstr(text, "CREATED d/\n") || strstr(later, "CREATED d/\n")) &&
           (strstr(text, "CREATED d/f\n") || strstr(later, "CREATED d/f\n")),
       "what could not be looked at is looked at when it can be");
    free(text);
    free(later);
    kw_free(h);
    is(open_descriptors(), before, "nothing is left open");
}

int main(void)
{
    sandbox();
    given_back();
    none_left();
    return done();
}
