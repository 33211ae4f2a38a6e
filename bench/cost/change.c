/*
 * change.c - makes changes of one kind, one at a time, and has libkw tell of each before
 * the next. For callgrind: what is executed within kw_poll, divided by the number of
 * changes, is what a change costs; what is executed within kw_add is what the crawl does.
 *
 *     change TREE DIRECTORY write|rename|create CHANGES
 *
 * Every change is to one file in DIRECTORY, which is in TREE or is TREE. Every second
 * change of `create` is a deletion.
 */
#define _POSIX_C_SOURCE 200809L /* open, pwrite */
#include <kw.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static void check(int code)
{
    if (code < 0) {
        fprintf(stderr, "change: %s\n", kw_strerror(code));
        exit(EXIT_FAILURE);
    }
}

static void write_to(const char *path, int flags)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0666);
    if (fd < 0 || (flags == 0 && pwrite(fd, "x", 1, 0) != 1) || close(fd) < 0)
        die(path);
}

static void change(const char *kind, const char *path, const char *other, int even)
{
    if (strcmp(kind, "write") == 0) {
        write_to(path, 0);
    } else if (strcmp(kind, "rename") == 0) {
        if (rename(even ? path : other, even ? other : path) < 0)
            die(path);
    } else if (even) {
        write_to(path, O_CREAT | O_EXCL);
    } else if (unlink(path) < 0) {
        die(path);
    }
}

int main(int argc, char **argv)
{
    kw_watch_options options = KW_WATCH_OPTIONS_INIT;
    kw_event events[64];
    kw_handle *h;
    char path[4096], other[4096];
    unsigned long changes;
    const char *kind;

    if (argc != 5) {
        fprintf(stderr, "usage: change TREE DIRECTORY write|rename|create CHANGES\n");
        return 2;
    }
    kind = argv[3];
    changes = strtoul(argv[4], NULL, 10);
    snprintf(path, sizeof path, "%s/changed", argv[2]);
    snprintf(other, sizeof other, "%s/renamed", argv[2]);
    unlink(path);
    unlink(other);
    if (strcmp(kind, "create") != 0)
        write_to(path, O_CREAT);

    check(kw_open(NULL, &h));
    options.flags = KW_RECURSIVE;
    check(kw_add(h, argv[1], &options, NULL));
    /* What was crawled is in doubt for a second, and may be looked at again. */
    sleep(2);
    check(kw_poll(h, events, 64, 0));
    for (unsigned long i = 0; i < changes; i++) {
        int n, told = 0;
        change(kind, path, other, i % 2 == 0);
        /* The kernel has queued its notification when the change returns. */
        while ((n = kw_poll(h, events, 64, 0)) > 0)
            told += n;
        check(n);
        if (told == 0) {
            fprintf(stderr, "change: %s was not told of\n", kind);
            return EXIT_FAILURE;
        }
    }
    kw_free(h);
    unlink(path);
    unlink(other);
    return EXIT_SUCCESS;
}
