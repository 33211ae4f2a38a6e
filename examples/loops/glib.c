/*
 * glib.c - libkw in a main loop of GLib: prints what changes below a directory, until SIGINT
 * or SIGTERM.
 *
 *     cc glib.c $(pkg-config --cflags --libs kw glib-2.0) -o glib && ./glib DIR
 */
#include <kw.h>

#include <glib-unix.h>
#include <glib.h>
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
    GMainLoop *loop;
    int status;
};

static gboolean on_signal(gpointer data)
{
    struct program *p = data;
    g_main_loop_quit(p->loop);
    return G_SOURCE_CONTINUE; /* main() removes it */
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer data)
{
    struct program *p = data;
    (void)fd;
    (void)condition;
    if (print_events(p->watcher) < 0) {
        complain(p->watcher);
        p->status = EXIT_FAILURE;
        g_main_loop_quit(p->loop);
    }
    return G_SOURCE_CONTINUE;
}

int main(int argc, char **argv)
{
    struct program p;
    guint sources[3];

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

    p.loop = g_main_loop_new(NULL, FALSE);
    sources[0] = g_unix_fd_add(kw_fd(p.watcher), G_IO_IN | G_IO_ERR, on_readable, &p);
    sources[1] = g_unix_signal_add(SIGINT, on_signal, &p);
    sources[2] = g_unix_signal_add(SIGTERM, on_signal, &p);
    printf("watching %s\n", argv[1]);
    g_main_loop_run(p.loop);

    for (int i = 0; i < 3; i++)
        g_source_remove(sources[i]);
    g_main_loop_unref(p.loop);
    /* Now that nothing looks at its descriptor. */
    kw_free(p.watcher);
    return p.status;
}
