/* kw DIR - libkw, by its C API, for run.py. ../README.md has the protocol.
 * cc kw.c $(pkg-config --cflags --libs kw) -o kw */
#define _POSIX_C_SOURCE 200809L
#include <kw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static kw_handle *h;

static void die(const char *what, int code)
{
    kw_error e = KW_ERROR_INIT;
    kw_last_error(h, &e);
    fprintf(stderr, "kw: %s: %s: %s %s\n", what, kw_strerror(code), e.operation, e.path);
    exit(EXIT_FAILURE);
}

static const char *name_of(uint32_t kind)
{
    switch (kind) {
    case KW_CREATED: return "created";
    case KW_DELETED: return "deleted";
    case KW_MODIFIED: return "modified";
    case KW_ATTRIB: return "attrib";
    case KW_MOVED: return "moved";
    case KW_RESCANNED: return "rescanned";
    default: return "ignored";
    }
}

/* Every byte that is not ASCII as the surrogate that stands for it: no need to know whether it
 * is part of a character. */
static void put_path(const char *member, const char *path, size_t length)
{
    printf(",\"%s\":\"", member);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)path[i];
        if (c >= 0x80)
            printf("\\udc%02x", c);
        else if (c < 0x20 || c == '"' || c == '\\' || c == 0x7f)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void put(const kw_event *e)
{
    printf("{\"event\":\"%s\"", name_of(e->kind));
    put_path("path", e->path + e->root_len, e->path_len - e->root_len);
    if (e->dest != NULL)
        put_path("dest", e->dest + e->root_len, e->dest_len - e->root_len);
    printf(",\"dir\":%s}\n", e->flags & KW_IS_DIR ? "true" : "false");
}

/* All that has happened. */
static void drain(void)
{
    kw_event events[256];
    int n;
    while ((n = kw_poll(h, events, 256, 0)) > 0)
        for (int i = 0; i < n; i++)
            put(&events[i]);
    if (n < 0 && n != KW_E_INTERRUPTED)
        die("kw_poll", n);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    kw_watch_options options = KW_WATCH_OPTIONS_INIT;
    struct pollfd fds[2] = {{0, POLLIN, 0}, {0, POLLIN, 0}};
    int code;
    if (argc != 2) {
        fputs("usage: kw DIR\n", stderr);
        return 2;
    }
    options.flags = KW_RECURSIVE;
    if ((code = kw_open(NULL, &h)) < 0)
        die("kw_open", code);
    if ((code = kw_add(h, argv[1], &options, NULL)) < 0)
        die("kw_add", code);
    puts("{\"ready\":true}");
    fflush(stdout);
    fds[1].fd = kw_fd(h);
    for (;;) {
        if (poll(fds, 2, -1) < 0)
            continue;
        if (fds[1].revents)
            drain();
        if (fds[0].revents) {
            /* The runner asks for one thing, and waits for the answer. */
            char line[64];
            if (read(0, line, sizeof line) <= 0)
                break;
            if ((code = kw_sync(h, 0)) < 0)
                die("kw_sync", code);
            drain();
            puts("{\"synced\":true}");
            fflush(stdout);
        }
    }
    kw_free(h);
    return 0;
}
