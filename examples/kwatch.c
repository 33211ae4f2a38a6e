/*
 * kwatch - prints what changes below a directory, one line an event, until
 * Ctrl-C; then a summary.
 *
 *     cc kwatch.c $(pkg-config --cflags --libs kw) -o kwatch
 *     ./kwatch [DIR]
 */
#define _POSIX_C_SOURCE 200809L /* sigaction */
#include <kw.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A kind and its REPLACED variant are told apart, as a reader would. */
static const struct {
    uint32_t kind;
    uint32_t flag;
    const char *name;
} names[] = {
    {KW_CREATED, 0, "created"},
    {KW_DELETED, 0, "deleted"},
    {KW_MODIFIED, KW_REPLACED, "replaced"},
    {KW_MODIFIED, 0, "modified"},
    {KW_ATTRIB, 0, "attrib"},
    {KW_MOVED, 0, "moved"},
    {KW_RESCANNED, 0, "rescanned"},
    {KW_ROOT_GONE, 0, "root gone"},
    {KW_ROOT_BACK, 0, "root back"},
    {KW_READY, 0, "ready"},
    {KW_UNMOUNTED, 0, "unmounted"},
    {KW_DEGRADED, 0, "degraded"},
    {KW_ERROR, 0, "error"},
};
#define NAMES (sizeof names / sizeof names[0])

static unsigned long seen[NAMES];

/* For the signal handler: set before it is installed, and while it is. */
static kw_handle *handle;
static volatile sig_atomic_t stop;

/* kw_wake() may be called here. Without it a signal that arrives just before
 * kw_poll() begins to wait would not end that wait. */
static void on_signal(int signal)
{
    (void)signal;
    stop = 1;
    kw_wake(handle);
}

/* Length of the UTF-8 sequence of several bytes at `s`, 0 if there is none that
 * a terminal shows (the first 32 of the two-byte ones are control characters). */
static size_t utf8(const unsigned char *s, size_t left)
{
    size_t n = s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
    if (n > left || (s[0] == 0xc2 && s[1] < 0xa0))
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

/* A file name is bytes: it may hold a line break, an escape sequence or what is
 * no UTF-8. What would spoil the line or the terminal is shown as \n or \x1b. */
static void print_path(const char *path, size_t len)
{
    const unsigned char *s = (const unsigned char *)path;
    for (size_t i = 0; i < len; i++) {
        size_t n = utf8(s + i, len - i);
        if (n > 0) {
            fwrite(s + i, 1, n, stdout);
            i += n - 1;
        } else if (s[i] == '\n')
            fputs("\\n", stdout);
        else if (s[i] == '\\')
            fputs("\\\\", stdout);
        else if (s[i] < 0x20 || s[i] >= 0x7f)
            printf("\\x%02x", s[i]);
        else
            putchar(s[i]);
    }
}

/* What a KW_DEGRADED is about, and what to do about it. */
static void print_polling(uint64_t count)
{
    kw_stats s = KW_STATS_INIT;
    if (count == 0) {
        fputs(": nothing is polled any more", stdout);
        return;
    }
    printf(": %llu polled", (unsigned long long)count);
    if (kw_stats_get(handle, &s) == KW_OK && s.limited_by[0] != '\0')
        printf(", for %s", s.limited_by);
}

static void print_event(const kw_event *e)
{
    size_t i = 0;
    /* A later library may know kinds that this program does not. */
    while (i < NAMES && (e->kind != names[i].kind || (names[i].flag & ~e->flags)))
        i++;
    if (i < NAMES)
        seen[i]++;
    printf("%-10s", i < NAMES ? names[i].name : "?");
    print_path(e->path, e->path_len);
    if (e->flags & KW_IS_DIR && e->path_len > 0 && e->path[e->path_len - 1] != '/')
        putchar('/');
    if (e->flags & KW_IS_SYMLINK)
        putchar('@');
    if (e->dest != NULL) {
        fputs(" -> ", stdout);
        print_path(e->dest, e->dest_len);
        if (e->flags & KW_IS_DIR)
            putchar('/');
    }
    if (e->error != 0)
        printf(": %s", strerror(e->error));
    if (e->kind == KW_DEGRADED)
        print_polling(e->count);
    putchar('\n');
}

static void print_summary(void)
{
    kw_stats s = KW_STATS_INIT;
    unsigned long total = 0;
    for (size_t i = 0; i < NAMES; i++)
        total += seen[i];
    printf("-- %lu event%s", total, total == 1 ? "" : "s");
    const char *before = ": ";
    for (size_t i = 0; i < NAMES; i++) {
        if (seen[i] == 0)
            continue;
        printf("%s%lu %s", before, seen[i], names[i].name);
        before = ", ";
    }
    putchar('\n');
    if (kw_stats_get(handle, &s) < 0)
        return;
    printf("-- %s: %llu entries, %llu watched, %llu polled, %llu descriptors of %llu, "
           "%llu overflows\n",
           s.engine, (unsigned long long)s.entries, (unsigned long long)s.kernel_watches,
           (unsigned long long)s.polled, (unsigned long long)s.descriptors,
           (unsigned long long)s.descriptor_limit, (unsigned long long)s.overflows);
    if (s.polled > 0)
        printf("-- polled for %s: a round takes %llu ms\n", s.limited_by,
               (unsigned long long)s.round_ms);
}

/* Says what failed, on which path and why; `h` is NULL if it was kw_open(). */
static int fail(const kw_handle *h, int code)
{
    kw_error e = KW_ERROR_INIT;
    const char *why = kw_strerror(code);
    kw_last_error(h, &e);
    if (e.sys_errno != 0)
        why = strerror(e.sys_errno);
    fprintf(stderr, "kwatch: %s%s%s: %s\n", e.path, e.path[0] ? ": " : "", e.operation, why);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    const char *dir = argc > 1 ? argv[1] : ".";
    kw_watch_options options = KW_WATCH_OPTIONS_INIT;
    struct sigaction action;
    kw_event events[64];
    int status = EXIT_SUCCESS;
    int n;

    if (argc > 2 || dir[0] == '-') {
        fprintf(stderr, "usage: kwatch [DIR]\n");
        return 2;
    }
    /* So that each event is seen at once, also through a pipe. */
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);

    n = kw_open(NULL, &handle);
    if (n < 0)
        return fail(NULL, n);

    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);

    options.flags = KW_RECURSIVE;
    n = kw_add(handle, dir, &options, NULL);
    if (n < 0) {
        status = fail(handle, n);
        stop = 1;
    } else {
        fputs("watching  ", stdout);
        print_path(dir, strlen(dir));
        putchar('\n');
    }

    while (!stop) {
        n = kw_poll(handle, events, sizeof events / sizeof events[0], -1);
        if (n < 0 && n != KW_E_INTERRUPTED) {
            status = fail(handle, n);
            break;
        }
        for (int i = 0; i < n; i++)
            print_event(&events[i]);
    }

    if (status == EXIT_SUCCESS)
        print_summary();
    /* The handler uses the handle: it goes first. */
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    kw_free(handle);
    return status;
}
