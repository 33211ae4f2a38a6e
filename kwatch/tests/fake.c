/*
 * fake - a libkw that does as it is told, for what a real one does at the bidding of
 * nobody: overflows, unmounts, errors, names that the disk would refuse, long crawls.
 *
 * The file named by KW_FAKE has a line for each thing to do:
 *
 *     event KIND FLAGS PATH DEST   kw_poll() stores it; numbers as in kw.h; \xHH is a byte,
 *                                  "-" as DEST is none
 *     with NAME NUMBER             a member of the event before
 *     portion NUMBER               kw_poll() stores no more at a time
 *     crawl                        kw_add() goes on until kw_wake() is called
 *     fail CALL CODE ERRNO PATH    that call fails
 *     polled NUMBER WHY            what the statistics say
 *
 * What kwatch has asked for is written to the file named by KW_FAKE_LOG. When there are
 * no more events kw_poll() waits for its timeout or kw_wake().
 */
#define _POSIX_C_SOURCE 200809L
#include <kw.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINES 200

struct kw_handle {
    int waker[2];
};

static struct kw_handle the_handle;
static kw_event queue[LINES];
static size_t queued, taken;
static kw_error last;
static struct {
    char call[32];
    int code;
} failures[LINES];
static size_t failing;
static int crawls;
static size_t portion = LINES;
static volatile uint64_t entries = 1;
static kw_stats stats = KW_STATS_INIT;
static FILE *log_file;

static void die(const char *what)
{
    fprintf(stderr, "fake: %s\n", what);
    exit(99);
}

/* \xHH is a byte. */
static char *unescape(const char *text, size_t *length)
{
    char *bytes = malloc(strlen(text) + 1);
    size_t n = 0;
    if (bytes == NULL)
        die("memory");
    for (const char *c = text; *c != '\0'; c++) {
        unsigned byte;
        if (c[0] == '\\' && c[1] == 'x' && sscanf(c + 2, "%2x", &byte) == 1) {
            bytes[n++] = (char)byte;
            c += 3;
        } else {
            bytes[n++] = *c;
        }
    }
    bytes[n] = '\0';
    *length = n;
    return bytes;
}

static void set_member(kw_event *e, const char *name, long long value)
{
    if (strcmp(name, "error") == 0)
        e->error = (int32_t)value;
    else if (strcmp(name, "count") == 0)
        e->count = (uint64_t)value;
    else if (strcmp(name, "size") == 0)
        e->size = (uint64_t)value;
    else if (strcmp(name, "mtime") == 0)
        e->mtime_ns = value;
    else if (strcmp(name, "inode") == 0)
        e->inode = (uint64_t)value;
    else if (strcmp(name, "device") == 0)
        e->device = (uint64_t)value;
    else
        die(name);
}

static void read_line(const char *line)
{
    char a[1024], b[1024];
    unsigned kind, flags;
    long long number;
    kw_event *e = &queue[queued];
    int code, error;

    if (sscanf(line, "event %u %u %1023s %1023s", &kind, &flags, a, b) == 4) {
        e->kind = kind;
        e->flags = flags;
        e->watch = 1;
        e->path = unescape(a, &e->path_len);
        if (strcmp(b, "-") != 0)
            e->dest = unescape(b, &e->dest_len);
        /* The root has one letter. */
        e->root_len = e->path_len > 1 ? 2 : 1;
        e->sequence = ++queued;
    } else if (sscanf(line, "with %1023s %lld", a, &number) == 2) {
        set_member(e - 1, a, number);
    } else if (strncmp(line, "crawl", 5) == 0) {
        crawls = 1;
    } else if (sscanf(line, "portion %lld", &number) == 1) {
        portion = (size_t)number;
    } else if (sscanf(line, "fail %31s %d %d %1023s", a, &code, &error, b) == 4) {
        strcpy(failures[failing].call, a);
        failures[failing++].code = code;
        last.sys_errno = error;
        strcpy(last.path, b);
        strcpy(last.operation, "test");
    } else if (sscanf(line, "polled %lld %47s", &number, a) == 2) {
        stats.polled = (uint64_t)number;
        strcpy(stats.limited_by, a);
    } else {
        die(line);
    }
}

static int result_of(const char *call)
{
    for (size_t i = 0; i < failing; i++)
        if (strcmp(failures[i].call, call) == 0)
            return failures[i].code;
    return KW_OK;
}

static void log_globs(const char *what, const char *const *globs)
{
    for (; globs != NULL && *globs != NULL; globs++)
        fprintf(log_file, " %s=%s", what, *globs);
}

int kw_open(const struct kw_options *options, struct kw_handle **out)
{
    const char *name = getenv("KW_FAKE"), *log_name = getenv("KW_FAKE_LOG");
    FILE *file = name != NULL ? fopen(name, "r") : NULL;
    char line[4096];
    if (file == NULL || pipe(the_handle.waker) < 0)
        die("KW_FAKE");
    log_file = fopen(log_name != NULL ? log_name : "/dev/null", "w");
    if (log_file == NULL)
        die("KW_FAKE_LOG");
    setvbuf(log_file, NULL, _IOLBF, BUFSIZ);
    fcntl(the_handle.waker[0], F_SETFD, FD_CLOEXEC);
    fcntl(the_handle.waker[1], F_SETFD, FD_CLOEXEC);
    while (fgets(line, sizeof line, file) != NULL && queued < LINES - 1)
        read_line(line);
    fclose(file);
    fprintf(log_file, "open flags=%u interval=%u limit=%llu threads=%u\n", (unsigned)options->flags,
            (unsigned)options->poll_interval_ms, (unsigned long long)options->watch_limit,
            (unsigned)options->crawl_threads);
    strcpy(stats.engine, "fake");
    *out = result_of("kw_open") < 0 ? NULL : &the_handle;
    return result_of("kw_open");
}

/* Waits for kw_wake(). */
static int woken(int timeout_ms)
{
    struct pollfd p = {.fd = the_handle.waker[0], .events = POLLIN};
    char byte;
    int n = poll(&p, 1, timeout_ms);
    if (n > 0 && read(the_handle.waker[0], &byte, 1) != 1)
        die("wake");
    return n;
}

int kw_add(struct kw_handle *handle, const char *path, const struct kw_watch_options *o,
           kw_watch *out)
{
    (void)handle;
    fprintf(log_file, "add %s flags=%u events=%u", path, (unsigned)o->flags, (unsigned)o->events);
    log_globs("exclude", o->exclude);
    log_globs("include", o->include);
    fprintf(log_file, " depth=%u settle=%u,%u", (unsigned)o->depth, (unsigned)o->settle_ms,
            (unsigned)o->settle_max_ms);
    if (o->since != NULL)
        fprintf(log_file, " since=%s", o->since);
    fprintf(log_file, "\n");
    /* As long as it takes until that is seen. */
    while (crawls) {
        entries += 1000;
        stats.crawling = 1;
        if (woken(10) > 0)
            return KW_E_INTERRUPTED;
    }
    *out = (kw_watch)++stats.watches;
    return result_of("kw_add");
}

int kw_poll(struct kw_handle *handle, struct kw_event *events, size_t capacity, int timeout_ms)
{
    size_t n = 0;
    int status;
    (void)handle;
    if (result_of("kw_poll") < 0)
        return result_of("kw_poll");
    if (capacity > portion)
        capacity = portion;
    while (n < capacity && taken < queued)
        events[n++] = queue[taken++];
    if (n > 0)
        return (int)n;
    status = woken(timeout_ms);
    return status < 0 ? KW_E_INTERRUPTED : 0;
}

int kw_wake(struct kw_handle *handle)
{
    ssize_t n = write(handle->waker[1], "", 1);
    return n == 1 ? KW_OK : KW_E_SYSTEM;
}

int kw_sync(struct kw_handle *handle, int timeout_ms)
{
    (void)handle;
    (void)timeout_ms;
    fprintf(log_file, "sync\n");
    return KW_OK;
}

/* As long as events wait it cannot be done. */
int kw_save(struct kw_handle *handle, kw_watch watch, const char *file)
{
    (void)handle;
    fprintf(log_file, "save %d %s%s\n", (int)watch, file, taken < queued ? " (not yet)" : "");
    return taken < queued ? KW_E_BUSY : result_of("kw_save");
}

int kw_stats_get(const struct kw_handle *handle, struct kw_stats *out)
{
    (void)handle;
    *out = stats;
    out->entries = entries;
    return KW_OK;
}

int kw_last_error(const struct kw_handle *handle, struct kw_error *out)
{
    (void)handle;
    *out = last;
    return KW_OK;
}

const char *kw_strerror(int code)
{
    (void)code;
    return "failed on purpose";
}

const char *kw_version(void)
{
    return "9.9.9";
}

void kw_free(struct kw_handle *handle)
{
    if (handle == NULL)
        return;
    for (size_t i = 0; i < queued; i++) {
        free((char *)(uintptr_t)queue[i].path);
        free((char *)(uintptr_t)queue[i].dest);
    }
    close(handle->waker[0]);
    close(handle->waker[1]);
    fclose(log_file);
}
