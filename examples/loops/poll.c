/*
 * poll.c - libkw in a loop of poll(2): prints what changes below a directory, until SIGINT
 * or SIGTERM.
 *
 *     cc poll.c $(pkg-config --cflags --libs kw) -o poll && ./poll DIR
 */
#define _POSIX_C_SOURCE 200809L
#include <kw.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* For the signal handler: set before it is installed, and while it is. */
static kw_handle *handle;
static volatile sig_atomic_t stop;

/* The flag alone would not do: a signal just before poll(2) begins to wait does not end
 * that. kw_wake() makes kw_fd() readable, so that poll(2) does not wait. */
static void on_signal(int signal)
{
    (void)signal;
    stop = 1;
    kw_wake(handle);
}

int main(int argc, char **argv)
{
    struct sigaction action;
    struct pollfd fds[1]; /* The program's other descriptors go in here as well. */
    int status = EXIT_SUCCESS;

    if (argc != 2) {
        fprintf(stderr, "usage: %s DIR\n", argv[0]);
        return 2;
    }
    /* So that each event is seen at once, also through a pipe. */
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    handle = watch(argv[1]);
    if (handle == NULL)
        return EXIT_FAILURE;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGINT, &action, NULL) != 0 || sigaction(SIGTERM, &action, NULL) != 0) {
        perror("sigaction");
        kw_free(handle);
        return EXIT_FAILURE;
    }

    printf("watching %s\n", argv[1]);
    fds[0].fd = kw_fd(handle);
    fds[0].events = POLLIN;
    while (!stop) {
        if (poll(fds, 1, -1) < 0) {
            if (errno == EINTR)
                continue;
            perror("poll");
            status = EXIT_FAILURE;
            break;
        }
        if (fds[0].revents != 0 && print_events(handle) < 0) {
            complain(handle);
            status = EXIT_FAILURE;
            break;
        }
    }

    /* The handler uses the handle: it goes first. */
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    kw_free(handle);
    return status;
}
