/*
 * kqueue.c - libkw in a loop of kqueue(2), macOS and the BSDs: prints what changes below a
 * directory, until SIGINT or SIGTERM, which come through the kqueue, too.
 *
 *     cc kqueue.c $(pkg-config --cflags --libs kw) -o kqueue && ./kqueue DIR
 */
#include <kw.h>

#include <sys/types.h>

#include <sys/event.h>
#include <sys/time.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *kind_name(uint32_t kind)
{
    switch (kind) {
    case KW_CREATED: return "created";
    case KW_DELETED: return "deleted";
    case KW_MODIFIED: return "modified";
    case KW_ATTRIB: return "attrib";
    case KW_MOVED: return "moved";
    case KW_RESCANNED: return "rescanned";
    case KW_ROOT_GONE: return "root gone";
    case KW_ROOT_BACK: return "root back";
    case KW_UNMOUNTED: return "unmounted";
    case KW_DEGRADED: return "degraded";
    case KW_ERROR: return "error";
    case KW_READY: return "ready";
    default: return "?"; /* of a later version */
    }
}

/* Names are printed as they are; ../kwatch.c shows how to do that to a terminal. */
static void print_event(const kw_event *e)
{
    printf("%s %s", kind_name(e->kind), e->path);
    if (e->dest != NULL)
        printf(" -> %s", e->dest);
    if (e->error != 0)
        printf(": %s", strerror(e->error));
    putchar('\n');
}

/* Prints all that there is, which makes kw_fd() unreadable. 0, or a KW_E_ code. */
static int print_events(kw_handle *h)
{
    kw_event events[64];
    int n;
    while ((n = kw_poll(h, events, 64, 0)) > 0)
        for (int i = 0; i < n; i++)
            print_event(&events[i]);
    return n;
}

/* Says what failed, on which path and why; `h` is NULL if it was kw_open(). */
static void complain(const kw_handle *h)
{
    kw_error e = KW_ERROR_INIT;
    kw_last_error(h, &e);
    fprintf(stderr, "%s%s%s: %s\n", e.path, e.path[0] != '\0' ? ": " : "", e.operation,
            e.sys_errno != 0 ? strerror(e.sys_errno) : kw_strerror(e.status));
}

/* A handle that watches `dir` and all below; NULL if there is none to be had. */
static kw_handle *watch(const char *dir)
{
    kw_handle *h;
    kw_watch_options options = KW_WATCH_OPTIONS_INIT;
    if (kw_open(NULL, &h) < 0) {
        complain(NULL);
        return NULL;
    }
    options.flags = KW_RECURSIVE;
    if (kw_add(h, dir, &options, NULL) < 0) {
        complain(h);
        kw_free(h);
        return NULL;
    }
    return h;
}

/* Until a signal comes. */
static int loop(int queue, kw_handle *h)
{
    for (;;) {
        struct kevent ready[8];
        int n = kevent(queue, NULL, 0, ready, 8, NULL);
        if (n < 0 && errno != EINTR) {
            perror("kevent");
            return EXIT_FAILURE;
        }
        for (int i = 0; i < n; i++) {
            if (ready[i].filter == EVFILT_SIGNAL)
                return EXIT_SUCCESS;
            if (print_events(h) < 0) {
                complain(h);
                return EXIT_FAILURE;
            }
        }
    }
}

int main(int argc, char **argv)
{
    struct kevent interest[3];
    sigset_t set;
    kw_handle *h;
    int queue;
    int status = EXIT_FAILURE;

    if (argc != 2) {
        fprintf(stderr, "usage: %s DIR\n", argv[0]);
        return 2;
    }
    /* So that each event is seen at once, also through a pipe. */
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    h = watch(argv[1]);
    if (h == NULL)
        return EXIT_FAILURE;

    /* Blocked, so that they do nothing else. A kqueue tells of them all the same. */
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) {
        perror("sigprocmask");
        kw_free(h);
        return EXIT_FAILURE;
    }
    EV_SET(&interest[0], (uintptr_t)kw_fd(h), EVFILT_READ, EV_ADD, 0, 0, 0);
    EV_SET(&interest[1], SIGINT, EVFILT_SIGNAL, EV_ADD, 0, 0, 0);
    EV_SET(&interest[2], SIGTERM, EVFILT_SIGNAL, EV_ADD, 0, 0, 0);
    queue = kqueue();
    if (queue < 0 || kevent(queue, interest, 3, NULL, 0, NULL) < 0)
        perror("kqueue");
    else {
        printf("watching %s\n", argv[1]);
        status = loop(queue, h);
    }

    if (queue >= 0)
        close(queue);
    kw_free(h);
    return status;
}
