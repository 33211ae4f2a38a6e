/*
 * libuv.c - libkw in a loop of libuv: prints what changes below a directory, until SIGINT or
 * SIGTERM.
 *
 *     cc libuv.c $(pkg-config --cflags --libs kw libuv) -o libuv && ./libuv DIR
 */
#include <kw.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

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
    uv_poll_t readable;
    uv_signal_t interrupt, terminate;
    uv_handle_t *open[3]; /* those of them that have been initialised */
    int opened;
    int status;
};

/* Whether it is no error; if it is, says so. */
static int good(const char *what, int error)
{
    if (error != 0)
        fprintf(stderr, "%s: %s\n", what, uv_strerror(error));
    return error == 0;
}

/* uv_run() returns when all of them are closed. */
static void close_all(struct program *p)
{
    while (p->opened > 0)
        uv_close(p->open[--p->opened], NULL);
}

static void on_signal(uv_signal_t *signal, int number)
{
    (void)number;
    close_all(signal->data);
}

static void on_readable(uv_poll_t *readable, int status, int events)
{
    struct program *p = readable->data;
    (void)events;
    if (good("poll", status)) {
        if (print_events(p->watcher) == 0)
            return;
        complain(p->watcher);
    }
    p->status = EXIT_FAILURE;
    close_all(p);
}

static int init_poll(uv_loop_t *loop, struct program *p)
{
    if (!good("uv_poll_init", uv_poll_init(loop, &p->readable, kw_fd(p->watcher))))
        return 0;
    p->readable.data = p;
    p->open[p->opened++] = (uv_handle_t *)&p->readable;
    return good("uv_poll_start", uv_poll_start(&p->readable, UV_READABLE, on_readable));
}

static int init_signal(uv_loop_t *loop, struct program *p, uv_signal_t *signal, int number)
{
    if (!good("uv_signal_init", uv_signal_init(loop, signal)))
        return 0;
    signal->data = p;
    p->open[p->opened++] = (uv_handle_t *)signal;
    return good("uv_signal_start", uv_signal_start(signal, on_signal, number));
}

int main(int argc, char **argv)
{
    struct program p;
    uv_loop_t loop;

    if (argc != 2) {
        fprintf(stderr, "usage: %s DIR\n", argv[0]);
        return 2;
    }
    /* So that each event is seen at once, also through a pipe. */
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    p.opened = 0;
    p.status = EXIT_SUCCESS;
    p.watcher = watch(argv[1]);
    if (p.watcher == NULL)
        return EXIT_FAILURE;
    if (!good("uv_loop_init", uv_loop_init(&loop))) {
        kw_free(p.watcher);
        return EXIT_FAILURE;
    }

    if (!init_poll(&loop, &p) || !init_signal(&loop, &p, &p.interrupt, SIGINT) ||
        !init_signal(&loop, &p, &p.terminate, SIGTERM)) {
        p.status = EXIT_FAILURE;
        close_all(&p);
    } else
        printf("watching %s\n", argv[1]);
    uv_run(&loop, UV_RUN_DEFAULT);

    /* Now that nothing looks at its descriptor. */
    kw_free(p.watcher);
    if (!good("uv_loop_close", uv_loop_close(&loop)))
        p.status = EXIT_FAILURE;
    return p.status;
}
