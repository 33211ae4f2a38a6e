/*
 * kw.c - libkw, by its C API. See protocol.h.
 *
 *     kw [-t THREADS] version | print TREE | count TREE
 */
#include "protocol.h"

#include <kw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS 256

static void die(const kw_handle *h, int code)
{
    kw_error e = KW_ERROR_INIT;
    kw_last_error(h, &e);
    fprintf(stderr, "kw: %s: %s %s\n", kw_strerror(code), e.operation, e.path);
    exit(EXIT_FAILURE);
}

static void set_threads(kw_options *options, unsigned threads)
{
#ifdef KW_HAS_CRAWL_THREADS
    options->crawl_threads = threads;
#else
    (void)options;
    if (threads > 1) {
        fprintf(stderr, "kw: this libkw has no crawl_threads\n");
        exit(EXIT_FAILURE);
    }
#endif
}

static void tally(const kw_event *e)
{
    tally_event();
    switch (e->kind) {
    case KW_CREATED:
        tally_path(TOLD_CREATED, e->path, e->path_len);
        break;
    case KW_DELETED:
        tally_path(TOLD_DELETED, e->path, e->path_len);
        break;
    case KW_MOVED:
        tally_path(TOLD_DELETED, e->path, e->path_len);
        tally_path(TOLD_CREATED, e->dest, e->dest_len);
        break;
    default:
        tally_path(TOLD_TOUCHED, e->path, e->path_len);
    }
}

int main(int argc, char **argv)
{
    kw_options options = KW_OPTIONS_INIT;
    kw_watch_options watch = KW_WATCH_OPTIONS_INIT;
    kw_stats stats = KW_STATS_INIT;
    kw_event events[EVENTS];
    kw_handle *h;
    int64_t begin;
    unsigned threads = 1;
    int n, count, print;

    if (argc > 2 && strcmp(argv[1], "-t") == 0) {
        threads = (unsigned)atoi(argv[2]);
        argc -= 2;
        argv += 2;
    }
    set_threads(&options, threads);
    count = argc == 3 && strcmp(argv[1], "count") == 0;
    print = argc == 3 && strcmp(argv[1], "print") == 0;
    if (argc == 2 && strcmp(argv[1], "version") == 0)
        return puts(kw_version()) < 0;
    if (!count && !print) {
        fprintf(stderr, "usage: kw [-t THREADS] version | print TREE | count TREE\n");
        return 2;
    }

    begin = now_ns();
    n = kw_open(&options, &h);
    if (n < 0)
        die(NULL, n);
    watch.flags = KW_RECURSIVE;
    n = kw_add(h, argv[2], &watch, NULL);
    if (n < 0)
        die(h, n);
    /* With too few watches it would be ready early, and go on by polling. */
    if (kw_stats_get(h, &stats) < 0 || stats.polled != 0) {
        fprintf(stderr, "kw: not everything could be watched: %s\n", stats.limited_by);
        exit(EXIT_FAILURE);
    }
    say_ready(now_ns() - begin);
    if (count)
        answer();

    while ((n = kw_poll(h, events, EVENTS, -1)) >= 0 || n == KW_E_INTERRUPTED) {
        if (count)
            tally_begin();
        for (int i = 0; i < n; i++) {
            const kw_event *e = &events[i];
            if (count)
                tally(e);
            else if (e->dest != NULL)
                printf("%s -> %s\n", e->path, e->dest);
            else
                puts(e->path);
        }
        if (count)
            tally_end();
        else
            fflush(stdout);
    }
    die(h, n);
}
