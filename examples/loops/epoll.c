/*
 * epoll.c - libkw in a loop of epoll(7), Linux: prints what changes below a directory, until
 * SIGINT or SIGTERM, which come through a signalfd(2).
 *
 *     cc epoll.c $(pkg-config --cflags --libs kw) -o epoll && ./epoll DIR
 */
#define _POSIX_C_SOURCE 200809L
#include <kw.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
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

static int add(int epoll, int fd)
{
    struct epoll_event interest;
    memset(&interest, 0, sizeof interest);
    /* Level-triggered. With EPOLLET, too, print_events() leaves nothing behind. */
    interest.events = EPOLLIN;
    interest.data.fd = fd;
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &interest);
}

/* Until a signal comes. */
static int loop(int epoll, int signals, kw_handle *h)
{
    for (;;) {
        struct epoll_event ready[8];
        int n = epoll_wait(epoll, ready, 8, -1);
        if (n < 0 && errno != EINTR) {
            perror("epoll_wait");
            return EXIT_FAILURE;
        }
        for (int i = 0; i < n; i++) {
            if (ready[i].data.fd == signals)
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
    sigset_t set;
    kw_handle *h;
    int epoll, signals;
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

    /* Blocked, so that they come by the descriptor and in no other way. */
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) {
        perror("sigprocmask");
        kw_free(h);
        return EXIT_FAILURE;
    }
    epoll = epoll_create1(EPOLL_CLOEXEC);
    signals = signalfd(-1, &set, SFD_CLOEXEC);
    if (epoll < 0 || signals < 0 || add(epoll, signals) != 0 || add(epoll, kw_fd(h)) != 0)
        perror("epoll");
    else {
        printf("watching %s\n", argv[1]);
        status = loop(epoll, signals, h);
    }

    if (signals >= 0)
        close(signals);
    if (epoll >= 0)
        close(epoll);
    kw_free(h);
    return status;
}
