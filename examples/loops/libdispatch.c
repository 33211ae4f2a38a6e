/*
 * libdispatch.c - libkw and Grand Central Dispatch, macOS and others: prints what changes
 * below a directory, until SIGINT or SIGTERM.
 *
 *     cc libdispatch.c $(pkg-config --cflags --libs kw) -o libdispatch     (macOS, FreeBSD)
 *     cc libdispatch.c $(pkg-config --cflags --libs kw) -ldispatch -o libdispatch
 *     ./libdispatch DIR
 *
 * On Linux with clang, or another compiler that knows __has_feature().
 *
 * Everything happens on one serial queue, so that one thread at a time is in kw_poll().
 */
#define _POSIX_C_SOURCE 200809L
#include <kw.h>

#include <dispatch/dispatch.h>
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

struct program {
    kw_handle *watcher;
    dispatch_source_t readable, interrupt, terminate;
    dispatch_semaphore_t ended;
    int status;
};

static void cancel_all(struct program *p)
{
    dispatch_source_cancel(p->readable);
    dispatch_source_cancel(p->interrupt);
    dispatch_source_cancel(p->terminate);
}

static void on_readable(void *context)
{
    struct program *p = context;
    if (print_events(p->watcher) < 0) {
        complain(p->watcher);
        p->status = EXIT_FAILURE;
        cancel_all(p);
    }
}

static void on_signal(void *context)
{
    cancel_all(context);
}

/* Once for each source, when nothing of it will be called or looked at any more. */
static void on_cancelled(void *context)
{
    struct program *p = context;
    dispatch_semaphore_signal(p->ended);
}

/* A source of events, which dispatch_resume() starts. */
static dispatch_source_t source(dispatch_source_type_t type, uintptr_t about,
                                dispatch_queue_t queue, dispatch_function_t handler,
                                struct program *p)
{
    dispatch_source_t new_source = dispatch_source_create(type, about, 0, queue);
    if (new_source == NULL) {
        fprintf(stderr, "dispatch_source_create: failed\n");
        exit(EXIT_FAILURE);
    }
    dispatch_set_context(new_source, p);
    dispatch_source_set_event_handler_f(new_source, handler);
    dispatch_source_set_cancel_handler_f(new_source, on_cancelled);
    return new_source;
}

int main(int argc, char **argv)
{
    struct program p;
    dispatch_queue_t queue;
    sigset_t set;

    if (argc != 2) {
        fprintf(stderr, "usage: %s DIR\n", argv[0]);
        return 2;
    }
    /* So that each event is seen at once, also through a pipe. */
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    p.status = EXIT_SUCCESS;
    p.watcher = watch(argv[1]);
    if (p.watcher == NULL)
        return EXIT_FAILURE;

    /* Blocked, so that they do nothing else. Dispatch sources tell of them all the same. */
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) {
        perror("sigprocmask");
        kw_free(p.watcher);
        return EXIT_FAILURE;
    }

    queue = dispatch_queue_create("watch", DISPATCH_QUEUE_SERIAL);
    p.ended = dispatch_semaphore_create(0);
    p.readable = source(DISPATCH_SOURCE_TYPE_READ, (uintptr_t)kw_fd(p.watcher), queue,
                        on_readable, &p);
    p.interrupt = source(DISPATCH_SOURCE_TYPE_SIGNAL, SIGINT, queue, on_signal, &p);
    p.terminate = source(DISPATCH_SOURCE_TYPE_SIGNAL, SIGTERM, queue, on_signal, &p);
    dispatch_resume(p.readable);
    dispatch_resume(p.interrupt);
    dispatch_resume(p.terminate);

    printf("watching %s\n", argv[1]);
    /* A program with a run loop calls dispatch_main() or the like instead. */
    for (int i = 0; i < 3; i++)
        dispatch_semaphore_wait(p.ended, DISPATCH_TIME_FOREVER);

    /* Not earlier: a source's descriptor is closed when the source has been cancelled. */
    kw_free(p.watcher);
    dispatch_release(p.readable);
    dispatch_release(p.interrupt);
    dispatch_release(p.terminate);
    dispatch_release(p.ended);
    dispatch_release(queue);
    return p.status;
}
